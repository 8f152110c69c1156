// What a passed-through file does unseen: the kernel reads and writes its backing file by itself,
// and nobody tells the daemon. This class knows when the daemon has to look at the backing file,
// and what the times found there mean for the inode.
//
// When to look, by what may be changing the file:
//
//   state         what is known                                   look           kernel may cache
//   clean         closed; no change since the last look           no             attributes
//   dirty         closed; changed since the last look             once -> clean  attributes
//   open          open, but nobody can map it for writing         each time      attributes (1)
//   writable      open for reading and writing: may be mapped     each time      nothing
//   maybe mapped  closed; a mapping for writing may be left       each time (2)  nothing
//
//   (1) The kernel drops the attributes when it passes a read or a write through, and asks for
//       them. It does not when a program stores through a mapping.
//   (2) Until the kernel says that nobody can write to the backing file any more: then dirty.
//
// Times. The inode's times are the truth, and the backing file's tell what the kernel did. The
// daemon and the kernel stamp by one clock (base::Now), so a stamp is not earlier than that of any
// event before. A time of the backing file that differs from the one at the last look is therefore
// taken over; but ctime only where it is later than the inode's, which a rename or a chmod may have
// moved meanwhile.

#ifndef MEMFUSE_SRC_MEMFS_BACKING_TIMES_H_
#define MEMFUSE_SRC_MEMFS_BACKING_TIMES_H_

#include <atomic>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "memfuse/types.h"
#include "src/memfs/times.h"

namespace memfuse::memfs {

// What statx(2) says of a backing file.
struct BackingState {
  uint64_t size = 0;
  uint64_t blocks = 0;  // of 512 bytes
  Times times;
  Timestamp btime;
};

class BackingTimes {
 public:
  // From any thread. Each NoteOpen is followed by a NoteClose with the same flags of open(2).
  void NoteOpen(uint32_t flags);
  void NoteClose(uint32_t flags);
  // The daemon changed the file itself.
  void NoteChange() { dirty_.store(true); }

  bool open() const { return opens_.load() > 0; }
  // Opens for reading and writing.
  uint32_t writable_opens() const { return writable_opens_.load(); }
  // How long the kernel may cache the attributes, without a look.
  CacheSeconds Validity() const { return writable_opens() > 0 ? 0 : kCacheForever; }

  // The methods below are called with the attribute lock of the inode held.

  // Whether the file has to be looked at; the look follows, then Merge. `has_writers` asks the
  // kernel whether anybody can write to the backing file; it is called in the state 'maybe mapped'
  // only.
  bool BeginLook(absl::FunctionRef<bool()> has_writers);
  // Takes over what happened to the backing file since the last look. Returns how long the kernel
  // may cache the attributes.
  CacheSeconds Merge(const BackingState& found, Times* times);
  // The daemon gave the backing file times, and found it so afterwards. `mtime` is the one that was
  // set; null: only atime was, and a write that was not looked at yet still counts. So does a store
  // through a mapping that came between the two.
  void NoteTimesSet(const BackingState& found, const Timestamp* mtime);
  // As far as is known, without a look: whether a read through the backing file moves atime. Always
  // so for a file that was never looked at.
  bool ReadMovesAtime(Timestamp now) const {
    return !looked_at_ || RelatimeIsDue(last_times_, now);
  }

 private:
  std::atomic<uint32_t> opens_{0};
  std::atomic<uint32_t> writable_opens_{0};
  std::atomic<bool> dirty_{false};         // changed, or opened or closed, since the last look
  std::atomic<bool> maybe_mapped_{false};  // closed by a program that could have mapped it

  // The inode's attribute lock guards these.
  bool uncached_ = false;   // the last look found it writable or maybe mapped
  bool looked_at_ = false;  // last_times_ is set
  PackedTimes last_times_;  // of the backing file, at the last look
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_BACKING_TIMES_H_
