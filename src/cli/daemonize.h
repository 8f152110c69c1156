// Moves the process to the background, with a parent that waits for the result of the start.

#ifndef MEMFUSE_SRC_CLI_DAEMONIZE_H_
#define MEMFUSE_SRC_CLI_DAEMONIZE_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "src/base/unique_fd.h"

namespace memfuse::cli {

// The serving process reports through this to its parent that it has started, or why it has not.
// Without a waiting parent (in the foreground) success is not reported and failure goes to stderr.
class StartupReport {
 public:
  StartupReport() = default;
  explicit StartupReport(base::UniqueFd pipe) : pipe_(std::move(pipe)) {}

  // Reports that the mount can be used, after LeaveTerminal. False if the parent is gone, because
  // it was killed.
  [[nodiscard]] bool Succeed();

  // In the background: moves the process to a session of its own, and redirects the standard
  // streams to /dev/null, because a process that reads them would otherwise wait for a daemon that
  // never writes. Closes the pipe: another process that has it reports.
  void LeaveTerminal();

  // Reports the reason of a failure in one sentence, as cli::Fail. Returns the exit status that
  // belongs to it; the parent exits with the same status.
  int Fail(const absl::Status& status);
  int Fail(absl::string_view sentence);

 private:
  base::UniqueFd pipe_;
};

// Opens /dev/null for each of standard input, output and error that the caller left closed: the
// next descriptor that is opened would otherwise get that number and be used as the stream. Must be
// called first.
void EnsureStandardStreams();

// Makes this process independent of its environment: working directory "/" (the daemon would wait
// for itself with a working directory, or a core dump, inside its own mount), umask 0 (the kernel
// applies the caller's). process_limits.h handles the other inherited state.
void DetachFromEnvironment();

// Forks; must be called before there is any thread. The child returns, with all inherited
// descriptors except 0, 1, 2 and `keep_fd` (-1: none) closed. It stays in the caller's process
// group until it succeeds: autofs lets only the process group of the automounter access the
// directory that it mounts on. The parent never returns: it exits with status 0 when the child
// reports success. Otherwise it fails with the child's sentence. If the child died without a
// report, the parent calls `on_silent_death` and fails with a sentence about that.
absl::StatusOr<StartupReport> Daemonize(int keep_fd, const std::function<void()>& on_silent_death);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_DAEMONIZE_H_
