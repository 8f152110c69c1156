#include "src/control/usage_cache.h"

#include "src/base/clock.h"

namespace memfuse::control {

const std::vector<QuotaUsage>& UsageCache::Get() {
  constexpr int kShare = 20;
  const uint64_t begin = base::MonotonicNanoseconds();
  if (begin >= until_) {
    usage_ = fs_.UsageByOwner();
    const uint64_t end = base::MonotonicNanoseconds();
    until_ = end + kShare * (end - begin);
  }
  return usage_;
}

}  // namespace memfuse::control
