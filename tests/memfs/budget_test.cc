#include "src/memfs/space/budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

namespace memfuse::memfs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kMax = ~uint64_t{0};

// Grows the budget by the requested bytes and by `more`, as long as its pool has that many.
class FakeSpaceSource final : public SpaceSource {
 public:
  FakeSpaceSource(Budget* budget, uint64_t pool, uint64_t more = 0)
      : budget_(budget), pool_(pool), more_(more) {}

  bool Grow(uint64_t bytes) override {
    asked_.push_back(bytes);
    if (bytes + more_ > pool_) return false;
    pool_ -= bytes + more_;
    budget_->RaiseLimit(bytes + more_);
    return true;
  }
  // The requests since the last call of asked().
  std::vector<uint64_t> asked() { return std::exchange(asked_, {}); }

 private:
  Budget* const budget_;
  uint64_t pool_;
  const uint64_t more_;
  std::vector<uint64_t> asked_;
};

TEST(Budget, GrantsBytesUpToTheLimitAndNotOneMore) {
  Budget budget(1000, 1);
  EXPECT_TRUE(budget.ReserveBytes(999));
  EXPECT_FALSE(budget.ReserveBytes(2));
  EXPECT_EQ(budget.bytes_used(), 999u);
  EXPECT_TRUE(budget.ReserveBytes(1));
  EXPECT_TRUE(budget.ReserveBytes(0));
  EXPECT_FALSE(budget.ReserveBytes(1));
  budget.ReleaseBytes(1000);
  EXPECT_EQ(budget.bytes_used(), 0u);
}

TEST(Budget, RefusesAmountsThatOverflow) {
  Budget budget(1000, 1);
  ASSERT_TRUE(budget.ReserveBytes(10));
  EXPECT_FALSE(budget.ReserveBytes(kMax));
  EXPECT_FALSE(budget.ReserveBytes(kMax - 9));
  EXPECT_EQ(budget.ReserveUpTo(kMax, kMax), 0u);
  EXPECT_EQ(budget.bytes_used(), 10u);
}

TEST(Budget, TakesTheLargestLimit) {
  Budget budget(kMax, kMax);
  EXPECT_TRUE(budget.ReserveBytes(kMax));
  EXPECT_FALSE(budget.ReserveBytes(1));
  EXPECT_EQ(budget.total(), kMax);
  EXPECT_EQ(budget.inode_limit(), kMax);
}

TEST(Budget, ReserveUpToGrantsWholeUnits) {
  Budget budget(10000, 1);
  EXPECT_EQ(budget.ReserveUpTo(0, 4096), 0u);
  EXPECT_EQ(budget.ReserveUpTo(1, 4096), 1u);
  EXPECT_EQ(budget.ReserveUpTo(5, 4096), 1u);
  EXPECT_EQ(budget.bytes_used(), 8192u);
  EXPECT_EQ(budget.ReserveUpTo(5, 4096), 0u);
  EXPECT_TRUE(budget.ReserveBytes(10000 - 8192));
  EXPECT_EQ(budget.ReserveUpTo(1, 1), 0u);
}

TEST(Budget, CountsInodesByThemselves) {
  Budget budget(1, 2);
  EXPECT_TRUE(budget.ReserveInode());
  EXPECT_TRUE(budget.ReserveInode());
  EXPECT_FALSE(budget.ReserveInode());
  budget.ReleaseInode();
  EXPECT_TRUE(budget.ReserveInode());
  EXPECT_EQ(budget.inodes_used(), 2u);
  EXPECT_EQ(budget.bytes_used(), 0u);
}

TEST(Budget, BytesFreeCanBeReserved) {
  Budget budget(100, 1);
  EXPECT_EQ(budget.bytes_free(), 100u);
  ASSERT_TRUE(budget.ReserveBytes(60));
  EXPECT_EQ(budget.bytes_free(), 40u);
  budget.RaiseLimit(5);
  EXPECT_EQ(budget.bytes_free(), 45u);
  EXPECT_FALSE(budget.ReserveBytes(46));
  EXPECT_TRUE(budget.ReserveBytes(45));
  EXPECT_EQ(budget.bytes_free(), 0u);
  EXPECT_EQ(budget.total(), 100u);
}

TEST(Budget, LowersTheLimitByUnusedBytesOnly) {
  Budget budget(100, 1);
  ASSERT_TRUE(budget.ReserveBytes(60));
  EXPECT_FALSE(budget.LowerLimit(41));
  EXPECT_EQ(budget.bytes_free(), 40u);
  EXPECT_TRUE(budget.LowerLimit(30));
  EXPECT_EQ(budget.bytes_used(), 60u);
  EXPECT_EQ(budget.bytes_free(), 10u);
  EXPECT_FALSE(budget.ReserveBytes(11));
  EXPECT_FALSE(budget.LowerLimit(11));
  EXPECT_TRUE(budget.LowerLimit(10));
  EXPECT_FALSE(budget.ReserveBytes(1));
  EXPECT_EQ(budget.total(), 100u);
}

