// Memory that the processes of the stress program share.

#ifndef MEMFUSE_TESTS_STRESS_SHARED_STATE_H_
#define MEMFUSE_TESTS_STRESS_SHARED_STATE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "tests/stress/operations.h"

namespace memfuse::stress {

inline constexpr int kMaxProcesses = 64;
inline constexpr int kMaxErrno = 134;

// Written by one process, read by the first process.
struct ProcessState {
  std::atomic<uint64_t> steps;
  std::atomic<uint64_t> outcomes[kOperations][kMaxErrno];  // [operation][errno], 0: success
  char doing[512];  // the last operation that was begun; read when the process is stuck or dead
};

struct SharedState {
  std::atomic<bool> stop;
  ProcessState processes[kMaxProcesses];
};

}  // namespace memfuse::stress

#endif  // MEMFUSE_TESTS_STRESS_SHARED_STATE_H_
