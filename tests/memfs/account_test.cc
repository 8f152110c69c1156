#include "src/memfs/space/account.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "tests/testing/result_matchers.h"

namespace memfuse::memfs {
namespace {

using memfuse::test::Fails;
using memfuse::test::Succeeds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Owner kAliceOwner{1000, 100};
constexpr Owner kBobOwner{2000, 100};

QuotaRule UserRule(std::optional<uint32_t> id, uint64_t bytes, uint64_t inodes = kNoQuota) {
  return {QuotaKind::kUser, id, bytes, inodes};
}
QuotaRule GroupRule(std::optional<uint32_t> id, uint64_t bytes, uint64_t inodes = kNoQuota) {
  return {QuotaKind::kGroup, id, bytes, inodes};
}

Owner AnyOwner(std::mt19937* random) {
  return {static_cast<uint32_t>((*random)() % 4), static_cast<uint32_t>((*random)() % 2)};
}

class AccountTest : public ::testing::Test {
 protected:
  // Returns the usage of a user or group, or nothing if it is not listed.
  std::optional<QuotaUsage> UsageOf(QuotaKind kind, uint32_t id) const {
    for (const QuotaUsage& usage : accounts_.Usage()) {
      if (usage.kind == kind && usage.id == id) return usage;
    }
    return std::nullopt;
  }
  uint64_t BytesOf(QuotaKind kind, uint32_t id) const {
    const std::optional<QuotaUsage> usage = UsageOf(kind, id);
    return usage.has_value() ? usage->bytes : 0;
  }

