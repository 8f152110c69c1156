// Lets a thread wait for an event that other threads announce.
//
// A thread that waits for a condition over atomic variables, or over state that other locks
// protect, executes
//
//   for (;;) {
//     const uint64_t seen = events.version();
//     if (condition) break;
//     if (!events.WaitForChange(seen, deadline)) break;  // timed out
//   }
//
// A thread that may have made the condition true calls Notify afterwards. A Notify that comes after
// version() is not missed. Without waiting threads Notify costs one atomic addition.

#ifndef MEMFUSE_SRC_BASE_EVENT_COUNT_H_
#define MEMFUSE_SRC_BASE_EVENT_COUNT_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace memfuse::base {

// Deadlines are in monotonic time, so that setting a clock does not prolong a wait. (absl::CondVar
// of 20220623 uses the wall clock.)
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

  // Waits until Notify was called since version() returned `seen`. Returns false if the deadline
  // passed first.
  bool WaitForChange(uint64_t seen, MonotonicTime deadline) {
    std::unique_lock<std::mutex> lock(mu_);
    // Incremented before version_ is read, because Notify accesses the two in the other order.
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
  std::mutex mu_;  // innermost: no lock is acquired while it is held
  std::condition_variable changed_;
};

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_EVENT_COUNT_H_
