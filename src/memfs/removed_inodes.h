// Inodes that were removed and are not free yet.
//
// unlink(2) takes the last name away. The inode stays until the kernel lets go of it (FORGET),
// mostly a moment after the call has returned; a program that holds a descriptor of O_PATH can keep
// it for longer. What such inodes take counts as free for statfs(2), as it is on tmpfs; and an
// operation that finds no space waits for them (reclaim.h).
//
// An inode is in here from the moment when it has neither names nor opens left until it is freed.
// One that gets a name or an open again leaves (a file of O_TMPFILE that is linked, for instance).

#ifndef MEMFUSE_SRC_MEMFS_REMOVED_INODES_H_
#define MEMFUSE_SRC_MEMFS_REMOVED_INODES_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "src/base/event_count.h"

namespace memfuse::memfs {

// Thread-safe; every member is atomic or has its own lock.
class RemovedInodes {
 public:
  // Counts are kept by owner (uid), so that nobody has to wait for what another user keeps. Owners
  // with the same number here share a count.
  static constexpr size_t kOwners = 64;
  static constexpr size_t OwnerIndex(uint32_t uid) { return uid % kOwners; }

  // What an inode has to remember while it is in here: its owner's count and its bytes. False where
  // it is not in here.
  class Ticket {
   public:
    Ticket() = default;
    explicit operator bool() const { return value_ != 0; }

   private:
    friend class RemovedInodes;
    static constexpr int kBytesBits = 56;
    static constexpr uint64_t kMaxBytes = (uint64_t{1} << kBytesBits) - 1;
    uint64_t value_ = 0;
  };

  // `bytes` > 0: what the inode takes.
  [[nodiscard]] Ticket Add(uint32_t uid, uint64_t bytes) {
    Ticket ticket;
    const uint64_t counted = bytes < Ticket::kMaxBytes ? bytes : Ticket::kMaxBytes;
    ticket.value_ = uint64_t{OwnerIndex(uid)} << Ticket::kBytesBits | counted;
    Count& count = counts_[OwnerIndex(uid)];
    count.bytes.fetch_add(counted);
    count.added.fetch_add(1);
    return ticket;
  }
  // The inode is free, or is not removed any more.
  void Remove(Ticket ticket) {
    Count& count = counts_[ticket.value_ >> Ticket::kBytesBits];
    count.bytes.fetch_sub(ticket.value_ & Ticket::kMaxBytes);
    count.gone.fetch_add(1);
    progress_.Notify();
  }

  // How many inodes, and what they take in bytes; of all owners.
  uint64_t count() const {
    uint64_t sum = 0;
    for (size_t i = 0; i < kOwners; ++i) sum += count(i);
    return sum;
  }
  uint64_t bytes() const {
    uint64_t sum = 0;
    for (const Count& count : counts_) sum += count.bytes.load();
    return sum;
  }

  // Of one owner's count: how many were ever added, and how many of them are gone. An inode that
  // was in here before added() was called is gone, or nearly so, once gone() reaches that: they go
  // in the order in which they came, but for those that a program keeps.
  uint64_t added(size_t owner) const { return counts_[owner].added.load(); }
  uint64_t gone(size_t owner) const { return counts_[owner].gone.load(); }
  uint64_t count(size_t owner) const {
    const uint64_t gone = this->gone(owner);
    const uint64_t added = this->added(owner);
    return added > gone ? added - gone : 0;
  }

  // Notified whenever something is reclaimed.
  base::EventCount* progress() { return &progress_; }

 private:
  struct alignas(64) Count {
    std::atomic<uint64_t> added{0};
    std::atomic<uint64_t> gone{0};
    std::atomic<uint64_t> bytes{0};
  };

  std::array<Count, kOwners> counts_;
  base::EventCount progress_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_REMOVED_INODES_H_