  Budget budget_{1000, 10};
  Accounts accounts_{&budget_};
};

TEST_F(AccountTest, ChargesUserGroupAndFileSystem) {
  const AccountRef alice = accounts_.Find(kAliceOwner);
  const AccountRef bob = accounts_.Find(kBobOwner);
  EXPECT_EQ(accounts_.Find(kAliceOwner).get(), alice.get());
  ASSERT_THAT(alice->ReserveBytes(100), Succeeds());
  ASSERT_THAT(alice->ReserveInode(), Succeeds());
  ASSERT_THAT(bob->ReserveBytes(20), Succeeds());
  EXPECT_EQ(BytesOf(QuotaKind::kUser, 1000), 100u);
  EXPECT_EQ(BytesOf(QuotaKind::kUser, 2000), 20u);
  EXPECT_EQ(BytesOf(QuotaKind::kGroup, 100), 120u);
  EXPECT_EQ(UsageOf(QuotaKind::kUser, 1000)->inodes, 1u);
  EXPECT_EQ(budget_.bytes_used(), 120u);
  EXPECT_EQ(budget_.inodes_used(), 1u);
  alice->ReleaseBytes(100);
  alice->ReleaseInode();
  bob->ReleaseBytes(20);
  EXPECT_EQ(BytesOf(QuotaKind::kGroup, 100), 0u);
  EXPECT_EQ(budget_.bytes_used(), 0u);
}

TEST_F(AccountTest, EachLimitRefuses) {
  const AccountRef alice = accounts_.Find(kAliceOwner);
  const AccountRef bob = accounts_.Find(kBobOwner);
  accounts_.SetRule(UserRule(1000, 300, 1));
  accounts_.SetRule(GroupRule(100, 500));
  EXPECT_THAT(alice->ReserveBytes(301), Fails(EDQUOT));
  EXPECT_THAT(alice->ReserveBytes(300), Succeeds());
  EXPECT_THAT(alice->ReserveBytes(0), Succeeds());
  EXPECT_THAT(alice->ReserveBytes(1), Fails(EDQUOT));
  EXPECT_THAT(bob->ReserveBytes(201), Fails(EDQUOT));
  EXPECT_THAT(bob->ReserveBytes(200), Succeeds());
  EXPECT_THAT(alice->ReserveInode(), Succeeds());
  EXPECT_THAT(alice->ReserveInode(), Fails(EDQUOT));
  EXPECT_THAT(bob->ReserveInode(), Succeeds());
  accounts_.SetRule(GroupRule(100, kNoQuota));
  EXPECT_THAT(bob->ReserveBytes(501), Fails(ENOSPC));
  // A call that fails charges nothing.
  EXPECT_EQ(budget_.bytes_used(), 500u);
  EXPECT_EQ(BytesOf(QuotaKind::kUser, 1000), 300u);
  EXPECT_EQ(BytesOf(QuotaKind::kUser, 2000), 200u);
}

TEST_F(AccountTest, ReserveUpToGrantsWhatTheSmallestLimitPermits) {
  const AccountRef alice = accounts_.Find(kAliceOwner);
  accounts_.SetRule(UserRule(1000, 95));
  EXPECT_EQ(*alice->ReserveUpTo(20, 10), 9u);
  EXPECT_THAT(alice->ReserveUpTo(1, 10), Fails(EDQUOT));
  EXPECT_EQ(*alice->ReserveUpTo(0, 10), 0u);
  accounts_.SetRule(UserRule(1000, kNoQuota));
  EXPECT_EQ(*alice->ReserveUpTo(200, 10), 91u);
  EXPECT_THAT(alice->ReserveUpTo(1, 10 + 1), Fails(ENOSPC));
  EXPECT_EQ(BytesOf(QuotaKind::kUser, 1000), 1000u);
  EXPECT_EQ(budget_.bytes_used(), 1000u);
}

TEST_F(AccountTest, TakeOverMovesTheChargeOrNothing) {
  const AccountRef alice = accounts_.Find(kAliceOwner);
  const AccountRef bob = accounts_.Find(kBobOwner);
  ASSERT_THAT(alice->ReserveBytes(100), Succeeds());
  ASSERT_THAT(alice->ReserveInode(), Succeeds());
  accounts_.SetRule(UserRule(2000, 99));
  EXPECT_THAT(bob->TakeOver(alice.get(), 100), Fails(EDQUOT));
  accounts_.SetRule(UserRule(2000, 100, 0));
  EXPECT_THAT(bob->TakeOver(alice.get(), 100), Fails(EDQUOT));
  EXPECT_EQ(BytesOf(QuotaKind::kUser, 2000), 0u);
  // Both have the same group, so a limit that the group has reached does not matter.
  accounts_.SetRule(GroupRule(100, 100, 1));
  accounts_.SetRule(UserRule(2000, 100, 1));
  EXPECT_THAT(bob->TakeOver(alice.get(), 100), Succeeds());
  EXPECT_EQ(BytesOf(QuotaKind::kUser, 2000), 100u);
  EXPECT_EQ(BytesOf(QuotaKind::kUser, 1000), 0u);
  EXPECT_EQ(BytesOf(QuotaKind::kGroup, 100), 100u);
  EXPECT_EQ(budget_.bytes_used(), 100u);
  bob->ReleaseBytes(100);
  bob->ReleaseInode();
}

TEST_F(AccountTest, DataOfTheKernelIsNotInTheBudget) {
  const AccountRef alice = accounts_.Find(kAliceOwner);
  accounts_.SetRule(UserRule(1000, 5000));
  EXPECT_THAT(alice->ReserveKernelBytes(5000), Succeeds());
  EXPECT_THAT(alice->ReserveKernelBytes(1), Fails(EDQUOT));
  alice->AddKernelBytes(10);
  EXPECT_EQ(BytesOf(QuotaKind::kUser, 1000), 5010u);
  EXPECT_THAT(alice->ReserveBytes(1), Fails(EDQUOT));
  EXPECT_EQ(budget_.bytes_used(), 0u);
  alice->ReleaseKernelBytes(5010);
}

TEST_F(AccountTest, DefaultsHoldForAllWithoutARuleButNotForRoot) {
  const AccountRef alice = accounts_.Find(kAliceOwner);
  const AccountRef root = accounts_.Find({0, 0});
  accounts_.SetRule(UserRule(std::nullopt, 10));
  const AccountRef bob = accounts_.Find(kBobOwner);
  EXPECT_THAT(alice->ReserveBytes(11), Fails(EDQUOT));
  EXPECT_THAT(bob->ReserveBytes(11), Fails(EDQUOT));
  EXPECT_THAT(root->ReserveBytes(11), Succeeds());
  accounts_.SetRule(UserRule(1000, 20));
  EXPECT_THAT(alice->ReserveBytes(20), Succeeds());
  accounts_.SetRule(UserRule(std::nullopt, 15));
  EXPECT_EQ(UsageOf(QuotaKind::kUser, 1000)->byte_limit, 20u);
  EXPECT_EQ(UsageOf(QuotaKind::kUser, 2000)->byte_limit, 15u);
  // A rule without limits exempts the user from the default.
  accounts_.SetRule(UserRule(1000, kNoQuota));
  EXPECT_EQ(UsageOf(QuotaKind::kUser, 1000)->byte_limit, kNoQuota);
  EXPECT_FALSE(alice->has_byte_limit());
  EXPECT_TRUE(bob->has_byte_limit());
  EXPECT_FALSE(root->has_byte_limit());
  alice->ReleaseBytes(20);
  root->ReleaseBytes(11);
}

TEST_F(AccountTest, OnlyWhatIsUsedOrHasARuleIsListed) {
  EXPECT_THAT(accounts_.Usage(), IsEmpty());
  { const AccountRef alice = accounts_.Find(kAliceOwner); }
  EXPECT_THAT(accounts_.Usage(), IsEmpty());
  accounts_.SetRule(UserRule(7, 1));
  accounts_.SetRule(GroupRule(std::nullopt, kNoQuota, 5));
  EXPECT_EQ(accounts_.Usage().size(), 1u);
  const std::vector<QuotaRule> rules = accounts_.Rules();
  ASSERT_EQ(rules.size(), 2u);
  EXPECT_FALSE(rules[0].id.has_value());
  EXPECT_EQ(rules[0].kind, QuotaKind::kGroup);
  EXPECT_EQ(rules[1].id, 7u);
}

TEST_F(AccountTest, AReservationIsReleasedUnlessKept) {
  {
    Reservation space;
    InodeReservation inode;
    const AccountRef alice = accounts_.Find(kAliceOwner);
    ASSERT_THAT(space.Reserve(alice.get(), 600), Succeeds());
    ASSERT_THAT(inode.Reserve(alice.get()), Succeeds());
    EXPECT_EQ(budget_.bytes_used(), 600u);
    Reservation too_much;
    EXPECT_THAT(too_much.Reserve(alice.get(), 401), Fails(ENOSPC));
    EXPECT_EQ(too_much.account(), nullptr);
  }
  EXPECT_EQ(budget_.bytes_used(), 0u);
  EXPECT_EQ(budget_.inodes_used(), 0u);
  {
    Reservation space;
    ASSERT_THAT(space.Reserve(accounts_.Find(kAliceOwner).get(), 600), Succeeds());
    EXPECT_EQ(space.Keep(), 600u);
  }
  EXPECT_EQ(budget_.bytes_used(), 600u);
}

// Threads reserve, release and move charges between users at the limits. No limit is exceeded, and
// the sums agree in the end. Accounts are found and dropped all the time.
TEST_F(AccountTest, ManyThreadsAtTheLimits) {
  Budget budget(100'000, 1000);
  Accounts accounts(&budget);
  accounts.SetRule(UserRule(1, 20'000));
  accounts.SetRule(UserRule(2, 20'000));
  accounts.SetRule(GroupRule(std::nullopt, 50'000));
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (unsigned t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t + 1);
      for (int i = 0; i < 5'000; ++i) {
        const AccountRef from = accounts.Find(AnyOwner(&random));
        const AccountRef to = accounts.Find(AnyOwner(&random));
        const uint64_t bytes = random() % 15'000;
        if (!from->ReserveBytes(bytes).ok()) continue;
        if (!from->ReserveInode().ok()) {
          from->ReleaseBytes(bytes);
          continue;
        }
        const bool moved = to->TakeOver(from.get(), bytes).ok();
        for (const QuotaUsage& usage : accounts.Usage()) {
          if (usage.byte_limit != kNoQuota && usage.bytes > usage.byte_limit) ++failures;
        }
        (moved ? to : from)->ReleaseBytes(bytes);
        (moved ? to : from)->ReleaseInode();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(budget.bytes_used(), 0u);
  for (const QuotaUsage& usage : accounts.Usage()) {
    EXPECT_EQ(usage.bytes, 0u);
    EXPECT_EQ(usage.inodes, 0u);
  }
}

}  // namespace
}  // namespace memfuse::memfs
