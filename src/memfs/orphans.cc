#include "src/memfs/orphans.h"

#include <algorithm>

namespace memfuse::memfs {

Orphans::Wait::Wait(Orphans* orphans)
    : orphans_(orphans),
      made_(orphans->made()),
      // No more of them can stay than there are.
      target_(made_ - std::min({orphans->staying_.load(), orphans->count(), made_})) {}

void Orphans::Wait::GiveUp() {
  const uint64_t gone = orphans_->gone();
  orphans_->staying_.store(made_ > gone ? made_ - gone : 0);
}

}  // namespace memfuse::memfs
