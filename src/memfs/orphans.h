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

#include "absl/time/time.h"
#include "src/base/thread_number.h"

namespace memfuse::memfs {

// Thread-safe; every member is atomic. Each thread counts for itself, so that threads that remove
// files share no cache line; what is counted are the sums.
class Orphans {
 public:
  void Add() { Mine().made.fetch_add(1); }
  void Remove() { Mine().gone.fetch_add(1); }

  // How many there are: none that was added before the call is missed.
  uint64_t count() const {
    const uint64_t gone = this->gone();
    const uint64_t made = this->made();
    return made > gone ? made - gone : 0;
  }
  bool any() const { return count() > 0; }

  // One wait for those that are there when it begins: others may come all the while. They go in the
  // order in which they came, or nearly so, and are only counted.
  class Wait {
   public:
    Wait(Orphans* orphans, absl::Time now);
    // All of them have gone, but for as many as are known to stay.
    bool over() const { return orphans_->gone() >= target_; }
    // Changes while any of them, or of those that came since, go.
    uint64_t progress() const { return orphans_->gone(); }
    // It was in vain: for a while, as many as are left now are taken for ones that stay.
    void GiveUp(absl::Time now);

   private:
    Orphans* const orphans_;
    const uint64_t made_;
    const uint64_t target_;
  };

 private:
  static constexpr size_t kCounts = 16;
  struct alignas(64) Count {
    std::atomic<uint64_t> made{0};
    std::atomic<uint64_t> gone{0};  // of any thread's
  };

  Count& Mine() { return counts_[base::ThreadNumber() % kCounts]; }
  uint64_t made() const {
    uint64_t sum = 0;
    for (const Count& count : counts_) sum += count.made.load();
    return sum;
  }
  uint64_t gone() const {
    uint64_t sum = 0;
    for (const Count& count : counts_) sum += count.gone.load();
    return sum;
  }

  std::array<Count, kCounts> counts_;
  std::atomic<uint64_t> staying_{0};       // how many were left when a wait was in vain
  std::atomic<int64_t> staying_until_{0};  // nanoseconds since the epoch; then it counts no more
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_ORPHANS_H_
