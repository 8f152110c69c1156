#include "src/memfs/orphans.h"

#include <algorithm>

namespace memfuse::memfs {
namespace {

// Which ones stay is not known, only how many did. Long enough for those who ask again and again
// not to wait each time, and short enough for them to be right again soon when it was another one
// that went.
constexpr absl::Duration kMemory = absl::Seconds(1);

}  // namespace

Orphans::Wait::Wait(Orphans* orphans, absl::Time now)
    : orphans_(orphans),
      made_(orphans->made()),
      target_(made_ - (absl::ToUnixNanos(now) < orphans->staying_until_.load()
                           ? std::min({orphans->staying_.load(), orphans->count(), made_})
                           : 0)) {}

void Orphans::Wait::GiveUp(absl::Time now) {
  const uint64_t gone = orphans_->gone();
  orphans_->staying_.store(made_ > gone ? made_ - gone : 0);
  orphans_->staying_until_.store(absl::ToUnixNanos(now + kMemory));
}

}  // namespace memfuse::memfs
