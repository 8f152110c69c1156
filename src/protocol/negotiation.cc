#include "src/protocol/negotiation.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "src/protocol/encode.h"
#include "src/protocol/wire_init.h"

namespace memfuse::protocol {
namespace {

constexpr InitFlag kFlags[] = {
    {wire::kInitAsyncRead, "ASYNC_READ", CapabilityPolicy::kYes,
     "Reads may come in any order and many at once; nothing here depends on it."},
    {wire::kInitPosixLocks, "POSIX_LOCKS", CapabilityPolicy::kNo,
     "All clients use this one kernel, which keeps the locks by itself."},
    {wire::kInitFileOps, "FILE_OPS", CapabilityPolicy::kNo, "Without effect in every kernel."},
    {wire::kInitAtomicOTrunc, "ATOMIC_O_TRUNC", CapabilityPolicy::kNotPassthrough,
     "OPEN truncates, which saves a SETATTR for each O_TRUNC. But OPEN comes without the inode's "
     "lock: with passthrough it would wait for a write(2) to the backing file that is under way."},
    {wire::kInitExportSupport, "EXPORT_SUPPORT", CapabilityPolicy::kYes,
     "LOOKUP of \".\" and \"..\" is answered on every inode: file handles and NFS work."},
    {wire::kInitBigWrites, "BIG_WRITES", CapabilityPolicy::kYes,
     "Without it, old kernels split writes at 4 KiB."},
    {wire::kInitDontMask, "DONT_MASK", CapabilityPolicy::kYes,
     "The server applies the umask: a default ACL of the parent takes its place."},
    {wire::kInitSpliceWrite, "SPLICE_WRITE", CapabilityPolicy::kNo,
     "Replies are written; splicing them was slower."},
    {wire::kInitSpliceMove, "SPLICE_MOVE", CapabilityPolicy::kNo,
     "Pages that are moved away would have to be replaced at once."},
    {wire::kInitSpliceRead, "SPLICE_READ", CapabilityPolicy::kNo,
     "Without effect in every kernel."},
    {wire::kInitFlockLocks, "FLOCK_LOCKS", CapabilityPolicy::kNo, "As POSIX_LOCKS."},
    {wire::kInitHasIoctlDir, "HAS_IOCTL_DIR", CapabilityPolicy::kYes,
     "ioctl on directories: chattr and lsattr."},
    {wire::kInitAutoInvalData, "AUTO_INVAL_DATA", CapabilityPolicy::kNo,
     "Every change goes through this kernel; it would drop the page cache after each write."},
    {wire::kInitDoReaddirplus, "DO_READDIRPLUS", CapabilityPolicy::kYes,
     "Listings bring the attributes along."},
    {wire::kInitReaddirplusAuto, "READDIRPLUS_AUTO", CapabilityPolicy::kYes,
     "But only where they are used: plain find and ls stay cheap."},
    {wire::kInitAsyncDio, "ASYNC_DIO", CapabilityPolicy::kNotPassthrough,
     "O_DIRECT with asynchronous I/O keeps many requests under way. With passthrough the kernel "
     "sends such requests for O_APPEND only; without the inode's lock they would wait, in the "
     "daemon, for a write(2) to the backing file that is under way."},
    {wire::kInitWritebackCache, "WRITEBACK_CACHE", CapabilityPolicy::kWriteback,
     "Collects small writes, at the price of kernel-owned size and mtime and slower large ones."},
    {wire::kInitNoOpenSupport, "NO_OPEN_SUPPORT", CapabilityPolicy::kNo,
     "Opens are counted: they keep an unlinked file alive."},
    {wire::kInitParallelDirops, "PARALLEL_DIROPS", CapabilityPolicy::kYes,
     "Lookups and listings of one directory may run at the same time."},
    {wire::kInitHandleKillpriv, "HANDLE_KILLPRIV", CapabilityPolicy::kNo,
     "HANDLE_KILLPRIV_V2 takes its place; this one clears without asking for CAP_FSETID."},
    {wire::kInitPosixAcl, "POSIX_ACL", CapabilityPolicy::kPosixAcl,
     "The kernel checks ACLs; the server stores and inherits them. Turns default_permissions on."},
    {wire::kInitAbortError, "ABORT_ERROR", CapabilityPolicy::kYes,
     "An aborted connection reads as ECONNABORTED, an unmounted one as ENODEV."},
    {wire::kInitMaxPages, "MAX_PAGES", CapabilityPolicy::kYes, "Requests larger than 128 KiB."},
    {wire::kInitCacheSymlinks, "CACHE_SYMLINKS", CapabilityPolicy::kYes,
     "The target of a symbolic link never changes."},
    {wire::kInitNoOpendirSupport, "NO_OPENDIR_SUPPORT", CapabilityPolicy::kYes,
     "The file system may answer OPENDIR with ENOSYS: two requests less a listing."},
    {wire::kInitExplicitInvalData, "EXPLICIT_INVAL_DATA", CapabilityPolicy::kYes,
     "Cached pages stay until the server says otherwise, also when the size changes."},
    {wire::kInitMapAlignment, "MAP_ALIGNMENT", CapabilityPolicy::kNo,
     "For DAX windows of virtio-fs."},
    {wire::kInitSubmounts, "SUBMOUNTS", CapabilityPolicy::kNo,
     "There is one file system, without submounts."},
    {wire::kInitHandleKillprivV2, "HANDLE_KILLPRIV_V2", CapabilityPolicy::kYes,
     "The server clears setuid and setgid: saves a GETXATTR(security.capability) per write."},
    {wire::kInitSetxattrExt, "SETXATTR_EXT", CapabilityPolicy::kYes,
     "SETXATTR says when an ACL is to clear setgid."},
    {wire::kInitInitExt, "INIT_EXT", CapabilityPolicy::kYes,
     "The upper 32 bits of these flags count."},
    {wire::kInitReserved, "INIT_RESERVED", CapabilityPolicy::kNo, "Reserved by the protocol."},
    {wire::kInitSecurityCtx, "SECURITY_CTX", CapabilityPolicy::kNo,
     "Labels of new inodes would come as extensions, which are not stored yet."},
    {wire::kInitHasInodeDax, "HAS_INODE_DAX", CapabilityPolicy::kNo,
     "For DAX windows of virtio-fs."},
    {wire::kInitCreateSuppGroup, "CREATE_SUPP_GROUP", CapabilityPolicy::kNo,
     "A new inode's group is the caller's or the parent's; the kernel checks the rest."},
    {wire::kInitHasExpireOnly, "HAS_EXPIRE_ONLY", CapabilityPolicy::kNo,
     "Nothing is expired by the server."},
    {wire::kInitDirectIoAllowMmap, "DIRECT_IO_ALLOW_MMAP", CapabilityPolicy::kNo,
     "Files are not opened with FOPEN_DIRECT_IO by default."},
    {wire::kInitPassthrough, "PASSTHROUGH", CapabilityPolicy::kPassthrough,
     "The kernel reads and writes file data by itself; excludes WRITEBACK_CACHE."},
    {wire::kInitNoExportSupport, "NO_EXPORT_SUPPORT", CapabilityPolicy::kNo,
     "The opposite of EXPORT_SUPPORT."},
    {wire::kInitHasResend, "HAS_RESEND", CapabilityPolicy::kNo,
     "Requests come again only to a server that remembers what it answered."},
    {wire::kInitAllowIdmap, "ALLOW_IDMAP", CapabilityPolicy::kPosixAcl,
     "Idmapped mounts; only requests that make an inode then say for which user and group. The "
     "mount fails unless the kernel checks permissions."},
    {wire::kInitOverIoUring, "OVER_IO_URING", CapabilityPolicy::kIoUring,
     "Requests come on the caller's CPU. The mount hangs unless every queue is then registered."},
    {wire::kInitRequestTimeout, "REQUEST_TIMEOUT", CapabilityPolicy::kNo,
     "A request that takes long (a stopped daemon, a debugger) must not abort the mount."},
};

// The number of pages per request if MAX_PAGES is not agreed on.
constexpr uint32_t kDefaultMaxPages = 32;
constexpr uint32_t kPageSize = 4096;
constexpr uint32_t kMinWrite = kPageSize;
constexpr uint32_t kMaxWrite = 1 << 20;

// The maximum number of asynchronous requests (read-ahead, writeback, asynchronous direct I/O) that
// the kernel keeps in progress. Its default of 12 is too small for deep queues.
constexpr uint16_t kMaxBackground = 128;
constexpr uint16_t kCongestionThreshold = kMaxBackground * 3 / 4;

bool Wanted(const InitFlag& flag, const RequestedCapabilities& requested) {
  switch (flag.policy) {
    case CapabilityPolicy::kYes:
      return true;
    case CapabilityPolicy::kNo:
      return false;
    case CapabilityPolicy::kWriteback:
      return requested.writeback_cache && !requested.passthrough;
    case CapabilityPolicy::kPassthrough:
      return requested.passthrough;
    case CapabilityPolicy::kNotPassthrough:
      return true;  // Negotiate clears it if PASSTHROUGH is agreed on
    case CapabilityPolicy::kIoUring:
      return requested.io_uring;
    case CapabilityPolicy::kPosixAcl:
      return requested.posix_acl;
  }
  return false;
}

uint32_t WholePages(uint32_t size) {
  return std::clamp(size, kMinWrite, kMaxWrite) / kPageSize * kPageSize;
}

size_t Put(const wire::InitOut& body, absl::Span<char> out) {
  static_assert(sizeof(body) <= kMaxFixedBody);
  assert(out.size() >= sizeof(body));
  std::memcpy(out.data(), &body, sizeof(body));
  return sizeof(body);
}

}  // namespace

absl::Span<const InitFlag> AllInitFlags() { return kFlags; }

Result<InitReply> Negotiate(const InitRequest& request, const RequestedCapabilities& requested) {
  if (request.major != kProtocolMajor || request.minor < kMinMinor) return Errno(EPROTO);

  InitReply reply;
  ConnectionParameters& parameters = reply.parameters;
  parameters.minor = std::min(request.minor, kProtocolMinor);
  for (const InitFlag& flag : kFlags) {
    if (Wanted(flag, requested)) parameters.flags |= flag.bit & request.flags;
  }
  for (const InitFlag& flag : kFlags) {
    const bool excluded =
        flag.policy == CapabilityPolicy::kNotPassthrough && PassesThrough(parameters);
    if (excluded) parameters.flags &= ~flag.bit;
  }
  // The kernel rejects ALLOW_IDMAP without default_permissions, which POSIX_ACL turns on.
  if ((parameters.flags & wire::kInitPosixAcl) == 0) parameters.flags &= ~wire::kInitAllowIdmap;

  const uint32_t max_write = WholePages(requested.max_write);
  if ((parameters.flags & wire::kInitMaxPages) != 0) {
    parameters.max_write = max_write;
    parameters.max_pages = std::max(max_write, WholePages(requested.max_read)) / kPageSize;
  } else {
    // READ may use all of these pages, however small a WRITE is.
    parameters.max_pages = kDefaultMaxPages;
    parameters.max_write = std::min(max_write, kDefaultMaxPages * kPageSize);
  }

  // The server could only lower the read-ahead. A window larger than one request is read with
  // several requests at once (ASYNC_READ), so there is no reason to lower it.
  reply.max_readahead = request.max_readahead;
  reply.max_background = kMaxBackground;
  reply.congestion_threshold = kCongestionThreshold;
  // The file system of the backing files is not stacked on another one.
  reply.max_stack_depth = PassesThrough(parameters) ? 1 : 0;
  return reply;
}

bool PassesThrough(const ConnectionParameters& parameters) {
  return (parameters.flags & wire::kInitPassthrough) != 0;
}

bool UsesIoUring(const ConnectionParameters& parameters) {
  return (parameters.flags & wire::kInitOverIoUring) != 0;
}

bool AllowsIdmappedMounts(const ConnectionParameters& parameters) {
  return (parameters.flags & wire::kInitAllowIdmap) != 0;
}

size_t EncodeInit(const InitReply& reply, absl::Span<char> out) {
  const ConnectionParameters& parameters = reply.parameters;
  wire::InitOut body{};
  body.major = kProtocolMajor;
  body.minor = parameters.minor;
  body.max_readahead = reply.max_readahead;
  body.flags = static_cast<uint32_t>(parameters.flags);
  body.flags2 = static_cast<uint32_t>(parameters.flags >> 32);
  body.max_background = reply.max_background;
  body.congestion_threshold = reply.congestion_threshold;
  body.max_write = parameters.max_write;
  body.time_gran = 1;
  body.max_stack_depth = reply.max_stack_depth;
  if ((parameters.flags & wire::kInitMaxPages) != 0) {
    body.max_pages = static_cast<uint16_t>(parameters.max_pages);
  }
  return Put(body, out);
}

size_t EncodeInitMajor(absl::Span<char> out) {
  wire::InitOut body{};
  body.major = kProtocolMajor;
  body.minor = kProtocolMinor;
  return Put(body, out);
}

}  // namespace memfuse::protocol
