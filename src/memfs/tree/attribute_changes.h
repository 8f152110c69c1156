// All changes of an inode's attributes: mode, owner, times, flags of chattr(1), extended attributes
// and ACLs.
//
// No other code in memfs changes them, so code that has to follow changes (images, replacing a
// running server) can find them all here. The compiler enforces it: the members are private, and
// AttributeChanges is a friend of Inode. There are two exceptions. The functions of changes.h move
// times together with names and link counts. Inode::SyncFromBackingLocked takes over the times of a
// file that the kernel changed without a request.

#ifndef MEMFUSE_SRC_MEMFS_TREE_ATTRIBUTE_CHANGES_H_
#define MEMFUSE_SRC_MEMFS_TREE_ATTRIBUTE_CHANGES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/types/span.h"
#include "memfuse/errno.h"
#include "memfuse/filesystem.h"
#include "src/memfs/tree/directory.h"
#include "src/memfs/tree/inode.h"

namespace memfuse::memfs {

// The attributes of an inode that is made.
struct NewAttributes {
  uint32_t permissions = 0;  // 07777
  Owner owner;
  uint32_t flags = 0;       // FS_*_FL
  std::string access_acl;   // in binary form; empty: none
  std::string default_acl;  // the same
};

// Returns the attributes of a new inode that `caller` makes in `parent`. `mode` includes the file
// type. As on tmpfs (inode_init_owner and posix_acl_create in the kernel), the directory passes on
// its group if it has S_ISGID, and S_ISGID to a directory; its default ACL in place of `umask`, and
// to a directory also as default ACL; and the flags kInheritedFlags. Errors: those of Acl::Parse. A
// symbolic link has mode 0777 and no ACL. Throws std::bad_alloc.
Result<NewAttributes> InheritFrom(const Directory& parent, uint32_t mode, uint32_t umask,
                                  Owner caller) ABSL_LOCKS_EXCLUDED(parent.mu);

// A class, so that it can be a friend of Inode.
//
// Contract of all functions. Each takes the attribute lock of its inode; the caller holds no
// attribute lock and no leaf (lock_order.h). The caller has checked that the inode's flags permit
// the change (inode_flags.h), and the kernel has checked whether the calling thread may make it.
// `now` is a value of base::Now(). Where mtime or ctime moves, it moves to `now`, or to the inode's
// ctime if that is shortly after `now`. A function that returns an error, except Init, has changed
// nothing.
class AttributeChanges {
 public:
  // Sets the attributes of an inode that only the calling thread knows and that was made with the
  // account of `attributes.owner`. All times become `now`; the link count becomes 0. Returns EDQUOT
  // or ENOSPC; throws std::bad_alloc. The caller destroys the inode if
  // it fails.
  static Result<void> Init(Inode* inode, const NewAttributes& attributes, Timestamp now)
      ABSL_LOCKS_EXCLUDED(inode->mu);

  // Carries out SETATTR, except for a change of the size, which is `resized` if it succeeded and
  // counts as a change. Returns EDQUOT if the new owner may not have what the inode takes (names
  // and data included), and throws std::bad_alloc; only a change of the owner can fail. The caller
  // holds no lock of the inode.
  //
  // A change of the size or the owner, and a request with kill_suidgid, removes file capabilities;
  // the latter two remove set-id bits too. A change of the mode changes the access ACL accordingly.
  //
  // `loses_setgid`: the caller found that S_ISGID is to be removed while this is the group.
  //
  // Times: a change of the size moves mtime. Every change moves ctime, and so does a request
  // with kill_suidgid and no attribute: it is sent before a write, or for a chown(2) that changes
  // neither owner nor group. A truncate(2) that removes set-id bits and has no other effect moves
  // no time, as on tmpfs. The times of the request come last.
  static Result<AttributesResult> SetAttributes(Inode* inode, const SetattrRequest& request,
                                                bool resized, Timestamp now,
                                                std::optional<uint32_t> loses_setgid = {})
      ABSL_LOCKS_EXCLUDED(inode->mu);

  // Sets the limits of the tree (account.h) of which the directory is the root. An empty directory
  // that is no root yet becomes one: its charges move to an account of the new tree. The limits are
  // set under the lock of the names: a directory that is removed has no limits, and one that has
  // limits is not removed (MayRemoveTree). `rule` has the inode number as its ID, and `record` was
  // prepared for it. Moves no time. Returns ENOENT (removed), ENOTEMPTY (no root yet), EDQUOT;
  // throws std::bad_alloc.
  static Result<void> SetTreeLimits(Directory* directory, const QuotaRule& rule,
                                    QuotaRecords::Prepared* record)
      ABSL_LOCKS_EXCLUDED(directory->names_mu, directory->mu);
  // Returns ENOENT or ENOTEMPTY where SetTreeLimits would, and changes nothing.
  static Result<void> MayBeTreeRoot(const Directory& directory)
      ABSL_LOCKS_EXCLUDED(directory.names_mu);

