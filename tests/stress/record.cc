#include "tests/stress/record.h"

#include <time.h>

#include <algorithm>
#include <cstring>

namespace memfuse::stress {
namespace {

constexpr uint64_t kMagic = 0x7473736572747366;

// The rest of the record is derived from its beginning, so that every byte can be checked.
void Fill(Record* record) {
  uint64_t state = record->ino * 0x9e3779b97f4a7c15 + record->index * 0xbf58476d1ce4e5b9 +
                   record->stamp * 0x94d049bb133111eb + record->sequence;
  for (unsigned char& byte : record->fill) {
    state = state * 6364136223846793005 + 1442695040888963407;
    byte = static_cast<unsigned char>(state >> 56);
  }
}

bool IsHole(const Record& record) {
  static constexpr Record kZeros = {};
  return std::memcmp(&record, &kZeros, kRecordSize) == 0;
}

std::string Describe(const Record& record) {
  return "record " + std::to_string(record.index) + " of write " + std::to_string(record.sequence) +
         " by process " + std::to_string(record.writer) + " to inode " + std::to_string(record.ino);
}

std::string CheckRecord(uint64_t ino, uint64_t index, const Record& record) {
  if (record.magic != kMagic) return "bytes that no writer wrote";
  if (record.ino != ino || record.index != index) return "foreign content: " + Describe(record);
  if (index < record.span_first || index - record.span_first >= record.span_count) {
    return "damaged content: " + Describe(record);
  }
  Record expected = record;
  Fill(&expected);
  if (std::memcmp(&record, &expected, kRecordSize) != 0) {
    return "damaged content: " + Describe(record);
  }
  return "";
}

}  // namespace

std::vector<Record> MakeRecords(uint64_t ino, uint64_t first, uint32_t count, uint32_t writer,
                                uint64_t sequence) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const uint64_t stamp =
      static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
  std::vector<Record> records(count);
  for (uint32_t i = 0; i < count; ++i) {
    records[i] = {kMagic, ino, first + i, stamp, first, count, writer, sequence, {}};
    Fill(&records[i]);
  }
  return records;
}

std::string CheckRecords(uint64_t ino, const Record* records, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const Record& record = records[i];
    if (IsHole(record)) continue;
    if (std::string wrong = CheckRecord(ino, i, record); !wrong.empty()) {
      return "at record " + std::to_string(i) + ": " + wrong;
    }
    // No record in the range of a write may be older than the write. Checked once per run of the
    // write's records.
    if (i > record.span_first && records[i - 1].stamp == record.stamp) continue;
    const size_t end = std::min<size_t>(count, record.span_first + record.span_count);
    for (size_t j = record.span_first; j < end; ++j) {
      if (records[j].stamp < record.stamp && !IsHole(records[j])) {
        return "torn write: " + Describe(record) + ", beside older " + Describe(records[j]);
      }
    }
  }
  return "";
}

}  // namespace memfuse::stress
