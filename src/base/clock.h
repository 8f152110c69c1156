// The clock that stamps files.

#ifndef MEMFUSE_SRC_BASE_CLOCK_H_
#define MEMFUSE_SRC_BASE_CLOCK_H_

#include "memfuse/types.h"

namespace memfuse::base {

// The time that the kernel gives to a file that is changed now. Stamps of the daemon are in order
// with those that the kernel makes, on this mount and on every other file system: of two events,
// the later one never gets an earlier stamp.
//
// clock_gettime(2) has no clock of that kind. CLOCK_REALTIME is ahead of the kernel's stamps by up
// to a tick (1 to 10 ms), since those are coarse. CLOCK_REALTIME_COARSE is behind them where the
// kernel has multigrain timestamps (Linux 6.13): a file that was looked at gets an exact stamp, and
// from then on no file gets an earlier one. So the kernel is asked to stamp a file: Now() touches a
// memory file and reads its mtime, which costs two system calls (0.4 us), or four where another
// stamp has just been made. Where there is no such file (no descriptor, no memory), CLOCK_REALTIME
// is taken.
//
// With multigrain timestamps the result is exact, and later than every stamp before the call.
//
// Thread-safe.
Timestamp Now();

// CLOCK_REALTIME as of the last tick, without a system call. For decisions that a tick does not
// change; not for stamps.
Timestamp WallTime();

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_CLOCK_H_
