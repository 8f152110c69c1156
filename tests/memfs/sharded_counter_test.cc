#include "src/memfs/space/sharded_counter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

namespace memfuse::memfs {
namespace {

constexpr uint64_t kCounterLimit = 1 << 20;  // Acquire refills a shard with 256
constexpr uint64_t kCounterMax = 1024;

// Runs `f` in a new thread, which has its own shard.
template <typename F>
void InNewThread(F f) {
  std::thread thread(f);
  thread.join();
}

TEST(ShardedCounterTest, AmountsInShardsAreNotUsed) {
  ShardedCounter counter(kCounterLimit, kCounterMax);
  for (int i = 0; i < 100; ++i) {
    InNewThread([&] {
      EXPECT_TRUE(counter.Acquire(10));
      EXPECT_EQ(counter.used(), 10u);
      EXPECT_EQ(counter.free(), kCounterLimit - 10);
      counter.Release(10);
    });
  }
  EXPECT_EQ(counter.used(), 0u);
  EXPECT_LT(counter.free_lower_bound(), kCounterLimit);
  EXPECT_GE(counter.free_lower_bound(), kCounterLimit - 64 * kCounterMax);
}

TEST(ShardedCounterTest, AcquireDrainsOtherThreadsShards) {
  ShardedCounter counter(kCounterLimit, kCounterMax);
  const auto fill_a_shard = [&] {
    EXPECT_TRUE(counter.Acquire(1));
    counter.Release(1);
  };
  InNewThread(fill_a_shard);
  InNewThread(fill_a_shard);
  EXPECT_TRUE(counter.Acquire(kCounterLimit));
  EXPECT_FALSE(counter.Acquire(1));
  InNewThread([&] { EXPECT_FALSE(counter.Acquire(1)); });
  counter.Release(kCounterLimit);
  InNewThread(fill_a_shard);
  EXPECT_EQ(counter.AcquireUpTo(2 * kCounterLimit, 1), kCounterLimit);
  counter.Release(kCounterLimit);
  InNewThread(fill_a_shard);
  EXPECT_TRUE(counter.LowerLimit(kCounterLimit));
  EXPECT_EQ(counter.limit(), 0u);
  InNewThread([&] { EXPECT_FALSE(counter.Acquire(1)); });
}

// Before it fails, Acquire checks that no other thread moved amounts during its search. A failing
// Acquire of another thread must not count as a move; otherwise none of them would end.
TEST(ShardedCounterTest, FailingAcquiresDoNotBlockEachOther) {
  ShardedCounter counter(kCounterLimit, kCounterMax);
  ASSERT_TRUE(counter.Acquire(kCounterLimit));
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 20'000; ++n) EXPECT_FALSE(counter.Acquire(1 + n % 600));
    });
  }
  for (std::thread& thread : threads) thread.join();
  counter.Release(kCounterLimit);
  EXPECT_EQ(counter.free(), kCounterLimit);
}

TEST(ShardedCounterTest, SetLimitAppliesToShardsToo) {
  ShardedCounter counter(kCounterLimit, kCounterMax);
  InNewThread([&] {
    EXPECT_TRUE(counter.Acquire(7));
    counter.SetLimit(counter.used());
    EXPECT_FALSE(counter.Acquire(1));
    counter.RaiseLimit(1);
    EXPECT_TRUE(counter.Acquire(1));
    EXPECT_FALSE(counter.Acquire(1));
  });
}

TEST(ShardedCounterTest, ShardsStaySmall) {
  ShardedCounter counter(kCounterLimit, kCounterMax);
  EXPECT_TRUE(counter.Acquire(kCounterLimit));
  for (uint64_t i = 0; i < kCounterLimit; i += 64) counter.Release(64);
  EXPECT_EQ(counter.free(), kCounterLimit);
  EXPECT_GE(counter.free_lower_bound(), kCounterLimit - kCounterMax);
}

TEST(ShardedCounterTest, ASmallLimitHasNoShards) {
  ShardedCounter counter(1000, kCounterMax);
  EXPECT_TRUE(counter.Acquire(10));
  counter.Release(10);
  EXPECT_EQ(counter.free_lower_bound(), 1000u);
}

TEST(ShardedCounterTest, WithoutRoomInShardsAllIsOutsideOfThem) {
  ShardedCounter counter(kCounterLimit, /*max_shard=*/0);
  EXPECT_TRUE(counter.Acquire(kCounterLimit));
  EXPECT_FALSE(counter.Acquire(1));
  for (uint64_t i = 0; i < kCounterLimit; i += 64) counter.Release(64);
  EXPECT_EQ(counter.free_lower_bound(), kCounterLimit);
}

// The sum never exceeds the limit, no Acquire fails while enough is free, and nothing is lost.
TEST(ShardedCounterTest, ManyThreadsAtTheLimit) {
  constexpr int kThreads = 6;
  constexpr uint64_t kShare = 5000;
  // All threads can hold a share at the same time, in addition to the temporary amounts. The shards
  // are small, so that they are filled and drained all the time.
  constexpr uint64_t kPassing = 5 * 1000 + 10;
  ShardedCounter counter(kThreads * (kShare + kPassing), kCounterMax);
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
TEST(ShardedCounterTest, ManyThreadsWithAMovingLimit) {
  constexpr int kThreads = 6;
  constexpr uint64_t kShare = 5000;
  constexpr uint64_t kLeast = kThreads * kShare;
  ShardedCounter counter(kLeast, kCounterMax);
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
    counter.SizeShardsFor(2 * kLeast);
    if (!counter.LowerLimit(kLeast)) ++failures;
    counter.SizeShardsFor(kLeast);
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
