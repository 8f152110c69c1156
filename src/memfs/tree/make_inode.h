// Making the object of an inode, for a new record and for one that another process has left.

#ifndef MEMFUSE_SRC_MEMFS_TREE_MAKE_INODE_H_
#define MEMFUSE_SRC_MEMFS_TREE_MAKE_INODE_H_

#include <cstddef>
#include <cstdint>

#include "src/memfs/tree/data_store.h"
#include "src/memfs/tree/inode.h"

namespace memfuse::memfs {

// What an inode of this type is charged: the object, the record, and its slot in the inode table.
// `target_size` is the length of the target of a symbolic link, or 0. `store` may be null if the
// type is not S_IFREG.
uint32_t InodeCost(uint32_t file_type, size_t target_size, const DataStore* store);

// Makes the object for the type of the record, with the given arguments of Inode's constructor.
// Throws std::bad_alloc.
Inode* MakeInode(Resources* resources, InodeRecordHolder record, Reservation charge);

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_TREE_MAKE_INODE_H_
