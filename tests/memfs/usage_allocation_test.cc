// The walks of tree_usage.h when each of their allocations fails: they throw std::bad_alloc, or
// find what they find with memory, and leave no reference behind.

#include <fcntl.h>

#include <algorithm>
#include <new>
#include <optional>
#include <string>

#include "tests/memfs/memfs_test_base.h"
#include "tests/testing/allocation_failure.h"

namespace memfuse::memfs {
namespace {

using test::AllocationFailure;

class UsageAllocationTest : public MemFsTest {
 protected:
  // Calls `walk` until none of its allocations fails.
  template <typename Walk>
  void ExpectSurvives(const Walk& walk) {
    for (const auto kind : {AllocationFailure::Kind::kOne, AllocationFailure::Kind::kRest}) {
      bool failed = true;
      bool threw = false;
      for (uint64_t number = 1; failed; ++number) {
        const AllocationFailure failure(number, kind);
        try {
          walk();
        } catch (const std::bad_alloc&) {
          threw = true;
        }
        failed = failure.happened();
      }
      EXPECT_TRUE(threw) << "the walk needs memory";
    }
  }
};

TEST_F(UsageAllocationTest, WalksThrowAndReleaseWhatTheyHold) {
  InodeNumber dir = kRootInode;
  for (int depth = 0; depth < 20; ++depth) {
    const InodeNumber parent = dir;
    dir = Ino(me_.Mkdir(parent, std::string(100, 'd')));
    const InodeNumber file = Ino(me_.Mknod(parent, "file"));
    EXPECT_THAT(me_.Link(file, parent, "link"), Succeeds());
    me_.Forget(file, 2);
  }
  const CreateResult held = Must(me_.Create(kRootInode, "held", 0644, 0, O_RDWR));
  EXPECT_THAT(me_.Unlink(kRootInode, "held"), Succeeds());
  ExpectSurvives([&] {
    UsageWalk walk;
    const Result<TreeUsage> usage = fs_->UsageOfTree("/", &walk);
    EXPECT_EQ(usage->total.inodes, 41u);
    EXPECT_EQ(usage->largest.size(), 20u);
  });
  ExpectSurvives([&] {
    UsageWalk walk;
    EXPECT_EQ(fs_->UsageOfNameless(std::nullopt, &walk).inodes.size(), 1u);
  });
  EXPECT_THAT(me_.Release(held.entry.ino, O_RDWR), Succeeds());
  me_.Forget(held.entry.ino);
  EXPECT_EQ(fs_->Usage().inodes_used, 41u);
  ExpectSumsAgree();
}

// Long names of a deep tree are not collected: the largest block is that of the frames.
TEST_F(UsageAllocationTest, TheMemoryOfAWalkDoesNotGrowWithTheLengthOfNames) {
  constexpr size_t kDepth = 2000;
  InodeNumber dir = kRootInode;
  for (size_t depth = 0; depth < kDepth; ++depth) {
    dir = Ino(me_.Mkdir(dir, std::string(kNameMax, 'd')));
  }
  Ino(me_.Mknod(dir, "file"));
  size_t largest = 0;
  const auto note = [&](size_t size) { largest = std::max(largest, size); };
  const test::AllocationObserver::Function function = note;
  UsageWalk walk;
  {
    const test::AllocationObserver observer(function);
    const Result<TreeUsage> usage = fs_->UsageOfTree("/", &walk);
    EXPECT_EQ(usage->total.inodes, kDepth + 2);
  }
  EXPECT_LT(largest, kDepth * kNameMax / 2);
}

}  // namespace
}  // namespace memfuse::memfs
