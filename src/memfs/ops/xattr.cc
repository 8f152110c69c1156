// SETXATTR, GETXATTR, LISTXATTR, REMOVEXATTR, and the attributes by which ACLs are set.

#include <linux/capability.h>
#include <sys/xattr.h>

#include "src/base/caller.h"
#include "src/base/clock.h"
#include "src/memfs/ops/data_change.h"
#include "src/memfs/ops/memfs.h"
#include "src/memfs/tree/attribute_changes.h"
#include "src/memfs/tree/inode_flags.h"

namespace memfuse::memfs {
namespace {

constexpr size_t kXattrNameMax = 255;
constexpr size_t kXattrSizeMax = 65536;

// Returns EOPNOTSUPP, EINVAL or ERANGE.
Result<void> CheckXattrName(const Inode& inode, std::string_view name) {
  if (IsAclName(name)) {
    return inode.type == S_IFLNK ? Result<void>(Errno(EOPNOTSUPP)) : Result<void>();
  }
  for (const std::string_view prefix : {"user.", "trusted.", "security."}) {
    if (name.substr(0, prefix.size()) != prefix) continue;
    if (prefix == "user." && !inode.is_regular() && !inode.is_directory()) {
      return Errno(EOPNOTSUPP);
    }
    if (name.size() == prefix.size()) return Errno(EINVAL);
    if (name.size() > kXattrNameMax) return Errno(ERANGE);
    return {};
  }
  return Errno(EOPNOTSUPP);
}

// Whether the caller may see the names of trusted.* attributes. This requires CAP_SYS_ADMIN, as on
// tmpfs.
bool MaySeeTrusted(const RequestContext& context) {
  const auto caller = base::Caller::Find(context.pid);
  // An older kernel reports the user. Otherwise the names stay hidden: programs such as cp -a fail
  // on a name that is listed if the caller may not read its value.
  if (!caller.has_value()) return context.uid == 0;
  return caller->HasCapability(CAP_SYS_ADMIN) && base::InInitialUserNamespace();
}

// SETXATTR.
Result<void> SetXattr(const Inodes& inodes, const SetxattrRequest& request) {
  MEMFUSE_ASSIGN_OR_RETURN(const InodeRef inode, inodes.Find(request.ino));
  MEMFUSE_RETURN_IF_ERROR(CheckXattrName(*inode, request.name));
  MEMFUSE_RETURN_IF_ERROR(MayChangeXattrs(*inode));
  if (request.value.size() > kXattrSizeMax) return Errno(E2BIG);
  return AttributeChanges::SetXattr(inode.get(), request, base::Now());
}

}  // namespace

// If extended attributes are disabled, each of these requests is answered with ENOSYS. The kernel
// then does not send the request again, and returns EOPNOTSUPP by itself.

Result<void> MemFs::Setxattr(const RequestContext& context, const SetxattrRequest& request) {
  if (completed_.Take(context)) return {};
  if (!options_.xattr) return Errno(ENOSYS);
  return space_.Retry(context, request.ino, request.value.size(),
                      [&] { return SetXattr(inodes_, request); });
}

Result<std::string> MemFs::Getxattr(const RequestContext&, const GetxattrRequest& request) {
  if (!options_.xattr) return Errno(ENOSYS);
  MEMFUSE_ASSIGN_OR_RETURN(const InodeRef inode, inodes_.Find(request.ino));
  MEMFUSE_RETURN_IF_ERROR(CheckXattrName(*inode, request.name));
  MutexLock lock(&inode->mu);
  if (inode->xattrs() == nullptr) return Errno(ENODATA);
  const std::optional<std::string_view> value = inode->xattrs()->Find(request.name);
  if (!value.has_value()) return Errno(ENODATA);
  return std::string(*value);
}

Result<std::string> MemFs::Listxattr(const RequestContext& context,
                                     const ListxattrRequest& request) {
  if (!options_.xattr) return Errno(ENOSYS);
  MEMFUSE_ASSIGN_OR_RETURN(const InodeRef inode, inodes_.Find(request.ino));
  {
    MutexLock lock(&inode->mu);
    if (inode->xattrs() == nullptr) return std::string();
    // The caller matters only if there are names to hide.
    if (!inode->xattrs()->HasTrusted()) return inode->xattrs()->List(/*with_trusted=*/true);
  }
  const bool with_trusted = MaySeeTrusted(context);
  MutexLock lock(&inode->mu);
  if (inode->xattrs() == nullptr) return std::string();
  return inode->xattrs()->List(with_trusted);
}

Result<void> MemFs::Removexattr(const RequestContext& context, const RemovexattrRequest& request) {
  if (completed_.Take(context)) return {};
  if (!options_.xattr) return Errno(ENOSYS);
  MEMFUSE_ASSIGN_OR_RETURN(const InodeRef inode, inodes_.Find(request.ino));
  MEMFUSE_RETURN_IF_ERROR(CheckXattrName(*inode, request.name));
  MEMFUSE_RETURN_IF_ERROR(MayChangeXattrs(*inode));
  // Setting and removing an access ACL both remove S_ISGID if the caller is not in the group of the
  // file. The kernel reports this for setting (SetxattrRequest::kill_sgid), but not for removing.
  if (request.name == kAccessAclName) {
    DropSetGid(context, /*unprivileged=*/false, inode.get());
  }
  return AttributeChanges::RemoveXattr(inode.get(), request.name, base::Now());
}

}  // namespace memfuse::memfs
