// A limit on an amount that many threads acquire and release.
//
// A counter with a part for each thread (like percpu_counter in the kernel) was measured against
// this one: no benchmark of names or small writes gained (tests/bench/README.md).

#ifndef MEMFUSE_SRC_MEMFS_SPACE_LIMITED_COUNTER_H_
#define MEMFUSE_SRC_MEMFS_SPACE_LIMITED_COUNTER_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace memfuse::memfs {

// Thread-safe. There is no lock: every member is atomic.
//
// Guarantees. The acquired amount never exceeds the limit, or the larger of two limits during a
// change. Acquire fails only if less than the amount was free at one moment during the call.
class LimitedCounter {
 public:
  explicit LimitedCounter(uint64_t limit) : free_(limit), limit_(limit) {}
  LimitedCounter(const LimitedCounter&) = delete;
  LimitedCounter& operator=(const LimitedCounter&) = delete;

  // Acquires all of `amount` and returns true, or acquires nothing and returns false.
  [[nodiscard]] bool Acquire(uint64_t amount) { return AcquireUpTo(1, amount) == 1; }

  // Acquires as many units of `unit` as there is room for, at most `count`. Returns how many.
  [[nodiscard]] uint64_t AcquireUpTo(uint64_t count, uint64_t unit) {
    if (unit == 0) return count;
    uint64_t free = free_.load(std::memory_order_relaxed);
    for (;;) {
      const uint64_t granted = std::min(count, free / unit);
      if (granted == 0) return 0;
      if (free_.compare_exchange_weak(free, free - granted * unit, std::memory_order_relaxed)) {
        return granted;
      }
    }
  }

  void Release(uint64_t amount) { free_.fetch_add(amount, std::memory_order_relaxed); }

  uint64_t limit() const { return limit_.load(std::memory_order_relaxed); }
  uint64_t free() const { return free_.load(std::memory_order_relaxed); }
  // The acquired amount. It may be too large while another thread changes the limit.
  uint64_t used() const {
    const uint64_t free = this->free();
    const uint64_t limit = this->limit();
    return free < limit ? limit - free : 0;
  }

  // Sets the limit, which must not be below the acquired amount. No other thread may use the
  // counter during the call.
  void SetLimit(uint64_t limit) {
    free_.store(limit - used());
    limit_.store(limit);
  }
  // Other threads may acquire and release during RaiseLimit and LowerLimit.
  void RaiseLimit(uint64_t amount) {
    limit_.fetch_add(amount);
    free_.fetch_add(amount);
  }
  // Lowers the limit by `amount`, which must not be acquired. If less is free, it changes nothing
  // and returns false.
  [[nodiscard]] bool LowerLimit(uint64_t amount) {
    // The amount is acquired before the limit is lowered, so that no other thread can acquire it.
    if (!Acquire(amount)) return false;
    limit_.fetch_sub(amount);
    return true;
  }

  // Lowers the limit by `amount`, or by what is free if that is less.
  void LowerLimitUpTo(uint64_t amount) { limit_.fetch_sub(AcquireUpTo(amount, 1)); }

 private:
  alignas(64) std::atomic<uint64_t> free_;  // not acquired
  std::atomic<uint64_t> limit_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_SPACE_LIMITED_COUNTER_H_
