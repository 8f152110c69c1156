// The times of an inode that can change.

#ifndef MEMFUSE_SRC_MEMFS_TREE_TIMES_H_
#define MEMFUSE_SRC_MEMFS_TREE_TIMES_H_

#include <cstdint>

#include "memfuse/types.h"

namespace memfuse::memfs {

// A Timestamp in 12 bytes. Each inode contains four of them.
class PackedTime {
 public:
  PackedTime() = default;
  explicit PackedTime(Timestamp time)
      : low_(static_cast<uint32_t>(static_cast<uint64_t>(time.seconds))),
        high_(static_cast<uint32_t>(static_cast<uint64_t>(time.seconds) >> 32)),
        nanoseconds_(time.nanoseconds) {}
  PackedTime& operator=(Timestamp time) { return *this = PackedTime(time); }
  operator Timestamp() const {  // NOLINT: the value does not change
    return {static_cast<int64_t>(uint64_t{high_} << 32 | low_), nanoseconds_};
  }

  friend bool operator==(PackedTime a, PackedTime b) { return Timestamp(a) == Timestamp(b); }
  friend bool operator!=(PackedTime a, PackedTime b) { return Timestamp(a) != Timestamp(b); }
  friend bool operator<(PackedTime a, PackedTime b) { return Timestamp(a) < Timestamp(b); }
  friend bool operator<=(PackedTime a, PackedTime b) { return Timestamp(a) <= Timestamp(b); }

 private:
  uint32_t low_ = 0;
  uint32_t high_ = 0;
  uint32_t nanoseconds_ = 0;
};
static_assert(sizeof(PackedTime) == 12);

struct Times {
  Timestamp atime, mtime, ctime;
};

struct PackedTimes {
  PackedTime atime, mtime, ctime;

  PackedTimes() = default;
  explicit PackedTimes(const Times& times)
      : atime(times.atime), mtime(times.mtime), ctime(times.ctime) {}
  operator Times() const { return {atime, mtime, ctime}; }  // NOLINT: the values do not change
};

// Whether `stamp` is before `other`, and their seconds differ by at most 1. A stamp that is further
// back shows that the clock was set back.
inline bool IsShortlyBefore(Timestamp stamp, Timestamp other) {
  return stamp < other && other.seconds - stamp.seconds <= 1;
}

// Whether a read moves atime under the mount option relatime: atime is not after mtime or not after
// ctime, or it is at least a day old.
inline bool RelatimeIsDue(const Times& times, Timestamp now) {
  constexpr int64_t kDay = int64_t{24} * 60 * 60;
  return times.atime <= times.mtime || times.atime <= times.ctime ||
         now.seconds - times.atime.seconds >= kDay;
}

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_TREE_TIMES_H_
