// A limit on an amount that many threads take from and give back to.
//
// What a thread gives back stays in its *purse* up to a little, and it takes from there first, so
// that threads that make and remove files share no cache line. Purses hold nothing that others
// cannot have: where the rest of the limit does not suffice, all of them are emptied first. What is
// taken never exceeds the limit, and nobody is refused what nobody has taken.

#ifndef MEMFUSE_SRC_MEMFS_ALLOWANCE_H_
#define MEMFUSE_SRC_MEMFS_ALLOWANCE_H_

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
class Allowance {
 public:
  // `most` bounds what a purse holds.
  Allowance(uint64_t limit, uint64_t most) : most_(most), limit_(limit), rest_(limit) {
    FillPursesFor(limit);
  }
  Allowance(const Allowance&) = delete;
  Allowance& operator=(const Allowance&) = delete;

  // All of `amount`, or none and false.
  [[nodiscard]] bool Take(uint64_t amount) {
    std::atomic<uint64_t>& purse = Mine();
    if (TakeFrom(&purse, amount)) return true;
    const uint64_t fill = fill_.load(std::memory_order_relaxed);
    if (fill != 0 && amount <= fill && rest_.load(std::memory_order_relaxed) >= amount + fill) {
      const Move move(this);
      if (TakeFrom(&rest_, amount + fill)) {
        purse.fetch_add(fill);
        return true;
      }
    }
    return TakeAll(amount);
  }

  // As many units as there is room for, at most `count`; returns how many.
  [[nodiscard]] uint64_t TakeUpTo(uint64_t count, uint64_t unit) {
    if (count <= ~uint64_t{0} / unit && Take(count * unit)) return count;
    EmptyPurses();
    uint64_t rest = rest_.load(std::memory_order_relaxed);
    for (;;) {
      const uint64_t granted = std::min(count, rest / unit);
      // Only TakeAll knows that there is nothing.
      if (granted == 0) return count != 0 && TakeAll(unit) ? 1 : 0;
      if (rest_.compare_exchange_weak(rest, rest - granted * unit, std::memory_order_relaxed)) {
        return granted;
      }
    }
  }

  void Give(uint64_t amount) {
    const uint64_t fill = fill_.load(std::memory_order_relaxed);
    if (amount > fill) {
      rest_.fetch_add(amount, std::memory_order_relaxed);
      return;
    }
    std::atomic<uint64_t>& purse = Mine();
    const uint64_t now = purse.fetch_add(amount, std::memory_order_relaxed) + amount;
    if (now <= 2 * fill) return;
    const Move move(this);
    if (TakeFrom(&purse, now - fill)) rest_.fetch_add(now - fill);
  }

  uint64_t limit() const { return limit_.load(std::memory_order_relaxed); }
  // What is taken: exact while nobody takes or gives, or moves the limit.
  uint64_t taken() const {
    const uint64_t left = this->left();
    const uint64_t limit = this->limit();
    return left < limit ? limit - left : 0;
  }
  uint64_t left() const {
    uint64_t left = rest_.load(std::memory_order_relaxed);
    for (const Purse& purse : purses_) left += purse.amount.load(std::memory_order_relaxed);
    return left;
  }
  // At most what is left, less by what is in purses; costs one look.
  uint64_t left_at_least() const { return rest_.load(std::memory_order_relaxed); }

  // At least what is taken. While nobody else uses it.
  void SetLimit(uint64_t limit) {
    EmptyPurses();
    rest_.store(limit - taken());
    limit_.store(limit);
  }
  // These two beside others who take and give. More than the larger of both limits is taken at no
  // moment: what the limit is to lose is taken for good before the limit says so.
  void RaiseLimit(uint64_t amount) {
    limit_.fetch_add(amount);
    rest_.fetch_add(amount);
  }
  // By what is not taken; false, and nothing, where there is not so much.
  [[nodiscard]] bool LowerLimit(uint64_t amount) {
    if (!TakeAll(amount)) return false;
    limit_.fetch_sub(amount);
    return true;
  }
  // What purses are filled with from now on: as much as suits this limit. Of no consequence for
  // anybody but by speed.
  void FillPursesFor(uint64_t limit) {
    fill_.store(std::min(most_ / 2, limit / (kPurses * 64)), std::memory_order_relaxed);
  }

 private:
  static constexpr size_t kPurses = 64;
  static constexpr unsigned kPatience = 256;
  struct alignas(64) Purse {
    std::atomic<uint64_t> amount{0};
  };

  std::atomic<uint64_t>& Mine() { return purses_[base::ThreadNumber() % kPurses].amount; }
  static bool TakeFrom(std::atomic<uint64_t>* place, uint64_t amount) {
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
    explicit Move(Allowance* allowance) : allowance_(allowance) {
      allowance_->moves_begun_.fetch_add(1);
    }
    ~Move() { allowance_->moves_ended_.fetch_add(1); }
    Move(const Move&) = delete;
    Move& operator=(const Move&) = delete;

   private:
    Allowance* const allowance_;
  };

  // From wherever there is some.
  bool TakeAll(uint64_t amount) {
    for (unsigned tries = 1;; ++tries) {
      // In this order: one that begins in between counts as under way.
      const uint64_t ended = moves_ended_.load();
      const uint64_t begun = moves_begun_.load();
      if (TakeFrom(&rest_, amount)) return true;
      const bool any = AnyInPurses();
      if (begun == ended && !any && moves_begun_.load() == begun) return false;
      // Not for nothing: those who find nothing at the same time would keep each other from knowing
      // it, for as long as they try.
      if (any) EmptyPurses();
      // Somebody was stopped in the middle of a move, and may not be let run by who spins.
      if (tries % kPatience == 0) absl::SleepFor(absl::Microseconds(50));
    }
  }
  bool AnyInPurses() const {
    return std::any_of(purses_.begin(), purses_.end(),
                       [](const Purse& purse) { return purse.amount.load() != 0; });
  }
  void EmptyPurses() {
    const Move move(this);
    uint64_t found = 0;
    for (Purse& purse : purses_) {
      if (purse.amount.load(std::memory_order_relaxed) != 0) {
        found += purse.amount.exchange(0);
      }
    }
    rest_.fetch_add(found);
  }

  const uint64_t most_;         // constant
  std::atomic<uint64_t> fill_;  // what a purse is filled with
  std::atomic<uint64_t> limit_;
  alignas(64) std::atomic<uint64_t> rest_;  // what is neither taken nor in purses
  std::atomic<uint64_t> moves_begun_{0};
  std::atomic<uint64_t> moves_ended_{0};
  std::array<Purse, kPurses> purses_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_ALLOWANCE_H_
