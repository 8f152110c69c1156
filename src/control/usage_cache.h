// The answer of MemoryFileSystem::UsageByOwner, which may visit every inode, for callers that may
// ask often.

#ifndef MEMFUSE_SRC_CONTROL_USAGE_CACHE_H_
#define MEMFUSE_SRC_CONTROL_USAGE_CACHE_H_

#include <cstdint>
#include <vector>

#include "memfuse/memory_filesystem.h"

namespace memfuse::control {

// Not synchronised. The file system must outlive the object.
class UsageCache {
 public:
  explicit UsageCache(MemoryFileSystem* fs) : fs_(*fs) {}

  // Returns what users and groups store. It is computed for at most a twentieth of the time: an
  // answer is used again until twenty times the duration of its computation have passed. Valid
  // until the next call. Throws std::bad_alloc.
  const std::vector<QuotaUsage>& Get();

 private:
  MemoryFileSystem& fs_;
  std::vector<QuotaUsage> usage_;
  uint64_t until_ = 0;  // on CLOCK_MONOTONIC, in nanoseconds
};

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_USAGE_CACHE_H_
