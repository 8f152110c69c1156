// Files that have been removed, whose data is about to come back.
//
// A file without a name and without an open stays until the kernel lets go of it (FORGET), which it
// does right after the unlink(2), but not before that returns: whoever removes a file and writes
// another one must not be told that there is no space. So where space is short, operations that
// take some wait for these files first. Not for ever: a descriptor of O_PATH can keep one.

#ifndef MEMFUSE_SRC_MEMFS_ORPHANS_H_
#define MEMFUSE_SRC_MEMFS_ORPHANS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "src/base/thread_number.h"

namespace memfuse::memfs {

// Thread-safe; every member is atomic. Each thread counts for itself, so that threads that remove
// files share no cache line; what is counted is the sum.
class Orphans {
 public:
  void Add() {
    Count& mine = Mine();
    mine.made.fetch_add(1, std::memory_order_relaxed);
    mine.left.fetch_add(1);
  }
  void Remove() { Mine().left.fetch_sub(1); }

  bool any() const {
    int64_t sum = 0;
    for (const Count& count : counts_) sum += count.left.load(std::memory_order_relaxed);
    return sum > 0;
  }

  // Until there are none, at most a fifth of a second or so; not at all where that was in vain and
  // none came since. Not under a lock.
  void Wait();

 private:
  static constexpr size_t kCounts = 64;
  struct alignas(64) Count {
    std::atomic<uint64_t> made{0};
    std::atomic<int64_t> left{0};  // below 0 where others added what this thread removed
  };

  Count& Mine() { return counts_[base::ThreadNumber() % kCounts]; }
  uint64_t made() const {
    uint64_t sum = 0;
    for (const Count& count : counts_) sum += count.made.load(std::memory_order_relaxed);
    return sum;
  }

  std::array<Count, kCounts> counts_;
  std::atomic<uint64_t> in_vain_{0};  // made() when a wait was
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_ORPHANS_H_
