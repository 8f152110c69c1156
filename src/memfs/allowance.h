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

#include "src/base/thread_number.h"

namespace memfuse::memfs {

// Thread-safe; no lock, every member is atomic or constant.
class Allowance {
 public:
  // `most` bounds what a purse holds.
  Allowance(uint64_t limit, uint64_t most)
      : fill_(std::min(most / 2, limit / (kPurses * 64))), limit_(limit) {}
  Allowance(const Allowance&) = delete;
  Allowance& operator=(const Allowance&) = delete;

  // All of `amount`, or none and false.
  [[nodiscard]] bool Take(uint64_t amount) {
    std::atomic<uint64_t>& purse = Mine();
    if (TakeFrom(&purse, amount)) return true;
    if (fill_ != 0 && amount <= fill_) {
      const Move move(this);
      if (TakeShared(amount + fill_)) {
        purse.fetch_add(fill_);
        return true;
      }
    }
    return TakeAll(amount);
  }

  // As many units as there is room for, at most `count`; returns how many.
  [[nodiscard]] uint64_t TakeUpTo(uint64_t count, uint64_t unit) {
    if (count <= ~uint64_t{0} / unit && Take(count * unit)) return count;
    EmptyPurses();
    uint64_t shared = shared_.load(std::memory_order_relaxed);
    for (;;) {
      const uint64_t limit = this->limit();
      const uint64_t room = shared < limit ? limit - shared : 0;
      const uint64_t granted = std::min(count, room / unit);
      if (granted == 0) return 0;
      if (shared_.compare_exchange_weak(shared, shared + granted * unit,
                                        std::memory_order_relaxed)) {
        return granted;
      }
    }
  }

  void Give(uint64_t amount) {
    if (amount > fill_) {
      shared_.fetch_sub(amount, std::memory_order_relaxed);
      return;
    }
    std::atomic<uint64_t>& purse = Mine();
    const uint64_t now = purse.fetch_add(amount, std::memory_order_relaxed) + amount;
    if (now <= 2 * fill_) return;
    const Move move(this);
    if (TakeFrom(&purse, now - fill_)) shared_.fetch_sub(now - fill_);
  }

  uint64_t limit() const { return limit_.load(std::memory_order_relaxed); }
  // What is taken: exact while nobody takes or gives.
  uint64_t taken() const {
    uint64_t purses = 0;
    for (const Purse& purse : purses_) purses += purse.amount.load(std::memory_order_relaxed);
    const uint64_t shared = shared_.load(std::memory_order_relaxed);
    return shared > purses ? shared - purses : 0;
  }
  uint64_t left() const {
    const uint64_t limit = this->limit();
    const uint64_t taken = this->taken();
    return taken < limit ? limit - taken : 0;
  }
  // At most what is left, less by what is in purses; costs one look.
  uint64_t left_at_least() const {
    const uint64_t limit = this->limit();
    const uint64_t shared = shared_.load(std::memory_order_relaxed);
    return shared < limit ? limit - shared : 0;
  }

  // At least what is taken. While nobody else uses it.
  void SetLimit(uint64_t limit) {
    EmptyPurses();
    limit_.store(limit, std::memory_order_relaxed);
  }
  void RaiseLimit(uint64_t amount) { limit_.fetch_add(amount, std::memory_order_relaxed); }
  // By what is not taken; false, and nothing, where there is not so much.
  [[nodiscard]] bool LowerLimit(uint64_t amount) {
    if (!TakeAll(amount)) return false;
    limit_.fetch_sub(amount);
    shared_.fetch_sub(amount, std::memory_order_relaxed);
    return true;
  }

 private:
  static constexpr size_t kPurses = 64;
  struct alignas(64) Purse {
    std::atomic<uint64_t> amount{0};
  };

  std::atomic<uint64_t>& Mine() { return purses_[base::ThreadNumber() % kPurses].amount; }
  static bool TakeFrom(std::atomic<uint64_t>* purse, uint64_t amount) {
    uint64_t now = purse->load(std::memory_order_relaxed);
    while (now >= amount) {
      if (purse->compare_exchange_weak(now, now - amount, std::memory_order_relaxed)) return true;
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
    for (;;) {
      // In this order: one that begins in between counts as under way.
      const uint64_t ended = moves_ended_.load();
      const uint64_t begun = moves_begun_.load();
      if (TakeShared(amount)) return true;
      if (begun == ended && !AnyInPurses() && moves_begun_.load() == begun) return false;
      EmptyPurses();
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
    shared_.fetch_sub(found);
  }
  bool TakeShared(uint64_t amount) {
    for (;;) {
      const uint64_t limit = limit_.load();
      uint64_t shared = shared_.load(std::memory_order_relaxed);
      do {
        if (shared > limit || amount > limit - shared) return false;
      } while (!shared_.compare_exchange_weak(shared, shared + amount));
      // Between the look at the limit and the addition others may have lowered it.
      if (shared_.load() <= limit_.load()) return true;
      shared_.fetch_sub(amount);
    }
  }

  const uint64_t fill_;  // what a purse is filled with
  alignas(64) std::atomic<uint64_t> limit_;
  std::atomic<uint64_t> shared_{0};  // what is taken, and what is in purses
  std::atomic<uint64_t> moves_begun_{0};
  std::atomic<uint64_t> moves_ended_{0};
  std::array<Purse, kPurses> purses_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_ALLOWANCE_H_
