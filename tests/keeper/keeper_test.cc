// The keeper with servers that are functions of the test. Each keeper runs in a process of its own,
// because it forks its servers and handles the signals of its process.

#include "src/keeper/keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

namespace memfuse::keeper {
namespace {

// What the processes of a test share.
struct Shared {
  std::atomic<int> servers;  // that were started
  std::atomic<int> ready;    // calls of on_ready
  char log[1 << 18];         // the lines of the keeper
};

class KeeperTest : public testing::Test {
 protected:
  KeeperTest()
      : shared_(*new (mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Shared) {}
  ~KeeperTest() override { munmap(&shared_, sizeof(shared_)); }

  // Runs a keeper in a process of its own. `serve` gets the number of the server, from 1 on.
  // Returns the wait status of the keeper.
  int Keep(const std::function<int(int server, const Start&)>& serve, bool parent_is_there = true) {
    const pid_t keeper = fork();
    if (keeper == 0) {
      alarm(30);
      Callbacks callbacks;
      callbacks.serve = [&](const Start& start) -> int {
        alarm(30);
        // Not exit(3), which would end GoogleTest.
        _exit(serve(++shared_.servers, start));
      };
      callbacks.on_ready = [&] {
        ++shared_.ready;
        return parent_is_there;
      };
      callbacks.log = [&](const char* line) {
        const size_t used = std::strlen(shared_.log);
        std::snprintf(shared_.log + used, sizeof(shared_.log) - used, "%s\n", line);
      };
      _exit(RunKeeper(callbacks));
    }
    int status = -1;
    while (waitpid(keeper, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
  }
  // The exit status of a keeper, or -1 if a signal has killed it.
  int ExitOf(const std::function<int(int server, const Start&)>& serve,
             bool parent_is_there = true) {
    const int status = Keep(serve, parent_is_there);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  Shared& shared_;
};

int MemoryFile(const std::string& content) {
  const int file = memfd_create("test", MFD_CLOEXEC);
  EXPECT_EQ(pwrite(file, content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
  return file;
}

std::string Content(int descriptor) {
  char content[100];
  const ssize_t size = pread(descriptor, content, sizeof(content), 0);
  return size < 0 ? strerror(errno) : std::string(content, static_cast<size_t>(size));
}

// Waits for a signal, which is blocked. Returns whether it came.
bool Await(int signal) {
  sigset_t awaited;
  sigemptyset(&awaited);
  sigaddset(&awaited, signal);
  const timespec limit = {20, 0};
  return sigtimedwait(&awaited, nullptr, &limit) == signal;
}

[[noreturn]] void Die(int signal) {
  ::signal(signal, SIG_DFL);
  raise(signal);
  pause();
  _exit(99);
}

TEST_F(KeeperTest, HasTheExitStatusOfTheServer) {
  EXPECT_EQ(ExitOf([](int, const Start& start) {
              if (start.predecessor != nullptr) return 90;
              start.client->ReportReady();
              return 7;
            }),
            7);
  EXPECT_EQ(shared_.ready, 1);
  EXPECT_EQ(ExitOf([](int, const Start&) { return 3; }), 3) << "a server that did not start";
  EXPECT_EQ(shared_.servers, 2);
}

TEST_F(KeeperTest, AServerThatDiesBeforeItIsReadyHasNoSuccessor) {
  EXPECT_EQ(ExitOf([](int, const Start&) -> int { Die(SIGKILL); }), 1);
  EXPECT_EQ(shared_.servers, 1);
  EXPECT_EQ(shared_.ready, 0);
}

TEST_F(KeeperTest, ASuccessorHasTheDescriptorsOfTheServer) {
  EXPECT_EQ(ExitOf([](int server, const Start& start) -> int {
              if (server == 1) {
                start.client->Hold(Kind::kConnection, MemoryFile("mount"));
                start.client->Hold(Kind::kRecords, MemoryFile("old records"));
                start.client->Hold(Kind::kData, MemoryFile("data"));
                start.client->Hold(Kind::kState, MemoryFile("state"));
                start.client->Hold(Kind::kBuffer, MemoryFile("buffer"));
                start.client->ReportReady();
                start.client->Hold(Kind::kConnection, MemoryFile("clone"));
                start.client->Hold(Kind::kRecords, MemoryFile("records"));
                Die(SIGSEGV);
              }
              Descriptors* const found = start.predecessor;
              if (found == nullptr || found->connections().size() != 2) return 50;
              if (Content(found->connections()[0].get()) != "mount") return 51;
              if (Content(found->connections()[1].get()) != "clone") return 52;
              if (Content(found->records()) != "records") return 53;
              if (Content(found->data()) != "data") return 54;
              if (Content(found->state()) != "state") return 55;
              if (found->buffers().size() != 1) return 56;
              if (Content(found->buffers()[0].get()) != "buffer") return 57;
              // Descriptors that one server takes are there for the next.
              (void)found->TakeRecords();
              (void)found->TakeData();
              (void)found->TakeConnection(0);
              (void)found->TakeBuffer(0);
              start.client->ReportReady();
              if (server < 4) Die(SIGKILL);
              return 0;
            }),
            0);
  EXPECT_EQ(shared_.servers, 4);
  EXPECT_EQ(shared_.ready, 1);
}

TEST_F(KeeperTest, TriesAgainIfAServerCannotBeStarted) {
  EXPECT_EQ(ExitOf([](int server, const Start& start) -> int {
              if (server > 1 && server < 5) return 80;
              start.client->ReportReady();
              if (server == 1) Die(SIGKILL);
              return 0;
            }),
            0);
  EXPECT_EQ(shared_.servers, 5);
}

TEST_F(KeeperTest, EverySuccessorGetsTheSignalThatEndsTheFileSystem) {
  EXPECT_EQ(ExitOf([](int server, const Start& start) -> int {
              start.client->ReportReady();
              if (server == 1) {
                // The keeper takes the signal, and this server dies before it has handled it.
                kill(Client::keeper_pid(), SIGTERM);
                if (!Await(SIGTERM)) return 60;
                Die(SIGKILL);
              }
              return Await(SIGTERM) ? 0 : 61;
            }),
            0);
  EXPECT_EQ(shared_.servers, 2);
}

TEST_F(KeeperTest, ServersAreReadOnlyAfterThreeFailuresAndGivenUpAfterThreeMore) {
  EXPECT_EQ(ExitOf([](int server, const Start& start) -> int {
              if (start.read_only != (server > 3)) _exit(50);
              if (start.after_crash != (server > 1)) _exit(51);
              if (start.takeovers != static_cast<uint64_t>(server) - 1) _exit(52);
              start.client->ReportReady();
              start.client->ReportReceived();
              Die(SIGABRT);
            }),
            1);
  EXPECT_EQ(shared_.servers, 6);
}

TEST_F(KeeperTest, AReadOnlyServerThatServesStays) {
  EXPECT_EQ(ExitOf([](int server, const Start& start) -> int {
              if (start.read_only && (start.predecessor == nullptr || server < 5)) return 50;
              if (server == 1) start.client->ReportReady();
              if (!start.read_only) Die(SIGSEGV);
              start.client->ReportReady();
              start.client->ReportReceived();
              start.client->ReportServed();
              if (server < 12) Die(SIGKILL);
              return 7;
            }),
            7);
  EXPECT_EQ(shared_.servers, 12);
}

TEST_F(KeeperTest, ACallThatEachSecondServerCrashesOnIsNoReasonToGiveUp) {
  EXPECT_EQ(ExitOf([](int server, const Start& start) -> int {
              if (start.read_only) return 50;
              start.client->ReportReady();
              start.client->ReportReceived();
              if (server % 2 == 0) start.client->ReportServed();
              if (server == 9) return 0;
              Die(SIGSEGV);
            }),
            0);
}

TEST_F(KeeperTest, ASignalEndsItIfNoServerCanBeStarted) {
  EXPECT_EQ(ExitOf([](int server, const Start& start) -> int {
              if (server == 1) {
                start.client->ReportReady();
                Die(SIGKILL);
              }
              if (server == 3) kill(Client::keeper_pid(), SIGTERM);
              return 80;
            }),
            1);
  EXPECT_GE(shared_.servers, 3);
}

TEST_F(KeeperTest, SaysWhetherTheLastServerHasCrashed) {
  EXPECT_EQ(ExitOf([](int server, const Start& start) -> int {
              start.client->ReportReady();
              switch (server) {
                case 1:
                  Die(SIGSEGV);
                case 2:
                  if (!start.after_crash) return 50;
                  Die(SIGKILL);
                case 3:
                  if (start.after_crash) return 51;
                  start.client->ReportHanging();
                  Die(SIGKILL);
                default:
                  return start.after_crash ? 0 : 52;
              }
            }),
            0);
}

TEST_F(KeeperTest, LogsWhatADyingServerHasWritten) {
  EXPECT_EQ(ExitOf([this](int server, const Start& start) -> int {
              start.client->ReportReady();
              if (server == 2) return shared_.log[0] == '\0' ? 60 : 0;
              const std::string text = "first\n\n\1sec\377ond\n" + std::string(300, 'x');
              if (write(start.crash_report, text.data(), text.size()) < 0) return 61;
              // The pipe takes a bounded amount, and does not block.
              const std::string much(100'000, 'y');
              while (write(start.crash_report, much.data(), much.size()) >= 0) {
              }
              Die(SIGSEGV);
            }),
            0);
  const std::string log(shared_.log);
  EXPECT_EQ(log.substr(0, log.find('x')), "first\n?sec?ond\n");
  EXPECT_THAT(log, testing::HasSubstr("xxx\n"));
  EXPECT_THAT(log, testing::HasSubstr("yyy\n"));
}

TEST_F(KeeperTest, AServerThatHasAnsweredOrReceivedNothingHasNotFailed) {
  EXPECT_EQ(ExitOf([](int server, const Start& start) -> int {
              start.client->ReportReady();
              if (server == 13) return 0;
              if (server % 2 == 0) {
                start.client->ReportReceived();
                start.client->ReportServed();
              }
              Die(SIGSEGV);
            }),
            0);
  EXPECT_EQ(shared_.servers, 13);
}

TEST_F(KeeperTest, AServerThatWasKilledHasNotFailed) {
  EXPECT_EQ(ExitOf([](int server, const Start& start) -> int {
              if (server == 1 || server == 8) start.client->ReportReady();
              if (server == 8) return 0;
              Die(SIGKILL);
            }),
            0);
  EXPECT_EQ(shared_.servers, 8);
}

TEST_F(KeeperTest, AServerThatHasEndedTheFileSystemHasNoSuccessor) {
  EXPECT_EQ(ExitOf([](int, const Start& start) -> int {
              start.client->ReportReady();
              start.client->ReportEnded();
              Die(SIGKILL);
            }),
            0);
  EXPECT_EQ(shared_.servers, 1);
}

TEST_F(KeeperTest, ASuccessorThatHasEndedTheFileSystemHasNoSuccessor) {
  EXPECT_EQ(ExitOf([](int server, const Start& start) -> int {
              if (server == 2) {
                start.client->ReportEnded();
                return 5;
              }
              start.client->ReportReady();
              Die(SIGKILL);
            }),
            5);
  EXPECT_EQ(shared_.servers, 2);
}

TEST_F(KeeperTest, ForwardsSignals) {
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) {
    EXPECT_EQ(ExitOf([signal](int server, const Start& start) -> int {
                start.client->ReportReady();
                if (server % 2 == 1) Die(SIGKILL);
                kill(Client::keeper_pid(), signal);
                return Await(signal) ? 0 : 60;
              }),
              0);
  }
}

TEST_F(KeeperTest, EndsTheServerIfTheParentIsGone) {
  EXPECT_EQ(ExitOf(
                [](int, const Start& start) -> int {
                  start.client->ReportReady();
                  return Await(SIGTERM) ? 0 : 60;
                },
                /*parent_is_there=*/false),
            0);
}

// Sends one message of any content with up to three descriptors.
void SendRaw(int socket, const std::string& content, int descriptors) {
  iovec part = {const_cast<char*>(content.data()), content.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptors > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(static_cast<size_t>(descriptors) * sizeof(int));
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(static_cast<size_t>(descriptors) * sizeof(int));
    const int numbers[3] = {0, 1, 2};
    std::memcpy(CMSG_DATA(header), numbers, static_cast<size_t>(descriptors) * sizeof(int));
  }
  (void)sendmsg(socket, &message, MSG_NOSIGNAL);
}

// The socket of the client, which the class does not give away.
int SocketOfKeeper() {
  for (int descriptor = 3; descriptor < 100; ++descriptor) {
    int type = 0;
    socklen_t size = sizeof(type);
    if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET) {
      return descriptor;
    }
  }
  return -1;
}

// The number of descriptors that are open in the process.
int OpenDescriptors(pid_t process) {
  int count = 0;
  for (int descriptor = 0; descriptor < 4000; ++descriptor) {
    const std::string path =
        "/proc/" + std::to_string(process) + "/fd/" + std::to_string(descriptor);
    struct stat status;
    count += lstat(path.c_str(), &status) == 0 ? 1 : 0;
  }
  return count;
}

TEST_F(KeeperTest, IgnoresMessagesThatItDoesNotKnow) {
  EXPECT_EQ(ExitOf([](int server, const Start& start) -> int {
              if (server == 2) {
                if (start.predecessor->connections().size() != Descriptors::kMaxConnections) {
                  return 70;
                }
                if (Content(start.predecessor->records()) != "records") return 71;
                start.client->ReportReady();
                return 0;
              }
              const int socket = SocketOfKeeper();
              if (socket < 0) return 73;
              start.client->Hold(Kind::kRecords, MemoryFile("records"));
              start.client->ReportReady();
              unsigned random = 1;
              for (int i = 0; i < 3000; ++i) {
                random = random * 1103515245 + 12345;
                std::string content(random >> 16 & 15, static_cast<char>(random >> 24));
                // No message of another size has an effect; nor has one with an unknown number.
                if (content.size() == 4) content[3] = 1;
                SendRaw(socket, content, static_cast<int>(random >> 8 & 3));
              }
              for (size_t i = 0; i < 2 * Descriptors::kMaxConnections; ++i) {
                start.client->Hold(Kind::kConnection, 0);
              }
              // A message without the descriptor that it announces.
              SendRaw(socket, std::string("\2\0\0\0", 4), 0);
              start.client->ReportReceived();
              start.client->ReportServed();
              if (OpenDescriptors(Client::keeper_pid()) > 1100) return 74;
              Die(SIGSEGV);
            }),
            0);
  EXPECT_EQ(shared_.servers, 2);
}

}  // namespace
}  // namespace memfuse::keeper
