// Rebuilding the tree from the records of a process that has died: the objects of the inodes, the
// tables of the directories, the data of the files, and all charges.

#ifndef MEMFUSE_SRC_MEMFS_TREE_REBUILD_H_
#define MEMFUSE_SRC_MEMFS_TREE_REBUILD_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "src/memfs/tree/inode.h"
#include "src/memfs/tree/inode_table.h"

namespace memfuse::memfs {

struct RebuiltTree {
  uint64_t inodes = 0;
  uint64_t names = 0;
  uint64_t xattrs = 0;
  // Inodes that no name, lookup or open keeps: the process died before it had freed them. Their
  // records are free now, and so are their extended attributes and data, which are not counted.
  uint64_t unused = 0;
};

// Makes an object for each inode in the records and inserts it into `table`, which is empty; adds
// the names to the directories, the extended attributes to the inodes, and the data to the files.
// Charges everything to the accounts, regardless of the limit: the caller sets the limits and
// applies the rules afterwards.
//
// Requires: RecordFile::Open has returned resources->records; StoreSelection::Adopt has made the
// store; the limits are kMaxSizeLimit and kMaxInodeLimit; nothing else uses any of these. Returns
// FailedPrecondition if the records are damaged: there is no root directory, or a name, a type or a
// page is invalid; ResourceExhausted if the data of the files cannot be taken over. Throws
// std::bad_alloc. If it fails, the objects that were made are in the table, and the records can be
// read again: the caller calls RecordFile::SetAbandoned and DataStore::Abandon before it destroys
// the objects.
absl::StatusOr<RebuiltTree> RebuildTree(Resources* resources, InodeTable* table);

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_TREE_REBUILD_H_
