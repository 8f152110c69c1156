// Frees the space of removed inodes, and lets operations wait for it.
//
// On a tmpfs, all space of a file is free when unlink(2) returns. In memfs it is free when the
// kernel has sent FORGET (removed_inodes.h), and the data of a large file is free when the reclaim
// thread has freed it piece by piece. Freeing a gigabyte takes a tenth of a second, in which a
// worker thread would serve no requests.
//
// An operation that finds no space calls Wait, without holding locks, and tries once more. Every
// wait is bounded, and no program can prolong it:
//    - The wait is for inodes that were removed before it began, and for files that were handed to
//      the reclaim thread before these inodes were gone.
//    - Inodes of the same owner that the kernel keeps are waited for up to kOwnTimeout, and those
//      of other owners up to kOthersTimeout. After a wait for an owner's inodes that timed out,
//      they are not waited for during kOwnPause (by operations of the same owner) and kOthersPause
//      (by operations of others).
//    - The reclaim thread is waited for up to 30 seconds (kBackgroundTimeout in reclaim.cc).
//    - At most kMaxWaiters operations wait at a time. The others do not wait.
//    - The transport is told that the thread blocks; another thread then serves requests. If no
//      thread can take its place (a queue of io_uring), no wait exceeds kOthersTimeout.

#ifndef MEMFUSE_SRC_MEMFS_RECLAIM_RECLAIM_H_
#define MEMFUSE_SRC_MEMFS_RECLAIM_RECLAIM_H_

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "memfuse/host.h"
#include "src/base/event_count.h"
#include "src/memfs/space/lock_order.h"
#include "src/memfs/space/removed_inodes.h"
#include "src/memfs/tree/inode.h"

namespace memfuse::memfs {

// All methods may be called from any thread, but Start and Stop from one thread at a time.
class Reclaim {
 public:
  // The minimum size in bytes of files that are handed to the reclaim thread. Smaller files are
  // freed faster than they can be handed over.
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

  // Starts the reclaim thread. If no thread can be started, FreeInBackground always returns false.
  void Start();
  // Ends the reclaim thread, and frees the queued files in the calling thread.
  void Stop();

  // Takes a reference to a dead inode whose data is large; the reclaim thread frees the data.
  // Returns false if it does not take the inode: the data is then freed when the last reference is
  // dropped. It is called without locks.
  bool FreeInBackground(const base::RefPtr<Inode>& inode);

  // The number of bytes that the reclaim thread has not freed yet.
  uint64_t bytes_in_background() const { return bytes_.load(); }
  // The space that statfs(2) reports as free although it is not free yet.
  uint64_t pending_bytes() const { return removed_.bytes() + bytes_in_background(); }
  uint64_t pending_inodes() const { return removed_.count(); }
  // A number that changes whenever something is reclaimed.
  uint64_t progress() const { return removed_.progress()->version(); }
  bool pending() const { return removed_.count() > 0 || finished_.load() != queued_.load(); }

  // Waits until the space of inodes that were removed before the call is free, or until `enough`
  // returns true. `owner` is the uid whose operation found no space. `observer` may be
  // null. If no thread can replace the calling thread, the wait is bounded by kOthersTimeout.
  // Returns false without waiting if there is nothing to wait for. Returns true after each wait,
  // also after one that timed out, and without waiting if kMaxWaiters operations already wait. It
  // is called without locks.
  //
  // Guarantee: true means that one of the following is the case: `enough` returned true; for each
  // owner, as many inodes are gone as were counted when the call began, and the reclaim thread has
  // freed their data; the wait for an owner's inodes or for the reclaim thread timed out, or was
  // omitted because of an earlier timeout; or there were too many waiters. A caller must therefore
  // try its operation again and accept a second failure.
  //
  // The wait ends. The targets are values of counters that are read when the call begins, so inodes
  // that are removed later do not extend the wait. Only the target for the reclaim thread is read
  // once more, when the wait for inodes is over. Each of the three parts of the wait (inodes of
  // other owners, inodes of the same owner, reclaim thread) has a deadline on the monotonic clock,
  // which is set when the wait begins. Each pass of the loop either ends the wait, or sleeps until
  // something is reclaimed or until the next deadline. After the last deadline no pass sleeps.
  bool Wait(uint32_t owner, BlockingObserver* observer, absl::FunctionRef<bool()> enough);

 private:
  struct Entry {
    base::RefPtr<RegularFile> file;
    uint64_t bytes = 0;  // the part of bytes_ that belongs to this file
  };
  // The targets of one call of Wait.
  struct Targets {
    std::array<uint64_t, RemovedInodes::kOwners> gone;
    uint64_t finished;
  };

  void Run();
  // Returns false if the queue is empty.
  bool Next(Entry* entry) ABSL_LOCKS_EXCLUDED(mu_);
  void Free(Entry* entry);

  // Determines what to wait for. Returns false if there is nothing.
  bool FindTargets(size_t own, base::MonotonicTime now, Targets* targets) const;
  // Whether the inodes of the owner `own` are gone or, if `others` is true, those of all other
  // owners.
  bool Reached(const Targets& targets, size_t own, bool others) const;
  // Records which of these inodes were not freed during the wait.
  void NoteVainWait(const Targets& targets, size_t own, bool others, base::MonotonicTime now);

  RemovedInodes& removed_;
  std::atomic<int> waiters_{0};
  // The times until which the inodes of an owner are not waited for: by operations of the same
  // owner, and by operations of others. The unit is ticks of MonotonicClock.
  struct Pause {
    std::atomic<int64_t> own{0};
    std::atomic<int64_t> others{0};
  };
  std::array<Pause, RemovedInodes::kOwners> pauses_;  // atomic

  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> bytes_{0};
  // Files are freed in the order in which they were queued: file number n is free when finished_ >=
  // n.
  std::atomic<uint64_t> queued_{0};
  std::atomic<uint64_t> finished_{0};
  base::EventCount work_;  // has its own synchronisation
  LeafMutex mu_;
  // The queue has at most as many entries as large files fit into the byte limit.
  std::deque<Entry> queue_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;  // constant from Start to Stop
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_RECLAIM_RECLAIM_H_
