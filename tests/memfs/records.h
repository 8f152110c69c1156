// Record files for tests.

#ifndef MEMFUSE_TESTS_MEMFS_RECORDS_H_
#define MEMFUSE_TESTS_MEMFS_RECORDS_H_

#include <memory>

#include "src/memfs/records/record_file.h"

namespace memfuse::memfs {

inline std::unique_ptr<RecordFile> MakeRecords() { return *RecordFile::Make(); }

// A kind that tests give to blocks.
inline constexpr auto kTestKind = BlockKind{200};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_TESTS_MEMFS_RECORDS_H_
