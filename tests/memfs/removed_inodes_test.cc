#include "src/memfs/space/removed_inodes.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

namespace memfuse::memfs {
namespace {

constexpr uint32_t kOneOwner = 1001;
constexpr uint32_t kOtherOwner = 1002;
constexpr size_t kAliceIndex = RemovedInodes::OwnerIndex(kOneOwner);
constexpr size_t kBobIndex = RemovedInodes::OwnerIndex(kOtherOwner);

TEST(RemovedInodesTest, CountsByOwner) {
  RemovedInodes removed;
  EXPECT_EQ(removed.count(), 0u);
  const RemovedInodes::Ticket a = removed.Add(kOneOwner, 100);
  const RemovedInodes::Ticket b = removed.Add(kOtherOwner, 1000);
  EXPECT_TRUE(a);
  EXPECT_EQ(removed.count(), 2u);
  EXPECT_EQ(removed.bytes(), 1100u);
  EXPECT_EQ(removed.count(kAliceIndex), 1u);
  EXPECT_EQ(removed.count(kBobIndex), 1u);
  removed.Remove(a);
  EXPECT_EQ(removed.count(kAliceIndex), 0u);
  EXPECT_EQ(removed.added(kAliceIndex), 1u);
  EXPECT_EQ(removed.gone(kAliceIndex), 1u);
  EXPECT_EQ(removed.bytes(), 1000u);
  removed.Remove(b);
  EXPECT_EQ(removed.count(), 0u);
  EXPECT_EQ(removed.bytes(), 0u);
}

TEST(RemovedInodesTest, ATicketKeepsLargeSizesAndEveryOwner) {
  RemovedInodes removed;
  EXPECT_FALSE(RemovedInodes::Ticket());
  for (const uint32_t uid : {0u, 63u, 64u, 65534u, ~0u}) {
    const RemovedInodes::Ticket ticket = removed.Add(uid, uint64_t{1} << 50);
    EXPECT_TRUE(ticket);
    EXPECT_EQ(removed.bytes(), uint64_t{1} << 50);
    EXPECT_EQ(removed.count(RemovedInodes::OwnerIndex(uid)), 1u);
    removed.Remove(ticket);
    EXPECT_EQ(removed.bytes(), 0u);
  }
}

TEST(RemovedInodesTest, NotifiesWhenAnInodeGoes) {
  RemovedInodes removed;
  const RemovedInodes::Ticket ticket = removed.Add(kOneOwner, 1);
  const uint64_t seen = removed.progress()->version();
  std::thread other([&] { removed.Remove(ticket); });
  EXPECT_TRUE(removed.progress()->WaitForChange(
      seen, base::MonotonicClock::now() + std::chrono::seconds(30)));
  other.join();
  EXPECT_EQ(removed.count(), 0u);
}

TEST(RemovedInodesTest, ManyThreadsLoseNothing) {
  RemovedInodes removed;
  std::vector<std::thread> threads;
  for (uint32_t uid = 0; uid < 4; ++uid) {
    threads.emplace_back([&removed, uid] {
      for (int i = 0; i < 10000; ++i) removed.Remove(removed.Add(uid, 7));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(removed.count(), 0u);
  EXPECT_EQ(removed.bytes(), 0u);
  EXPECT_EQ(removed.added(0), 10000u);
}

}  // namespace
}  // namespace memfuse::memfs
