// The inode flags of chattr(1), and what two of them forbid: "immutable" (FS_IMMUTABLE_FL) and
// "append only" (FS_APPEND_FL).
//
// The kernel checks whether the caller may change flags before it sends the request (the caller
// must be the owner, and needs CAP_LINUX_IMMUTABLE for these two). On a FUSE mount it does not
// enforce the flags. So each operation that makes or removes names, changes attributes or extended
// attributes, or opens a file for writing, calls one of the functions below. A descriptor that is
// already open for writing can still be used for writing, as on tmpfs.
//
// Each function applies the rule of the kernel function that its comment names, and returns EPERM
// if the flags forbid the operation. They take no lock: an operation that runs at the same time as
// a change of the flags sees the old flags or the new ones.

#ifndef MEMFUSE_SRC_MEMFS_TREE_INODE_FLAGS_H_
#define MEMFUSE_SRC_MEMFS_TREE_INODE_FLAGS_H_

#include <linux/fs.h>

#include <cstdint>

#include "memfuse/errno.h"
#include "memfuse/filesystem.h"
#include "src/memfs/tree/directory.h"
#include "src/memfs/tree/inode.h"

namespace memfuse::memfs {

// The FS_*_FL flags that can be set, and those of them that a new inode inherits from its
// directory; both as on tmpfs.
inline constexpr uint32_t kSettableFlags =
    FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL;
inline constexpr uint32_t kInheritedFlags = FS_NODUMP_FL | FS_NOATIME_FL;

// A new name in `dir`, or a new inode without a name (O_TMPFILE). An append-only directory accepts
// it. Source: inode_permission with MAY_WRITE, from may_create and vfs_tmpfile (fs/namei.c).
Result<void> MayCreate(const Directory& dir);

// Removing the name of `inode` in `dir`, or giving the name to another inode. Either flag of either
// inode forbids it. Source: may_delete (fs/namei.c), also for both names of vfs_rename.
Result<void> MayRemove(const Directory& dir, const Inode& inode);

// A further name of `inode` in `dir`: as MayCreate, and either flag of the inode forbids it.
// Source: vfs_link (fs/namei.c).
Result<void> MayLink(const Directory& dir, const Inode& inode);

// open(2) with `flags`. An immutable file cannot be opened for writing, an append-only file only
// with O_APPEND; neither with O_TRUNC. Source: inode_permission and may_open (fs/namei.c).
Result<void> MayOpen(const RegularFile& file, uint32_t flags);

// SETATTR. Either flag forbids a change of the mode, the owner or the times. An append-only inode
// accepts setting both times to the current time. A change of the size is forbidden, except that
// ftruncate(2), whose request has a handle, succeeds on an immutable file: the descriptor was
// opened for writing before. Source: may_setattr (fs/attr.c), vfs_truncate and do_sys_ftruncate
// (fs/open.c).
Result<void> MayChange(const Inode& inode, const SetattrRequest& request);

// Setting and removing extended attributes and ACLs. Either flag forbids it. Source:
// xattr_permission (fs/xattr.c), vfs_set_acl (fs/posix_acl.c).
Result<void> MayChangeXattrs(const Inode& inode);

// fallocate(2) with `mode`. In an append-only file, space can only be reserved. Source:
// vfs_fallocate (fs/open.c).
Result<void> MayAllocate(const RegularFile& file, uint32_t mode);

// copy_file_range(2) to `file`, which must not be immutable. Source: generic_copy_file_checks
// (fs/read_write.c).
Result<void> MayCopyTo(const RegularFile& file);

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_TREE_INODE_FLAGS_H_
