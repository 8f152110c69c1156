#include "src/memfs/data/backing_times.h"

#include <fcntl.h>

#include "src/base/clock.h"

namespace memfuse::memfs {
namespace {

bool IsWritableMapper(uint32_t flags) { return (flags & O_ACCMODE) == O_RDWR; }

}  // namespace

void BackingTimes::NoteOpen(uint32_t flags) {
  dirty_.store(true);
  opens_.fetch_add(1);
  if (IsWritableMapper(flags)) writable_opens_.fetch_add(1);
}

void BackingTimes::Adopt(const BackingState& found, PackedTimes* times, uint32_t opens,
                         uint32_t writable_opens) {
  opens_.store(opens);
  writable_opens_.store(writable_opens);
  maybe_mapped_.store(true);
  dirty_.store(true);
  uncached_ = true;
  looked_at_ = true;
  last_times_ = PackedTimes(found.times);
  // The time at which the backing file was made is no change of the inode. It is that of a write if
  // the file has data.
  const bool has_data = found.size != 0 || found.blocks != 0;
  // A program has chosen a time that is more than a second in the future, or the clock was set
  // back. The backing file has the same time unless the kernel has changed it since.
  const int64_t now = base::WallTime().seconds;
  const auto has_moved = [now](Timestamp known, Timestamp is) {
    return known < is || (now + 1 < known.seconds && known != is);
  };
  const bool written =
      has_moved(times->mtime, found.times.mtime) && (has_data || found.times.mtime != found.btime);
  const bool read = has_moved(times->atime, found.times.atime) && found.times.atime != found.btime;
  if (read) times->atime = found.times.atime;
  if (!written) return;
  times->mtime = found.times.mtime;
  // The daemon moves the ctime of the backing file too, when it sets times, so a later ctime alone
  // means nothing.
  if (has_moved(times->ctime, found.times.ctime)) times->ctime = found.times.ctime;
}

void BackingTimes::NoteClose(uint32_t flags) {
  if (IsWritableMapper(flags)) {
    // The order matters: a look between the two statements sees at least one of the two states.
    maybe_mapped_.store(true);
    if (writable_opens_.load() > 0) writable_opens_.fetch_sub(1);
  }
  dirty_.store(true);
  opens_.fetch_sub(1);
}

bool BackingTimes::BeginLook(absl::FunctionRef<bool()> has_writers) {
  const bool is_open = open();
  uncached_ = writable_opens() > 0;
  if (maybe_mapped_.load()) {
    if (is_open) {
      // The kernel cannot distinguish a mapping from an open file.
      uncached_ = true;
    } else if (maybe_mapped_.store(false); has_writers()) {
      // maybe_mapped_ was cleared before the kernel was asked, so that a close in the meantime is
      // not lost.
      maybe_mapped_.store(true);
      uncached_ = true;
    }
  }
  // dirty_ is cleared before the caller looks at the file, so an event after the look is found by
  // the next one.
  return dirty_.exchange(is_open || uncached_) || is_open || uncached_;
}

CacheSeconds BackingTimes::Merge(const BackingState& found, Times* times) {
  // A backing file has its birth time as its initial times. Data that it has was written after
  // that, possibly with the same time stamp.
  const bool written_at_birth = !looked_at_ && (found.size != 0 || found.blocks != 0);
  const PackedTimes before =
      looked_at_ ? last_times_ : PackedTimes({found.btime, found.btime, found.btime});
  const bool written = written_at_birth || before.mtime != found.times.mtime;
  if (written) times->mtime = found.times.mtime;
  if (written || before.ctime != found.times.ctime) {
    // If the inode's ctime is more than a second in the future, the clock was set back.
    if (times->ctime < found.times.ctime || base::WallTime().seconds + 1 < times->ctime.seconds) {
      times->ctime = found.times.ctime;
    }
  }
  // The kernel gives an exact time stamp to the next change of a file whose times were read. Here
  // the reader sees the inode's ctime, which is not that of the backing file. The call of Now()
  // ensures that the next write gets a later time stamp.
  if (open() && Timestamp(found.times.ctime) < times->ctime) (void)base::Now();
  if (before.atime != found.times.atime) times->atime = found.times.atime;
  last_times_ = PackedTimes(found.times);
  looked_at_ = true;
  return uncached_ ? 0 : kCacheForever;
}

void BackingTimes::NoteTimesSet(const BackingState& found, const Timestamp* mtime) {
  const PackedTime last_mtime = looked_at_ ? last_times_.mtime : PackedTime(found.btime);
  last_times_ = PackedTimes(found.times);
  last_times_.mtime = mtime != nullptr ? PackedTime(*mtime) : last_mtime;
  looked_at_ = true;
}

}  // namespace memfuse::memfs
