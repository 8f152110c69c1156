#include "src/memfs/space/limited_counter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

namespace memfuse::memfs {
namespace {

TEST(LimitedCounterTest, CountsWhatIsAcquired) {
  LimitedCounter counter(100);
  EXPECT_TRUE(counter.Acquire(30));
  EXPECT_FALSE(counter.Acquire(71));
  EXPECT_TRUE(counter.Acquire(70));
  EXPECT_TRUE(counter.Acquire(0));
  EXPECT_FALSE(counter.Acquire(1));
  EXPECT_EQ(counter.used(), 100u);
  counter.Release(40);
  EXPECT_EQ(counter.free(), 40u);
  EXPECT_EQ(counter.used(), 60u);
}

TEST(LimitedCounterTest, AcquiresWholeUnits) {
  LimitedCounter counter(100);
  EXPECT_EQ(counter.AcquireUpTo(3, 30), 3u);
  EXPECT_EQ(counter.AcquireUpTo(3, 30), 0u);
  EXPECT_EQ(counter.AcquireUpTo(0, 1), 0u);
  EXPECT_EQ(counter.AcquireUpTo(~uint64_t{0}, 2), 5u);
  EXPECT_EQ(counter.free(), 0u);
}

TEST(LimitedCounterTest, ALimitIsNotLoweredBelowWhatIsUsed) {
  LimitedCounter counter(100);
  ASSERT_TRUE(counter.Acquire(60));
  EXPECT_FALSE(counter.LowerLimit(41));
  EXPECT_TRUE(counter.LowerLimit(40));
  EXPECT_EQ(counter.limit(), 60u);
  EXPECT_FALSE(counter.Acquire(1));
  counter.RaiseLimit(1);
  EXPECT_TRUE(counter.Acquire(1));
  counter.SetLimit(200);
  EXPECT_EQ(counter.used(), 61u);
  EXPECT_EQ(counter.free(), 139u);
}

// The sum never exceeds the limit, no Acquire fails while enough is free, and nothing is lost.
TEST(LimitedCounterTest, ManyThreadsAtTheLimit) {
  constexpr int kThreads = 6;
  constexpr uint64_t kShare = 5000;
  // All threads can hold a share at the same time, in addition to the temporary amounts.
  constexpr uint64_t kPassing = 5 * 1000 + 10;
  LimitedCounter counter(kThreads * (kShare + kPassing));
  std::atomic<uint64_t> held{0};
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      std::vector<uint64_t> mine;
      uint64_t sum = 0;
      for (int i = 0; i < 20'000; ++i) {
        const uint64_t amount = random() % 700;
        if (sum + amount <= kShare) {
          if (counter.Acquire(amount)) {
            if (held.fetch_add(amount) + amount > counter.limit()) ++failures;
            mine.push_back(amount);
            sum += amount;
          } else {
            ++failures;
          }
        } else if (!mine.empty()) {
          held.fetch_sub(mine.back());
          sum -= mine.back();
          counter.Release(mine.back());
          mine.pop_back();
        }
        if (i % 1000 == 0) counter.Release(1000 * counter.AcquireUpTo(5, 1000));
        if (i % 1000 == 0 && counter.LowerLimit(10)) counter.RaiseLimit(10);
      }
      for (const uint64_t amount : mine) {
        held.fetch_sub(amount);
        counter.Release(amount);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
}

// A limit that moves, but stays above the total demand, makes no Acquire fail and is never
// exceeded.
TEST(LimitedCounterTest, ManyThreadsWithAMovingLimit) {
  constexpr int kThreads = 6;
  constexpr uint64_t kShare = 5000;
  constexpr uint64_t kLeast = kThreads * kShare;
  LimitedCounter counter(kLeast);
  std::atomic<uint64_t> held{0};
  std::atomic<int> failures{0};
  std::atomic<int> running{kThreads};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 20'000; ++i) {
        const uint64_t amount = random() % kShare;
        const bool in_units = random() % 4 == 0;
        const uint64_t taken = in_units ? counter.AcquireUpTo(amount, 1) : amount;
        if (taken != amount || (!in_units && !counter.Acquire(amount))) ++failures;
        if (held.fetch_add(taken) + taken > 2 * kLeast) ++failures;
        held.fetch_sub(taken);
        counter.Release(taken);
      }
      --running;
    });
  }
  while (running > 0) {
    counter.RaiseLimit(kLeast);
    if (!counter.LowerLimit(kLeast)) ++failures;
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(counter.used(), 0u);
  EXPECT_EQ(counter.limit(), kLeast);
  EXPECT_TRUE(counter.Acquire(kLeast));
  EXPECT_FALSE(counter.Acquire(1));
}

}  // namespace
}  // namespace memfuse::memfs
