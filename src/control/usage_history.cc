#include "src/control/usage_history.h"

#include <algorithm>

namespace memfuse::control {

void UsageHistory::Offer(absl::Time now, const Sample& sample) {
  base::MutexLock lock(&mu_);
  if (now < due_) return;
  // Delays do not add up. After a longer one, the missing samples are not made up for.
  due_ = now - due_ < kInterval ? due_ + kInterval : now + kInterval;
  samples_[next_ % kCapacity] = sample;
  ++next_;
}

UsageHistory::Part UsageHistory::From(uint64_t first) const {
  Part part;
  // Memory is allocated before the lock, for which the main thread may wait.
  part.samples.reserve(kCapacity);
  base::MutexLock lock(&mu_);
  part.next = next_;
  const uint64_t oldest = next_ - std::min<uint64_t>(next_, kCapacity);
  for (uint64_t n = std::max(first, oldest); n < next_; ++n) {
    part.samples.push_back(samples_[n % kCapacity]);
  }
  return part;
}

}  // namespace memfuse::control
