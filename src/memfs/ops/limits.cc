// The limits of a running file system: querying and changing them, also by ioctl(2) of
// memfuse/ioctl.h.
//
// A change is made under the limits lock, one at a time. The amount by which a limit is lowered is
// acquired from the budget, or taken from the size of the tmpfs that holds the data, as if it were
// used. A program that writes during the change therefore finds the old limit or the new one, and
// never more space than there is.

#include <linux/capability.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "memfuse/ioctl.h"
#include "src/base/caller.h"
#include "src/memfs/data/arena.h"
#include "src/memfs/ops/memfs.h"

namespace memfuse::memfs {
namespace {

// The first version of each struct, whose size must never change.
static_assert(sizeof(memfuse_limits) == 32);
static_assert(sizeof(memfuse_mount_options) == 4096);

constexpr uint32_t kType = _IOC_TYPE(MEMFUSE_IOC_GET_LIMITS);

// Returns a command without its size field.
constexpr uint32_t WithoutSize(uint32_t command) {
  return command & ~(uint32_t{_IOC_SIZEMASK} << _IOC_SIZESHIFT);
}

bool AllZero(absl::Span<const char> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; });
}

// Returns `value`, followed by zeros if the struct of the caller is larger than this version.
template <typename T>
std::string Padded(const T& value, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(&value), sizeof(value));
  bytes.resize(size);
  return bytes;
}

}  // namespace

Result<void> MemFs::SetLimits(const RequestContext& context, uint64_t size_limit,
                              uint64_t inode_limit) {
  if (size_limit > kMaxSizeLimit || inode_limit > kMaxInodeLimit) return Errno(EINVAL);
  size_limit = (size_limit + kPageSize - 1) / kPageSize * kPageSize;
  Result<void> set = TrySetLimits(size_limit, inode_limit);
  // Removed files that are not free yet may be the only obstacle.
  if (!set.ok() && set.error() == EINVAL &&
      reclaim_.Wait(options_.administrator, context.blocking_observer, [] { return false; })) {
    set = TrySetLimits(size_limit, inode_limit);
  }
  return set;
}

Result<void> MemFs::TrySetLimits(uint64_t size_limit, uint64_t inode_limit) {
  Budget& budget = resources_.budget;
  MutexLock lock(&limits_mu_);
  // Steps that can fail come first: raising the inode limit, the last step, cannot fail.
  const uint64_t inodes_before = budget.inode_limit();
  const bool fewer_inodes = inode_limit != 0 && inode_limit < inodes_before;
  if (fewer_inodes && !budget.SetInodeLimit(inode_limit)) return Errno(EINVAL);
  if (size_limit != 0) {
    if (Result<void> set = resources_.store->SetSizeLimit(size_limit); !set.ok()) {
      if (fewer_inodes) (void)budget.SetInodeLimit(inodes_before);
      return set;
    }
  }
  if (inode_limit > inodes_before) (void)budget.SetInodeLimit(inode_limit);
  return {};
}

void MemFs::SetMountOptions(std::string text) {
  MutexLock lock(&limits_mu_);
  mount_options_ = std::move(text);
}

bool MemFs::MayAdminister(const RequestContext& context) const {
  const uint32_t administrator = options_.administrator;
  // The user that the kernel reports can be compared without /proc. User 0 is not an administrator
  // merely by its number, because the root user of a container may have it without any capability.
  if (administrator != 0 && context.uid == administrator) return true;
  const auto caller = base::Caller::Find(context.pid);
  return caller.has_value() && (caller->HasCapability(CAP_SYS_ADMIN) ||
                                (administrator != 0 && caller->uid() == administrator));
}

bool MemFs::IsLimitsIoctl(uint32_t command) { return _IOC_TYPE(command) == kType; }

Result<IoctlResult> MemFs::LimitsIoctl(const RequestContext& context, const IoctlRequest& request) {
  IoctlResult result;
  switch (WithoutSize(request.command)) {
    case WithoutSize(MEMFUSE_IOC_GET_LIMITS): {
      if (request.output_size < sizeof(memfuse_limits)) return Errno(EINVAL);
      const FileSystemStatistics s = Statistics();
      const memfuse_limits limits = {resources_.budget.total(),
                                     (s.blocks - s.blocks_free) * s.block_size, s.inodes,
                                     s.inodes - s.inodes_free};
      result.output = Padded(limits, request.output_size);
      return result;
    }
    case WithoutSize(MEMFUSE_IOC_SET_LIMITS): {
      memfuse_limits limits;
      if (request.input.size() < sizeof(limits)) return Errno(EINVAL);
      if (!MayAdminister(context)) return Errno(EPERM);
      if (!AllZero(request.input.subspan(sizeof(limits)))) return Errno(E2BIG);
      std::memcpy(&limits, request.input.data(), sizeof(limits));
      MEMFUSE_RETURN_IF_ERROR(SetLimits(context, limits.bytes_limit, limits.inode_limit));
      return result;
    }
    case WithoutSize(MEMFUSE_IOC_SET_ATIME): {
      uint32_t keep;
      if (request.input.size() < sizeof(keep)) return Errno(EINVAL);
      if (!MayAdminister(context)) return Errno(EPERM);
      std::memcpy(&keep, request.input.data(), sizeof(keep));
      if (keep > 1) return Errno(EINVAL);
      MutexLock lock(&limits_mu_);
      MEMFUSE_RETURN_IF_ERROR(resources_.store->KeepAccessTimes(keep == 1));
      atime_.store(keep == 1, std::memory_order_relaxed);
      return result;
    }
    case WithoutSize(MEMFUSE_IOC_GET_OPTIONS): {
      if (request.output_size == 0) return Errno(EINVAL);
      MutexLock lock(&limits_mu_);
      if (mount_options_.size() >= request.output_size) return Errno(ERANGE);
      result.output = mount_options_;
      result.output.resize(request.output_size);
      return result;
    }
    default:
      return Errno(ENOTTY);
  }
}

}  // namespace memfuse::memfs
