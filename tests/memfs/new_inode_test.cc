// Making an inode step by step, and stopping after each step.

#include "src/memfs/ops/new_inode.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "src/base/clock.h"
#include "src/memfs/data/null_store.h"
#include "src/memfs/tree/changes.h"
#include "tests/memfs/charge.h"
#include "tests/testing/result_matchers.h"

namespace memfuse::memfs {
namespace {

using ::memfuse::test::Fails;
using ::memfuse::test::Succeeds;

class NewInodeTest : public ::testing::Test {
 protected:
  NewInodeTest() {
    resources_.store = std::make_unique<NullStore>(&resources_.budget);
    parent_ = DirectoryRef::Adopt(new Directory(
        &resources_, DirectoryRecord(&resources_, kRootInode, kRootInode), ChargeFor(&resources_)));
    static_cast<RootRecord*>(resources_.records->root())->generation = 5;
    context_.uid = 1;
    context_.gid = 2;
    node_.mode = S_IFREG | 0644;
  }
  Result<void> Make(NewInode* inode) { return inode->Make(context_, *parent_, node_, base::Now()); }
  bool InTable(InodeNumber ino) const { return inodes_.Find(ino).ok(); }

  Resources resources_{uint64_t{1} << 20, 2, MakeRecords()};
  Reclaim reclaim_{&resources_.removed};
  Inodes inodes_{&resources_, &reclaim_};
  DirectoryRef parent_;
  RequestContext context_;
  NewNode node_;
};

TEST_F(NewInodeTest, EachStepIsUndone) {
  for (int steps = 0; steps <= 3; ++steps) {
    InodeNumber ino = kNoInode;
    {
      NewInode inode(&inodes_);
      OpenResult open;
      if (steps >= 1) {
        ASSERT_THAT(Make(&inode), Succeeds());
        ino = inode->ino;
        EXPECT_EQ(resources_.budget.inodes_used(), 1u);
        EXPECT_GT(resources_.budget.bytes_used(), 0u);
      }
      if (steps >= 2) {
        ASSERT_THAT(inode.Open(O_RDWR, &open), Succeeds());
      }
      if (steps >= 3) inode.Insert();
      EXPECT_EQ(InTable(ino), steps >= 3);
    }
    EXPECT_FALSE(InTable(ino));
    EXPECT_EQ(resources_.budget.inodes_used(), 0u) << steps;
    EXPECT_EQ(resources_.budget.bytes_used(), 0u) << steps;
  }
}

TEST_F(NewInodeTest, CountLookupGivesTheKernelALookupAndAnOpen) {
  std::optional<NewInode> inode(std::in_place, &inodes_);
  OpenResult open;
  ASSERT_THAT(Make(&*inode), Succeeds());
  ASSERT_THAT(inode->Open(O_RDWR, &open), Succeeds());
  inode->CountLookup();
  inode->Insert();
  AddNameless(inode->get());
  inode->Commit();
  const Entry entry = inode->FirstEntry();
  inode.reset();
  EXPECT_EQ(entry.generation, 5u);
  EXPECT_EQ(entry.attributes.uid, 1u);
  const Result<InodeRef> found = inodes_.Find(entry.ino);
  ASSERT_THAT(found, Succeeds());
  MutexLock lock(&(*found)->mu);
  EXPECT_EQ((*found)->meta().lookups, 1u);
  EXPECT_EQ((*found)->meta().opens, 1u);
  EXPECT_EQ((*found)->meta().write_opens, 1u);
  EXPECT_EQ(resources_.budget.inodes_used(), 1u);
}

TEST_F(NewInodeTest, WithoutCountLookupThereIsNoLookup) {
  node_.mode = S_IFCHR;
  InodeNumber ino;
  {
    NewInode inode(&inodes_);
    ASSERT_THAT(Make(&inode), Succeeds());
    inode.Insert();
    AddNameless(inode.get());
    inode.Commit();
    ino = inode->ino;
  }
  const Result<InodeRef> found = inodes_.Find(ino);
  ASSERT_THAT(found, Succeeds());
  MutexLock lock(&(*found)->mu);
  EXPECT_EQ((*found)->meta().lookups, 0u);
}

TEST_F(NewInodeTest, ChecksTheCallerBeforeSpaceAndSpaceBeforeTheInodeLimit) {
  ASSERT_TRUE(resources_.budget.ReserveInode());
  ASSERT_TRUE(resources_.budget.ReserveInode());
  {
    NewInode inode(&inodes_);
    EXPECT_THAT(Make(&inode), Fails(ENOSPC));
    EXPECT_GT(resources_.budget.bytes_used(), 0u);  // the object exists until it is destroyed
  }
  EXPECT_EQ(resources_.budget.bytes_used(), 0u);
  ASSERT_TRUE(resources_.budget.ReserveBytes(resources_.budget.bytes_free()));
  NewInode inode(&inodes_);
  EXPECT_THAT(Make(&inode), Fails(ENOSPC));
  EXPECT_EQ(inode.get(), nullptr);
  context_.gid.reset();
  EXPECT_THAT(Make(&inode), Fails(EOVERFLOW));
}

}  // namespace
}  // namespace memfuse::memfs
