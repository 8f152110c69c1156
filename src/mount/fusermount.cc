#include "src/mount/fusermount.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "src/base/deadline.h"
#include "src/base/error_text.h"

extern char** environ;

namespace memfuse::mount {
namespace {

constexpr char kProgram[] = "fusermount3";
// Used if PATH does not contain it, as in the helpers of mount(8).
constexpr char kProgramPath[] = "/usr/bin/fusermount3";
constexpr char kDescriptorVariable[] = "_FUSE_COMMFD=";
constexpr absl::Duration kHelperTimeout = absl::Seconds(30);

std::vector<char*> Pointers(std::vector<std::string>* strings) {
  std::vector<char*> pointers;
  for (std::string& string : *strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Starts the program with `socket` as its _FUSE_COMMFD and `error` as its stderr. Returns 0 or an
// errno.
int Spawn(const std::vector<std::string>& arguments, int socket, int error, pid_t* child) {
  std::vector<std::string> argv = {kProgram};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!absl::StartsWith(*variable, kDescriptorVariable)) environment.emplace_back(*variable);
  }
  environment.push_back(absl::StrCat(kDescriptorVariable, socket));

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  const absl::Cleanup destroy = [&] {
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
  };
  // dup2(2) of a descriptor to itself removes close-on-exec, in the child only.
  posix_spawn_file_actions_adddup2(&actions, socket, socket);
  posix_spawn_file_actions_adddup2(&actions, error, STDERR_FILENO);
  // The caller may block signals that would stop the helper, or ignore SIGCHLD.
  sigset_t none, standard;
  sigemptyset(&none);
  sigemptyset(&standard);
  for (const int signal : {SIGCHLD, SIGPIPE, SIGTERM, SIGINT, SIGHUP}) {
    sigaddset(&standard, signal);
  }
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &standard);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  const std::vector<char*> argv_pointers = Pointers(&argv);
  const std::vector<char*> environment_pointers = Pointers(&environment);
  const int result = posix_spawnp(child, kProgram, &actions, &attributes, argv_pointers.data(),
                                  environment_pointers.data());
  // EACCES means only that PATH contains a directory that this user must not search.
  if (result != ENOENT && result != EACCES) return result;
  return posix_spawn(child, kProgramPath, &actions, &attributes, argv_pointers.data(),
                     environment_pointers.data());
}

// Receives the descriptor that is waiting in `socket`, if there is one.
base::UniqueFd ReceiveDescriptor(int socket) {
  char byte;
  iovec part = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) <= 0) return {};
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int))) {
    return {};
  }
  int descriptor;
  std::memcpy(&descriptor, CMSG_DATA(header), sizeof(descriptor));
  return base::UniqueFd(descriptor);
}

// Reads `pipe` until its last writer has closed it, or until read(2) fails. False: the deadline
// passed first.
bool ReadAll(int pipe, base::Deadline deadline, std::string* text) {
  for (;;) {
    const int timeout = deadline.PollTimeout();
    pollfd wait = {pipe, POLLIN, 0};
    const int ready = poll(&wait, 1, timeout);
    if (ready == 0 && timeout == 0) return false;
    if (ready <= 0) continue;
    char chunk[512];
    const ssize_t size = read(pipe, chunk, sizeof(chunk));
    if (size == 0) return true;
    if (size > 0) text->append(chunk, static_cast<size_t>(size));
    if (size < 0 && errno != EINTR) return true;
  }
}

std::string OneLine(std::string text) {
  text = absl::StrReplaceAll(text, {{"\n", " "}});
  return std::string(absl::StripAsciiWhitespace(text));
}

}  // namespace

absl::StatusOr<FusermountResult> RunFusermount(const std::vector<std::string>& arguments) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
    return absl::InternalError(absl::StrCat("cannot make a socket pair: ", base::ErrorText(errno)));
  }
  const base::UniqueFd ours(sockets[0]);
  base::UniqueFd theirs(sockets[1]);
  int pipes[2];
  if (pipe2(pipes, O_CLOEXEC) != 0) {
    return absl::InternalError(absl::StrCat("cannot make a pipe: ", base::ErrorText(errno)));
  }
  const base::UniqueFd error_reader(pipes[0]);
  base::UniqueFd error_writer(pipes[1]);

  pid_t child = 0;
  const int spawned = Spawn(arguments, theirs.get(), error_writer.get(), &child);
  if (spawned == ENOENT) {
    return absl::FailedPreconditionError(
        "fusermount3, which mounts for users other than root, is not installed (package fuse3)");
  }
  if (spawned != 0) {
    return absl::InternalError(
        absl::StrCat("cannot start fusermount3: ", base::ErrorText(spawned)));
  }
  theirs.reset();
  error_writer.reset();

  FusermountResult result;
  const bool ended =
      ReadAll(error_reader.get(), base::Deadline::After(kHelperTimeout), &result.error_text);
  if (!ended) kill(child, SIGKILL);
  int status = 0;
  pid_t reaped;
  do {
    reaped = waitpid(child, &status, 0);
  } while (reaped < 0 && errno == EINTR);
  if (!ended) return absl::DeadlineExceededError("fusermount3 did not end, and was killed");
  // A caller that ignores SIGCHLD gets no exit status. An empty error text then means success.
  result.succeeded =
      reaped == child ? WIFEXITED(status) && WEXITSTATUS(status) == 0 : result.error_text.empty();
  result.descriptor = ReceiveDescriptor(ours.get());
  result.error_text = OneLine(std::move(result.error_text));
  return result;
}

}  // namespace memfuse::mount
