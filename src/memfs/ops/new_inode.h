// Making inodes.

#ifndef MEMFUSE_SRC_MEMFS_OPS_NEW_INODE_H_
#define MEMFUSE_SRC_MEMFS_OPS_NEW_INODE_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "memfuse/errno.h"
#include "memfuse/filesystem.h"
#include "src/memfs/ops/inodes.h"
#include "src/memfs/space/budget.h"
#include "src/memfs/tree/directory.h"

namespace memfuse::memfs {

// What a request says about the inode that it makes.
struct NewNode {
  uint32_t mode = 0;  // with file type; the umask is not yet applied
  uint32_t umask = 0;
  uint32_t rdev = 0;        // devices
  std::string_view target;  // symbolic links
};

// An inode that a request makes: first an inode that only the calling thread knows, without a name.
// The destructor undoes Make, Open and Insert, unless Commit was called. So an operation can stop
// after any step before the inode is permanent, also by an exception.
//
// The steps are, in this order: Make; Open, if the request also opens the file; CountLookup, if the
// kernel gets an entry for it; Insert; AddEntry, AddNameless or MoveEntry (changes.h), which make
// the inode permanent; and Commit, which cannot fail.
class NewInode {
 public:
  explicit NewInode(Inodes* inodes) : inodes_(*inodes) {}
  NewInode(const NewInode&) = delete;
  NewInode& operator=(const NewInode&) = delete;
  ~NewInode();

  // Makes the inode and charges it. The owner is the caller; the rest is inherited from `parent`
  // (InheritFrom). Returns EOVERFLOW if the request has no user or group, EDQUOT or ENOSPC;
  // throws std::bad_alloc.
  Result<void> Make(const RequestContext& context, const Directory& parent, const NewNode& node,
                    Timestamp now) ABSL_LOCKS_EXCLUDED(parent.mu);
  // Opens the regular file that Make has made. Returns the errors of FileData::Open.
  Result<void> Open(uint32_t flags, OpenResult* open);
  // Counts a lookup, and the open of Open. `linkable`: see InodeAttributes.
  void CountLookup(bool linkable = false);
  // Adds the inode to the table. Throws std::bad_alloc.
  void Insert();

  // The inode stays.
  void Commit();
  // The entry for the kernel, after CountLookup and Commit.
  Entry FirstEntry() const;

  Inode* get() const { return inode_.get(); }
  Inode* operator->() const { return inode_.get(); }

 private:
  // Makes the object of the inode.
  Inode* NewObject(const Directory& parent, const NewNode& node, Timestamp now, Reservation space);
  FileData* data() const { return static_cast<RegularFile*>(inode_.get())->data(); }

  Inodes& inodes_;
  InodeRef inode_;
  InodeReservation slot_;
  std::optional<uint32_t> open_flags_;  // set while the destructor has to close the file
  bool inserted_ = false;               // the destructor has to remove the inode from the table
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_OPS_NEW_INODE_H_
