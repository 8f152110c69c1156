// A limit on an amount that many threads take from and give back to.
//
// What a thread gives back stays in its *purse* up to a little, and it takes from there first, so
// that threads that make and remove files share no cache line. Purses hold nothing that others
// cannot have: where the rest of the limit does not suffice, all of them are emptied first. What is
// taken never exceeds the limit, and nobody is refused what nobody has taken.

#ifndef MEMFUSE_SRC_MEMFS_SHARDED_COUNTER_H_
#define MEMFUSE_SRC_MEMFS_SHARDED_COUNTER_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "src/base/thread_number.h"

namespace memfuse::memfs {

// Thread-safe; no lock, every member is atomic.
class ShardedCounter {
 public:
  // `most` bounds what a purse holds.
  ShardedCounter(uint64_t limit, uint64_t max_shard)
      : max_shard_(max_shard), limit_(limit), free_(limit) {
    SizeShardsFor(limit);
  }
  ShardedCounter(const ShardedCounter&) = delete;
  ShardedCounter& operator=(const ShardedCounter&) = delete;

  // All of `amount`, or none and false.
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

  // As many units as there is room for, at most `count`; returns how many.
  [[nodiscard]] uint64_t AcquireUpTo(uint64_t count, uint64_t unit) {
    if (count <= ~uint64_t{0} / unit && Acquire(count * unit)) return count;
    DrainShards();
    uint64_t rest = free_.load(std::memory_order_relaxed);
    for (;;) {
      const uint64_t granted = std::min(count, rest / unit);
      // Only AcquireDraining knows that there is nothing.
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
  // What is taken: exact while nobody takes or gives, or moves the limit.
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
  // At most what is left, less by what is in purses; costs one look.
  uint64_t free_lower_bound() const { return free_.load(std::memory_order_relaxed); }

  // At least what is taken. While nobody else uses it.
  void SetLimit(uint64_t limit) {
    DrainShards();
    free_.store(limit - used());
    limit_.store(limit);
  }
  // These two beside others who take and give. More than the larger of both limits is taken at no
  // moment: what the limit is to lose is taken for good before the limit says so.
  void RaiseLimit(uint64_t amount) {
    limit_.fetch_add(amount);
    free_.fetch_add(amount);
  }
  // By what is not taken; false, and nothing, where there is not so much.
  [[nodiscard]] bool LowerLimit(uint64_t amount) {
    if (!AcquireDraining(amount)) return false;
    limit_.fetch_sub(amount);
    return true;
  }
  // What purses are filled with from now on: as much as suits this limit. Of no consequence for
  // anybody but by speed.
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
  // What goes from a purse to the rest, or back, is in neither for a moment. Whoever finds nothing
  // has to know that nothing was under way meanwhile.
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

  // From wherever there is some.
  bool AcquireDraining(uint64_t amount) {
    for (unsigned tries = 1;; ++tries) {
      // In this order: one that begins in between counts as under way.
      const uint64_t ended = moves_ended_.load();
      const uint64_t begun = moves_begun_.load();
      if (AcquireFrom(&free_, amount)) return true;
      const bool any = AnyInShards();
      if (begun == ended && !any && moves_begun_.load() == begun) return false;
      // Not for nothing: those who find nothing at the same time would keep each other from knowing
      // it, for as long as they try.
      if (any) DrainShards();
      // Somebody was stopped in the middle of a move, and may not be let run by who spins.
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

  const uint64_t max_shard_;            // constant
  std::atomic<uint64_t> shard_target_;  // what a purse is filled with
  std::atomic<uint64_t> limit_;
  alignas(64) std::atomic<uint64_t> free_;  // what is neither taken nor in purses
  std::atomic<uint64_t> moves_begun_{0};
  std::atomic<uint64_t> moves_ended_{0};
  std::array<Shard, kShards> shards_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_SHARDED_COUNTER_H_
