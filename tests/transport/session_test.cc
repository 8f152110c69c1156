// Sessions over socket pairs. A real /dev/fuse is used in session_mount_test.cc.

#include "memfuse/session.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "src/base/thread_name.h"
#include "tests/testing/sleeping_thread.h"
#include "tests/transport/fake_filesystem.h"
#include "tests/transport/gate.h"
#include "tests/transport/socket_kernel.h"
#include "tests/transport/wire_requests.h"

namespace memfuse::transport {
namespace {

using testing::Each;
using testing::ElementsAre;

SessionOptions Options(int threads) {
  SessionOptions options;
  options.threads = threads;
  options.max_write = 64 << 10;
  return options;
}

std::unique_ptr<Session> Adopt(SocketKernel* kernel, int threads, FileSystem* fs) {
  Session::AdoptOptions adopt;
  adopt.descriptors = kernel->TakeServerSide();
  adopt.initialized = TestParameters();
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Adopt(adopt, Options(threads), fs);
  EXPECT_TRUE(session.ok()) << session.status();
  return session.ok() ? *std::move(session) : nullptr;
}

// Requests by opcode.
std::vector<uint64_t> RequestCounts(const Session& session) {
  std::vector<uint64_t> counts;
  for (const OperationStatistics& operation : session.Statistics()) {
    counts.push_back(operation.requests);
  }
  return counts;
}

// Blocks callers until `expected` of them have arrived; gives up after a timeout.
class Barrier {
 public:
  explicit Barrier(int expected) : missing_(expected) {}
  bool Arrive() {
    std::unique_lock<std::mutex> lock(mu_);
    if (--missing_ == 0) all_here_.notify_all();
    return all_here_.wait_for(lock, std::chrono::seconds(20), [this] { return missing_ <= 0; });
  }

