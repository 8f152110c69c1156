#include "src/memfs/orphans.h"

#include <gtest/gtest.h>

#include <thread>

namespace memfuse::memfs {
namespace {

constexpr absl::Time kNow = absl::FromUnixSeconds(1'000'000);

TEST(OrphansTest, AreCountedOverAllThreads) {
  Orphans orphans;
  EXPECT_FALSE(orphans.any());
  orphans.Add();
  std::thread([&] { orphans.Add(); }).join();
  EXPECT_EQ(orphans.count(), 2u);
  std::thread([&] {
    orphans.Remove();
    orphans.Remove();
  }).join();
  EXPECT_FALSE(orphans.any());
}

TEST(OrphansTest, AWaitIsForThoseThatAreThere) {
  Orphans orphans;
  EXPECT_TRUE(Orphans::Wait(&orphans, kNow).over());
  orphans.Add();
  orphans.Add();
  const Orphans::Wait wait(&orphans, kNow);
  orphans.Add();
  EXPECT_FALSE(wait.over());
  orphans.Remove();
  EXPECT_FALSE(wait.over());
  orphans.Remove();
  EXPECT_TRUE(wait.over());
  EXPECT_TRUE(orphans.any());
}

TEST(OrphansTest, OnesThatStayAreNotWaitedForAgain) {
  Orphans orphans;
  orphans.Add();
  Orphans::Wait vain(&orphans, kNow);
  orphans.Add();
  vain.GiveUp(kNow);
  // The one that came since is.
  const Orphans::Wait next(&orphans, kNow);
  EXPECT_FALSE(next.over());
  orphans.Remove();
  EXPECT_TRUE(next.over());
  EXPECT_TRUE(Orphans::Wait(&orphans, kNow).over());
}

TEST(OrphansTest, OnesThatStayedAreWaitedForSoon) {
  Orphans orphans;
  orphans.Add();
  Orphans::Wait(&orphans, kNow).GiveUp(kNow);
  EXPECT_TRUE(Orphans::Wait(&orphans, kNow + absl::Milliseconds(900)).over());
  // It may be another one by then.
  EXPECT_FALSE(Orphans::Wait(&orphans, kNow + absl::Milliseconds(1100)).over());
}

TEST(OrphansTest, OnesThatWentAfterAllAreNotCountedOnToStay) {
  Orphans orphans;
  for (int i = 0; i < 3; ++i) orphans.Add();
  Orphans::Wait(&orphans, kNow).GiveUp(kNow);
  for (int i = 0; i < 3; ++i) orphans.Remove();
  EXPECT_TRUE(Orphans::Wait(&orphans, kNow).over());
  EXPECT_FALSE(orphans.any());
}

}  // namespace
}  // namespace memfuse::memfs