TEST(Budget, UseSourceLowersTheLimitToTheUsedBytes) {
  Budget budget(1000, 1);
  FakeSpaceSource source(&budget, 0);
  ASSERT_TRUE(budget.ReserveBytes(10));
  budget.UseSource(&source);
  EXPECT_EQ(budget.bytes_free(), 0u);
  EXPECT_EQ(budget.total(), 1000u);
  EXPECT_FALSE(budget.ReserveBytes(1));
  EXPECT_EQ(budget.bytes_used(), 10u);
  // Restores the limit that the budget was made with.
  budget.UseSource(nullptr);
  EXPECT_EQ(budget.bytes_free(), 990u);
  EXPECT_FALSE(budget.ReserveBytes(991));
  EXPECT_TRUE(budget.ReserveBytes(990));
}

TEST(Budget, CallsGrowOnlyWhenTheLimitIsReached) {
  Budget budget(1000, 1);
  FakeSpaceSource source(&budget, 100, /*more=*/5);
  budget.UseSource(&source);
  EXPECT_TRUE(budget.ReserveBytes(0));
  EXPECT_THAT(source.asked(), IsEmpty());
  EXPECT_TRUE(budget.ReserveBytes(10));
  EXPECT_THAT(source.asked(), ElementsAre(10));
  EXPECT_TRUE(budget.ReserveBytes(5));
  EXPECT_THAT(source.asked(), IsEmpty());
  EXPECT_TRUE(budget.ReserveBytes(20));
  EXPECT_THAT(source.asked(), ElementsAre(20));
  // Released bytes can be reserved without a call of Grow.
  budget.ReleaseBytes(20);
  EXPECT_TRUE(budget.ReserveBytes(25));
  EXPECT_THAT(source.asked(), IsEmpty());
  EXPECT_EQ(budget.ReserveUpTo(9, 1), 0u);
  EXPECT_THAT(source.asked(), IsEmpty());
  // Grow refuses, so nothing is reserved.
  EXPECT_FALSE(budget.ReserveBytes(60));
  EXPECT_THAT(source.asked(), ElementsAre(60));
  EXPECT_EQ(budget.bytes_used(), 40u);
  EXPECT_EQ(budget.bytes_free(), 0u);
}

TEST(Budget, HoldsTheLimitUnderConcurrency) {
  constexpr uint64_t kLimit = 64;
  constexpr int kRounds = 20000;
  Budget budget(kLimit, kLimit);
  std::atomic<int64_t> out{0};
  std::atomic<bool> exceeded{false};
  const auto take = [&](uint64_t amount) {
    if (out.fetch_add(static_cast<int64_t>(amount)) + amount > kLimit) exceeded = true;
    out.fetch_sub(static_cast<int64_t>(amount));
    budget.ReleaseBytes(amount);
  };
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRounds; ++i) {
        if (t % 2 == 0) {
          if (budget.ReserveBytes(20 + t)) take(20 + t);
        } else if (const uint64_t n = budget.ReserveUpTo(10, 3); n > 0) {
          take(n * 3);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(exceeded);
  EXPECT_EQ(budget.bytes_used(), 0u);
}

// Several threads reserve and release while unused bytes go back to the SpaceSource. The used bytes
// and the bytes in the pool are together never more than the total.
TEST(Budget, GrowAndLowerLimitKeepTheTotalUnderConcurrency) {
  constexpr int64_t kTotal = 200;
  constexpr int kRounds = 50000;
  class PoolSource final : public SpaceSource {
   public:
    explicit PoolSource(Budget* budget) : budget_(budget) {}
    bool Grow(uint64_t bytes) override {
      const auto amount = static_cast<int64_t>(bytes);
      int64_t now = pool_.load();
      do {
        if (amount > now) return false;
      } while (!pool_.compare_exchange_weak(now, now - amount));
      held_ -= amount;
      budget_->RaiseLimit(bytes);
      return true;
    }
    void TakeBack(uint64_t bytes) {
      if (!budget_->LowerLimit(bytes)) return;
      Hold(bytes);
      pool_ += static_cast<int64_t>(bytes);
    }
    // Counts bytes from after Grow or ReserveBytes until before they are given back.
    void Hold(uint64_t bytes) {
      const auto amount = static_cast<int64_t>(bytes);
      if (held_.fetch_add(amount) + amount > kTotal) exceeded_ = true;
    }
    void Drop(uint64_t bytes) { held_ -= static_cast<int64_t>(bytes); }
    int64_t pool() const { return pool_; }
    bool exceeded() const { return exceeded_; }

   private:
    Budget* const budget_;
    std::atomic<int64_t> pool_{kTotal};  // not granted to the budget
    std::atomic<int64_t> held_{kTotal};  // in the pool or reserved
    std::atomic<bool> exceeded_{false};
  };
  Budget budget(kTotal, 1);
  PoolSource source(&budget);
  budget.UseSource(&source);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRounds; ++i) {
        const uint64_t amount = 50 + 7 * t;
        if (budget.ReserveBytes(amount)) {
          source.Hold(amount);
          source.Drop(amount);
          budget.ReleaseBytes(amount);
        }
        source.TakeBack(20);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(source.exceeded());
  EXPECT_EQ(budget.bytes_used(), 0u);
  EXPECT_EQ(static_cast<int64_t>(budget.bytes_free()) + source.pool(), kTotal);
  budget.UseSource(nullptr);
}

}  // namespace
}  // namespace memfuse::memfs
