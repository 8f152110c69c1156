// The limits of a running file system: querying and changing them, also by ioctl(2) of
// memfuse/ioctl.h.
//
// A change is made under the limits lock, one at a time. The amount by which a limit is lowered is
// acquired from the budget, or taken from the size of the tmpfs that holds the data, as if it were
// used. A program that writes during the change therefore finds the old limit or the new one, and
// never more space than there is.

#ifndef MEMFUSE_SRC_MEMFS_OPS_LIMITS_H_
#define MEMFUSE_SRC_MEMFS_OPS_LIMITS_H_

#include <cstdint>
#include <string>

#include "memfuse/errno.h"
#include "memfuse/filesystem.h"
#include "src/memfs/ops/access_times.h"
#include "src/memfs/reclaim/reclaim.h"
#include "src/memfs/space/lock_order.h"
#include "src/memfs/tree/inode.h"

namespace memfuse::memfs {

// Thread-safe. All methods are called without locks. The objects that the constructor gets must
// outlive this one.
class Limits {
 public:
  // `administrator` is the user (uid) that may change limits without CAP_SYS_ADMIN; 0: none.
  Limits(Resources* resources, Reclaim* reclaim, AccessTimes* access_times, uint32_t administrator)
      : resources_(*resources),
        reclaim_(*reclaim),
        access_times_(*access_times),
        administrator_(administrator) {}
  Limits(const Limits&) = delete;
  Limits& operator=(const Limits&) = delete;

  // Returns the values for STATFS. Space that is reserved and not used counts as free, and so does
  // the space of removed inodes that are not freed yet.
  FileSystemStatistics Statistics();

  // As MemoryFileSystem::SetLimits. Waits for removed files, if more is used than the new limits
  // allow. `observer` is that of a thread that serves a request, or null.
  Result<void> Set(BlockingObserver* observer, uint64_t size_limit, uint64_t inode_limit);

  // As MemoryFileSystem::SetCeiling.
  void SetCeiling(uint64_t bytes);

  // As MemoryFileSystem::SetMountOptions.
  void SetMountOptions(std::string text);

  // The ioctl(2) commands of memfuse/ioctl.h. Their errors are documented there.
  static bool IsIoctl(uint32_t command);
  Result<IoctlResult> Ioctl(const RequestContext& context, const IoctlRequest& request);

 private:
  Result<void> TrySet(uint64_t size_limit, uint64_t inode_limit);
  // Whether the caller may change limits and options.
  bool MayAdminister(const RequestContext& context) const;

  Resources& resources_;
  Reclaim& reclaim_;
  AccessTimes& access_times_;
  const uint32_t administrator_;

  LimitsMutex mu_;  // held while limits or options are changed
  std::string mount_options_ ABSL_GUARDED_BY(mu_);
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_OPS_LIMITS_H_
