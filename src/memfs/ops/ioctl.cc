// IOCTL: the commands of memfuse/ioctl.h, which limits.h handles; and the inode flags of chattr(1)
// and lsattr(1), FS_IOC_{GET,SET}FLAGS and FS_IOC_FS{GET,SET}XATTR. What the flags forbid is in
// inode_flags.h.

#include <linux/fs.h>
#include <sys/ioctl.h>

#include <cstring>

#include "src/base/clock.h"
#include "src/memfs/ops/memfs.h"
#include "src/memfs/tree/attribute_changes.h"
#include "src/memfs/tree/inode_flags.h"

namespace memfuse::memfs {
namespace {

// The flags that may be set, and the corresponding flags of FS_IOC_FSSETXATTR.
struct FlagName {
  uint32_t flag;
  uint32_t xflag;
};
constexpr FlagName kNames[] = {{FS_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE},
                               {FS_APPEND_FL, FS_XFLAG_APPEND},
                               {FS_NODUMP_FL, FS_XFLAG_NODUMP},
                               {FS_NOATIME_FL, FS_XFLAG_NOATIME}};

uint32_t ToXflags(uint32_t flags) {
  uint32_t xflags = 0;
  for (const FlagName& name : kNames) xflags |= (flags & name.flag) != 0 ? name.xflag : 0;
  return xflags;
}

// Returns EOPNOTSUPP.
Result<uint32_t> FromXattr(const fsxattr& xattr) {
  uint32_t flags = 0;
  uint32_t unknown = xattr.fsx_xflags;
  for (const FlagName& name : kNames) {
    if ((xattr.fsx_xflags & name.xflag) != 0) flags |= name.flag;
    unknown &= ~name.xflag;
  }
  if (unknown != 0 || xattr.fsx_extsize != 0 || xattr.fsx_projid != 0 ||
      xattr.fsx_cowextsize != 0) {
    return Errno(EOPNOTSUPP);
  }
  return flags;
}

template <typename T>
std::string Bytes(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

// Returns EINVAL if the input is too short.
template <typename T>
Result<T> Input(const IoctlRequest& request) {
  T value;
  if (request.input.size() < sizeof(value)) return Errno(EINVAL);
  std::memcpy(&value, request.input.data(), sizeof(value));
  return value;
}

}  // namespace

Result<IoctlResult> MemFs::Ioctl(const RequestContext& context, const IoctlRequest& request) {
  MEMFUSE_ASSIGN_OR_RETURN(const InodeRef inode, inodes_.Find(request.ino));
  if (Limits::IsIoctl(request.command)) return limits_.Ioctl(context, request);
  // Kernels before 5.13 pass these commands on like any other command: with the pointer of the
  // caller as argument, and without checking whether the caller has permission.
  if (request.argument != 0) return Errno(ENOTTY);
  IoctlResult result;
  uint32_t flags = 0;
  switch (request.command) {
    case FS_IOC_GETFLAGS:
      result.output = Bytes(inode->flags());
      return result;
    case FS_IOC_FSGETXATTR: {
      fsxattr xattr = {};
      xattr.fsx_xflags = ToXflags(inode->flags());
      result.output = Bytes(xattr);
      return result;
    }
    case FS_IOC_SETFLAGS: {
      MEMFUSE_ASSIGN_OR_RETURN(flags, Input<uint32_t>(request));
      if ((flags & ~kSettableFlags) != 0) return Errno(EOPNOTSUPP);
      break;
    }
    case FS_IOC_FSSETXATTR: {
      MEMFUSE_ASSIGN_OR_RETURN(const fsxattr xattr, Input<fsxattr>(request));
      MEMFUSE_ASSIGN_OR_RETURN(flags, FromXattr(xattr));
      break;
    }
    default:
      return Errno(ENOTTY);
  }
  AttributeChanges::SetFlags(inode.get(), flags, base::Now());
  // The answer carries no attributes.
  resources_.InvalidateAttributes(request.ino);
  return result;
}

}  // namespace memfuse::memfs
