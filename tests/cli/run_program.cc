#include "tests/cli/run_program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>

#include "absl/strings/str_split.h"
#include "src/base/unique_fd.h"
#include "tests/testing/process_exit.h"

namespace memfuse::cli {
namespace {

using std::chrono::steady_clock;

struct Stream {
  base::UniqueFd fd;
  std::string* text;
};

// Returns false at the end of the stream.
bool ReadSome(Stream& stream) {
  char buffer[4096];
  const ssize_t got = read(stream.fd.get(), buffer, sizeof(buffer));
  if (got > 0) stream.text->append(buffer, static_cast<size_t>(got));
  return got > 0 || (got < 0 && errno == EINTR);
}

// Returns false if the deadline passes first.
bool ReadToTheEnd(std::array<Stream, 2>& streams, steady_clock::time_point deadline) {
  for (;;) {
    std::vector<pollfd> waiting;
    for (const Stream& stream : streams) {
      if (stream.fd.valid()) waiting.push_back({stream.fd.get(), POLLIN, 0});
    }
    if (waiting.empty()) return true;
    const int timeout = test::PollTimeout(deadline);
    if (timeout == 0) return false;
    poll(waiting.data(), waiting.size(), timeout);
    for (const pollfd& ready : waiting) {
      if (ready.revents == 0) continue;
      for (Stream& stream : streams) {
        if (stream.fd.get() == ready.fd && !ReadSome(stream)) stream.fd.reset();
      }
    }
  }
}

pid_t Spawn(const std::vector<std::string>& command, int out, int err) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  pid_t child = -1;
  const int error =
      posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? child : -1;
}

// The exit status, or -1. Kills a child that does not exit before the deadline.
int WaitUntil(pid_t child, steady_clock::time_point deadline) {
  const bool exited = test::AwaitExit(child, deadline);
  if (!exited) kill(child, SIGKILL);
  int status;
  if (waitpid(child, &status, 0) != child || !exited) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

ProgramResult RunProgram(const std::vector<std::string>& command, absl::Duration timeout) {
  const auto deadline = steady_clock::now() + absl::ToChronoNanoseconds(timeout);
  ProgramResult result;
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) return result;
  std::array<Stream, 2> streams = {Stream{base::UniqueFd(out[0]), &result.out},
                                   Stream{base::UniqueFd(err[0]), &result.err}};
  const pid_t child = Spawn(command, out[1], err[1]);
  close(out[1]);
  close(err[1]);
  if (child < 0) {
    result.err = "cannot run " + command[0];
    return result;
  }
  const bool ended = ReadToTheEnd(streams, deadline);
  result.exit_status = WaitUntil(child, ended ? deadline : steady_clock::now());
  if (!ended) {
    result.exit_status = -1;
    result.err += "<the output did not end in time>";
  }
  return result;
}

ProgramResult RunMemfuse(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), MEMFUSE_PROGRAM);
  return RunProgram(arguments);
}

bool IsMounted(const std::string& path) {
  std::ifstream mountinfo("/proc/self/mountinfo");
  for (std::string line; std::getline(mountinfo, line);) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    if (fields.size() > 4 && fields[4] == path) return true;
  }
  return false;
}

}  // namespace memfuse::cli
