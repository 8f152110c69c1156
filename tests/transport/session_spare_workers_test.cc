// Sessions over socket pairs with long operations (BlockingObserver in memfuse/host.h).

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "absl/time/clock.h"
#include "memfuse/session.h"
#include "tests/transport/fake_filesystem.h"
#include "tests/transport/socket_kernel.h"
#include "tests/transport/wire_requests.h"

namespace memfuse::transport {
namespace {

class SessionSpareWorkersTest : public testing::Test {
 protected:
  SessionSpareWorkersTest() {
    fs_.while_blocking = [this] {
      while (!release_) absl::SleepFor(absl::Milliseconds(1));
    };
  }

  // Starts a session with one thread, and with descriptors for spare workers.
  void Begin(size_t descriptors) {
    kernel_ = std::make_unique<SocketKernel>(descriptors);
    Session::AdoptOptions adopt;
    adopt.descriptors = kernel_->TakeServerSide();
    adopt.initialized = TestParameters();
    SessionOptions options;
    options.threads = 1;
    options.max_write = 64 << 10;
    absl::StatusOr<std::unique_ptr<Session>> session = Session::Adopt(adopt, options, &fs_);
    ASSERT_TRUE(session.ok()) << session.status();
    session_ = *std::move(session);
  }

  // Runs a long operation to its end, so that a spare worker exists and is not needed. Uses the
  // requests 1 to 3.
  void MakeSpareWorkerIdle() {
    release_ = false;
    kernel_->Send(0, FallocateMessage(1));
    EXPECT_EQ(kernel_->Ask(1, GetattrMessage(2)).id, 2u);
    release_ = true;
    EXPECT_EQ(kernel_->Receive(0).id, 1u);
    // The thread that answers this request has finished the long operation.
    EXPECT_EQ(kernel_->Ask(0, GetattrMessage(3)).id, 3u);
  }

  FakeFileSystem fs_;
  std::atomic<bool> release_{false};
  std::unique_ptr<SocketKernel> kernel_;
  std::unique_ptr<Session> session_;
};

TEST_F(SessionSpareWorkersTest, OtherRequestsAreServedDuringALongOperation) {
  Begin(2);
  kernel_->Send(0, FallocateMessage(1));
  for (uint64_t id = 2; id < 10; ++id) EXPECT_EQ(kernel_->Ask(1, GetattrMessage(id)).error, 0);
  EXPECT_FALSE(kernel_->Readable(0, 0));
  EXPECT_EQ(session_->WorkerRequestCounts().size(), 2u);
  release_ = true;
  EXPECT_EQ(kernel_->Receive(0).id, 1u);
  // The first thread serves requests again.
  EXPECT_EQ(kernel_->Ask(0, GetattrMessage(10)).id, 10u);
}

TEST_F(SessionSpareWorkersTest, ASpareWorkerServesAtMostOneRequestAfterwards) {
  Begin(2);
  MakeSpareWorkerIdle();
  for (uint64_t id = 4; id < 6; ++id) kernel_->Send(1, GetattrMessage(id));
  // The spare worker may have been about to read a request.
  if (kernel_->Readable(1, 50)) {
    EXPECT_EQ(kernel_->Receive(1).id, 4u);
  }
  EXPECT_FALSE(kernel_->Readable(1, 50));
  // The next long operation uses the same spare worker.
  EXPECT_EQ(kernel_->Ask(0, FallocateMessage(6)).id, 6u);
  EXPECT_TRUE(kernel_->Readable(1, 20000));
  EXPECT_EQ(session_->WorkerRequestCounts().size(), 2u);
}

TEST_F(SessionSpareWorkersTest, ALongOperationContinuesWithoutASpareWorker) {
  // A socket cannot be cloned.
  Begin(1);
  release_ = true;
  for (uint64_t id = 1; id < 5; ++id) EXPECT_EQ(kernel_->Ask(0, FallocateMessage(id)).error, 0);
  EXPECT_EQ(session_->WorkerRequestCounts().size(), 1u);
}

TEST_F(SessionSpareWorkersTest, StopsWhileSpareWorkersServeOrWait) {
  Begin(2);
  kernel_->Send(0, FallocateMessage(1));
  EXPECT_EQ(kernel_->Ask(1, GetattrMessage(2)).id, 2u);
  std::thread stopper([&] { session_->Stop(); });
  absl::SleepFor(absl::Milliseconds(20));
  release_ = true;
  stopper.join();
  EXPECT_EQ(kernel_->Receive(0).id, 1u);

  Begin(2);
  MakeSpareWorkerIdle();
  kernel_->Send(1, GetattrMessage(4));
  session_->Stop();
  EXPECT_TRUE(session_->WaitFor(absl::ZeroDuration()));
}

TEST_F(SessionSpareWorkersTest, TheEndOfTheConnectionReachesWaitingSpareWorkers) {
  Begin(2);
  MakeSpareWorkerIdle();
  kernel_->CloseAll();
  EXPECT_TRUE(session_->WaitFor(absl::Seconds(20)));
}

}  // namespace
}  // namespace memfuse::transport
