#include "src/keeper/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include "absl/types/span.h"
#include "src/base/clock.h"

namespace memfuse::keeper {
namespace {

// Messages of a server. The numbers of Kind are messages with a descriptor.
constexpr uint32_t kReady = 100;
constexpr uint32_t kReceived = 101;
constexpr uint32_t kServed = 102;
constexpr uint32_t kEnded = 103;
constexpr uint32_t kHanging = 104;

struct Message {
  uint32_t type = 0;
  base::UniqueFd descriptor;
};

constexpr int kForwarded[] = {SIGTERM, SIGINT, SIGUSR1};

// Sends a message. A keeper that has died is no error.
void Send(int socket, uint32_t type, int descriptor) {
  iovec part = {&type, sizeof(type)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  }
  while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

// Receives a message without waiting. nullopt: there is none. A message of another size has the
// type 0.
std::optional<Message> Receive(int socket) {
  Message received;
  iovec part = {&received.type, sizeof(received.type)};
  // Room for more descriptors than a message may have, which are closed.
  alignas(cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t size;
  do {
    size = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return std::nullopt;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int descriptor;
      std::memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      received.descriptor.reset(descriptor);
    }
  }
  // The end of the stream looks like an empty message.
  if (size == 0) return std::nullopt;
  if (size != sizeof(received.type) || (message.msg_flags & MSG_TRUNC) != 0) received.type = 0;
  return received;
}

sigset_t ForwardedSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : kForwarded) sigaddset(&signals, signal);
  return signals;
}

class Keeper {
 public:
  explicit Keeper(const Callbacks& callbacks) : callbacks_(callbacks) {}

  int Run();

 private:
  enum class End {
    kOver,     // the file system has ended; status_ is the exit status
    kDied,     // a successor is needed
    kKilled,   // by SIGKILL; the same
    kNoStart,  // no process could be made, or it exited before it was ready
  };

  // Starts a server and stays until it has ended.
  End RunServer();
  // Handles what the server has sent.
  void HandleMessages(int socket);
  // Waits for the messages and the end of the server. Returns its wait status.
  int Supervise(pid_t server, int process, int socket);
  // Passes a signal that has come on to the server, if there is one, and notes it for successors.
  void ForwardSignal();
  // Returns whether another server may be started, after a pause if the last ones have served
  // nothing: what was missing, memory for example, may be there then.
  bool MayTryAgain(End end);
  // Logs the lines that a server has left in the pipe.
  void LogReport(int pipe) const;
  void Log(const char* format, int a, int b) const;

