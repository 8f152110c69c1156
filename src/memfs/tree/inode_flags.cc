#include "src/memfs/tree/inode_flags.h"

#include <fcntl.h>
#include <linux/falloc.h>

namespace memfuse::memfs {
namespace {

bool Immutable(const Inode& inode) { return (inode.flags() & FS_IMMUTABLE_FL) != 0; }
bool AppendOnly(const Inode& inode) { return (inode.flags() & FS_APPEND_FL) != 0; }
bool Either(const Inode& inode) { return (inode.flags() & (FS_IMMUTABLE_FL | FS_APPEND_FL)) != 0; }

Result<void> Permit(bool permitted) { return permitted ? Result<void>() : Errno(EPERM); }

}  // namespace

Result<void> MayCreate(const Directory& dir) { return Permit(!Immutable(dir)); }

Result<void> MayRemove(const Directory& dir, const Inode& inode) {
  return Permit(!Either(dir) && !Either(inode));
}

Result<void> MayLink(const Directory& dir, const Inode& inode) {
  return Permit(!Immutable(dir) && !Either(inode));
}

Result<void> MayOpen(const RegularFile& file, uint32_t flags) {
  const bool writes = (flags & O_ACCMODE) != O_RDONLY;
  const bool truncates = (flags & O_TRUNC) != 0;
  if (Immutable(file)) return Permit(!writes && !truncates);
  if (AppendOnly(file)) return Permit(!truncates && (!writes || (flags & O_APPEND) != 0));
  return {};
}

Result<void> MayChange(const Inode& inode, const SetattrRequest& request) {
  if (!Either(inode)) return {};
  if (request.size.has_value() && (AppendOnly(inode) || !request.handle.has_value())) {
    return Errno(EPERM);
  }
  if (request.mode.has_value() || request.uid.has_value() || request.gid.has_value()) {
    return Errno(EPERM);
  }
  const TimeChange::Kind atime = request.atime.kind;
  const TimeChange::Kind mtime = request.mtime.kind;
  if (atime == TimeChange::Kind::kKeep && mtime == TimeChange::Kind::kKeep) return {};
  // A kernel that caches writes sends the times of a write later, and sets the value of "now"
  // itself.
  const bool by_kernel = request.ctime.has_value();
  if (by_kernel && atime == TimeChange::Kind::kKeep) return {};
  const bool touch =
      atime == TimeChange::Kind::kNow &&
      (mtime == TimeChange::Kind::kNow || (by_kernel && mtime == TimeChange::Kind::kSet));
  return Permit(touch && !Immutable(inode));
}

Result<void> MayChangeXattrs(const Inode& inode) { return Permit(!Either(inode)); }

Result<void> MayAllocate(const RegularFile& file, uint32_t mode) {
  const bool only_reserves = (mode & ~uint32_t{FALLOC_FL_KEEP_SIZE}) == 0;
  return Permit(!Immutable(file) && (!AppendOnly(file) || only_reserves));
}

Result<void> MayCopyTo(const RegularFile& file) { return Permit(!Immutable(file)); }

}  // namespace memfuse::memfs
