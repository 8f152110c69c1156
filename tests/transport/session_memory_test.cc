// Sessions over socket pairs under a shortage of memory: each allocation of the thread that does
// the work fails in turn.

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <new>

#include "memfuse/session.h"
#include "tests/testing/allocation_failure.h"
#include "tests/transport/fake_filesystem.h"
#include "tests/transport/socket_kernel.h"
#include "tests/transport/wire_requests.h"

namespace memfuse::transport {
namespace {

using test::AllocationFailure;

// Each failure costs a descriptor, because a socket cannot be cloned.
constexpr size_t kDescriptors = 60;

// The allocation number `failing` of a FALLOCATE fails during its BeginBlocking.
class StarvedFileSystem final : public FakeFileSystem {
 public:
  Result<void> Fallocate(const RequestContext&, const FallocateRequest&) override {
    const AllocationFailure failure(failing, kind);
    const ScopedBlockingCall blocking(host.blocking_observer);
    return {};
  }
  std::atomic<uint64_t> failing{0};
  std::atomic<AllocationFailure::Kind> kind{AllocationFailure::Kind::kOne};
};

class SessionMemoryTest : public testing::TestWithParam<AllocationFailure::Kind> {
 protected:
  void SetUp() override {
    fs_.kind = GetParam();
    kernel_ = std::make_unique<SocketKernel>(kDescriptors);
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
  size_t Workers() const { return session_->WorkerRequestCounts().size(); }

  StarvedFileSystem fs_;
  std::unique_ptr<SocketKernel> kernel_;
  std::unique_ptr<Session> session_;
};

TEST_P(SessionMemoryTest, ContinuesWithoutASpareWorkerThatCannotBeStarted) {
  uint64_t id = 0;
  for (fs_.failing = 1; Workers() == 1; ++fs_.failing) {
    ASSERT_LT(id, kDescriptors);
    ++id;
    ASSERT_EQ(kernel_->Ask(0, FallocateMessage(id)).id, id);
  }
  EXPECT_GT(id, 3u);
  session_->Stop();
  EXPECT_TRUE(session_->WaitFor(absl::ZeroDuration()));
}

TEST_P(SessionMemoryTest, ContinuesWithoutAWorkerThatCannotBeStarted) {
  uint64_t n = 0;
  while (Workers() == 1) {
    ASSERT_LT(++n, kDescriptors);
    try {
      const AllocationFailure failure(n, GetParam());
      (void)session_->AddWorker();
    } catch (const std::bad_alloc&) {
      // The error text must appear somewhere.
    }
  }
  EXPECT_GT(n, 3u);
  EXPECT_EQ(kernel_->Ask(0, GetattrMessage(1)).error, 0);
  session_->Stop();
  EXPECT_TRUE(session_->WaitFor(absl::ZeroDuration()));
}

TEST_P(SessionMemoryTest, StopsWithoutMemory) {
  {
    const AllocationFailure failure(1, GetParam());
    session_->Stop();
  }
  EXPECT_TRUE(session_->WaitFor(absl::ZeroDuration()));
}

INSTANTIATE_TEST_SUITE_P(Kinds, SessionMemoryTest,
                         testing::Values(AllocationFailure::Kind::kOne,
                                         AllocationFailure::Kind::kRest),
                         [](const auto& kind) {
                           return kind.param == AllocationFailure::Kind::kOne ? "One" : "Rest";
                         });

}  // namespace
}  // namespace memfuse::transport
