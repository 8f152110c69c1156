// GETATTR, SETATTR, STATX, ACCESS.

#include <unistd.h>

#include <optional>

#include "src/base/clock.h"
#include "src/memfs/ops/data_change.h"
#include "src/memfs/ops/memfs.h"
#include "src/memfs/tree/attribute_changes.h"
#include "src/memfs/tree/inode_flags.h"

namespace memfuse::memfs {
namespace {

// STATX_ATTR_* have the values of the flags of chattr(1).
constexpr uint32_t kStatxFlags = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL;
static_assert(kStatxFlags == (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP));

// SETATTR. `truncates_by_setattr` means that open(2) with O_TRUNC sends a SETATTR (see
// FileSystem::Connected).
Result<AttributesResult> ChangeAttributes(const Inodes& inodes, bool truncates_by_setattr,
                                          const RequestContext& context,
                                          const SetattrRequest& request) {
  MEMFUSE_ASSIGN_OR_RETURN(const InodeRef inode, inodes.Find(request.ino));
  bool resized = false;
  if (request.size.has_value()) {
    if (inode->is_directory()) return Errno(EISDIR);
    if (!inode->is_regular()) return Errno(EINVAL);
    // Each of the two changes can fail, and the other one could not be undone.
    if (request.uid.has_value() || request.gid.has_value()) return Errno(EINVAL);
  }
  MEMFUSE_RETURN_IF_ERROR(MayChange(*inode, request));
  if (request.size.has_value()) {
    // The step that may fail comes first.
    auto* const file = static_cast<RegularFile*>(inode.get());
    FileData& data = *file->data();
    const uint64_t bytes = file->DataBytes();
    const ScopedBlockingCall blocking(inodes.resources()->host.blocking_observer,
                                      bytes > *request.size && bytes - *request.size >= kLongWork);
    MEMFUSE_ASSIGN_OR_RETURN(const Resized size, data.Truncate(*request.size));
    // On a file without data, truncate(2) to the current size changes no time, as on tmpfs.
    // ftruncate(2), whose requests have a handle, always changes the times. So does open(2) with
    // O_TRUNC: with passthrough, its SETATTR cannot be distinguished from that of truncate(2) to
    // size 0. A request that comes again may find that another process has changed the size, and
    // not the times.
    resized = size.changed || size.had_data || request.handle.has_value() || context.resent ||
              (*request.size == 0 && truncates_by_setattr);
  }
  const Timestamp now = base::Now();
  const bool owner_changes = request.uid.has_value() || request.gid.has_value();
  // chown(2) clears set-id bits for every caller, and the kernel requests it. In any other request,
  // kill_suidgid means that the caller does not have CAP_FSETID.
  std::optional<uint32_t> loses_setgid;
  if (!inode->is_directory() && (owner_changes || request.kill_suidgid)) {
    loses_setgid = GroupThatLosesSetGid(context, /*unprivileged=*/!owner_changes, *inode);
  }
  return AttributeChanges::SetAttributes(inode.get(), request, resized, now, loses_setgid);
}

}  // namespace

Result<AttributesResult> MemFs::Getattr(const RequestContext&, const GetattrRequest& request) {
  MEMFUSE_ASSIGN_OR_RETURN(const InodeRef inode, inodes_.Find(request.ino));
  return ReadAttributes(inode.get());
}

AttributesResult MemFs::ReadAttributes(Inode* inode) {
  MutexLock lock(&inode->mu);
  Transaction change(resources_.records.get());
  const AttributesResult result = inode->AttributesLocked(&change);
  change.Commit();
  return result;
}

Result<StatxResult> MemFs::Statx(const RequestContext&, const StatxRequest& request) {
  MEMFUSE_ASSIGN_OR_RETURN(const InodeRef inode, inodes_.Find(request.ino));
  StatxResult result;
  // The kernel sets the other attribute bits; the daemon does not have them.
  result.attribute_flags_mask = kStatxFlags;
  result.attribute_flags = inode->flags() & kStatxFlags;
  const AttributesResult found = ReadAttributes(inode.get());
  result.attributes = found.attributes;
  result.attributes_valid = found.attributes_valid;
  return result;
}

Result<AttributesResult> MemFs::Setattr(const RequestContext& context,
                                        const SetattrRequest& request) {
  // Truncating a file in the middle of a shared page needs a new page.
  return space_.Retry(context, request.ino, /*bytes=*/0, [&] {
    return ChangeAttributes(inodes_, truncates_by_setattr_, context, request);
  });
}

// The kernel sends ACCESS only if it does not check permissions itself
// (SessionOptions::kernel_permissions). The request contains the user and the group of the caller.
Result<void> MemFs::Access(const RequestContext& context, const AccessRequest& request) {
  MEMFUSE_ASSIGN_OR_RETURN(const InodeRef inode, inodes_.Find(request.ino));
  MutexLock lock(&inode->mu);
  const Owner owner = inode->owner();
  const uint32_t permissions = inode->meta().permissions;
  uint32_t granted;
  if (context.uid == 0) {
    const bool executable = inode->is_directory() || (permissions & 0111) != 0;
    granted = R_OK | W_OK | (executable ? X_OK : 0);
  } else if (context.uid == owner.uid) {
    granted = permissions >> 6;
  } else if (context.gid == owner.gid) {
    granted = permissions >> 3;
  } else {
    granted = permissions;
  }
  if ((request.mask & 7 & ~granted) != 0) return Errno(EACCES);
  return {};
}

}  // namespace memfuse::memfs
