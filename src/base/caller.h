// What the kernel's requests leave out about the process that makes them.

#ifndef MEMFUSE_SRC_BASE_CALLER_H_
#define MEMFUSE_SRC_BASE_CALLER_H_

#include <cstdint>

namespace memfuse::base {

// Whether `gid` is among the supplementary groups of the thread `pid`, as /proc tells. False where
// it cannot be found out (another PID namespace, pid 0). It opens a file: for rare cases only.
bool ThreadHasGroup(uint32_t pid, uint32_t gid);

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_CALLER_H_