  // Sets the FS_*_FL flags. Moves ctime.
  static void SetFlags(Inode* inode, uint32_t flags, Timestamp now) ABSL_LOCKS_EXCLUDED(inode->mu);

  // Carries out SETXATTR. Moves ctime. An access ACL also changes the mode; it is not stored if it
  // expresses no more than the mode (acl(5)). An empty ACL is removed.
  //
  // Returns, for an ACL: EACCES (a default ACL of an inode that is no directory), EINVAL or
  // EOPNOTSUPP (Acl::Parse), EDQUOT, ENOSPC. Otherwise the errors of Xattrs::Set. Throws
  // std::bad_alloc.
  static Result<void> SetXattr(Inode* inode, const SetxattrRequest& request, Timestamp now)
      ABSL_LOCKS_EXCLUDED(inode->mu);

  // Removes an extended attribute. Moves ctime. Returns ENODATA if there is none, but not for an
  // ACL: its removal always succeeds, as on tmpfs. The mode stays.
  static Result<void> RemoveXattr(Inode* inode, std::string_view name, Timestamp now)
      ABSL_LOCKS_EXCLUDED(inode->mu);

  // Records that data of `file` changed at `time`, or now if `time` is not set: moves mtime and
  // ctime. Removes file capabilities, and set-id bits if `kill_suidgid` is set. Returns whether
  // S_ISGID was to be removed and is left, because the group may not execute the file.
  static bool NoteDataChange(RegularFile* file, bool kill_suidgid, std::optional<Timestamp> time)
      ABSL_LOCKS_EXCLUDED(file->mu);

  // Records that the inode was read: moves atime to the current time, if `strict` is set or
  // relatime requires it.
  static void NoteAccess(Inode* inode, bool strict) ABSL_LOCKS_EXCLUDED(inode->mu);

  // Removes S_ISGID if the group is `gid`. Moves no time: it is a part of another change.
  static void RemoveSetGid(Inode* inode, uint32_t gid) ABSL_LOCKS_EXCLUDED(inode->mu);

 private:
  // The part of SetAttributes that cannot fail.
  static AttributesResult Apply(Transaction* change, Inode* inode, const SetattrRequest& request,
                                bool resized, Timestamp now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(inode->mu);
  // Sets the owner, and moves the charges of the inode to the account of the new owner. The caller
  // also holds the lock of the names or of the data. Returns EDQUOT, and nothing is changed then;
  // throws std::bad_alloc.
  static Result<void> ChangeOwner(Transaction* change, Inode* inode, const SetattrRequest& request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(inode->mu);
  // Sets the account, and the owner to that of the account; the same locks and errors.
  static Result<void> ChangeAccount(Transaction* change, Inode* inode, AccountRef account)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(inode->mu);
  static RecordFile* RecordsOf(const Inode& inode);
  static void RemovePermissions(Transaction* change, Inode* inode, uint32_t permissions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(inode->mu);
  static Result<void> MayBeTreeRootLocked(const Directory& directory)
      ABSL_SHARED_LOCKS_REQUIRED(directory.names_mu);
  // As Xattrs::Set and Xattrs::Remove; the inode has an Xattrs object while it has attributes.
  static Result<void> StoreXattr(Transaction* change, Inode* inode, std::string_view name,
                                 absl::Span<const char> value, uint32_t flags)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(inode->mu);
  static void DropXattr(Transaction* change, Inode* inode, std::string_view name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(inode->mu);
  static Result<void> SetAcl(Transaction* change, Inode* inode, const SetxattrRequest& request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(inode->mu);
  // chmod(2): changes the access ACL accordingly. Cannot fail.
  static void SetPermissions(Transaction* change, Inode* inode, uint32_t permissions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(inode->mu);
  // Called when the data or the owner changed. Removes file capabilities, and set-id bits if
  // `kill_suidgid` is set. S_ISGID is removed only if the group may execute the file; otherwise the
  // bit meant mandatory locking. Returns whether set-id bits were removed.
  static bool KillPrivileges(Transaction* change, Inode* inode, bool kill_suidgid)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(inode->mu);
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_TREE_ATTRIBUTE_CHANGES_H_
