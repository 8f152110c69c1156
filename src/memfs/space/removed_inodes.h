// Inodes that were removed and are not free yet: they are unlinked, awaiting FORGET.
//
// unlink(2) removes the last name. The inode stays until the kernel sends FORGET, usually shortly
// after the call has returned. A program that holds an O_PATH descriptor can keep it for longer.
// The space of such inodes counts as free for statfs(2), as on tmpfs. An operation that finds no
// space waits for them (reclaim.h).
//
// An inode is counted here from the time when it has neither names nor opens left until it is freed
// or its data is handed to the reclaim thread. A file that may still be mapped is not counted. An
// inode that gets a name or an open again is no longer counted (an example is a file of O_TMPFILE
// that gets a link).

#ifndef MEMFUSE_SRC_MEMFS_SPACE_REMOVED_INODES_H_
#define MEMFUSE_SRC_MEMFS_SPACE_REMOVED_INODES_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "src/base/event_count.h"

namespace memfuse::memfs {

// Thread-safe: every member is atomic or has its own lock.
class RemovedInodes {
 public:
  // Counts are kept by owner (uid), so that a caller does not have to wait for inodes of another
  // user. Owners with the same index share a count.
  static constexpr size_t kOwners = 64;
  static constexpr size_t OwnerIndex(uint32_t uid) { return uid % kOwners; }

  // What a counted inode stores: the index of its owner's count, and its bytes. It converts to
  // false if the inode is not counted.
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

  // Counts an inode that takes `bytes` > 0.
  [[nodiscard]] Ticket Add(uint32_t uid, uint64_t bytes) {
    Ticket ticket;
    const uint64_t counted = bytes < Ticket::kMaxBytes ? bytes : Ticket::kMaxBytes;
    ticket.value_ = uint64_t{OwnerIndex(uid)} << Ticket::kBytesBits | counted;
    Count& count = counts_[OwnerIndex(uid)];
    count.bytes.fetch_add(counted);
    count.added.fetch_add(1);
    return ticket;
  }
  // Ends the counting: the inode is free, or it is not removed any more.
  void Remove(Ticket ticket) {
    Count& count = counts_[ticket.value_ >> Ticket::kBytesBits];
    count.bytes.fetch_sub(ticket.value_ & Ticket::kMaxBytes);
    count.gone.fetch_add(1);
    progress_.Notify();
  }

  // The number of inodes of all owners, and the bytes that they take.
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

  // For one owner's count: how many inodes were ever added, and how many of them are gone. When
  // gone() reaches a value that added() returned, the inodes that were counted at that time are
  // approximately gone: inodes usually go in the order in which they were added, except for those
  // that a program keeps.
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

#endif  // MEMFUSE_SRC_MEMFS_SPACE_REMOVED_INODES_H_
