#include "src/control/usage_cache.h"

#include "absl/time/clock.h"

namespace memfuse::control {

const std::vector<QuotaUsage>& UsageCache::Get() {
  constexpr int kShare = 20;
  const absl::Time begin = absl::Now();
  // A time far ahead means that the clock was set back.
  if (begin >= until_ || until_ - begin > absl::Minutes(1)) {
    usage_ = fs_.UsageByOwner();
    const absl::Time end = absl::Now();
    until_ = end + kShare * (end - begin);
  }
  return usage_;
}

}  // namespace memfuse::control
