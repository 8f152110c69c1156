#include "src/base/mutex.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace memfuse::base {

void DisableLockOrderDetector() {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

#if MEMFUSE_TSAN
// ThreadSanitizer has a detector of the same kind, and it errs in the same way.
extern "C" const char* __tsan_default_options() { return "detect_deadlocks=0"; }
#endif

#ifndef NDEBUG
namespace {

// Ranks this thread holds. They are released in any order, but taken in one that never falls, so
// the last element is always the highest.
std::vector<uint8_t>& Held() {
  thread_local std::vector<uint8_t> held;
  return held;
}

}  // namespace

void CheckRankBeforeLock(uint8_t rank) {
  const std::vector<uint8_t>& held = Held();
  if (held.empty() || held.back() <= rank) return;
  std::fprintf(stderr, "lock order: rank %d wanted while rank %d is held\n", rank, held.back());
  std::abort();
}

void NoteLocked(uint8_t rank) { Held().push_back(rank); }

void NoteUnlocked(uint8_t rank) {
  std::vector<uint8_t>& held = Held();
  for (size_t i = held.size(); i > 0; --i) {
    if (held[i - 1] == rank) {
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(i - 1));
      return;
    }
  }
}
#endif

}  // namespace memfuse::base
