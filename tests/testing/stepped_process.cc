#include "tests/testing/stepped_process.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

namespace memfuse::test {
namespace {

// The system calls by which the child marks the beginning and the end of `body`.
void Mark() { raise(SIGSTOP); }

bool WaitForStop(pid_t child, int* status) {
  return waitpid(child, status, 0) == child && WIFSTOPPED(*status);
}

void Kill(pid_t child) {
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

}  // namespace

uint64_t RunInSteps(absl::FunctionRef<void()> body, absl::FunctionRef<void()> look) {
  const pid_t child = fork();
  if (child < 0) return 0;
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    Mark();
    try {
      body();
    } catch (...) {
      _exit(1);
    }
    Mark();
    _exit(0);
  }
  int status = 0;
  if (!WaitForStop(child, &status)) return 0;
  uint64_t steps = 0;
  for (;;) {
    // Other signals than those of the steps (SIGTRAP) and of the marks go on to the child.
    const int signal = steps == 0 || WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
    if (ptrace(PTRACE_SINGLESTEP, child, nullptr, signal) != 0 || !WaitForStop(child, &status)) {
      return 0;
    }
    if (WSTOPSIG(status) == SIGSTOP) break;
    ++steps;
    look();
  }
  Kill(child);
  return steps;
}

}  // namespace memfuse::test
