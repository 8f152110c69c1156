// Record files for tests.

#ifndef MEMFUSE_TESTS_MEMFS_RECORDS_H_
#define MEMFUSE_TESTS_MEMFS_RECORDS_H_

#include <sys/stat.h>

#include <memory>

#include "src/memfs/records/record_file.h"
#include "src/memfs/tree/inode.h"

namespace memfuse::memfs {

inline std::unique_ptr<RecordFile> MakeRecords() { return *RecordFile::Make(); }

// The record of a file without an inode. It lies in `records` until these are destroyed.
inline InodeRecord* NewFileRecord(RecordFile* records, InodeNumber ino = InodeNumber{2}) {
  return NewInodeRecord(records, ino, S_IFREG, {}).release();
}

// A kind that tests give to blocks.
inline constexpr auto kTestKind = BlockKind{200};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_TESTS_MEMFS_RECORDS_H_
