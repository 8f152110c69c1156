// The times of an inode that change.

#ifndef MEMFUSE_SRC_MEMFS_TIMES_H_
#define MEMFUSE_SRC_MEMFS_TIMES_H_

#include "memfuse/types.h"

namespace memfuse::memfs {

struct Times {
  Timestamp atime, mtime, ctime;
};

// Whether a read moves atime, as mount option relatime has it: when it is not after mtime and
// ctime, or more than a day old.
inline bool RelatimeIsDue(const Times& times, Timestamp now) {
  constexpr int64_t kDay = 24 * 60 * 60;
  return times.atime <= times.mtime || times.atime <= times.ctime ||
         now.seconds - times.atime.seconds >= kDay;
}

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_TIMES_H_
