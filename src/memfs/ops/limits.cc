#include "src/memfs/ops/limits.h"

#include <linux/capability.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "memfuse/ioctl.h"
#include "memfuse/memory_filesystem.h"
#include "src/base/caller.h"
#include "src/memfs/data/arena.h"
#include "src/memfs/tree/directory.h"

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

FileSystemStatistics Limits::Statistics() {
  const Budget& budget = resources_.budget;
  resources_.store->ReleaseUnused(/*all=*/true);
  const uint64_t pending_bytes = reclaim_.pending_bytes();
  const uint64_t pending_inodes = reclaim_.pending_inodes();
  FileSystemStatistics s;
  s.block_size = kPageSize;
  s.blocks = budget.total() / kPageSize;
  s.blocks_free = std::min((resources_.store->free_bytes() + pending_bytes) / kPageSize, s.blocks);
  s.blocks_available = s.blocks_free;
  if (resources_.ceiling.load(std::memory_order_relaxed) < budget.total()) {
    // The difference of the total and the free blocks is what is used, as df(1) has it.
    const uint64_t data = resources_.store->kernel_writes() ? resources_.store->data_bytes() : 0;
    const uint64_t used = budget.bytes_used() + data;
    const uint64_t free = budget.total() - std::min(budget.total(), used);
    s.blocks_free = std::min((free + pending_bytes) / kPageSize, s.blocks);
  }
  s.inodes = budget.inode_limit();
  s.inodes_free =
      std::min(s.inodes - std::min(budget.inodes_used(), s.inodes) + pending_inodes, s.inodes);
  s.name_max = kNameMax;
  return s;
}

Result<void> Limits::Set(BlockingObserver* observer, uint64_t size_limit, uint64_t inode_limit) {
  if (size_limit > kMaxSizeLimit || inode_limit > kMaxInodeLimit) return Errno(EINVAL);
  size_limit = (size_limit + kPageSize - 1) / kPageSize * kPageSize;
  Result<void> set = TrySet(size_limit, inode_limit);
  // Removed files that are not free yet may be the only obstacle.
  if (!set.ok() && set.error() == EINVAL &&
      reclaim_.Wait(administrator_, observer, [] { return false; })) {
    set = TrySet(size_limit, inode_limit);
  }
  return set;
}

Result<void> Limits::TrySet(uint64_t size_limit, uint64_t inode_limit) {
  Budget& budget = resources_.budget;
  MutexLock lock(&mu_);
  // Steps that can fail come first: raising the inode limit, the last step, cannot fail.
  const uint64_t inodes_before = budget.inode_limit();
  const bool fewer_inodes = inode_limit != 0 && inode_limit < inodes_before;
  if (fewer_inodes && !budget.SetInodeLimit(inode_limit)) return Errno(EINVAL);
  if (size_limit != 0) {
    if (Result<void> set = resources_.store->SetSizeLimit(size_limit); !set.ok()) {
      if (fewer_inodes) (void)budget.SetInodeLimit(inodes_before);
      return set;
    }
    resources_.BoundRecords(size_limit);
  }
  if (inode_limit > inodes_before) (void)budget.SetInodeLimit(inode_limit);
  resources_.RecordLimits();
  return {};
}

void Limits::SetCeiling(uint64_t bytes) {
  MutexLock lock(&mu_);
  resources_.store->SetCeiling(bytes);
  resources_.ceiling.store(bytes, std::memory_order_relaxed);
}

void Limits::SetMountOptions(std::string text) {
  MutexLock lock(&mu_);
  mount_options_ = std::move(text);
}

bool Limits::MayAdminister(const RequestContext& context) const {
  // The user that the kernel reports can be compared without /proc. User 0 is not an administrator
  // merely by its number, because the root user of a container may have it without any capability.
  if (administrator_ != 0 && context.uid == administrator_) return true;
  const auto caller = base::Caller::Find(context.pid);
  return caller.has_value() && (caller->HasCapability(CAP_SYS_ADMIN) ||
                                (administrator_ != 0 && caller->uid() == administrator_));
}

bool Limits::IsIoctl(uint32_t command) { return _IOC_TYPE(command) == kType; }

Result<IoctlResult> Limits::Ioctl(const RequestContext& context, const IoctlRequest& request) {
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
      MEMFUSE_RETURN_IF_ERROR(
          Set(resources_.host.blocking_observer, limits.bytes_limit, limits.inode_limit));
      return result;
    }
    case WithoutSize(MEMFUSE_IOC_SET_ATIME): {
      uint32_t keep;
      if (request.input.size() < sizeof(keep)) return Errno(EINVAL);
      if (!MayAdminister(context)) return Errno(EPERM);
      std::memcpy(&keep, request.input.data(), sizeof(keep));
      if (keep > 1) return Errno(EINVAL);
      MutexLock lock(&mu_);
      MEMFUSE_RETURN_IF_ERROR(resources_.store->KeepAccessTimes(keep == 1));
      access_times_.Keep(keep == 1);
      return result;
    }
    case WithoutSize(MEMFUSE_IOC_GET_OPTIONS): {
      if (request.output_size == 0) return Errno(EINVAL);
      MutexLock lock(&mu_);
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
