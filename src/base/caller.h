// What the kernel's requests leave out about the process that makes them.

#ifndef MEMFUSE_SRC_BASE_CALLER_H_
#define MEMFUSE_SRC_BASE_CALLER_H_

#include <cstdint>

namespace memfuse::base {

// Whether `gid` is among the supplementary groups of the thread `pid`, as /proc tells. False where
// it cannot be found out (another PID namespace, pid 0; no memory). It opens a file: for rare cases
// only.
bool ThreadHasGroup(uint32_t pid, uint32_t gid) noexcept;

// Whether `capability` (CAP_* of <linux/capability.h>) is in effect for the thread `pid`, in the
// user namespace of this process: elsewhere it is worth nothing here. False where it cannot be
// found out. For rare cases only, too.
bool ThreadHasCapability(uint32_t pid, int capability) noexcept;

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_CALLER_H_
