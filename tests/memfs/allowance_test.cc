#include "src/memfs/allowance.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

namespace memfuse::memfs {
namespace {

constexpr uint64_t kLimit = 1 << 20;  // a purse is filled with 256
constexpr uint64_t kMost = 1024;

// Runs `f` in a thread of its own, which has a purse of its own.
template <typename F>
void Elsewhere(F f) {
  std::thread thread(f);
  thread.join();
}

TEST(AllowanceTest, WhatIsInTheirPursesIsNotTaken) {
  Allowance allowance(kLimit, kMost);
  for (int i = 0; i < 100; ++i) {
    Elsewhere([&] {
      EXPECT_TRUE(allowance.Take(10));
      EXPECT_EQ(allowance.taken(), 10u);
      EXPECT_EQ(allowance.left(), kLimit - 10);
      allowance.Give(10);
    });
  }
  EXPECT_EQ(allowance.taken(), 0u);
  EXPECT_LT(allowance.left_at_least(), kLimit);
  EXPECT_GE(allowance.left_at_least(), kLimit - 64 * kMost);
}

TEST(AllowanceTest, WhatIsInTheirPursesCanBeHadByAll) {
  Allowance allowance(kLimit, kMost);
  const auto fill_a_purse = [&] {
    EXPECT_TRUE(allowance.Take(1));
    allowance.Give(1);
  };
  Elsewhere(fill_a_purse);
  Elsewhere(fill_a_purse);
  EXPECT_TRUE(allowance.Take(kLimit));
  EXPECT_FALSE(allowance.Take(1));
  Elsewhere([&] { EXPECT_FALSE(allowance.Take(1)); });
  allowance.Give(kLimit);
  Elsewhere(fill_a_purse);
  EXPECT_EQ(allowance.TakeUpTo(2 * kLimit, 1), kLimit);
  allowance.Give(kLimit);
  Elsewhere(fill_a_purse);
  EXPECT_TRUE(allowance.LowerLimit(kLimit));
  EXPECT_EQ(allowance.limit(), 0u);
  Elsewhere([&] { EXPECT_FALSE(allowance.Take(1)); });
}

// Each makes sure that nothing was under way while it looked; what the others do for that must not
// count, or none of them ends.
TEST(AllowanceTest, ThoseWhoFindNothingDoNotHoldEachOtherUp) {
  Allowance allowance(kLimit, kMost);
  ASSERT_TRUE(allowance.Take(kLimit));
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 20'000; ++n) EXPECT_FALSE(allowance.Take(1 + n % 600));
    });
  }
  for (std::thread& thread : threads) thread.join();
  allowance.Give(kLimit);
  EXPECT_EQ(allowance.left(), kLimit);
}

TEST(AllowanceTest, ALimitThatIsSetHoldsForPursesToo) {
  Allowance allowance(kLimit, kMost);
  Elsewhere([&] {
    EXPECT_TRUE(allowance.Take(7));
    allowance.SetLimit(allowance.taken());
    EXPECT_FALSE(allowance.Take(1));
    allowance.RaiseLimit(1);
    EXPECT_TRUE(allowance.Take(1));
    EXPECT_FALSE(allowance.Take(1));
  });
}

TEST(AllowanceTest, PursesStaySmall) {
  Allowance allowance(kLimit, kMost);
  EXPECT_TRUE(allowance.Take(kLimit));
  for (uint64_t i = 0; i < kLimit; i += 64) allowance.Give(64);
  EXPECT_EQ(allowance.left(), kLimit);
  EXPECT_GE(allowance.left_at_least(), kLimit - kMost);
}

TEST(AllowanceTest, ASmallLimitHasNoPurses) {
  Allowance allowance(1000, kMost);
  EXPECT_TRUE(allowance.Take(10));
  allowance.Give(10);
  EXPECT_EQ(allowance.left_at_least(), 1000u);
}

// Never more than the limit, never refused where nobody has it, nothing lost.
TEST(AllowanceTest, ManyThreadsAtTheLimit) {
  constexpr int kThreads = 6;
  constexpr uint64_t kShare = 5000;
  // Everybody can have a share at the same time, and what is taken in passing. The purses are
  // small, so that they are filled and emptied all the time.
  constexpr uint64_t kPassing = 5 * 1000 + 10;
  Allowance allowance(kThreads * (kShare + kPassing), kMost);
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
          if (allowance.Take(amount)) {
            if (held.fetch_add(amount) + amount > allowance.limit()) ++failures;
            mine.push_back(amount);
            sum += amount;
          } else {
            ++failures;
          }
        } else if (!mine.empty()) {
          held.fetch_sub(mine.back());
          sum -= mine.back();
          allowance.Give(mine.back());
          mine.pop_back();
        }
        if (i % 1000 == 0) allowance.Give(1000 * allowance.TakeUpTo(5, 1000));
        if (i % 1000 == 0 && allowance.LowerLimit(10)) allowance.RaiseLimit(10);
      }
      for (const uint64_t amount : mine) {
        held.fetch_sub(amount);
        allowance.Give(amount);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
}

// A limit that moves between what is asked for and more refuses nobody, and holds.
TEST(AllowanceTest, ManyThreadsBesideALimitThatMoves) {
  constexpr int kThreads = 6;
  constexpr uint64_t kShare = 5000;
  constexpr uint64_t kLeast = kThreads * kShare;
  Allowance allowance(kLeast, kMost);
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
        const uint64_t taken = in_units ? allowance.TakeUpTo(amount, 1) : amount;
        if (taken != amount || (!in_units && !allowance.Take(amount))) ++failures;
        if (held.fetch_add(taken) + taken > 2 * kLeast) ++failures;
        held.fetch_sub(taken);
        allowance.Give(taken);
      }
      --running;
    });
  }
  while (running > 0) {
    allowance.RaiseLimit(kLeast);
    allowance.FillPursesFor(2 * kLeast);
    if (!allowance.LowerLimit(kLeast)) ++failures;
    allowance.FillPursesFor(kLeast);
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(allowance.taken(), 0u);
  EXPECT_EQ(allowance.limit(), kLeast);
  EXPECT_TRUE(allowance.Take(kLeast));
  EXPECT_FALSE(allowance.Take(1));
}

}  // namespace
}  // namespace memfuse::memfs
