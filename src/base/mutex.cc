#include "src/base/mutex.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "absl/time/time.h"

namespace memfuse::base {

void DisableLockOrderDetector() {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

void PrepareThreadForLocks() {
  absl::Mutex mu;
  absl::CondVar never;
  absl::MutexLock lock(&mu);
  (void)never.WaitWithTimeout(&mu, absl::ZeroDuration());
}

#if MEMFUSE_TSAN
// ThreadSanitizer has a detector of the same kind, with the same false reports.
extern "C" const char* __tsan_default_options() { return "detect_deadlocks=0"; }
#endif

#ifndef NDEBUG
namespace {

// The ranks that this thread holds. Locks are released in any order, but acquired in an order in
// which the rank never decreases, so the last element is the highest. Nothing is allocated, because
// recording a lock that was acquired must not fail.
struct HeldRanks {
  uint8_t ranks[64];
  size_t count;
};
thread_local HeldRanks held;

}  // namespace

void CheckRankBeforeLock(uint8_t rank, SameRank same_rank) {
  if (held.count == 0) return;
  const uint8_t highest = held.ranks[held.count - 1];
  if (highest < rank || (highest == rank && same_rank == SameRank::kAllowed)) return;
  std::fprintf(stderr, "lock order: rank %d wanted while rank %d is held\n", rank, highest);
  std::abort();
}

void NoteLocked(uint8_t rank) {
  if (held.count == std::size(held.ranks)) std::abort();
  held.ranks[held.count++] = rank;
}

void NoteUnlocked(uint8_t rank) {
  for (size_t i = held.count; i > 0; --i) {
    if (held.ranks[i - 1] == rank) {
      std::copy(held.ranks + i, held.ranks + held.count, held.ranks + i - 1);
      --held.count;
      return;
    }
  }
}
#endif

}  // namespace memfuse::base
