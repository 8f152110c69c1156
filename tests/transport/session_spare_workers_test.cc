// Sessions over socket pairs with long operations (BlockingObserver in memfuse/host.h).
//
// A session with one thread has the worker "memfuse-0", on channel 0, and the spare worker
// "memfuse-1", on channel 1.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "absl/time/time.h"
#include "memfuse/session.h"
#include "src/base/thread_name.h"
#include "tests/testing/sleeping_thread.h"
#include "tests/transport/fake_filesystem.h"
#include "tests/transport/gate.h"
#include "tests/transport/socket_kernel.h"
#include "tests/transport/wire_requests.h"

namespace memfuse::transport {
namespace {

using testing::ElementsAre;

class SessionSpareWorkersTest : public testing::Test {
 protected:
  SessionSpareWorkersTest() {
    fs_.while_blocking = [this] { long_operation_.Pass(); };
    fs_.on_read = [this](const ReadRequest&, ReadSink*) -> Result<size_t> {
      read_.Pass();
      return size_t{0};
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

  // Runs a long operation to its end, so that a spare worker exists and is not needed. The spare
  // worker already reads, so it will serve one more request. Uses the requests 1 to 3.
  void MakeUnneededSpareWorker() {
    long_operation_.Close();
    kernel_->Send(0, FallocateMessage(1));
    EXPECT_EQ(kernel_->Ask(1, GetattrMessage(2)).id, 2u);
    EXPECT_TRUE(test::AwaitSleep("memfuse-1", test::kReads));
    long_operation_.Open();
    EXPECT_EQ(kernel_->Receive(0).id, 1u);
    // The thread that answers this request has finished the long operation.
    EXPECT_EQ(kernel_->Ask(0, GetattrMessage(3)).id, 3u);
  }

  // The spare worker is parked: it waits for a semaphore. A spare worker that continued would serve
  // the requests of its channel and then wait in read(2).
  void ExpectSpareWorkerParks() {
    EXPECT_TRUE(test::AwaitSleep("memfuse-1", test::kFutexes)) << "the spare worker is not parked";
  }

  FakeFileSystem fs_;
  Gate long_operation_;
  Gate read_;
  std::unique_ptr<SocketKernel> kernel_;
  std::unique_ptr<Session> session_;
};

TEST_F(SessionSpareWorkersTest, OtherRequestsAreServedDuringALongOperation) {
  Begin(2);
  kernel_->Send(0, FallocateMessage(1));
  for (uint64_t id = 2; id < 10; ++id) EXPECT_EQ(kernel_->Ask(1, GetattrMessage(id)).error, 0);
  EXPECT_FALSE(kernel_->Readable(0, 0));
  EXPECT_EQ(session_->WorkerRequestCounts().size(), 2u);
  long_operation_.Open();
  EXPECT_EQ(kernel_->Receive(0).id, 1u);
  // The first thread serves requests again.
  EXPECT_EQ(kernel_->Ask(0, GetattrMessage(10)).id, 10u);
}

TEST_F(SessionSpareWorkersTest, AWorkerHangsAfterIntervalsInOneRequest) {
  Begin(2);
  for (int interval = 0; interval < 5; ++interval) EXPECT_EQ(session_->FindHangingWorker(1), -1);
  read_.Close();
  kernel_->Send(0, ReadMessage(FUSE_READ, 1, 100));
  EXPECT_TRUE(test::AwaitSleep("memfuse-0", test::kFutexes));
  EXPECT_EQ(session_->FindHangingWorker(3), -1) << "the request was not there before";
  EXPECT_EQ(session_->FindHangingWorker(3), -1);
  EXPECT_EQ(session_->FindHangingWorker(3), -1);
  EXPECT_EQ(session_->FindHangingWorker(3), 0);
  EXPECT_EQ(session_->FindHangingWorker(3), 0);
  read_.Open();
  EXPECT_EQ(kernel_->Receive(0).id, 1u);
  // Another request begins anew, and one that has reported a long operation has ten times as long.
  long_operation_.Close();
  kernel_->Send(0, FallocateMessage(2));
  EXPECT_EQ(kernel_->Ask(1, GetattrMessage(3)).id, 3u);
  EXPECT_TRUE(test::AwaitSleep("memfuse-1", test::kReads)) << "the reply comes before the end";
  int intervals = 0;
  while (session_->FindHangingWorker(3) == -1 && intervals < 100) ++intervals;
  EXPECT_GE(intervals, 30);
  EXPECT_LE(intervals, 32);
  long_operation_.Open();
  EXPECT_EQ(kernel_->Receive(0).id, 2u);
}

TEST_F(SessionSpareWorkersTest, ASpareWorkerThatReadsServesOneRequestAfterwards) {
  Begin(2);
  MakeUnneededSpareWorker();
  for (uint64_t id = 4; id < 6; ++id) kernel_->Send(1, GetattrMessage(id));
  EXPECT_EQ(kernel_->Receive(1).id, 4u);
  ExpectSpareWorkerParks();
  EXPECT_FALSE(kernel_->Readable(1, 0));
  // The next long operation uses the same spare worker.
  EXPECT_EQ(kernel_->Ask(0, FallocateMessage(6)).id, 6u);
  EXPECT_EQ(kernel_->Receive(1).id, 5u);
  EXPECT_EQ(session_->WorkerRequestCounts().size(), 2u);
}

TEST_F(SessionSpareWorkersTest, ASpareWorkerThatServesARequestServesNoOtherAfterwards) {
  Begin(2);
  kernel_->Send(0, FallocateMessage(1));
  kernel_->Send(1, ReadMessage(FUSE_READ, 2, 4096));
  EXPECT_TRUE(read_.AwaitArrivals(1));
  long_operation_.Open();
  EXPECT_EQ(kernel_->Receive(0).id, 1u);
  kernel_->Send(1, GetattrMessage(3));
  read_.Open();
  EXPECT_EQ(kernel_->Receive(1).id, 2u);
  ExpectSpareWorkerParks();
  EXPECT_THAT(session_->WorkerRequestCounts(), ElementsAre(1, 1));
  EXPECT_EQ(kernel_->Ask(0, FallocateMessage(4)).id, 4u);
  EXPECT_EQ(kernel_->Receive(1).id, 3u);
}

TEST_F(SessionSpareWorkersTest, ALongOperationContinuesWithoutASpareWorker) {
  // A socket cannot be cloned.
  Begin(1);
  long_operation_.Open();
  for (uint64_t id = 1; id < 5; ++id) EXPECT_EQ(kernel_->Ask(0, FallocateMessage(id)).error, 0);
  EXPECT_EQ(session_->WorkerRequestCounts().size(), 1u);
}

TEST_F(SessionSpareWorkersTest, StopsWhileSpareWorkersServeOrWait) {
  Begin(2);
  kernel_->Send(0, FallocateMessage(1));
  EXPECT_EQ(kernel_->Ask(1, GetattrMessage(2)).id, 2u);
  std::thread stopper([&] {
    base::SetThreadName("stopper");
    session_->Stop();
  });
  EXPECT_TRUE(test::AwaitSleep("stopper", test::kPolls)) << "it does not wait for the operation";
  long_operation_.Open();
  stopper.join();
  EXPECT_EQ(kernel_->Receive(0).id, 1u);

  Begin(2);
  MakeUnneededSpareWorker();
  kernel_->Send(1, GetattrMessage(4));
  session_->Stop();
  EXPECT_TRUE(session_->WaitFor(absl::ZeroDuration()));
}

TEST_F(SessionSpareWorkersTest, TheEndOfTheConnectionReachesParkedSpareWorkers) {
  Begin(2);
  MakeUnneededSpareWorker();
  EXPECT_EQ(kernel_->Ask(1, GetattrMessage(4)).id, 4u);
  ExpectSpareWorkerParks();
  kernel_->CloseAll();
  EXPECT_TRUE(session_->WaitFor(absl::Seconds(20)));
}

}  // namespace
}  // namespace memfuse::transport
