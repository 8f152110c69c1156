// The clock for the timestamps of files, and the clock for durations.

#ifndef MEMFUSE_SRC_BASE_CLOCK_H_
#define MEMFUSE_SRC_BASE_CLOCK_H_

#include <time.h>

#include <cstdint>

#include "memfuse/types.h"

namespace memfuse::base {

// Returns the time that the kernel would give to a file that is changed now. Timestamps of the
// daemon are ordered with those that the kernel makes, on this mount and on every other file
// system: of two events, the later one never has an earlier timestamp.
//
// clock_gettime(2) has no such clock. CLOCK_REALTIME is ahead of the kernel's timestamps by up to a
// tick (1 to 10 ms), because those are coarse. CLOCK_REALTIME_COARSE is behind them if the kernel
// has multigrain timestamps (Linux 6.13): a file whose times were read gets an exact timestamp at
// its next change, and from then on no file gets an earlier one. Now() therefore lets the kernel
// stamp a file: it changes the times of a memory file and reads its mtime. This costs two system
// calls (0.4 us), or four if another timestamp has just been made. If the memory file could not be
// made (no descriptor, no memory), Now() uses CLOCK_REALTIME.
//
// With multigrain timestamps the result is exact, and later than every timestamp before the call.
//
// Thread-safe.
Timestamp Now();

// Returns CLOCK_REALTIME as of the last tick, without a system call. It is for decisions that do
// not depend on a tick, and not for timestamps.
Timestamp WallTime();

// Returns CLOCK_MONOTONIC in nanoseconds. It is for durations. No system call is made where the
// kernel lets programs read the counter of the CPU (25 ns on x86-64).
inline uint64_t MonotonicNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_CLOCK_H_
