// The inodes of a file system: finding the inode of a request, and evicting inodes that nothing
// uses any more. new_inode.h makes inodes.

#ifndef MEMFUSE_SRC_MEMFS_OPS_INODES_H_
#define MEMFUSE_SRC_MEMFS_OPS_INODES_H_

#include <cstdint>

#include "memfuse/errno.h"
#include "memfuse/types.h"
#include "src/memfs/reclaim/reclaim.h"
#include "src/memfs/space/lock_order.h"
#include "src/memfs/tree/directory.h"
#include "src/memfs/tree/inode.h"
#include "src/memfs/tree/inode_table.h"

namespace memfuse::memfs {

using DirectoryRef = base::RefPtr<Directory>;
using RegularFileRef = base::RefPtr<RegularFile>;

// Thread-safe. The objects that the constructor gets must outlive this one.
class Inodes {
 public:
  // The root of the record file has the generation and the numbers that were assigned.
  Inodes(Resources* resources, Reclaim* reclaim)
      : resources_(resources),
        reclaim_(reclaim),
        root_(static_cast<RootRecord*>(resources->records->root())),
        table_(root_->assigned) {}
  Inodes(const Inodes&) = delete;
  Inodes& operator=(const Inodes&) = delete;
  // Names hold no references, so the depth of recursive destructor calls does not depend on the
  // depth of the directory tree.
  ~Inodes() { table_.Clear(); }

  // Return ESTALE if there is no such inode. FindDirectory returns ENOTDIR if it is not a
  // directory. FindRegular returns EISDIR for a directory and EINVAL for any other type.
  Result<InodeRef> Find(InodeNumber ino) const;
  Result<DirectoryRef> FindDirectory(InodeNumber ino) const;
  Result<RegularFileRef> FindRegular(InodeNumber ino) const;

  // Removes an inode that was marked dead from the table, and gives its place in the inode limit
  // back. The reclaim thread frees the data of a large file. It is called without locks.
  void Evict(const InodeRef& inode);

  // The value of Entry::generation. It distinguishes this mount from an earlier one at the same
  // place.
  uint64_t generation() const { return root_->generation; }

  Resources* resources() const { return resources_; }
  InodeTable* table() { return &table_; }
  const InodeTable* table() const { return &table_; }

  // The lock of rank rename. It guards every change of a directory's parent.
  RenameMutex rename_mu;

 private:
  Resources* const resources_;
  Reclaim* const reclaim_;
  RootRecord* const root_;
  InodeTable table_;
};

// Checks a name on which a request operates. Returns ENAMETOOLONG, or ENOENT if the name is empty.
Result<void> CheckName(std::string_view name);

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_OPS_INODES_H_