  const Callbacks& callbacks_;
  Descriptors descriptors_;
  base::UniqueFd signals_;
  pid_t server_ = -1;
  bool first_ready_ = false;  // a server was ready once
  uint64_t takeovers_ = 0;    // successors that were ready
  bool after_crash_ = false;  // the last server has crashed
  bool read_only_ = false;    // after three early crashes: servers only let programs read
  bool ended_ = false;        // the file system has ended
  bool ready_ = false;        // this server is ready
  bool received_ = false;     // this server has received a request
  bool served_ = false;       // this server has answered a request
  bool hanging_ = false;      // this server ends itself
  int status_ = 0;
  int termination_ = 0;       // a signal that ends the file system, which every server gets
  uint64_t crashes_[2] = {};  // the times of early crashes, in nanoseconds
  uint64_t ready_since_ = 0;  // of this server, in nanoseconds
  int soon_crashes_ = 0;  // one after the other, each within a second after the server was ready
  int pause_ = 0;         // milliseconds, before the next server
};

int Keeper::Run() {
  const sigset_t forwarded = ForwardedSignals();
  pthread_sigmask(SIG_BLOCK, &forwarded, nullptr);
  signals_.reset(signalfd(-1, &forwarded, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.valid()) {
    callbacks_.log("cannot start the keeper: too many open files");
    return 1;
  }
  for (;;) {
    const End end = RunServer();
    if (end == End::kOver) return status_;
    if (!first_ready_) return 1;
    after_crash_ = end == End::kDied;
    if (MayTryAgain(end)) continue;
    if (end == End::kNoStart) {
      callbacks_.log("no server can be started; the file system ends, and its files are lost");
      return 1;
    }
    if (read_only_) {
      callbacks_.log("read-only servers crash, too; the file system ends, and its files are lost");
      return 1;
    }
    callbacks_.log(
        "servers crash before they answer a request; a read-only one is started, so that files can "
        "be copied");
    read_only_ = true;
    std::fill(std::begin(crashes_), std::end(crashes_), 0);
  }
}

bool Keeper::MayTryAgain(End end) {
  const uint64_t now = base::MonotonicNanoseconds();
  if (ready_ && !(received_ && !served_)) {
    std::fill(std::begin(crashes_), std::end(crashes_), 0);
    // Something that does not depend on a request may crash each server as soon as it serves.
    constexpr uint64_t kSoon = 1'000'000'000;
    constexpr int kFewCrashes = 10;
    soon_crashes_ = end == End::kDied && now - ready_since_ < kSoon ? soon_crashes_ + 1 : 0;
    pause_ = 0;
    if (soon_crashes_ > kFewCrashes) poll(nullptr, 0, 1000);
    return true;
  }
  if (end == End::kNoStart) {
    pause_ = std::clamp(2 * pause_, 100, 5000);
    pollfd signals = {signals_.get(), POLLIN, 0};
    poll(&signals, 1, pause_);
    ForwardSignal();
    return termination_ == 0;
  } else if (end == End::kDied) {
    constexpr uint64_t kPeriod = 10'000'000'000;
    const bool third = crashes_[0] != 0 && now - crashes_[0] < kPeriod;
    crashes_[0] = std::exchange(crashes_[1], now);
    if (third) return false;
  } else {
    pause_ = std::min(2 * pause_ + 1, 1000);
  }
  poll(nullptr, 0, pause_);
  return true;
}

void Keeper::Log(const char* format, int a, int b) const {
  char text[200];
  std::snprintf(text, sizeof(text), format, a, b);
  callbacks_.log(text);
}

void Keeper::LogReport(int pipe) const {
  // Nothing in the text is trusted. The kernel bounds the size of a pipe.
  std::array<char, 4096> text;
  char line[200];
  size_t length = 0;
  const auto end_line = [&] {
    line[length] = '\0';
    if (length > 0) callbacks_.log(line);
    length = 0;
  };
  for (ssize_t size; (size = read(pipe, text.data(), text.size())) > 0;) {
    for (const char c : absl::MakeConstSpan(text).first(static_cast<size_t>(size))) {
      if (c == '\n' || length == sizeof(line) - 1) end_line();
      if (c != '\n') line[length++] = c >= ' ' && c <= '~' ? c : '?';
    }
  }
  end_line();
}

Keeper::End Keeper::RunServer() {
  ready_ = false;
  received_ = false;
  served_ = false;
  hanging_ = false;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    callbacks_.log("cannot make a socket for a server");
    return End::kNoStart;
  }
  base::UniqueFd own(ends[0]);
  base::UniqueFd other(ends[1]);
  base::UniqueFd report_read;
  base::UniqueFd report_write;
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
    report_read.reset(ends[0]);
    report_write.reset(ends[1]);
  }
  prctl(PR_SET_NAME, "memfuse");
  const pid_t server = fork();
  if (server == 0) {
    own.reset();
    signals_.reset();
    const Client client(std::move(other));
    report_read.reset();
    Descriptors* const predecessor = first_ready_ ? &descriptors_ : nullptr;
    const int status = callbacks_.serve({&client, predecessor, takeovers_ + (first_ready_ ? 1 : 0),
                                         after_crash_, read_only_, report_write.get()});
    std::exit(status);  // NOLINT(concurrency-mt-unsafe): the server has ended its threads
  }
  prctl(PR_SET_NAME, "memfuse-keeper");
  other.reset();
  report_write.reset();
  if (server < 0) {
    callbacks_.log("cannot make a process for a server");
    return End::kNoStart;
  }
  server_ = server;
  if (termination_ != 0) kill(server, termination_);
  const base::UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, server, 0)));
  const int status = Supervise(server, process.get(), own.get());
  server_ = -1;
  // A server may have sent descriptors in its last moment.
  HandleMessages(own.get());
  if (report_read.valid()) LogReport(report_read.get());
  if (ended_ && !WIFEXITED(status)) {
    Log("the server (process %d) was killed by signal %d after the end of the file system",
        static_cast<int>(server), WTERMSIG(status));
    status_ = 0;
    return End::kOver;
  }
  if (WIFEXITED(status)) {
    status_ = WEXITSTATUS(status);
    // The first server has reported why it did not start.
    if (ready_ || ended_ || !first_ready_) return End::kOver;
    Log("a server exited with status %d before it was ready", status_, 0);
    return End::kNoStart;
  }
  Log(first_ready_ ? "the server (process %d) was killed by signal %d; another one takes over"
                   : "the server (process %d) was killed by signal %d before it was ready",
      static_cast<int>(server), WTERMSIG(status));
  return WTERMSIG(status) == SIGKILL && !hanging_ ? End::kKilled : End::kDied;
}

