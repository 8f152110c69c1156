// Runs code in a child process instruction by instruction, to look at shared memory as it would be
// if the child were killed at that instruction.

#ifndef MEMFUSE_TESTS_TESTING_STEPPED_PROCESS_H_
#define MEMFUSE_TESTS_TESTING_STEPPED_PROCESS_H_

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace memfuse::test {

// Forks. The child runs `body`, and stops after each instruction; the calling process calls
// `look` each time, except within a read of the clock. The child sees a copy of the caller's
// memory, except for shared mappings, which are the same memory in both. Returns the number of
// instructions, or 0 if `body` threw an exception or the child died. The caller has one thread that
// matters to `body`: the child has no other.
uint64_t RunInSteps(absl::FunctionRef<void()> body, absl::FunctionRef<void()> look);

}  // namespace memfuse::test

#endif  // MEMFUSE_TESTS_TESTING_STEPPED_PROCESS_H_
