// The answer of MemoryFileSystem::UsageByOwner, which may visit every inode, for callers that may
// ask often.

#ifndef MEMFUSE_SRC_CONTROL_USAGE_CACHE_H_
#define MEMFUSE_SRC_CONTROL_USAGE_CACHE_H_

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "memfuse/memory_filesystem.h"
#include "src/base/event_count.h"
#include "src/base/mutex.h"
#include "src/control/http.h"

namespace memfuse::control {

// What users may ask for in a loop takes at most the share 1 / kUsageShare of a thread.
inline constexpr int kUsageShare = 20;

// Thread-safe. The file system must outlive the object.
class UsageCache {
 public:
  using Usage = std::vector<QuotaUsage>;
  // Makes the answer from what users, groups and trees store. Called once, from the thread that
  // called Ask or from that of LongAnswer::Compute. Throws std::bad_alloc.
  using Make = std::function<HttpResponse(const Usage& usage)>;
  using Now = std::function<base::MonotonicTime()>;

  explicit UsageCache(MemoryFileSystem* fs, Now now = base::MonotonicClock::now)
      : fs_(*fs), now_(std::move(now)) {}
  UsageCache(const UsageCache&) = delete;
  UsageCache& operator=(const UsageCache&) = delete;

  // Answers at once if the last usage is young enough, and otherwise with a LongAnswer of the kind
  // kSummary, which computes it. A usage is used again until kUsageShare times the duration of its
  // computation have passed. The LongAnswer must be destroyed before this object. Throws
  // std::bad_alloc.
  Answer Ask(Make make) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class Summary;

  // Returns null if it is too old.
  std::shared_ptr<const Usage> Young() const ABSL_LOCKS_EXCLUDED(mu_);
  // Computes it if it is too old. Throws std::bad_alloc.
  std::shared_ptr<const Usage> Get() ABSL_LOCKS_EXCLUDED(mu_);

  MemoryFileSystem& fs_;
  const Now now_;
  mutable base::Mutex<50> mu_;  // no other lock is taken under it
  std::shared_ptr<const Usage> usage_ ABSL_GUARDED_BY(mu_);
  base::MonotonicTime until_ ABSL_GUARDED_BY(mu_);
};

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_USAGE_CACHE_H_
