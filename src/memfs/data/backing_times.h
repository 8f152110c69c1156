// The state of a file whose reads and writes are passed through: the kernel accesses the backing
// file itself and does not inform the daemon. This class determines when the daemon has to look at
// the backing file (statx(2)), and what the times found there mean for the times of the inode.
//
// The following table says when the daemon looks, by what may be changing the file:
//
//   state         what is known                                   look           kernel may cache
//   clean         closed; no change since the last look           no             attributes
//   dirty         closed; changed since the last look             once -> clean  attributes
//   open          open; no program can map it for writing         each time      attributes (1)
//   writable      open for reading and writing: may be mapped     each time      nothing
//   maybe mapped  a mapping for writing may remain from an open   each time (2)  nothing
//                 that was closed; the file is closed, or is
//                 open again
//
//    (1) The kernel drops the attributes when it passes a read or a write through, and asks the
//        daemon for them again. The kernel does not do this when a program stores through a
//        mapping.
//    (2) Until the file is closed and the kernel reports that no program can write to the backing
//        file any more. The file is then dirty.
//
// Times. The times of the inode are authoritative; the times of the backing file show what the
// kernel did. The daemon and the kernel take time stamps from the same clock (base::Now), so a
// stamp is never earlier than the stamp of an earlier event. A time of the backing file that
// differs from the one at the last look is therefore copied to the inode. ctime is an exception: it
// is copied only if it is later than the inode's ctime, which a rename(2) or a chmod(2) may have
// moved in the meantime, or if the inode's ctime is more than a second in the future because the
// clock was set back.
//
// Guarantee. After BeginLook returned true and Merge was called with the result of statx(2), the
// times of the inode include everything that the kernel had recorded in the backing file before the
// statx(2) call: reads, writes, and stores through a mapping. There are three reasons. Every open,
// close and change is recorded in dirty_ (NoteOpen, NoteClose, NoteChange). BeginLook clears dirty_
// before the statx(2) call and not after it, so the next look finds an event that comes in between.
// In the states 'open', 'writable' and 'maybe mapped', every call looks. The looking ends: a file
// that is closed, and of which the kernel reports that it has no writers, needs one more look,
// which makes it clean; BeginLook then returns false until the next open or change. A look contains
// no loop and does not wait for the programs that use the file.

#ifndef MEMFUSE_SRC_MEMFS_DATA_BACKING_TIMES_H_
#define MEMFUSE_SRC_MEMFS_DATA_BACKING_TIMES_H_

#include <atomic>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "memfuse/types.h"
#include "src/memfs/tree/times.h"

namespace memfuse::memfs {

// The result of statx(2) on a backing file.
struct BackingState {
  uint64_t size = 0;
  uint64_t blocks = 0;  // units of 512 bytes
  Times times;
  Timestamp btime;
};

class BackingTimes {
 public:
  // These methods may be called from any thread. Each NoteOpen is followed by a NoteClose with the
  // same open(2) flags.
  void NoteOpen(uint32_t flags);
  void NoteClose(uint32_t flags);
  // Takes over a file of another process, in the state `found`, that has this number of opens.
  // Copies to `times` what the kernel has done since the other process looked at the file: mtime
  // and ctime if mtime is later than that of the inode, and atime if it is later; or if the time
  // differs from that of the inode, which is more than a second in the future. The time at which
  // the backing file was made is not that of a read, nor that of a write if there is no data. It is
  // not known whether a mapping remains, so the state is 'maybe mapped'. Requires: no other thread
  // uses the object, which is new.
  void Adopt(const BackingState& found, PackedTimes* times, uint32_t opens,
             uint32_t writable_opens);
  // The daemon itself changed the file.
  void NoteChange() { dirty_.store(true); }

  bool open() const { return opens_.load() > 0; }
  // The number of opens for reading and writing.
  uint32_t writable_opens() const { return writable_opens_.load(); }
  // How long the kernel may cache the attributes, judged without a look. It considers opens for
  // reading and writing only, not the state 'maybe mapped'.
  CacheSeconds Validity() const { return writable_opens() > 0 ? 0 : kCacheForever; }

  // The caller of the methods below holds the attribute lock of the inode.

  // Returns whether the caller has to look at the file. The caller then calls statx(2) and Merge.
  // `has_writers` asks the kernel whether any program can write to the backing file; it is called
  // only in the state 'maybe mapped', while the file is closed.
  bool BeginLook(absl::FunctionRef<bool()> has_writers);
  // Copies to `times` what happened to the backing file since the last look. Returns how long the
  // kernel may cache the attributes.
  CacheSeconds Merge(const BackingState& found, Times* times);
  // Records that the daemon set the times of the backing file, and that it found the file in the
  // state `found` afterwards. `mtime` is the mtime that the daemon set. If it is null, the daemon
  // set only atime: a write that was not looked at yet still counts as a change, and so does a
  // store through a mapping that came between setting the times and finding the state.
  void NoteTimesSet(const BackingState& found, const Timestamp* mtime);
  // Whether a read through the backing file moves atime, judged without a look. The result is
  // always true for a file that was never looked at.
  bool ReadMovesAtime(Timestamp now) const {
    return !looked_at_ || RelatimeIsDue(last_times_, now);
  }

 private:
  std::atomic<uint32_t> opens_{0};
  std::atomic<uint32_t> writable_opens_{0};
  std::atomic<bool> dirty_{false};         // changed, opened or closed since the last look
  std::atomic<bool> maybe_mapped_{false};  // closed by a program that may have mapped it

  // The attribute lock of the inode guards the members below.
  bool uncached_ = false;   // the last look found the file writable or maybe mapped
  bool looked_at_ = false;  // last_times_ is set
  PackedTimes last_times_;  // times of the backing file at the last look
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_DATA_BACKING_TIMES_H_
