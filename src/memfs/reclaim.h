// Frees what removed inodes took, and lets operations wait for it.
//
// On a tmpfs, all of a file is free when unlink(2) returns. Here it is free when the kernel has
// sent FORGET (removed_inodes.h), and the data of a large file when the reclaim thread has freed it
// piece by piece: to free a gigabyte takes a tenth of a second, in which a worker would serve
// nobody.
//
// An operation that finds no space calls Wait, without locks, and tries once more. Every wait is
// bounded, and no program can prolong it:
//   - It is for what was removed before it began.
//   - Inodes of the same owner that the kernel keeps are waited for up to kOwnTimeout, and those of
//     others up to kOthersTimeout. After a wait in vain for an owner's inodes they are not waited
//     for during kOwnPause and kOthersPause.
//   - No more than kMaxWaiters operations wait at a time; the others go on at once.
//   - The calling thread tells its transport that it blocks; another thread then serves. Where no
//     thread can take its place (a queue of io_uring), no wait exceeds kOthersTimeout.

#ifndef MEMFUSE_SRC_MEMFS_RECLAIM_H_
#define MEMFUSE_SRC_MEMFS_RECLAIM_H_

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "memfuse/blocking_observer.h"
#include "src/base/event_count.h"
#include "src/memfs/inode.h"
#include "src/memfs/lock_order.h"
#include "src/memfs/removed_inodes.h"

namespace memfuse::memfs {

// All methods from any thread; Start and Stop from one at a time.
class Reclaim {
 public:
  // Files with less data are freed faster than handed over. Bytes.
  static constexpr uint64_t kLargeFile = 4 << 20;

  static constexpr std::chrono::milliseconds kOwnTimeout{300};
  static constexpr std::chrono::seconds kOwnPause{1};
  static constexpr std::chrono::milliseconds kOthersTimeout{20};
  static constexpr std::chrono::seconds kOthersPause{10};
  static constexpr int kMaxWaiters = 4;

  explicit Reclaim(RemovedInodes* removed) : removed_(*removed) {}
  ~Reclaim() { Stop(); }
  Reclaim(const Reclaim&) = delete;
  Reclaim& operator=(const Reclaim&) = delete;

  // Starts the thread. Where none is to be had, FreeInBackground takes nothing.
  void Start();
  // Frees what is queued, in the calling thread, and ends the thread.
  void Stop();

  // Takes a reference to a dead inode whose data is large; the thread frees the data. False: the
  // data is freed with the caller's reference. Without locks.
  bool FreeInBackground(const base::RefPtr<Inode>& inode);

  // Bytes that the thread has still to free.
  uint64_t bytes_in_background() const { return bytes_.load(); }
  // What statfs(2) counts as free already.
  uint64_t pending_bytes() const { return removed_.bytes() + bytes_in_background(); }
  uint64_t pending_inodes() const { return removed_.count(); }
  // Another number whenever something was reclaimed.
  uint64_t progress() const { return removed_.progress()->version(); }
  bool pending() const { return removed_.count() > 0 || finished_.load() != queued_.load(); }

  // Waits until what was removed before the call is free, or `enough` says that no more is needed.
  // `owner` (uid) is whose space is short. `blocking` is the calling thread's (may be null).
  // Returns false at once where there was nothing to wait for. Without locks.
  bool Wait(uint32_t owner, BlockingObserver* blocking, absl::FunctionRef<bool()> enough);

 private:
  struct Entry {
    base::RefPtr<RegularFile> file;
    uint64_t bytes = 0;  // of bytes_
  };
  // What one call of Wait waits for.
  struct Targets {
    std::array<uint64_t, RemovedInodes::kOwners> gone;
    uint64_t finished;
  };

  void Run();
  // False: there is none.
  bool Next(Entry* entry) ABSL_LOCKS_EXCLUDED(mu_);
  void Free(Entry* entry);

  // What there is to wait for; false: nothing.
  bool FindTargets(size_t own, base::MonotonicTime now, Targets* targets) const;
  // Whether the inodes of the owner, or of all others, have gone.
  bool Reached(const Targets& targets, size_t own, bool others) const;
  // Remembers which of these were waited for in vain.
  void NoteVainWait(const Targets& targets, size_t own, bool others, base::MonotonicTime now);

  RemovedInodes& removed_;
  std::atomic<int> waiters_{0};
  // Until when inodes are not waited for: by their owner, and by others. Ticks of MonotonicClock.
  struct Pause {
    std::atomic<int64_t> own{0};
    std::atomic<int64_t> others{0};
  };
  std::array<Pause, RemovedInodes::kOwners> pauses_;  // atomic

  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> bytes_{0};
  // Files are freed in the order in which they were queued: file number n is when finished_ >= n.
  std::atomic<uint64_t> queued_{0};
  std::atomic<uint64_t> finished_{0};
  base::EventCount work_;  // own synchronisation
  LeafMutex mu_;
  // At most as many as there are large files within the limit on bytes.
  std::deque<Entry> queue_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;  // constant from Start to Stop
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_RECLAIM_H_
