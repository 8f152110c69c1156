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
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace memfuse::base {

// Bounds of waits are in monotonic time: a clock that is set prolongs none. (absl::CondVar of
// 20220623 waits by the wall clock.)
using MonotonicClock = std::chrono::steady_clock;
using MonotonicTime = MonotonicClock::time_point;

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
    const std::lock_guard<std::mutex> lock(mu_);
    changed_.notify_all();
  }

  // Waits until Notify was called since version() returned `seen`. False: the deadline passed
  // before.
  bool WaitForChange(uint64_t seen, MonotonicTime deadline) {
    std::unique_lock<std::mutex> lock(mu_);
    // Before the look at the version: Notify reads them in the other order.
    waiters_.fetch_add(1);
    changed_.wait_until(lock, deadline, [&] { return version_.load() != seen; });
    waiters_.fetch_sub(1);
    return version_.load() != seen;
  }
  void WaitForChange(uint64_t seen) {
    std::unique_lock<std::mutex> lock(mu_);
    waiters_.fetch_add(1);
    changed_.wait(lock, [&] { return version_.load() != seen; });
    waiters_.fetch_sub(1);
  }

 private:
  std::atomic<uint64_t> version_{0};
  std::atomic<int> waiters_{0};
  std::mutex mu_;  // innermost: nothing is taken while it is held
  std::condition_variable changed_;
};

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_EVENT_COUNT_H_
