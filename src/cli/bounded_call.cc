#include "src/cli/bounded_call.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/time/clock.h"
#include "src/base/event.h"
#include "src/base/unique_fd.h"

namespace memfuse::cli {
namespace {

constexpr size_t kMaxChildren = 16;
constexpr size_t kMaxResult = 1 << 20;

struct Child {
  pid_t pid = -1;
  base::UniqueFd result;  // invalid after the end of the result
  std::string text;
  bool ended = false;
};

[[noreturn]] void RunChild(const std::function<std::string()>& function, int result) {
  // The descriptors of the caller. Standard input and output are replaced, because a program that
  // finds them closed could get their numbers for its files.
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (null >= 0) dup2(null, standard);
  }
  const auto number = static_cast<unsigned>(result);
  if (number > STDERR_FILENO + 1) close_range(STDERR_FILENO + 1, number - 1, 0);
  close_range(number + 1, ~0U, 0);
  std::string text;
  try {
    text = function();
  } catch (...) {
    _exit(1);
  }
  text.resize(std::min(text.size(), kMaxResult));
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t size = write(result, text.data() + written, text.size() - written);
    if (size < 0 && errno != EINTR) _exit(1);
    if (size > 0) written += static_cast<size_t>(size);
  }
  _exit(0);
}

Child StartChild(const std::function<std::string()>& function) {
  Child child;
  child.ended = true;
  int pipes[2];
  if (pipe2(pipes, O_CLOEXEC) != 0) return child;
  child.result.reset(pipes[0]);
  base::UniqueFd writer(pipes[1]);
  child.pid = fork();
  if (child.pid == 0) RunChild(function, writer.get());
  child.ended = child.pid < 0;
  return child;
}

void ReadResult(Child* child) {
  char buffer[4096];
  const ssize_t size = read(child->result.get(), buffer, sizeof(buffer));
  if (size > 0) {
    child->text.append(buffer, static_cast<size_t>(size));
  } else if (size == 0 || errno != EINTR) {
    child->ended = true;
  }
}

void AwaitEnds(std::vector<Child>* children, absl::Time deadline) {
  for (;;) {
    std::vector<pollfd> events;
    std::vector<Child*> waiting;
    for (Child& child : *children) {
      if (child.ended) continue;
      events.push_back({child.result.get(), POLLIN, 0});
      waiting.push_back(&child);
    }
    if (events.empty()) return;
    const int timeout = base::PollTimeout(deadline);
    const int ready = poll(events.data(), events.size(), timeout);
    if (ready == 0 && timeout == 0) return;
    for (size_t i = 0; ready > 0 && i < events.size(); ++i) {
      if (events[i].revents != 0) ReadResult(waiting[i]);
    }
  }
}

}  // namespace

std::vector<std::optional<std::string>> CallInChildren(
    const std::vector<std::function<std::string()>>& functions, absl::Duration timeout) {
  std::vector<std::optional<std::string>> results;
  while (results.size() < functions.size()) {
    std::vector<Child> children;
    const size_t count = std::min(kMaxChildren, functions.size() - results.size());
    for (size_t i = 0; i < count; ++i) {
      children.push_back(StartChild(functions[results.size() + i]));
    }
    AwaitEnds(&children, absl::Now() + timeout);
    for (Child& child : children) {
      results.push_back(child.ended ? std::optional<std::string>(child.text) : std::nullopt);
      if (child.pid <= 0) continue;
      // A child that has closed its pipe ends by itself.
      if (!child.ended) kill(child.pid, SIGKILL);
      pid_t reaped;
      do {
        reaped = waitpid(child.pid, nullptr, child.ended ? 0 : WNOHANG);
      } while (reaped < 0 && errno == EINTR);
    }
  }
  return results;
}

}  // namespace memfuse::cli
