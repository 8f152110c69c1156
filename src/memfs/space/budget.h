// The limits of a file system: bytes and inodes.
//
// Everything that is stored counts against the byte limit: file pages, inline data, page tables,
// inodes, names and extended attributes. The exception is the file data of the passthrough store:
// the kernel counts it against the size of the private tmpfs (passthrough_store.h). A caller
// reserves bytes first, then stores data, and then releases the bytes that it did not use. The
// stored amount therefore never exceeds the limit, not even temporarily.
//
// Inodes do not use the budget directly: they are charged to the account of their owner
// (account.h), which charges the budget.

#ifndef MEMFUSE_SRC_MEMFS_SPACE_BUDGET_H_
#define MEMFUSE_SRC_MEMFS_SPACE_BUDGET_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "src/memfs/space/limited_counter.h"

namespace memfuse::memfs {

// The object that a budget asks for more bytes when its limit is reached: the store that raises the
// budget's limit.
class SpaceSource {
 public:
  // Raises the budget's limit by at least `bytes` and returns true, or changes nothing and returns
  // false. It may be called from any thread and under any lock except one of rank leaf.
  virtual bool Grow(uint64_t bytes) = 0;

 protected:
  ~SpaceSource() = default;
};

// Thread-safe. There is no lock: every member is atomic or constant.
class Budget {
 public:
  Budget(uint64_t byte_limit, uint64_t inode_limit)
      : total_(byte_limit), bytes_(byte_limit), inodes_(inode_limit) {}
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  // Reserves all of `bytes` and returns true, or reserves nothing and returns false.
  [[nodiscard]] bool ReserveBytes(uint64_t bytes) {
    while (!bytes_.Acquire(bytes)) {
      if (source_ == nullptr || !source_->Grow(bytes)) return false;
    }
    return true;
  }
  // Reserves as many units of `unit` bytes as there is room for, at most `count`. Returns how many.
  // It does not ask the SpaceSource for more bytes.
  [[nodiscard]] uint64_t ReserveUpTo(uint64_t count, uint64_t unit) {
    return bytes_.AcquireUpTo(count, unit);
  }
  void ReleaseBytes(uint64_t bytes) { bytes_.Release(bytes); }

  [[nodiscard]] bool ReserveInode() { return inodes_.Acquire(1); }
  void ReleaseInode() { inodes_.Release(1); }

  // With a `source`, the limit becomes the number of bytes that are used now, and `source` raises
  // it from then on. With null, the limit becomes total() again. No other thread may use the budget
  // during the call.
  void UseSource(SpaceSource* source) {
    source_ = source;
    bytes_.SetLimit(source == nullptr ? total() : bytes_used());
  }
  void RaiseLimit(uint64_t bytes) { bytes_.RaiseLimit(bytes); }
  // Lowers the limit by `bytes`, which must not be in use. If fewer bytes are unused, it changes
  // nothing and returns false.
  [[nodiscard]] bool LowerLimit(uint64_t bytes) { return bytes_.LowerLimit(bytes); }

  // Changes the limit that the budget was made with. Other threads may reserve and release during
  // the call, but only one thread at a time may change a limit. If more is used than the new limit
  // allows, it changes nothing and returns false.
  [[nodiscard]] bool SetByteLimit(uint64_t bytes) {
    // The limit may be below total() because of the ceiling.
    if (bytes_used() > bytes || (bytes < bytes_.limit() && !Move(&bytes_, bytes))) return false;
    total_.store(bytes, std::memory_order_relaxed);
    ApplyCeiling();
    return true;
  }
  [[nodiscard]] bool SetInodeLimit(uint64_t inodes) { return Move(&inodes_, inodes); }
  // Changes total() for a SpaceSource, which changes the limit itself.
  void SetTotal(uint64_t bytes) { total_.store(bytes, std::memory_order_relaxed); }
  // Sets an upper bound of the byte limit, below total() or not. If more is used, nothing can be
  // reserved until less is used. Not for a budget with a SpaceSource. As for SetByteLimit, only one
  // thread at a time may call it.
  void SetCeiling(uint64_t bytes) {
    ceiling_.store(bytes, std::memory_order_relaxed);
    ApplyCeiling();
  }

  // The byte limit that the budget was made with, or that was set later. A SpaceSource may use a
  // part of it for other data.
  uint64_t total() const { return total_.load(std::memory_order_relaxed); }
  uint64_t bytes_free() const { return bytes_.free(); }
  uint64_t inode_limit() const { return inodes_.limit(); }
  uint64_t inodes_free() const { return inodes_.free(); }
  uint64_t bytes_used() const { return bytes_.used(); }
  uint64_t inodes_used() const { return inodes_.used(); }

 private:
  void ApplyCeiling() {
    const uint64_t wanted = std::min(total(), ceiling_.load(std::memory_order_relaxed));
    const uint64_t now = bytes_.limit();
    if (wanted > now) {
      bytes_.RaiseLimit(wanted - now);
    } else {
      bytes_.LowerLimitUpTo(now - wanted);
    }
  }
  static bool Move(LimitedCounter* counter, uint64_t limit) {
    const uint64_t now = counter->limit();
    if (limit <= now) return counter->LowerLimit(now - limit);
    counter->RaiseLimit(limit - now);
    return true;
  }

  std::atomic<uint64_t> total_;
  std::atomic<uint64_t> ceiling_{~uint64_t{0}};
  SpaceSource* source_ = nullptr;  // constant while other threads use the budget
  LimitedCounter bytes_;
  LimitedCounter inodes_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_SPACE_BUDGET_H_
