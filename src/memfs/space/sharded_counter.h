// A limit on an amount that many threads acquire and release, with per-thread shards (like
// percpu_counter in the kernel).
//
// A thread releases small amounts into its shard, and acquires from its shard first. Threads that
// create and remove files therefore seldom write to a common cache line. They do so when a shard is
// filled or is too full, for large amounts, and when more than kShards threads share shards. If the
// amount outside of the shards (free_) is too small for an Acquire, all shards are drained into it
// first.
//
// Guarantees. The acquired amount never exceeds the limit. Acquire fails only if the units that
// were free and that no other thread acquired or released during the last pass of AcquireDraining
// are fewer than `amount`. Acquire may fail although enough was free at each moment, if other
// threads release and acquire during that pass; without such threads it is exact.

#ifndef MEMFUSE_SRC_MEMFS_SPACE_SHARDED_COUNTER_H_
#define MEMFUSE_SRC_MEMFS_SPACE_SHARDED_COUNTER_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "src/base/thread_number.h"

namespace memfuse::memfs {

// Thread-safe. There is no lock: every member is atomic or constant.
class ShardedCounter {
 public:
  // `max_shard` is the most that a shard holds after a Release. A shard can exceed it temporarily
  // while threads that share the shard use it at the same time. With 0 the shards stay empty.
  ShardedCounter(uint64_t limit, uint64_t max_shard)
      : max_shard_(max_shard), limit_(limit), free_(limit) {
    SizeShardsFor(limit);
  }
  ShardedCounter(const ShardedCounter&) = delete;
  ShardedCounter& operator=(const ShardedCounter&) = delete;

  // Acquires all of `amount` and returns true, or acquires nothing and returns false.
  [[nodiscard]] bool Acquire(uint64_t amount) {
    std::atomic<uint64_t>& shard = Mine();
    if (AcquireFrom(&shard, amount)) return true;
    const uint64_t fill = shard_target_.load(std::memory_order_relaxed);
    if (fill != 0 && amount <= fill && free_.load(std::memory_order_relaxed) >= amount + fill) {
      const Move move(this);
      if (AcquireFrom(&free_, amount + fill)) {
        shard.fetch_add(fill);
        return true;
      }
    }
    return AcquireDraining(amount);
  }

  // Acquires as many units of `unit` as there is room for, at most `count`. Returns how many. While
  // other threads use the counter, the result may be smaller than the room, but it is 0 only if
  // AcquireDraining found no room for one unit.
  [[nodiscard]] uint64_t AcquireUpTo(uint64_t count, uint64_t unit) {
    if (count <= ~uint64_t{0} / unit && Acquire(count * unit)) return count;
    DrainShards();
    uint64_t rest = free_.load(std::memory_order_relaxed);
    for (;;) {
      const uint64_t granted = std::min(count, rest / unit);
      // Only AcquireDraining can determine that nothing is free.
      if (granted == 0) return count != 0 && AcquireDraining(unit) ? 1 : 0;
      if (free_.compare_exchange_weak(rest, rest - granted * unit, std::memory_order_relaxed)) {
        return granted;
      }
    }
  }

  void Release(uint64_t amount) {
    const uint64_t fill = shard_target_.load(std::memory_order_relaxed);
    if (amount > fill) {
      free_.fetch_add(amount, std::memory_order_relaxed);
      return;
    }
    std::atomic<uint64_t>& shard = Mine();
    const uint64_t now = shard.fetch_add(amount, std::memory_order_relaxed) + amount;
    if (now <= 2 * fill) return;
    const Move move(this);
    if (AcquireFrom(&shard, now - fill)) free_.fetch_add(now - fill);
  }

  uint64_t limit() const { return limit_.load(std::memory_order_relaxed); }
  // The acquired amount. It is exact while no other thread acquires, releases or changes the limit.
  uint64_t used() const {
    const uint64_t left = this->free();
    const uint64_t limit = this->limit();
    return left < limit ? limit - left : 0;
  }
  uint64_t free() const {
    uint64_t left = free_.load(std::memory_order_relaxed);
    for (const Shard& shard : shards_) left += shard.amount.load(std::memory_order_relaxed);
    return left;
  }
  // A lower bound of free(): it leaves out the amounts in the shards. It reads one variable.
  uint64_t free_lower_bound() const { return free_.load(std::memory_order_relaxed); }