void Keeper::ForwardSignal() {
  signalfd_siginfo signal;
  if (read(signals_.get(), &signal, sizeof(signal)) != sizeof(signal)) return;
  const int number = static_cast<int>(signal.ssi_signo);
  if (number != SIGUSR1) termination_ = number;
  if (server_ > 0) kill(server_, number);
}

int Keeper::Supervise(pid_t server, int process, int socket) {
  // The socket, too, tells the end of the server, unless a process that it has started is alive.
  bool socket_open = true;
  for (;;) {
    pollfd events[] = {
        {process, POLLIN, 0}, {signals_.get(), POLLIN, 0}, {socket_open ? socket : -1, POLLIN, 0}};
    if (poll(events, std::size(events), -1) < 0) continue;
    if (events[2].revents != 0) {
      HandleMessages(socket);
      if ((events[2].revents & POLLHUP) != 0) socket_open = false;
    }
    if (events[1].revents != 0) ForwardSignal();
    // Without a descriptor of the process, its end is seen by the socket.
    if (events[0].revents == 0 && (process >= 0 || socket_open)) continue;
    int status = 0;
    // All threads of the server have ended when it can be waited for.
    while (waitpid(server, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
  }
}

void Keeper::HandleMessages(int socket) {
  while (std::optional<Message> message = Receive(socket)) {
    switch (message->type) {
      case static_cast<uint32_t>(Kind::kConnection):
      case static_cast<uint32_t>(Kind::kRecords):
      case static_cast<uint32_t>(Kind::kData):
      case static_cast<uint32_t>(Kind::kState):
      case static_cast<uint32_t>(Kind::kBuffer):
        if (message->descriptor.valid()) {
          descriptors_.Add(static_cast<Kind>(message->type), std::move(message->descriptor));
        }
        break;
      case kReady:
        ready_ = true;
        ready_since_ = base::MonotonicNanoseconds();
        if (first_ready_) {
          ++takeovers_;
          break;
        }
        first_ready_ = true;
        if (!callbacks_.on_ready()) {
          termination_ = SIGTERM;
          if (server_ > 0) kill(server_, SIGTERM);
        }
        break;
      case kReceived:
        received_ = true;
        break;
      case kEnded:
        ended_ = true;
        // The connection ends with the last descriptor.
        descriptors_.CloseConnections();
        break;
      case kServed:
        served_ = true;
        break;
      case kHanging:
        if (!std::exchange(hanging_, true)) {
          Log("the server (process %d) hangs: a request takes longer than --hang_timeout",
              static_cast<int>(server_), 0);
        }
        break;
      default:
        break;
    }
  }
}

}  // namespace

void Descriptors::Add(Kind kind, base::UniqueFd descriptor) {
  switch (kind) {
    case Kind::kConnection:
      connections_.Add(std::move(descriptor));
      return;
    case Kind::kBuffer:
      buffers_.Add(std::move(descriptor));
      return;
    case Kind::kRecords:
      records_ = std::move(descriptor);
      return;
    case Kind::kData:
      data_ = std::move(descriptor);
      return;
    case Kind::kState:
      state_ = std::move(descriptor);
      return;
  }
}

void Client::Hold(Kind kind, int descriptor) const {
  Send(socket_.get(), static_cast<uint32_t>(kind), descriptor);
}
void Client::ReportReady() const { Send(socket_.get(), kReady, -1); }
void Client::ReportReceived() const { Send(socket_.get(), kReceived, -1); }
void Client::ReportServed() const { Send(socket_.get(), kServed, -1); }
void Client::ReportHanging() const { Send(socket_.get(), kHanging, -1); }
void Client::ReportEnded() const { Send(socket_.get(), kEnded, -1); }
pid_t Client::keeper_pid() { return getppid(); }

int RunKeeper(const Callbacks& callbacks) {
  // On the heap because of its size.
  return std::make_unique<Keeper>(callbacks)->Run();
}

}  // namespace memfuse::keeper
