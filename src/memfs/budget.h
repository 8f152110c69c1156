// The limits of a file system: bytes and inodes.
//
// Everything that is stored counts against the bytes: file pages, small contents, page tables,
// inodes, names, xattrs. The rule is to reserve first, then fill, and to give back what was not
// used; so what is stored never exceeds the limit, not even for a moment.

#ifndef MEMFUSE_SRC_MEMFS_BUDGET_H_
#define MEMFUSE_SRC_MEMFS_BUDGET_H_

#include <atomic>
#include <cstdint>
#include <utility>

#include "src/memfs/sharded_counter.h"

namespace memfuse::memfs {

// Whom a budget asks for more bytes when its limit is reached.
class QuotaSource {
 public:
  // Raises the limit by at least `bytes`, or not at all. From any thread, under any lock but a
  // leaf.
  virtual bool Grow(uint64_t bytes) = 0;

 protected:
  ~QuotaSource() = default;
};

// Thread-safe; no lock, every member is atomic or constant.
class Budget {
 public:
  Budget(uint64_t byte_limit, uint64_t inode_limit)
      : total_(byte_limit), bytes_(byte_limit, 128 << 10), inodes_(inode_limit, 128) {}
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  // All of `bytes`, or none and false.
  [[nodiscard]] bool ReserveBytes(uint64_t bytes) {
    while (!bytes_.Acquire(bytes)) {
      if (source_ == nullptr || !source_->Grow(bytes)) return false;
    }
    return true;
  }
  // As many units of `unit` bytes as there is room for, at most `count`; returns how many.
  [[nodiscard]] uint64_t ReserveUpTo(uint64_t count, uint64_t unit) {
    return bytes_.AcquireUpTo(count, unit);
  }
  void ReleaseBytes(uint64_t bytes) { bytes_.Release(bytes); }

  [[nodiscard]] bool ReserveInode() { return inodes_.Acquire(1); }
  void ReleaseInode() { inodes_.Release(1); }

  // From now on the limit is what `lender` raises it to, beginning with what is used; or, without
  // one, the limit that the budget was made with. While nobody else uses it.
  void UseSource(QuotaSource* source) {
    source_ = source;
    bytes_.SetLimit(source == nullptr ? total() : bytes_used());
  }
  void RaiseLimit(uint64_t bytes) { bytes_.RaiseLimit(bytes); }
  // By bytes that are not used; false, and nothing, where there are not so many.
  [[nodiscard]] bool LowerLimit(uint64_t bytes) { return bytes_.LowerLimit(bytes); }

  // Beside others who reserve and release, but one caller at a time: what the budget was made with
  // is something else from now on. False, and nothing, where more is used.
  [[nodiscard]] bool SetByteLimit(uint64_t bytes) {
    if (!Move(&bytes_, bytes)) return false;
    total_.store(bytes, std::memory_order_relaxed);
    return true;
  }
  [[nodiscard]] bool SetInodeLimit(uint64_t inodes) { return Move(&inodes_, inodes); }
  // The same of bytes for a lender, who sees to the limit itself.
  void SetTotal(uint64_t bytes) {
    bytes_.SizeShardsFor(bytes);
    total_.store(bytes, std::memory_order_relaxed);
  }

  // What the budget was made with, of which a lender may keep a part for other things.
  uint64_t total() const { return total_.load(std::memory_order_relaxed); }
  uint64_t bytes_free() const { return bytes_.free(); }
  // Nearly as much, and never more; cheaper.
  uint64_t bytes_free_lower_bound() const { return bytes_.free_lower_bound(); }
  uint64_t inode_limit() const { return inodes_.limit(); }
  uint64_t inodes_free() const { return inodes_.free(); }
  // As bytes_free_lower_bound.
  uint64_t inodes_free_lower_bound() const { return inodes_.free_lower_bound(); }
  uint64_t bytes_used() const { return bytes_.used(); }
  uint64_t inodes_used() const { return inodes_.used(); }

 private:
  static bool Move(ShardedCounter* counter, uint64_t limit) {
    const uint64_t now = counter->limit();
    if (limit > now) {
      counter->RaiseLimit(limit - now);
    } else if (!counter->LowerLimit(now - limit)) {
      return false;
    }
    counter->SizeShardsFor(limit);
    return true;
  }

  std::atomic<uint64_t> total_;
  QuotaSource* source_ = nullptr;  // constant while anybody else uses the budget
  ShardedCounter bytes_;
  ShardedCounter inodes_;
};

// Bytes that were reserved for something that may yet fail. The holder of the reservation gives
// them back, unless they were kept; a move makes another one the holder.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept : budget_(other.budget_), bytes_(other.Keep()) {}
  Reservation& operator=(Reservation&&) = delete;
  ~Reservation() {
    if (bytes_ != 0) budget_->ReleaseBytes(bytes_);
  }
  // At most once with success.
  [[nodiscard]] bool Reserve(Budget* budget, uint64_t bytes) {
    if (!budget->ReserveBytes(bytes)) return false;
    budget_ = budget;
    bytes_ = bytes;
    return true;
  }
  // Now something else accounts for them. Returns how many.
  uint64_t Keep() { return std::exchange(bytes_, 0); }

 private:
  Budget* budget_ = nullptr;
  uint64_t bytes_ = 0;
};

// The same of one inode.
class InodeReservation {
 public:
  InodeReservation() = default;
  InodeReservation(const InodeReservation&) = delete;
  InodeReservation& operator=(const InodeReservation&) = delete;
  ~InodeReservation() {
    if (budget_ != nullptr) budget_->ReleaseInode();
  }
  // At most once with success.
  [[nodiscard]] bool Reserve(Budget* budget) {
    if (!budget->ReserveInode()) return false;
    budget_ = budget;
    return true;
  }
  void Keep() { budget_ = nullptr; }

 private:
  Budget* budget_ = nullptr;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_BUDGET_H_
