// Records for tests of transactions.

#ifndef MEMFUSE_TESTS_MEMFS_TRANSACTION_TEST_BASE_H_
#define MEMFUSE_TESTS_MEMFS_TRANSACTION_TEST_BASE_H_

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>

#include "src/memfs/records/transaction.h"
#include "tests/memfs/records.h"

namespace memfuse::memfs {

struct Record {
  BlockHeader header;
  uint64_t values[12];
};

inline void SetAll(Record* record, uint64_t value) {
  std::fill(std::begin(record->values), std::end(record->values), value);
}

// A block with values and without a kind.
inline Record* Allocate(RecordFile* file, uint64_t value) {
  auto* const record = static_cast<Record*>(file->Allocate(sizeof(Record)));
  SetAll(record, value);
  return record;
}

inline Record* NewRecord(RecordFile* file, uint64_t value) {
  Record* const record = Allocate(file, value);
  record->header.kind = kTestKind;
  return record;
}

inline void Publish(Transaction* change, Record* record) {
  change->Publish(&record->header, kTestKind);
}
inline void Remove(Transaction* change, Record* record) { change->Remove(&record->header); }

// The values of all records, one character for each, in the order of their blocks; '?' for a record
// whose values differ.
inline std::string Contents(RecordFile* file) {
  std::string contents;
  file->ForEachBlock([&](BlockHeader* block) {
    const auto* const record = reinterpret_cast<const Record*>(block);
    char found = static_cast<char>(record->values[0]);
    for (const uint64_t value : record->values) {
      if (value != record->values[0]) found = '?';
    }
    contents += found;
    return false;
  });
  return contents;
}

}  // namespace memfuse::memfs

#endif  // MEMFUSE_TESTS_MEMFS_TRANSACTION_TEST_BASE_H_
