#include "src/transport/spare_workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "absl/time/clock.h"

namespace memfuse::transport {
namespace {

// Waits for a limited time until the condition holds.
bool Soon(const std::function<bool()>& condition) {
  for (int i = 0; i < 20000 && !condition(); ++i) absl::SleepFor(absl::Milliseconds(1));
  return condition();
}

// Spare workers that count their turns. Each serves one request per increment of requests_.
class SpareWorkersTest : public testing::Test {
 protected:
  ~SpareWorkersTest() override {
    over_ = true;
    spare_workers_.Close();
    for (std::thread& thread : threads_) thread.join();
  }

  bool Start() {
    if (!may_start_) return false;
    ++started_;
    threads_.emplace_back([this] {
      while (!over_) {
        spare_workers_.WaitUntilNeeded([this] { ++rests_; });
        ++turns_;
        ++serving_;
        while (!over_ && requests_ == 0) absl::SleepFor(absl::Milliseconds(1));
        --requests_;
        --serving_;
      }
    });
    return true;
  }

  std::atomic<bool> over_{false};
  bool may_start_ = true;
  int started_ = 0;
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
  EXPECT_TRUE(Soon([&] { return serving_ == 1; }));
  spare_workers_.EndBlocking();
}

TEST_F(SpareWorkersTest, ASpareWorkerWaitsWhenItIsNotNeeded) {
  spare_workers_.BeginBlocking();
  ASSERT_TRUE(Soon([&] { return serving_ == 1; }));
  spare_workers_.EndBlocking();
  requests_ = 1;
  // It serves the request that it waited for, and no other.
  ASSERT_TRUE(Soon([&] { return serving_ == 0; }));
  EXPECT_TRUE(Soon([&] { return rests_ == 1; }));
  absl::SleepFor(absl::Milliseconds(20));
  EXPECT_EQ(turns_, 1);
  // The same spare worker serves again.
  spare_workers_.BeginBlocking();
  EXPECT_TRUE(Soon([&] { return serving_ == 1; }));
  EXPECT_EQ(turns_, 2);
  EXPECT_EQ(started_, 1);
  spare_workers_.EndBlocking();
}

TEST_F(SpareWorkersTest, NoSecondSpareWorkerStartsWhileOneStillServes) {
  spare_workers_.BeginBlocking();
  ASSERT_TRUE(Soon([&] { return serving_ == 1; }));
  spare_workers_.EndBlocking();
  spare_workers_.BeginBlocking();
  EXPECT_EQ(started_, 1);
  spare_workers_.EndBlocking();
}

TEST_F(SpareWorkersTest, ThereAreNoMoreThanAllowed) {
  for (int i = 0; i < 5; ++i) spare_workers_.BeginBlocking();
  EXPECT_EQ(started_, 2);
  EXPECT_TRUE(Soon([&] { return serving_ == 2; }));
  // While three threads are blocked, both spare workers are needed.
  spare_workers_.EndBlocking();
  spare_workers_.EndBlocking();
  requests_ = 2;
  EXPECT_TRUE(Soon([&] { return turns_ == 4; }));
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
  ASSERT_TRUE(Soon([&] { return serving_ == 1; }));
  spare_workers_.EndBlocking();
  requests_ = 1;
  ASSERT_TRUE(Soon([&] { return serving_ == 0; }));
  spare_workers_.Close();
  EXPECT_TRUE(Soon([&] { return turns_ == 2; }));
  for (int i = 0; i < 3; ++i) spare_workers_.BeginBlocking();
  EXPECT_EQ(started_, 1);
}

TEST_F(SpareWorkersTest, RepeatedBlockingLosesNoTurn) {
  requests_ = 1 << 30;
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
          EXPECT_TRUE(Soon([&] { return turns_ > before; }));
          spare_workers_.EndBlocking();
          blocking = false;
        }
        std::this_thread::yield();
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
}

}  // namespace
}  // namespace memfuse::transport
