#include "src/cli/daemonize.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <string>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "src/cli/message.h"

namespace memfuse::cli {
namespace {

// The child's report: this byte; or a letter for the status code of the error, and a sentence.
constexpr absl::string_view kUp = "\n";
constexpr char kFirstCode = 'A';

std::string WordOf(const absl::Status& status) {
  return absl::StrCat(std::string(1, static_cast<char>(kFirstCode + status.raw_code())),
                      status.message());
}
absl::Status StatusOf(absl::string_view word) {
  return absl::Status(static_cast<absl::StatusCode>(word[0] - kFirstCode), word.substr(1));
}

absl::Status SystemError(absl::string_view what) {
  return absl::ResourceExhaustedError(
      absl::StrCat(what, ": ", std::generic_category().message(errno)));
}

bool WriteAll(int fd, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

std::string ReadAll(int fd) {
  std::string text;
  char buffer[512];
  for (;;) {
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer, static_cast<size_t>(got));
  }
}

std::string DescribeDeath(int status) {
  if (WIFSIGNALED(status)) {
    return absl::StrCat("the daemon was killed by signal ", WTERMSIG(status),
                        " before the file system was mounted");
  }
  return absl::StrCat("the daemon ended with status ", WEXITSTATUS(status),
                      " before the file system was mounted");
}

[[noreturn]] void WaitForChild(pid_t child, int pipe, const std::function<void()>& on_death) {
  const std::string word = ReadAll(pipe);
  if (word == kUp) _exit(0);
  if (!word.empty()) _exit(Fail(StatusOf(word)));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  on_death();
  _exit(Fail(DescribeDeath(status)));
}

// The daemon would otherwise keep a descriptor that the caller did not intend to pass (a pipe of a
// build tool, a lock file) open until the file system is unmounted.
void CloseInheritedDescriptors(int keep_a, int keep_b) {
  unsigned first = STDERR_FILENO + 1;
  for (const int keep : {std::min(keep_a, keep_b), std::max(keep_a, keep_b)}) {
    if (keep < static_cast<int>(first)) continue;
    const auto kept = static_cast<unsigned>(keep);
    if (kept > first) close_range(first, kept - 1, 0);
    first = kept + 1;
  }
  close_range(first, UINT_MAX, 0);
}

void BecomeBackgroundProcess() {
  setsid();
  const base::UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (null.valid()) dup2(null.get(), stream);
  }
}

}  // namespace

bool StartupReport::Succeed() {
  if (!pipe_.valid()) return true;
  base::UniqueFd pipe = std::move(pipe_);
  BecomeBackgroundProcess();
  return WriteAll(pipe.get(), kUp);
}

void StartupReport::LeaveTerminal() {
  if (!pipe_.valid()) return;
  pipe_.reset();
  BecomeBackgroundProcess();
}

int StartupReport::Fail(const absl::Status& status) {
  if (!pipe_.valid()) return cli::Fail(status);
  WriteAll(pipe_.get(), WordOf(status));
  pipe_.reset();
  return ExitStatus(status.code());
}

int StartupReport::Fail(absl::string_view sentence) { return Fail(absl::InternalError(sentence)); }

void EnsureStandardStreams() {
  int fd;
  do {
    fd = open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

void DetachFromEnvironment() {
  if (chdir("/") != 0) {
    // This fails only in an unusual chroot without "/". The daemon then keeps the old directory
    // busy.
  }
  umask(0);
}

absl::StatusOr<StartupReport> Daemonize(int keep_fd, const std::function<void()>& on_silent_death) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return SystemError("cannot make a pipe");
  base::UniqueFd read_end(ends[0]);
  base::UniqueFd write_end(ends[1]);
  // The parent must be able to wait for its child, even if its own parent left SIGCHLD ignored.
  std::signal(SIGCHLD, SIG_DFL);
  const pid_t child = fork();
  if (child < 0) return SystemError("cannot fork");
  if (child > 0) {
    write_end.reset();
    // With this copy open, the connection would stay after a daemon that dies immediately.
    if (keep_fd > STDERR_FILENO) close(keep_fd);
    WaitForChild(child, read_end.get(), on_silent_death);
  }
  read_end.release();
  CloseInheritedDescriptors(keep_fd, write_end.get());
  return StartupReport(std::move(write_end));
}

}  // namespace memfuse::cli
