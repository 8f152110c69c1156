// The records that the stress program writes. Each holds its writer, its time and its position.
//
// A file is a sequence of records of 512 bytes. A process that writes, truncates or reads a file
// holds its lock (flock). A reader therefore finds whole writes only, each over all older data, and
// no data of another file. A record of zeros is a hole.

#ifndef MEMFUSE_TESTS_STRESS_RECORD_H_
#define MEMFUSE_TESTS_STRESS_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace memfuse::stress {

struct Record {
  uint64_t magic;
  uint64_t ino;         // of the file it was written to; inode numbers are not used again
  uint64_t index;       // of this record in the file
  uint64_t stamp;       // when, taken under the file's lock: writes to one file are in this order
  uint64_t span_first;  // the write that it was part of: index of its first record,
  uint32_t span_count;  // number of records,
  uint32_t writer;      // process,
  uint64_t sequence;    // and number among that process's writes
  unsigned char fill[456];
};
inline constexpr size_t kRecordSize = sizeof(Record);
static_assert(kRecordSize == 512);

// One write: `count` records from index `first` on.
std::vector<Record> MakeRecords(uint64_t ino, uint64_t first, uint32_t count, uint32_t writer,
                                uint64_t sequence);

// Describes the first error in the contents of the file `ino`; empty if there is none.
std::string CheckRecords(uint64_t ino, const Record* records, size_t count);

}  // namespace memfuse::stress

#endif  // MEMFUSE_TESTS_STRESS_RECORD_H_