  // Sets the limit, which must not be below the acquired amount. No other thread may use the
  // counter during the call.
  void SetLimit(uint64_t limit) {
    DrainShards();
    free_.store(limit - used());
    limit_.store(limit);
  }
  // Other threads may acquire and release during RaiseLimit and LowerLimit. The acquired amount
  // never exceeds the larger of the old and the new limit: LowerLimit acquires the amount before it
  // lowers the limit.
  void RaiseLimit(uint64_t amount) {
    limit_.fetch_add(amount);
    free_.fetch_add(amount);
  }
  // Lowers the limit by `amount`, which must not be acquired. If less is free, it changes nothing
  // and returns false.
  [[nodiscard]] bool LowerLimit(uint64_t amount) {
    if (!AcquireDraining(amount)) return false;
    limit_.fetch_sub(amount);
    return true;
  }
  // Sets the amount with which shards are filled from now on to a value suitable for `limit`. This
  // affects only the speed.
  void SizeShardsFor(uint64_t limit) {
    shard_target_.store(std::min(max_shard_ / 2, limit / (kShards * 64)),
                        std::memory_order_relaxed);
  }

 private:
  static constexpr size_t kShards = 64;
  static constexpr unsigned kSpinsBeforeSleep = 256;
  struct alignas(64) Shard {
    std::atomic<uint64_t> amount{0};
  };

  std::atomic<uint64_t>& Mine() { return shards_[base::ThreadNumber() % kShards].amount; }
  static bool AcquireFrom(std::atomic<uint64_t>* place, uint64_t amount) {
    uint64_t now = place->load(std::memory_order_relaxed);
    while (now >= amount) {
      if (place->compare_exchange_weak(now, now - amount)) return true;
    }
    return false;
  }
  // Counts the transfers between the shards and free_. An amount that is transferred is temporarily
  // in neither, so AcquireDraining returns false only if no transfer was in progress.
  class Move {
   public:
    explicit Move(ShardedCounter* counter) : counter_(counter) {
      counter_->moves_begun_.fetch_add(1);
    }
    ~Move() { counter_->moves_ended_.fetch_add(1); }
    Move(const Move&) = delete;
    Move& operator=(const Move&) = delete;

   private:
    ShardedCounter* const counter_;
  };

  // Acquires `amount` from free_, and drains the shards into free_ if it is too small there.
  //
  // Guarantee: false means that, in the last pass of the loop, free_ was less than `amount`, all
  // shards were then found empty, and no transfer was in progress from before free_ was read until
  // after the shards were read.
  //
  // Why it ends: a pass that neither succeeds nor returns false has found an amount in a shard, or
  // a transfer by another thread. Amounts get into shards only by an Acquire or a Release, and
  // draining removes them. Transfers belong to an Acquire or a Release that is completing, or to a
  // DrainShards call. This function calls DrainShards only if it has found an amount in a shard, so
  // threads that find nothing do not cause each other to repeat the loop. A further pass is
  // therefore needed only after progress of another thread. If the other threads stop calling the
  // counter, the loop ends after at most one drain and the end of the transfers in progress; a
  // transfer has at most one step per shard. There is no bound on the number of passes while other
  // threads acquire and release without pause.
  bool AcquireDraining(uint64_t amount) {
    for (unsigned tries = 1;; ++tries) {
      // The order of these two loads matters: a transfer that begins between them counts as in
      // progress.
      const uint64_t ended = moves_ended_.load();
      const uint64_t begun = moves_begun_.load();
      if (AcquireFrom(&free_, amount)) return true;
      const bool any = AnyInShards();
      if (begun == ended && !any && moves_begun_.load() == begun) return false;
      // Drains only if there is an amount in a shard. Otherwise threads that find nothing at the
      // same time would, by their transfers, prevent each other from returning false.
      if (any) DrainShards();
      // A thread may have been preempted during a transfer. A thread that spins could keep it from
      // running, so the calling thread sleeps.
      if (tries % kSpinsBeforeSleep == 0) absl::SleepFor(absl::Microseconds(50));
    }
  }
  bool AnyInShards() const {
    return std::any_of(shards_.begin(), shards_.end(),
                       [](const Shard& shard) { return shard.amount.load() != 0; });
  }
  void DrainShards() {
    const Move move(this);
    uint64_t found = 0;
    for (Shard& shard : shards_) {
      if (shard.amount.load(std::memory_order_relaxed) != 0) {
        found += shard.amount.exchange(0);
      }
    }
    free_.fetch_add(found);
  }

  const uint64_t max_shard_;
  std::atomic<uint64_t> shard_target_;  // the amount with which a shard is filled
  std::atomic<uint64_t> limit_;
  alignas(64) std::atomic<uint64_t> free_;  // neither acquired nor in a shard
  std::atomic<uint64_t> moves_begun_{0};
  std::atomic<uint64_t> moves_ended_{0};
  std::array<Shard, kShards> shards_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_SPACE_SHARDED_COUNTER_H_
