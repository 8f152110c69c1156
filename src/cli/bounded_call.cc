#include "src/cli/bounded_call.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "src/base/deadline.h"
#include "src/base/unique_fd.h"

namespace memfuse::cli {
namespace {

constexpr size_t kMaxChildren = 16;
constexpr size_t kMaxResult = 1 << 20;

struct Child {
  pid_t pid;
  base::UniqueFd result;
  std::string text;  // what was read of the result
  bool ended;        // the result was read to its end
  size_t index;      // of the function
  base::Deadline deadline;
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

// A child that could not be started has ended.
Child StartChild(const std::function<std::string()>& function, size_t index,
                 absl::Duration timeout) {
  Child child = {-1, {}, {}, true, index, base::Deadline::After(timeout)};
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

// Waits until a child has written something or has ended, or a deadline passes.
void AwaitOne(std::vector<Child>* children) {
  std::vector<pollfd> events;
  base::Deadline first = base::Deadline::Never();
  for (const Child& child : *children) {
    events.push_back({child.result.get(), POLLIN, 0});
    first = std::min(first, child.deadline);
  }
  if (poll(events.data(), events.size(), first.PollTimeout()) <= 0) return;
  for (size_t i = 0; i < events.size(); ++i) {
    if (events[i].revents != 0) ReadResult(&(*children)[i]);
  }
}

void Reap(const Child& child) {
  // A child that has closed its pipe ends by itself.
  if (!child.ended) kill(child.pid, SIGKILL);
  pid_t reaped;
  do {
    reaped = waitpid(child.pid, nullptr, child.ended ? 0 : WNOHANG);
  } while (reaped < 0 && errno == EINTR);
}

}  // namespace

std::vector<std::optional<std::string>> CallInChildren(
    const std::vector<std::function<std::string()>>& functions, absl::Duration timeout) {
  std::vector<std::optional<std::string>> results(functions.size());
  std::vector<Child> children;
  size_t next = 0;
  while (next < functions.size() || !children.empty()) {
    for (; next < functions.size() && children.size() < kMaxChildren; ++next) {
      Child child = StartChild(functions[next], next, timeout);
      if (child.ended) {
        results[next] = "";
      } else {
        children.push_back(std::move(child));
      }
    }
    if (children.empty()) break;
    AwaitOne(&children);
    const auto over = std::stable_partition(
        children.begin(), children.end(),
        [](const Child& child) { return !child.ended && !child.deadline.passed(); });
    for (auto child = over; child != children.end(); ++child) {
      Reap(*child);
      if (child->ended) results[child->index] = std::move(child->text);
    }
    children.erase(over, children.end());
  }
  return results;
}

}  // namespace memfuse::cli
