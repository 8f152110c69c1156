#include "src/transport/seats.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "absl/time/clock.h"

namespace memfuse::transport {
namespace {

// A few moments, until it is so.
bool Soon(const std::function<bool()>& condition) {
  for (int i = 0; i < 20000 && !condition(); ++i) absl::SleepFor(absl::Milliseconds(1));
  return condition();
}

// Stand-ins that count their turns, and take one at a time when they are told to.
class SeatsTest : public testing::Test {
 protected:
  ~SeatsTest() override {
    over_ = true;
    seats_.Close();
    for (std::thread& thread : threads_) thread.join();
  }

  bool Start() {
    if (!may_start_) return false;
    ++started_;
    threads_.emplace_back([this] {
      while (!over_) {
        seats_.AwaitTurn([this] { ++rests_; });
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
  Seats seats_{2, [this] { return Start(); }};
};

TEST_F(SeatsTest, SomebodyServesWhileAThreadIsAway) {
  EXPECT_EQ(started_, 0);
  seats_.Leave();
  EXPECT_EQ(started_, 1);
  EXPECT_TRUE(Soon([&] { return serving_ == 1; }));
  seats_.Return();
}

TEST_F(SeatsTest, AStandInWaitsWhenItIsNotNeeded) {
  seats_.Leave();
  ASSERT_TRUE(Soon([&] { return serving_ == 1; }));
  seats_.Return();
  requests_ = 1;
  // It serves what it was about to, and no more.
  ASSERT_TRUE(Soon([&] { return serving_ == 0; }));
  EXPECT_TRUE(Soon([&] { return rests_ == 1; }));
  absl::SleepFor(absl::Milliseconds(20));
  EXPECT_EQ(turns_, 1);
  // The same one comes again.
  seats_.Leave();
  EXPECT_TRUE(Soon([&] { return serving_ == 1; }));
  EXPECT_EQ(turns_, 2);
  EXPECT_EQ(started_, 1);
  seats_.Return();
}

TEST_F(SeatsTest, AStandInThatServesOnceMoreIsNotJoinedByAnother) {
  seats_.Leave();
  ASSERT_TRUE(Soon([&] { return serving_ == 1; }));
  seats_.Return();
  seats_.Leave();
  EXPECT_EQ(started_, 1);
  seats_.Return();
}

TEST_F(SeatsTest, ThereAreNoMoreThanAllowed) {
  for (int i = 0; i < 5; ++i) seats_.Leave();
  EXPECT_EQ(started_, 2);
  EXPECT_TRUE(Soon([&] { return serving_ == 2; }));
  // As long as three are away, both are needed.
  seats_.Return();
  seats_.Return();
  requests_ = 2;
  EXPECT_TRUE(Soon([&] { return turns_ == 4; }));
  for (int i = 0; i < 3; ++i) seats_.Return();
}

TEST_F(SeatsTest, AThreadThatCannotBeHadIsTriedAgain) {
  may_start_ = false;
  seats_.Leave();
  seats_.Return();
  EXPECT_EQ(started_, 0);
  may_start_ = true;
  seats_.Leave();
  EXPECT_EQ(started_, 1);
  seats_.Return();
}

TEST_F(SeatsTest, AfterTheEndNobodyWaitsOrIsStarted) {
  seats_.Leave();
  ASSERT_TRUE(Soon([&] { return serving_ == 1; }));
  seats_.Return();
  requests_ = 1;
  ASSERT_TRUE(Soon([&] { return serving_ == 0; }));
  seats_.Close();
  EXPECT_TRUE(Soon([&] { return turns_ == 2; }));
  for (int i = 0; i < 3; ++i) seats_.Leave();
  EXPECT_EQ(started_, 1);
}

TEST_F(SeatsTest, ComingAndGoingLosesNoTurn) {
  requests_ = 1 << 30;
  std::vector<std::thread> workers;
  std::atomic<bool> leaving{false};
  // Whoever is away sees somebody take a turn after it left.
  for (int i = 0; i < 2; ++i) {
    workers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        const bool mine = !leaving.exchange(true);
        if (mine) {
          seats_.Leave();
          const int before = turns_;
          EXPECT_TRUE(Soon([&] { return turns_ > before; }));
          seats_.Return();
          leaving = false;
        }
        std::this_thread::yield();
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
}

}  // namespace
}  // namespace memfuse::transport
