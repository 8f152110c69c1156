// The time of day, as the kernel stamps inodes with it.

#ifndef MEMFUSE_SRC_BASE_CLOCK_H_
#define MEMFUSE_SRC_BASE_CLOCK_H_

#include <ctime>

#include "memfuse/types.h"

namespace memfuse::base {

// CLOCK_REALTIME to the nanosecond; served by the vDSO without a system call.
inline Timestamp Now() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return {now.tv_sec, static_cast<uint32_t>(now.tv_nsec)};
}

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_CLOCK_H_
