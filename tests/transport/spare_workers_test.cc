#include "src/transport/spare_workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "src/base/thread_name.h"
#include "tests/testing/sleeping_thread.h"

namespace memfuse::transport {
namespace {

// Spare workers that count their turns. In each turn they serve one request of requests_. The
// counts are atomic, so that the test can read them without mu_; they are changed under mu_.
class SpareWorkersTest : public testing::Test {
 protected:
  ~SpareWorkersTest() override {
    Change([this] { over_ = true; });
    spare_workers_.Close();
    for (std::thread& thread : threads_) thread.join();
  }

  bool Start() {
    if (!may_start_) return false;
    ++started_;
    threads_.emplace_back([this] {
      base::SetThreadName("spare");
      while (!over_) {
        spare_workers_.WaitUntilNeeded([this] { Change([this] { ++rests_; }); });
        Change([this] {
          ++turns_;
          ++serving_;
        });
        std::unique_lock<std::mutex> lock(mu_);
        changed_.wait(lock, [this] { return over_ || requests_ > 0; });
        --requests_;
        --serving_;
        changed_.notify_all();
      }
    });
    return true;
  }

  void Change(absl::FunctionRef<void()> change) {
    const std::lock_guard<std::mutex> lock(mu_);
    change();
    changed_.notify_all();
  }
  void Request(int count) {
    Change([&] { requests_ += count; });
  }
  // Waits until the condition over the counts holds. Returns false after test::kWaitLimit.
  bool Await(absl::FunctionRef<bool()> condition) {
    std::unique_lock<std::mutex> lock(mu_);
    return changed_.wait_for(lock, test::kWaitLimit, condition);
  }

  bool may_start_ = true;
  int started_ = 0;
  std::mutex mu_;
  std::condition_variable changed_;
  std::atomic<bool> over_{false};
  std::atomic<int> turns_{0};
  std::atomic<int> rests_{0};
  std::atomic<int> serving_{0};
  std::atomic<int> requests_{0};
  std::vector<std::thread> threads_;
  SpareWorkers spare_workers_{2, [this] { return Start(); }};
};

TEST_F(SpareWorkersTest, ASpareWorkerServesWhileAThreadIsBlocked) {
  EXPECT_EQ(started_, 0);
  spare_workers_.BeginBlocking();
  EXPECT_EQ(started_, 1);
  EXPECT_TRUE(Await([&] { return serving_ == 1; }));
  spare_workers_.EndBlocking();
}

TEST_F(SpareWorkersTest, ASpareWorkerWaitsWhenItIsNotNeeded) {
  spare_workers_.BeginBlocking();
  ASSERT_TRUE(Await([&] { return serving_ == 1; }));
  spare_workers_.EndBlocking();
  Request(1);
  // It serves the request that it waited for, and no other.
  ASSERT_TRUE(Await([&] { return serving_ == 0; }));
  EXPECT_TRUE(Await([&] { return rests_ == 1; }));
  // A spare worker that did not wait to be needed would count one more turn before it slept.
  EXPECT_TRUE(test::AwaitSleep("spare", test::kFutexes));
  EXPECT_EQ(turns_, 1);
  // The same spare worker serves again.
  spare_workers_.BeginBlocking();
  EXPECT_TRUE(Await([&] { return serving_ == 1; }));
  EXPECT_EQ(turns_, 2);
  EXPECT_EQ(started_, 1);
  spare_workers_.EndBlocking();
}

TEST_F(SpareWorkersTest, NoSecondSpareWorkerStartsWhileOneStillServes) {
  spare_workers_.BeginBlocking();
  ASSERT_TRUE(Await([&] { return serving_ == 1; }));
  spare_workers_.EndBlocking();
  spare_workers_.BeginBlocking();
  EXPECT_EQ(started_, 1);
  spare_workers_.EndBlocking();
}

TEST_F(SpareWorkersTest, ThereAreNoMoreThanAllowed) {
  for (int i = 0; i < 5; ++i) spare_workers_.BeginBlocking();
  EXPECT_EQ(started_, 2);
  EXPECT_TRUE(Await([&] { return serving_ == 2; }));
  // While three threads are blocked, both spare workers are needed.
  spare_workers_.EndBlocking();
  spare_workers_.EndBlocking();
  Request(2);
  EXPECT_TRUE(Await([&] { return turns_ == 4; }));
  for (int i = 0; i < 3; ++i) spare_workers_.EndBlocking();
}

TEST_F(SpareWorkersTest, AFailedStartIsTriedAgain) {
  may_start_ = false;
  spare_workers_.BeginBlocking();
  spare_workers_.EndBlocking();
  EXPECT_EQ(started_, 0);
  may_start_ = true;
  spare_workers_.BeginBlocking();
  EXPECT_EQ(started_, 1);
  spare_workers_.EndBlocking();
}

TEST_F(SpareWorkersTest, AfterCloseNoWorkerWaitsOrIsStarted) {
  spare_workers_.BeginBlocking();
  ASSERT_TRUE(Await([&] { return serving_ == 1; }));
  spare_workers_.EndBlocking();
  Request(1);
  ASSERT_TRUE(Await([&] { return serving_ == 0; }));
  spare_workers_.Close();
  EXPECT_TRUE(Await([&] { return turns_ == 2; }));
  for (int i = 0; i < 3; ++i) spare_workers_.BeginBlocking();
  EXPECT_EQ(started_, 1);
}

TEST_F(SpareWorkersTest, RepeatedBlockingLosesNoTurn) {
  Request(1 << 30);
  std::vector<std::thread> workers;
  std::atomic<bool> blocking{false};
  // The thread that blocks sees that a spare worker takes a turn after its BeginBlocking.
  for (int i = 0; i < 2; ++i) {
    workers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        const bool mine = !blocking.exchange(true);
        if (mine) {
          spare_workers_.BeginBlocking();
          const int before = turns_;
          EXPECT_TRUE(Await([&] { return turns_ > before; }));
          spare_workers_.EndBlocking();
          blocking = false;
        }
        std::this_thread::yield();
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
}

// A worker of a queue of io_uring has no spare workers.
TEST(WorkerBlockingObserver, ReportsToTheSpareWorkersOfTheCallingThread) {
  std::atomic<int> started{0};
  SpareWorkers spare_workers(2, [&started] {
    ++started;
    return false;
  });
  WorkerBlockingObserver observer;
  const auto blocks = [&](SpareWorkers* of_thread) {
    std::thread([&] {
      WorkerBlockingObserver::SetThread(of_thread, nullptr);
      EXPECT_EQ(observer.CanReplaceCallingThread(), of_thread != nullptr);
      const ScopedBlockingCall blocking(&observer);
    }).join();
    return started.exchange(0);
  };
  EXPECT_EQ(blocks(&spare_workers), 1);
  EXPECT_EQ(blocks(nullptr), 0);
  EXPECT_FALSE(observer.CanReplaceCallingThread()) << "the thread of the test";
}

}  // namespace
}  // namespace memfuse::transport