 private:
  std::mutex mu_;
  std::condition_variable all_here_;
  int missing_;
};

TEST(SessionTest, AnswersOnTheDescriptorThatWasRead) {
  constexpr size_t kChannels = 4;
  SocketKernel kernel(kChannels);
  FakeFileSystem fs;
  const std::unique_ptr<Session> session = Adopt(&kernel, kChannels, &fs);
  for (uint64_t id = 1; id <= 40; ++id) {
    const size_t channel = id % kChannels;
    const WireReply reply = kernel.Ask(channel, GetattrMessage(id));
    EXPECT_EQ(reply.id, id);
    EXPECT_EQ(reply.error, 0);
  }
  for (size_t channel = 0; channel < kChannels; ++channel) {
    EXPECT_FALSE(kernel.Readable(channel, 0)) << "a second answer on channel " << channel;
  }
  EXPECT_EQ(session->Statistics()[FUSE_GETATTR].requests, 40u);
  EXPECT_THAT(session->WorkerRequestCounts(), ElementsAre(10, 10, 10, 10));
}

TEST(SessionTest, CountsEveryOpcodeOverAllWorkers) {
  constexpr size_t kChannels = 3;
  SocketKernel kernel(kChannels);
  FakeFileSystem fs;
  const std::unique_ptr<Session> session = Adopt(&kernel, kChannels, &fs);
  std::vector<uint64_t> expected(RequestCounts(*session).size(), 0);
  EXPECT_EQ(RequestCounts(*session), expected) << "before anything was asked";
  uint64_t id = 0;
  for (size_t channel = 0; channel < kChannels; ++channel) {
    // Opcode 7 does not exist. Two opcodes are refused, and one is ignored.
    std::vector<std::string> messages = {Message(7, 1, ""),
                                         Message(60, 1, ""),
                                         Message(200, 1, ""),
                                         Message(FUSE_BMAP, 1, ""),
                                         Message(FUSE_INTERRUPT, 1, ""),
                                         Message(FUSE_NOTIFY_REPLY, 1, "")};
    // The opcodes have different frequencies.
    for (size_t i = 0; i < channel; ++i) messages.push_back(LookupMessage(1, "name"));
    for (std::string& message : GoodRequests(1)) messages.push_back(std::move(message));
    for (const std::string& message : messages) {
      const uint32_t opcode = OpcodeOf(message);
      kernel.Send(channel, message);
      if (Answered(opcode)) kernel.Receive(channel);
      ++expected[Session::OpcodeName(opcode) == "UNKNOWN" ? 0 : opcode];
    }
    // A worker counts a request before it replies. A worker may count a request without a reply
    // later than the next request.
    kernel.Ask(channel, GetattrMessage(++id));
    ++expected[FUSE_GETATTR];
  }
  EXPECT_EQ(RequestCounts(*session), expected);
  EXPECT_EQ(expected[0], 9u);
  EXPECT_EQ(expected[FUSE_LOOKUP], 6u);
  EXPECT_EQ(expected[FUSE_FORGET], 3u);
  session->Stop();
  EXPECT_EQ(RequestCounts(*session), expected) << "the counts outlive the workers";
}

TEST(SessionTest, CountsAreReadWhileRequestsAreServed) {
  constexpr size_t kChannels = 2;
  constexpr uint64_t kRequests = 500;
  SocketKernel kernel(kChannels);
  FakeFileSystem fs;
  const std::unique_ptr<Session> session = Adopt(&kernel, kChannels, &fs);
  std::vector<std::thread> clients;
  std::atomic<size_t> busy{kChannels};
  for (size_t channel = 0; channel < kChannels; ++channel) {
    clients.emplace_back([&, channel] {
      for (uint64_t id = 1; id <= kRequests; ++id) {
        kernel.Ask(channel, id % 2 == 0 ? LookupMessage(id, "name") : GetattrMessage(id));
      }
      --busy;
    });
  }
  uint64_t previous = 0;
  while (busy > 0) {
    const std::vector<uint64_t> counts = RequestCounts(*session);
    const uint64_t sum = counts[FUSE_LOOKUP] + counts[FUSE_GETATTR];
    EXPECT_GE(sum, previous);
    previous = sum;
  }
  for (std::thread& client : clients) client.join();
  const std::vector<uint64_t> counts = RequestCounts(*session);
  EXPECT_EQ(counts[FUSE_LOOKUP], kChannels * kRequests / 2);
  EXPECT_EQ(counts[FUSE_GETATTR], kChannels * kRequests / 2);
}

TEST(SessionTest, StatisticsAndRecentRequestsAreThoseOfAllWorkers) {
  constexpr size_t kChannels = 3;
  SocketKernel kernel(kChannels);
  FakeFileSystem fs;
  const std::unique_ptr<Session> session = Adopt(&kernel, kChannels, &fs);
  EXPECT_TRUE(session->RecentRequests().requests.empty());
  for (size_t channel = 0; channel < kChannels; ++channel) {
    kernel.Ask(channel, LookupMessage(1, "missing"));
    kernel.Ask(channel, ReadMessage(FUSE_READ, 2, 100));
  }
  // The outcome of a request may be counted after its answer.
  session->Stop();
  const std::vector<OperationStatistics> sums = session->Statistics();
  EXPECT_EQ(sums[FUSE_LOOKUP].name, "LOOKUP");
  EXPECT_EQ(sums[0].name, "UNKNOWN");
  EXPECT_EQ(sums[FUSE_LOOKUP].errors, kChannels);
  EXPECT_EQ(sums[FUSE_READ].bytes, kChannels * 100);
  EXPECT_EQ(sums[FUSE_READ].latency.total(), kChannels);
  const std::vector<RecentRequest> recent = session->RecentRequests().requests;
  ASSERT_EQ(recent.size(), 2 * kChannels);
  for (size_t i = 1; i < recent.size(); ++i) {
    EXPECT_LE(recent[i - 1].start_nanoseconds, recent[i].start_nanoseconds);
  }
}

TEST(SessionTest, TheBusiestWorkerDeterminesHowFarRecentRequestsReachBack) {
  SocketKernel kernel(2);
  FakeFileSystem fs;
  const std::unique_ptr<Session> session = Adopt(&kernel, 2, &fs);
  kernel.Ask(0, LookupMessage(1, "early"));
  for (int i = 0; i < 2000; ++i) kernel.Ask(1, GetattrMessage(2));
  kernel.Ask(0, LookupMessage(1, "late"));
  session->Stop();
  const RecentRequestList recent = session->RecentRequests();
  EXPECT_EQ(recent.requests.size(), 1024u + 1);
  EXPECT_EQ(recent.requests.back().opcode, uint32_t{FUSE_LOOKUP});
  for (const RecentRequest& request : recent.requests) {
    EXPECT_GE(request.end_nanoseconds(), recent.since_nanoseconds);
  }
}

TEST(SessionTest, CountsNothingIfStatisticsAreSwitchedOff) {
  SocketKernel kernel(1);
  FakeFileSystem fs;
  Session::AdoptOptions adopt;
  adopt.descriptors = kernel.TakeServerSide();
  adopt.initialized = TestParameters();
  SessionOptions options;
  options.request_statistics = false;
  auto session = Session::Adopt(adopt, options, &fs);
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ(kernel.Ask(0, GetattrMessage(1)).error, 0);
  (*session)->Stop();
  EXPECT_EQ((*session)->Statistics()[FUSE_GETATTR].requests, 0u);
  EXPECT_TRUE((*session)->RecentRequests().requests.empty());
  EXPECT_THAT((*session)->WorkerRequestCounts(), ElementsAre(0));
}

// The descriptor of one worker cannot be read. The other workers must not continue without it.
TEST(SessionTest, AWorkerThatCannotReadEndsTheSessionVisibly) {
  SocketKernel kernel(2);
  FakeFileSystem fs;
  Session::AdoptOptions adopt;
  adopt.descriptors = kernel.TakeServerSide();
  adopt.descriptors.push_back(open("/", O_PATH | O_CLOEXEC));
  adopt.initialized = TestParameters();
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Adopt(adopt, Options(3), &fs);
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_TRUE((*session)->WaitFor(absl::Seconds(20)));
  EXPECT_TRUE((*session)->failed());
  EXPECT_TRUE((*session)->Unmount(absl::Seconds(1)).ok());
  // Clients see the end of the connection.
  char byte;
  EXPECT_EQ(recv(kernel.descriptor(0), &byte, 1, 0), 0);
}

TEST(SessionTest, AnEndByTheKernelIsNoFailure) {
  SocketKernel kernel(2);
  FakeFileSystem fs;
  const std::unique_ptr<Session> session = Adopt(&kernel, 2, &fs);
  EXPECT_FALSE(session->failed());
  kernel.CloseAll();
  EXPECT_TRUE(session->WaitFor(absl::Seconds(20)));
  EXPECT_FALSE(session->failed());
}

TEST(SessionTest, OpcodesHaveNames) {
  EXPECT_EQ(Session::OpcodeName(FUSE_LOOKUP), "LOOKUP");
  EXPECT_EQ(Session::OpcodeName(53), "COPY_FILE_RANGE_64");
  for (const size_t none : {size_t{0}, size_t{7}, size_t{63}, size_t{64}, size_t{100000}}) {
    EXPECT_EQ(Session::OpcodeName(none), "UNKNOWN") << none;
  }
}

TEST(SessionTest, TwoWorkersServeAtTheSameTime) {
  SocketKernel kernel(2);
  FakeFileSystem fs;
  Barrier barrier(2);
  std::atomic<int> met{0};
  fs.on_call = [&] { met += barrier.Arrive() ? 1 : 0; };
  const std::unique_ptr<Session> session = Adopt(&kernel, 2, &fs);
  kernel.Send(0, GetattrMessage(1));
  kernel.Send(1, GetattrMessage(2));
  EXPECT_EQ(kernel.Receive(0).id, 1u);
  EXPECT_EQ(kernel.Receive(1).id, 2u);
  EXPECT_EQ(met, 2);
}

TEST(SessionTest, ManyClientsAtOnceAreAnsweredInOrder) {
  constexpr size_t kChannels = 4;
  SocketKernel kernel(kChannels);
  FakeFileSystem fs;
  const std::unique_ptr<Session> session = Adopt(&kernel, kChannels, &fs);
  std::vector<std::thread> clients;
  for (size_t channel = 0; channel < kChannels; ++channel) {
    clients.emplace_back([&, channel] {
      for (uint64_t id = 1; id <= 300; ++id) {
        EXPECT_EQ(kernel.Ask(channel, LookupMessage(id, "name")).id, id);
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(fs.lookups, 1200);
  EXPECT_THAT(session->WorkerRequestCounts(), Each(300u));
}

TEST(SessionTest, DataIsPageAligned) {
  SocketKernel kernel(1);
  FakeFileSystem fs;
  const std::unique_ptr<Session> session = Adopt(&kernel, 1, &fs);
  const std::string data(64 << 10, 'w');
  EXPECT_EQ(kernel.Ask(0, WriteMessage(1, data)).As<fuse_write_out>().size, data.size());
  EXPECT_EQ(fs.last_offset_in_page, 0u);
  fs.last_offset_in_page = 1;
  EXPECT_EQ(kernel.Ask(0, ReadMessage(FUSE_READ, 2, 64 << 10)).body, std::string(64 << 10, 'r'));
  EXPECT_EQ(fs.last_offset_in_page, 0u);
}

TEST(SessionTest, ASmallMaxWriteLeavesRoomForTheLargestXattr) {
  SocketKernel kernel(1);
  FakeFileSystem fs;
  fs.xattr = std::string(64 << 10, 'v');
  Session::AdoptOptions adopt;
  adopt.descriptors = kernel.TakeServerSide();
  adopt.initialized = TestParameters();
  adopt.initialized.max_write = 4096;
  adopt.initialized.max_pages = 1;
  SessionOptions options;
  options.max_write = 4096;
  auto session = Session::Adopt(adopt, options, &fs);
  ASSERT_TRUE(session.ok()) << session.status();
  const std::string value(64 << 10, 'v');
  const std::string setxattr = Bytes(static_cast<uint32_t>(value.size())) + Bytes(uint32_t{0}) +
                               Name("user." + std::string(250, 'n')) + value;
  EXPECT_EQ(kernel.Ask(0, Message(FUSE_SETXATTR, 1, setxattr)).error, 0);
  EXPECT_EQ(kernel.Ask(0, XattrMessage(FUSE_GETXATTR, 2, 64 << 10)).body, value);
}

// Sends an arbitrary message and then a valid one. Returns the number of replies to the first
// message.
int AnswersTo(SocketKernel* kernel, const std::string& message) {
  constexpr uint64_t kGood = uint64_t{1} << 40;
  kernel->Send(0, message);
  kernel->Send(0, GetattrMessage(kGood));
  for (int answers = 0;; ++answers) {
    const WireReply reply = kernel->Receive(0);
    if (reply.id == kGood || !reply.well_formed) {
      EXPECT_EQ(reply.error, 0);
      return answers;
    }
  }
}

TEST(SessionTest, ContinuesAfterMalformedRequests) {
  SocketKernel kernel(1);
  FakeFileSystem fs;
  const std::unique_ptr<Session> session = Adopt(&kernel, 1, &fs);
  for (const std::string& message : GoodRequests(88)) {
    const uint32_t opcode = OpcodeOf(message);
    for (size_t size = 1; size <= message.size(); ++size) {
      const std::string cut = message.substr(0, size);
      const int expected = size >= sizeof(fuse_in_header) && Answered(opcode) ? 1 : 0;
      ASSERT_EQ(AnswersTo(&kernel, cut), expected) << "opcode " << opcode << ", " << size;
      ASSERT_EQ(AnswersTo(&kernel, WithHonestLength(cut)), expected)
          << "opcode " << opcode << ", " << size;
    }
  }
}

TEST(SessionTest, ContinuesAfterRandomRequests) {
  SocketKernel kernel(1);
  FakeFileSystem fs;
  const std::unique_ptr<Session> session = Adopt(&kernel, 1, &fs);
  std::mt19937 random(20240229);
  for (uint32_t opcode = 0; opcode < 70; ++opcode) {
    for (int i = 0; i < 20; ++i) {
      std::string body(random() % 200, '\0');
      for (char& byte : body) byte = static_cast<char>(random() % 3 == 0 ? 0 : random());
      ASSERT_EQ(AnswersTo(&kernel, Message(opcode, 5, body)), Answered(opcode) ? 1 : 0)
          << "opcode " << opcode;
    }
  }
  for (int i = 0; i < 200; ++i) {
    std::string noise(1 + random() % 300, '\0');
    for (char& byte : noise) byte = static_cast<char>(random());
    EXPECT_LE(AnswersTo(&kernel, noise), 1);
  }
}

TEST(SessionTest, UnknownOpcodesAreNotSupported) {
  SocketKernel kernel(1);
  FakeFileSystem fs;
  const std::unique_ptr<Session> session = Adopt(&kernel, 1, &fs);
  EXPECT_EQ(kernel.Ask(0, Message(4096, 1, "")).error, ENOSYS);
  EXPECT_EQ(kernel.Ask(0, GetattrMessage(2)).error, 0);
}

// A worker that Stop does not reach makes the test hang.
TEST(SessionTest, StopsWhileWorkersWait) {
  for (int round = 0; round < 20; ++round) {
    SocketKernel kernel(4);
    FakeFileSystem fs;
    const std::unique_ptr<Session> session = Adopt(&kernel, 4, &fs);
    if (round % 2 == 0) {
      for (const char* worker : {"memfuse-0", "memfuse-1", "memfuse-2", "memfuse-3"}) {
        EXPECT_TRUE(test::AwaitSleep(worker, test::kReads)) << worker;
      }
    }
    if (round % 4 < 2) kernel.Send(0, GetattrMessage(1));
    session->Stop();
    EXPECT_TRUE(session->WaitFor(absl::ZeroDuration()));
  }
}

TEST(SessionTest, StopsWhileRepliesAreNotRead) {
  SocketKernel kernel(1);
  FakeFileSystem fs;
  const std::unique_ptr<Session> session = Adopt(&kernel, 1, &fs);
  // Far more data than the socket buffer holds.
  for (uint64_t id = 1; id <= 300; ++id) kernel.Send(0, ReadMessage(FUSE_READ, id, 64 << 10));
  EXPECT_TRUE(test::AwaitSleep("memfuse-0", test::kWrites));
  EXPECT_LT(fs.calls, 300);
  session->Stop();
}

TEST(SessionTest, StopAnswersTheRequestsThatWereRead) {
  SocketKernel kernel(2);
  FakeFileSystem fs;
  Gate gate;
  fs.on_call = [&] { gate.Pass(); };
  const std::unique_ptr<Session> session = Adopt(&kernel, 2, &fs);
  kernel.Send(0, GetattrMessage(1));
  EXPECT_TRUE(gate.AwaitArrivals(1));
  std::thread stopper([&] {
    base::SetThreadName("stopper");
    session->Stop();
  });
  EXPECT_TRUE(test::AwaitSleep("stopper", test::kPolls)) << "it does not wait for the worker";
  gate.Open();
  stopper.join();
  EXPECT_EQ(kernel.Receive(0).id, 1u);
}

TEST(SessionTest, StopAndUnmountMayBeCalledByAnyThreadRepeatedly) {
  SocketKernel kernel(2);
  FakeFileSystem fs;
  const std::unique_ptr<Session> session = Adopt(&kernel, 2, &fs);
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] { session->Stop(); });
    callers.emplace_back([&] { EXPECT_TRUE(session->Unmount(absl::Seconds(1)).ok()); });
    callers.emplace_back([&] { EXPECT_TRUE(session->WaitFor(absl::Seconds(20))); });
  }
  for (std::thread& caller : callers) caller.join();
  session->Stop();
  EXPECT_FALSE(session->AddWorker().ok());
  EXPECT_FALSE(session->CloneDescriptor().ok());
  EXPECT_EQ(RequestCounts(*session).size(), 64u);
}

TEST(SessionTest, StopClosesItsDescriptors) {
  SocketKernel kernel(1);
  FakeFileSystem fs;
  const std::unique_ptr<Session> session = Adopt(&kernel, 1, &fs);
  EXPECT_FALSE(kernel.Readable(0, 0));
  session->Stop();
  EXPECT_TRUE(kernel.Readable(0, 0));  // the end of the stream
}

TEST(SessionTest, EndsWhenTheOtherSideCloses) {
  SocketKernel kernel(3);
  FakeFileSystem fs;
  const std::unique_ptr<Session> session = Adopt(&kernel, 3, &fs);
  EXPECT_FALSE(session->WaitFor(absl::ZeroDuration()));
  kernel.Close(0);
  // One worker has left, and the others serve. WaitFor is not called meanwhile, because a second
  // after the end of the first worker it stops the others.
  EXPECT_TRUE(test::AwaitState([] { return test::ThreadsWithName("memfuse-0").empty(); }));
  EXPECT_EQ(kernel.Ask(1, GetattrMessage(1)).error, 0);
  pollfd end = {session->end_descriptor(), POLLIN, 0};
  EXPECT_EQ(poll(&end, 1, 0), 0);
  kernel.CloseAll();
  EXPECT_TRUE(session->WaitFor(absl::Seconds(20)));
  EXPECT_FALSE(session->AddWorker().ok());
}

TEST(SessionTest, AWorkerThatMissesTheEndIsStopped) {
  SocketKernel kernel(3);
  FakeFileSystem fs;
  const std::unique_ptr<Session> session = Adopt(&kernel, 3, &fs);
  // The descriptors belong to one connection, so it ends for all of them.
  kernel.Close(1);
  EXPECT_TRUE(session->WaitFor(absl::Seconds(20)));
  EXPECT_TRUE(session->Unmount(absl::Seconds(1)).ok());
}

TEST(SessionTest, AClosedPeerEndsNoOtherDescriptor) {
  SocketKernel kernel(2);
  FakeFileSystem fs;
  Gate gate;
  fs.on_call = [&] { gate.Pass(); };
  const std::unique_ptr<Session> session = Adopt(&kernel, 2, &fs);
  kernel.Send(0, LookupMessage(1, "name"));
  kernel.Send(1, GetattrMessage(2));
  EXPECT_TRUE(gate.AwaitArrivals(2));
  kernel.Close(0);
  gate.Open();
  EXPECT_EQ(kernel.Receive(1).error, 0);
  session->Stop();
  // The lookup did not reach the client.
  EXPECT_EQ(fs.lookups, 0);
}

TEST(SessionTest, AddsWorkers) {
  SocketKernel kernel(2);
  FakeFileSystem fs;
  const std::unique_ptr<Session> session = Adopt(&kernel, 1, &fs);
  // The test kept the second descriptor for this worker.
  ASSERT_TRUE(session->AddWorker().ok());
  EXPECT_EQ(kernel.Ask(0, GetattrMessage(1)).error, 0);
  EXPECT_EQ(kernel.Ask(1, GetattrMessage(2)).error, 0);
  // A socket cannot be cloned. The session continues.
  EXPECT_FALSE(session->AddWorker().ok());
  EXPECT_EQ(kernel.Ask(1, GetattrMessage(3)).error, 0);
}

TEST(SessionTest, AWorkerThatCannotStartEndsTheSession) {
  SocketKernel kernel(1);
  FakeFileSystem fs;
  Session::AdoptOptions adopt;
  adopt.descriptors = kernel.TakeServerSide();
  adopt.initialized = TestParameters();
  EXPECT_FALSE(Session::Adopt(adopt, Options(2), &fs).ok());
  EXPECT_TRUE(kernel.Readable(0, 0));  // closed
}

TEST(SessionTest, ANonBlockingDescriptorIsServed) {
  SocketKernel kernel(1);
  FakeFileSystem fs;
  Session::AdoptOptions adopt;
  adopt.descriptors = kernel.TakeServerSide();
  adopt.initialized = TestParameters();
  ASSERT_EQ(fcntl(adopt.descriptors[0], F_SETFL, O_RDWR | O_NONBLOCK), 0);
  auto session = Session::Adopt(adopt, Options(1), &fs);
  ASSERT_TRUE(session.ok()) << session.status();
  // The worker has found no request.
  EXPECT_TRUE(test::AwaitSleep("memfuse-0", test::kPolls));
  EXPECT_EQ(kernel.Ask(0, GetattrMessage(1)).error, 0);
}

TEST(SessionTest, WorkersTakeNoSignalOfTheProcess) {
  static std::atomic<pid_t> handled_by{0};
  struct sigaction action = {};
  action.sa_handler = [](int) { handled_by = gettid(); };
  struct sigaction previous;
  sigaction(SIGUSR1, &action, &previous);
  SocketKernel kernel(2);
  FakeFileSystem fs;
  std::atomic<bool> blocked{false};
  fs.on_call = [&] {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    blocked = sigismember(&mask, SIGUSR1) && sigismember(&mask, SIGTERM) &&
              sigismember(&mask, SIGPIPE) && !sigismember(&mask, SIGSEGV);
  };
  const std::unique_ptr<Session> session = Adopt(&kernel, 2, &fs);
  EXPECT_EQ(kernel.Ask(0, GetattrMessage(1)).error, 0);
  EXPECT_TRUE(blocked);
  // This thread does not take the signal either, so it must stay pending. A worker that took it
  // would handle it before its next request.
  sigset_t signals, mask;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &signals, &mask);
  kill(getpid(), SIGUSR1);
  for (const size_t channel : {0, 1}) {
    EXPECT_EQ(kernel.Ask(channel, GetattrMessage(2)).error, 0);
  }
  EXPECT_EQ(handled_by, 0);
  const timespec no_time = {};
  EXPECT_EQ(sigtimedwait(&signals, nullptr, &no_time), SIGUSR1);
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  sigaction(SIGUSR1, &previous, nullptr);
}

class HandshakeTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<Session>> AdoptFresh(absl::Duration timeout = absl::Seconds(20)) {
    Session::AdoptOptions adopt;
    adopt.descriptors = kernel_.TakeServerSide();
    adopt.init_timeout = timeout;
    return Session::Adopt(adopt, Options(2), &fs_);
  }

