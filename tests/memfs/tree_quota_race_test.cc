// A directory is removed while it gets a quota.

#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "tests/memfs/memfs_test_base.h"
#include "tests/testing/allocation_failure.h"
#include "tests/testing/sleeping_thread.h"

namespace memfuse::memfs {
namespace {

using test::AllocationObserver;

class TreeQuotaRaceTest : public MemFsTest {
 protected:
  // Longer than a string that needs no allocation.
  static constexpr char kName[] = "a directory that gets a quota";
  static constexpr size_t kNever = SIZE_MAX;

  Result<void> Limit(uint64_t bytes) {
    return fs_->SetQuota(
        {QuotaKind::kTree, std::nullopt, bytes, kNoQuota, std::string("/") + kName});
  }

  // Gives the directory a quota, and removes it before the allocation `number` of this. Returns how
  // many allocations there were.
  size_t Race(size_t number) {
    const InodeNumber directory = Ino(me_.Mkdir(kRootInode, kName));
    std::thread remover;
    size_t allocations = 0;
    const auto remove = [&](size_t) {
      if (allocations++ != number) return;
      std::atomic<pid_t> tid{0};
      std::atomic<bool> ended{false};
      remover = std::thread([&] {
        tid.store(gettid());
        (void)me_.Rmdir(kRootInode, kName);
        ended.store(true);
      });
      // The thread that sets the quota holds the lock for which the other one waits, or none.
      EXPECT_TRUE(test::AwaitState([&] {
        return ended.load() || (tid.load() != 0 && test::SleepsIn(tid.load(), test::kFutexes));
      }));
    };
    {
      const AllocationObserver::Function function = remove;
      const AllocationObserver observer(function);
      (void)Limit(1 << 20);
    }
    if (remover.joinable()) remover.join();
    const bool lives = me_.Lookup(kRootInode, kName).ok();
    if (lives) me_.Forget(directory);
    EXPECT_EQ(fs_->Quotas().size(), lives ? 1u : 0u) << "removed before allocation " << number;
    if (lives) {
      EXPECT_THAT(Limit(kNoQuota), Succeeds());
      EXPECT_THAT(me_.Rmdir(kRootInode, kName), Succeeds());
    }
    me_.Forget(directory);
    return allocations;
  }
};

TEST_F(TreeQuotaRaceTest, NoRuleIsLeftOfARemovedDirectory) {
  const size_t count = Race(kNever);
  ASSERT_GT(count, 0u);
  for (size_t number = 0; number < count; ++number) (void)Race(number);
}

// The same without control over the order.
TEST_F(TreeQuotaRaceTest, NoRuleIsLeftOfARemovedDirectoryInAnyOrder) {
  constexpr int kRounds = 2000;
  std::atomic<int> round{0};
  std::atomic<int> removed{0};
  std::thread remover([&] {
    for (int i = 1; i <= kRounds; ++i) {
      while (round.load() < i) std::this_thread::yield();
      (void)me_.Rmdir(kRootInode, kName);
      removed.store(i);
    }
  });
  for (int i = 1; i <= kRounds; ++i) {
    const InodeNumber directory = Ino(me_.Mkdir(kRootInode, kName));
    round.store(i);
    (void)Limit(1 << 20);
    while (removed.load() < i) std::this_thread::yield();
    const bool lives = me_.Lookup(kRootInode, kName).ok();
    EXPECT_EQ(fs_->Quotas().size(), lives ? 1u : 0u) << "round " << i;
    if (lives) {
      EXPECT_THAT(Limit(kNoQuota), Succeeds());
      EXPECT_THAT(me_.Rmdir(kRootInode, kName), Succeeds());
    }
    me_.Forget(directory, lives ? 2 : 1);
  }
  remover.join();
}

}  // namespace
}  // namespace memfuse::memfs
