// To the background, with a parent that waits to see whether it went well.

#ifndef MEMFUSE_SRC_CLI_DAEMONIZE_H_
#define MEMFUSE_SRC_CLI_DAEMONIZE_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "src/base/unique_fd.h"

namespace memfuse::cli {

// How the serving process tells whoever started it that it is up, or why it is not. Without a
// waiting parent (in the foreground) success needs no word and failure goes to stderr.
class StartupReport {
 public:
  StartupReport() = default;
  explicit StartupReport(base::UniqueFd pipe) : pipe_(std::move(pipe)) {}

  // Says that the mount can be used. Before it, the process moves to a session of its own, and the
  // standard streams are turned to /dev/null: whoever reads them would wait for a daemon that never
  // writes. False if the parent is gone: somebody gave up on it.
  [[nodiscard]] bool Succeed();

  // Says why not, in one sentence; as cli::Fail. Returns the exit status that goes with it, which
  // becomes the parent's too.
  int Fail(const absl::Status& status);
  int Fail(absl::string_view sentence);

 private:
  base::UniqueFd pipe_;
};

// Opens /dev/null where the caller left standard input, output or error closed: whatever is opened
// next would take that number, and be taken for the stream. To be called first of all.
void EnsureStandardStreams();

// Makes this process independent of its surroundings: working directory "/" (a working directory,
// or a core dump, inside the own mount would wait for itself), umask 0 (the kernel applies the
// caller's). process_limits.h has what else is inherited.
void DetachFromEnvironment();

// Forks; to be called before there is any thread. The child returns, with all inherited descriptors
// but 0, 1, 2 and `keep_fd` (-1: none) closed. It stays in the caller's process group until it
// succeeds: autofs lets only the group of the automounter through to the directory that it is to
// mount on. The parent never returns: it exits with status 0 when the child reports success;
// otherwise it fails with the child's sentence, or, when the child died without a word, calls
// `on_silent_death` and says so.
absl::StatusOr<StartupReport> Daemonize(int keep_fd, const std::function<void()>& on_silent_death);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_DAEMONIZE_H_
