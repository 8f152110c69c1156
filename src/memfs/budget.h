// The limits of a file system: bytes and inodes.
//
// Everything that is stored counts against the bytes: file pages, small contents, page tables,
// inodes, names, xattrs. The rule is to reserve first, then fill, and to give back what was not
// used; so what is stored never exceeds the limit, not even for a moment.

#ifndef MEMFUSE_SRC_MEMFS_BUDGET_H_
#define MEMFUSE_SRC_MEMFS_BUDGET_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace memfuse::memfs {

// Whom a budget asks for more bytes when its limit is reached.
class BudgetLender {
 public:
  // Raises the limit by at least `bytes`, or not at all. From any thread, under any lock but a
  // leaf.
  virtual bool Lend(uint64_t bytes) = 0;

 protected:
  ~BudgetLender() = default;
};

// Thread-safe; no lock, every member is atomic or constant.
class Budget {
 public:
  Budget(uint64_t byte_limit, uint64_t inode_limit)
      : total_(byte_limit), byte_limit_(byte_limit), inode_limit_(inode_limit) {}
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  // All of `bytes`, or none and false.
  [[nodiscard]] bool ReserveBytes(uint64_t bytes) {
    while (!ReserveWithinLimit(bytes)) {
      if (lender_ == nullptr || !lender_->Lend(bytes)) return false;
    }
    return true;
  }
  // As many units of `unit` bytes as there is room for, at most `count`; returns how many.
  [[nodiscard]] uint64_t ReserveUpTo(uint64_t count, uint64_t unit) {
    uint64_t used = bytes_.load(std::memory_order_relaxed);
    for (;;) {
      const uint64_t limit = byte_limit_.load(std::memory_order_relaxed);
      const uint64_t room = used < limit ? limit - used : 0;
      const uint64_t granted = std::min(count, room / unit);
      if (granted == 0) return 0;
      if (bytes_.compare_exchange_weak(used, used + granted * unit, std::memory_order_relaxed)) {
        return granted;
      }
    }
  }
  void ReleaseBytes(uint64_t bytes) { bytes_.fetch_sub(bytes, std::memory_order_relaxed); }

  [[nodiscard]] bool ReserveInode() { return Reserve(&inodes_, inode_limit_, 1); }
  void ReleaseInode() { inodes_.fetch_sub(1, std::memory_order_relaxed); }

  // From now on the limit is what `lender` raises it to, beginning with what is used; or, without
  // one, the limit that the budget was made with. While nobody else uses it.
  void Borrow(BudgetLender* lender) {
    lender_ = lender;
    byte_limit_.store(lender == nullptr ? total_ : bytes_used(), std::memory_order_relaxed);
  }
  void RaiseLimit(uint64_t bytes) { byte_limit_.fetch_add(bytes, std::memory_order_relaxed); }
  // By bytes that are not used; false, and nothing, where there are not so many.
  [[nodiscard]] bool LowerLimit(uint64_t bytes) {
    if (!ReserveWithinLimit(bytes)) return false;
    byte_limit_.fetch_sub(bytes);
    ReleaseBytes(bytes);
    return true;
  }

  // What the budget was made with, of which a lender may keep a part for other things.
  uint64_t total() const { return total_; }
  uint64_t bytes_free() const {
    const uint64_t limit = byte_limit_.load(std::memory_order_relaxed);
    const uint64_t used = bytes_used();
    return used < limit ? limit - used : 0;
  }
  uint64_t inode_limit() const { return inode_limit_; }
  uint64_t bytes_used() const { return bytes_.load(std::memory_order_relaxed); }
  uint64_t inodes_used() const { return inodes_.load(std::memory_order_relaxed); }

 private:
  bool ReserveWithinLimit(uint64_t bytes) {
    while (Reserve(&bytes_, byte_limit_.load(), bytes)) {
      // Between the look at the limit and the reservation others may have lowered it.
      if (bytes_.load() <= byte_limit_.load()) return true;
      ReleaseBytes(bytes);
    }
    return false;
  }
  static bool Reserve(std::atomic<uint64_t>* used, uint64_t limit, uint64_t amount) {
    uint64_t now = used->load(std::memory_order_relaxed);
    do {
      if (now > limit || amount > limit - now) return false;
    } while (!used->compare_exchange_weak(now, now + amount, std::memory_order_relaxed));
    return true;
  }

  const uint64_t total_;
  BudgetLender* lender_ = nullptr;  // constant while anybody else uses the budget
  std::atomic<uint64_t> byte_limit_;
  const uint64_t inode_limit_;
  std::atomic<uint64_t> bytes_{0};
  std::atomic<uint64_t> inodes_{0};
};

// Bytes that were reserved for something that may yet fail; given back unless kept.
class Reservation {
 public:
  Reservation() = default;
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
  ~Reservation() {
    if (bytes_ != 0) budget_->ReleaseBytes(bytes_);
  }
  // At most once with success.
  [[nodiscard]] bool Take(Budget* budget, uint64_t bytes) {
    if (!budget->ReserveBytes(bytes)) return false;
    budget_ = budget;
    bytes_ = bytes;
    return true;
  }
  // Now something else accounts for them.
  void Keep() { bytes_ = 0; }

 private:
  Budget* budget_ = nullptr;
  uint64_t bytes_ = 0;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_BUDGET_H_
