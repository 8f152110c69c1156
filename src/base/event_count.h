// Waiting for something to happen that other threads announce.
//
// A thread that waits for a condition over atomic variables, or over state behind other locks, does
//
//   for (;;) {
//     const uint64_t seen = events.version();
//     if (condition) break;
//     if (!events.WaitForChange(seen, deadline)) break;  // timed out
//   }
//
// and a thread that may have made the condition true calls Notify afterwards. A Notify that comes
// after version() is not missed. Without waiting threads it costs one atomic addition.

#ifndef MEMFUSE_SRC_BASE_EVENT_COUNT_H_
#define MEMFUSE_SRC_BASE_EVENT_COUNT_H_

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"
#include "src/base/mutex.h"

namespace memfuse::base {

// Thread-safe.
class EventCount {
 public:
  EventCount() = default;
  EventCount(const EventCount&) = delete;
  EventCount& operator=(const EventCount&) = delete;

  uint64_t version() const { return version_.load(); }

  void Notify() {
    version_.fetch_add(1);
    if (waiters_.load() == 0) return;
    MutexLock lock(&mu_);
    changed_.SignalAll();
  }

  // Waits until Notify was called since version() returned `seen`. False: the deadline passed
  // before.
  bool WaitForChange(uint64_t seen, absl::Time deadline) {
    MutexLock lock(&mu_);
    // Before the look at the version: Notify reads them in the other order.
    waiters_.fetch_add(1);
    while (version_.load() == seen) {
      if (changed_.WaitWithDeadline(&mu_, deadline)) break;
    }
    waiters_.fetch_sub(1);
    return version_.load() != seen;
  }

 private:
  // Innermost: nothing is taken while it is held.
  using Lock = Mutex<255>;

  std::atomic<uint64_t> version_{0};
  std::atomic<int> waiters_{0};
  Lock mu_;
  CondVar changed_;  // own synchronisation; used with mu_
};

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_EVENT_COUNT_H_
