// Waits for the exit of a process, by means of a pidfd (pidfd_open(2), Linux 5.3).

#ifndef MEMFUSE_TESTS_TESTING_PROCESS_EXIT_H_
#define MEMFUSE_TESTS_TESTING_PROCESS_EXIT_H_

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>

#include "src/base/unique_fd.h"

namespace memfuse::test {

// A descriptor that becomes readable when the process exits. Invalid if there is no such process.
inline base::UniqueFd OpenProcess(pid_t process) {
  return base::UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, process, 0u)));
}

// The timeout for a poll(2) that ends at `deadline`, or after the longest time that fits.
inline int PollTimeout(std::chrono::steady_clock::time_point deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, INT_MAX));
}

// Waits for the exit of the process, and does not reap it. Returns false if it still runs at the
// deadline. True if there is no such process.
inline bool AwaitExit(pid_t process, std::chrono::steady_clock::time_point deadline) {
  const base::UniqueFd exit = OpenProcess(process);
  if (!exit.valid()) return errno == ESRCH;
  for (;;) {
    pollfd wait = {exit.get(), POLLIN, 0};
    const int timeout = PollTimeout(deadline);
    if (poll(&wait, 1, timeout) > 0) return true;
    if (timeout == 0) return false;
  }
}

}  // namespace memfuse::test

#endif  // MEMFUSE_TESTS_TESTING_PROCESS_EXIT_H_
