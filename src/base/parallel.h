// Work that is divided among threads.

#ifndef MEMFUSE_SRC_BASE_PARALLEL_H_
#define MEMFUSE_SRC_BASE_PARALLEL_H_

#include <cstddef>

#include "absl/functional/function_ref.h"

namespace memfuse::base {

// Calls `work` once with each number below `count`, on the calling thread and others: in all on at
// most `max_threads` threads, and on no more than there are CPUs. Uses fewer threads if they cannot
// be started. Returns when all calls have returned. If a call throws std::bad_alloc, calls that
// have not begun are not made, and RunInParallel throws it.
void RunInParallel(size_t count, int max_threads, absl::FunctionRef<void(size_t)> work);

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_PARALLEL_H_