  SocketKernel kernel_{2};
  FakeFileSystem fs_;
};

TEST_F(HandshakeTest, AnswersInit) {
  kernel_.Send(0, InitMessage(1, 7, 40, FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_MAX_PAGES));
  auto session = AdoptFresh();
  ASSERT_TRUE(session.ok()) << session.status();
  const WireReply reply = kernel_.Receive(0);
  EXPECT_EQ(reply.id, 1u);
  EXPECT_EQ(reply.error, 0);
  const auto init = reply.As<fuse_init_out>();
  EXPECT_EQ(init.major, 7u);
  EXPECT_EQ(init.max_write, 64u << 10);
  EXPECT_EQ((*session)->parameters().minor, 40u);
  EXPECT_EQ((*session)->parameters().max_write, 64u << 10);
  EXPECT_EQ((*session)->parameters().flags & FUSE_MAX_PAGES, uint64_t{FUSE_MAX_PAGES});
  for (size_t channel : {0, 1}) {
    EXPECT_EQ(kernel_.Ask(channel, GetattrMessage(2)).error, 0);
  }
}

TEST_F(HandshakeTest, ALaterMajorVersionGetsOurs) {
  kernel_.Send(0, InitMessage(1, 8, 0, 0));
  kernel_.Send(0, InitMessage(2, 7, 45, 0));
  auto session = AdoptFresh();
  ASSERT_TRUE(session.ok()) << session.status();
  const WireReply first = kernel_.Receive(0);
  EXPECT_EQ(first.id, 1u);
  EXPECT_EQ(first.error, 0);
  EXPECT_EQ(first.As<uint32_t>(), 7u);
  EXPECT_EQ(kernel_.Receive(0).id, 2u);
}

TEST_F(HandshakeTest, RequestsBeforeInitAreRefused) {
  kernel_.Send(0, GetattrMessage(1));
  kernel_.Send(0, Message(FUSE_FORGET, 2, Bytes(fuse_forget_in{1})));
  kernel_.Send(0, "noise");
  kernel_.Send(0, Message(FUSE_INIT, 3, "short"));
  kernel_.Send(0, InitMessage(4, 7, 45, 0));
  auto session = AdoptFresh();
  ASSERT_TRUE(session.ok()) << session.status();
  const WireReply early = kernel_.Receive(0);
  EXPECT_EQ(early.id, 1u);
  EXPECT_EQ(early.error, EIO);
  const WireReply malformed = kernel_.Receive(0);
  EXPECT_EQ(malformed.id, 3u);
  EXPECT_EQ(malformed.error, EINVAL);
  EXPECT_EQ(kernel_.Receive(0).id, 4u);
}

TEST_F(HandshakeTest, AnOldKernelIsRefused) {
  kernel_.Send(0, InitMessage(1, 7, 20, 0));
  EXPECT_EQ(AdoptFresh().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(kernel_.Receive(0).error, EPROTO);
}

TEST_F(HandshakeTest, WithoutInitTheSessionTimesOut) {
  EXPECT_EQ(AdoptFresh(absl::Milliseconds(50)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(kernel_.Readable(0, 0));  // closed
}

TEST_F(HandshakeTest, AConnectionThatEndsBeforeInitIsAnError) {
  kernel_.CloseAll();
  EXPECT_EQ(AdoptFresh().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(SessionOptionsTest, OptionsAreChecked) {
  FakeFileSystem fs;
  const auto code = [&](SessionOptions options, FileSystem* served, bool descriptor = true) {
    SocketKernel kernel(1);
    Session::AdoptOptions adopt;
    if (descriptor) adopt.descriptors = kernel.TakeServerSide();
    adopt.initialized = TestParameters();
    return Session::Adopt(adopt, options, served).status().code();
  };
  EXPECT_EQ(code(Options(1), &fs), absl::StatusCode::kOk);
  EXPECT_EQ(code(Options(0), &fs), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Options(513), &fs), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Options(1), nullptr), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Options(1), &fs, false), absl::StatusCode::kInvalidArgument);
  for (const uint32_t max_write : {0u, 2048u, 5000u, 2u << 20}) {
    SessionOptions options = Options(1);
    options.max_write = max_write;
    EXPECT_EQ(code(options, &fs), absl::StatusCode::kInvalidArgument) << max_write;
  }
  Session::AdoptOptions adopt;
  adopt.descriptors = {-1};
  EXPECT_EQ(Session::Adopt(adopt, Options(1), &fs).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace memfuse::transport
