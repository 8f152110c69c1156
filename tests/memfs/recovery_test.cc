// A file system that is made again from the records of a process that has died.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/memfs/recovery_test_base.h"

namespace memfuse::memfs {
namespace {

TEST(RecoveryTest, ASuccessorFindsTheTree) {
  const auto fs = MakeMemFs(RecoveryOptions());
  const Caller me(fs.get());
  const Tree tree(fs.get());
  Must(me.Mknod(tree.other, "device", S_IFCHR | 0600, 0, 0x1234));
  Must(me.Mknod(tree.other, "fifo", S_IFIFO | 0600));
  EXPECT_THAT(me.Setxattr(tree.dir, "user.large", std::string(65536, 'x')), Succeeds());
  const auto successor = Memory(*fs).Recover();
  ASSERT_NE(successor, nullptr);
  EXPECT_EQ(Describe(successor.get()), Describe(fs.get()));

  // It continues where the other one stopped.
  const Caller next(successor.get());
  const Entry made = Must(next.Mkdir(tree.dir, "new"));
  EXPECT_EQ(made.generation, Must(me.Lookup(kRootInode, "dir")).generation);
  for (const InodeNumber ino : {tree.dir, tree.other, tree.file, tree.nameless}) {
    EXPECT_NE(made.ino, ino);
  }
  EXPECT_THAT(next.Rename(tree.dir, "new", tree.other, "empty"), Succeeds());
  EXPECT_THAT(next.Link(tree.nameless, tree.dir, "named"), Succeeds());
  EXPECT_THAT(next.Unlink(tree.dir, "file"), Succeeds());
}

TEST(RecoveryTest, ADirectoryThatWasRemovedTakesNoNames) {
  const auto fs = MakeMemFs(RecoveryOptions());
  const Caller me(fs.get());
  const InodeNumber dir = Ino(me.Mkdir(kRootInode, "dir"));
  ASSERT_THAT(me.Rmdir(kRootInode, "dir"), Succeeds());
  const auto successor = Memory(*fs).Recover();
  ASSERT_NE(successor, nullptr);
  const Caller next(successor.get());
  EXPECT_THAT(next.Mkdir(dir, "new"), Fails(ENOENT));
  EXPECT_EQ(successor->Usage().removed_inodes, 1u);
  next.Forget(dir);
  EXPECT_EQ(successor->Usage().inodes_used, 1u);
}

TEST(RecoveryTest, CookiesOfRemovedEntriesAreNotUsedAgain) {
  const auto fs = MakeMemFs(RecoveryOptions());
  const Caller me(fs.get());
  Must(me.Mknod(kRootInode, "a"));
  Must(me.Mknod(kRootInode, "b"));
  Listing before;
  ASSERT_THAT(me.Readdir(kRootInode, 0, /*plus=*/false, &before), Succeeds());
  ASSERT_THAT(me.Unlink(kRootInode, "b"), Succeeds());
  const auto successor = Memory(*fs).Recover();
  ASSERT_NE(successor, nullptr);
  const Caller next(successor.get());
  Must(next.Mknod(kRootInode, "c"));
  Listing after;
  ASSERT_THAT(next.Readdir(kRootInode, 0, /*plus=*/false, &after), Succeeds());
  // ".", "..", the newest entry
  ASSERT_EQ(after.items[2].name, "c");
  EXPECT_GT(after.items[2].next_offset, before.items[2].next_offset);
}

TEST(RecoveryTest, LimitsBelowTheUsageBecomeTheUsage) {
  const auto fs = MakeMemFs(RecoveryOptions());
  const Caller me(fs.get());
  const Tree tree(fs.get());
  MemoryFileSystemOptions small = RecoveryOptions();
  small.size_limit = 4096;
  small.inode_limit = 2;
  const auto successor = Memory(*fs).Recover(small);
  ASSERT_NE(successor, nullptr);
  EXPECT_EQ(successor->Usage().inode_limit, successor->Usage().inodes_used);
  EXPECT_THAT(Caller(successor.get()).Mkdir(kRootInode, "new"), Fails(ENOSPC));
  EXPECT_THAT(Caller(successor.get()).Unlink(tree.dir, "link"), Succeeds());
}

TEST(RecoveryTest, RecordsWithoutARootAreRefused) {
  const auto records = *RecordFile::Make();
  const auto fs = MemFs::Recover(RecoveryOptions(), base::UniqueFd(dup(records->descriptor())));
  EXPECT_EQ(fs.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(fs.status().message(), "the records of the files are damaged");
}

TEST(RecoveryTest, AnAttemptThatFailsLeavesTheRecords) {
  const auto fs = MakeMemFs(RecoveryOptions());
  const Tree tree(fs.get());
  const base::UniqueFd memory = Memory(*fs).Copy();
  const auto recover = [&memory] {
    return MemFs::Recover(RecoveryOptions(), base::UniqueFd(dup(memory.get())));
  };
  // Makes the last name of the file empty, or gives it its length again.
  const auto set_name_size = [&memory](uint8_t size) {
    const auto records = *RecordFile::Open(base::UniqueFd(dup(memory.get())));
    Dentry* last = nullptr;
    records->ForEachBlock([&last](BlockHeader* block) {
      if (block->kind == kDentryKind) last = reinterpret_cast<Dentry*>(block);
    });
    return std::exchange(last->target.name_size, size);
  };
  const uint8_t size = set_name_size(0);
  EXPECT_EQ(recover().status().code(), absl::StatusCode::kFailedPrecondition);
  set_name_size(size);
  const auto successor = recover();
  ASSERT_TRUE(successor.ok()) << successor.status();
  EXPECT_EQ(Describe(successor->get()), Describe(fs.get()));
}

// Random operations. It keeps the lookups and opens that the kernel would have.
class RandomClient {
 public:
  RandomClient() : inodes_{kRootInode} {}

  void Step(const Caller& me, std::mt19937* random) {
    const auto pick = [&] { return inodes_[(*random)() % inodes_.size()]; };
    const auto name = [&] { return std::string(1 + (*random)() % 40, "abc"[(*random)() % 3]); };
    switch ((*random)() % 16) {
      case 0:
        Keep(me.Mkdir(pick(), name()));
        break;
      case 1:
        Keep(me.Mknod(pick(), name(), S_IFIFO | 0600));
        break;
      case 2:
        Keep(me.Symlink(pick(), name(), name()));
        break;
      case 3:
        Keep(me.Link(pick(), pick(), name()));
        break;
      case 4:
        Keep(me.Lookup(pick(), name()));
        break;
      case 5:
        (void)me.Unlink(pick(), name());
        break;
      case 6:
        (void)me.Rmdir(pick(), name());
        break;
      case 7:
        (void)me.Rename(pick(), name(), pick(), name());
        break;
      case 8:
        (void)me.Rename(pick(), name(), pick(), name(), RENAME_EXCHANGE);
        break;
      case 9:
        (void)me.Setxattr(pick(), "user." + name(), name());
        break;
      case 10:
        (void)me.Removexattr(pick(), "user." + name());
        break;
      case 11:
        (void)me.Chown(pick(), (*random)() % 3, (*random)() % 3);
        break;
      case 12:
        (void)me.Chmod(pick(), (*random)() % 010000);
        break;
      case 13: {
        const Result<CreateResult> made = me.Create(pick(), name());
        if (made.ok()) ++opens_[made->entry.ino];
        if (made.ok()) Keep(made->entry);
        break;
      }
      case 14: {
        const InodeNumber ino = pick();
        if (me.Open(ino).ok()) ++opens_[ino];
        break;
      }
      default:
        Forget(me, (*random)() % inodes_.size());
    }
  }

  // Removes all names and returns what it keeps.
  void RemoveAll(const Caller& me) {
    RemoveNames(me, kRootInode);
    for (const auto& [ino, count] : opens_) {
      for (int i = 0; i < count; ++i) EXPECT_THAT(me.Release(ino), Succeeds());
    }
    while (inodes_.size() > 1) Forget(me, inodes_.size() - 1);
    const std::string xattrs = Must(me.Listxattr(kRootInode));
    for (size_t at = 0; at < xattrs.size(); at += std::strlen(&xattrs[at]) + 1) {
      EXPECT_THAT(me.Removexattr(kRootInode, &xattrs[at]), Succeeds());
    }
  }

 private:
  void Keep(const Result<Entry>& entry) {
    if (entry.ok()) inodes_.push_back(entry->ino);
  }
  void Forget(const Caller& me, size_t index) {
    if (index == 0) return;
    me.Forget(inodes_[index]);
    inodes_.erase(inodes_.begin() + static_cast<ptrdiff_t>(index));
  }
  static void RemoveNames(const Caller& me, InodeNumber ino) {
    Listing listing;
    EXPECT_THAT(me.Readdir(ino, 0, /*plus=*/false, &listing), Succeeds());
    for (const auto& entry : listing.items) {
      if (entry.name == "." || entry.name == "..") continue;
      if (entry.type == S_IFDIR) {
        RemoveNames(me, entry.ino);
        EXPECT_THAT(me.Rmdir(ino, entry.name), Succeeds());
      } else {
        EXPECT_THAT(me.Unlink(ino, entry.name), Succeeds());
      }
    }
  }

  std::vector<InodeNumber> inodes_;  // the root, and one element for each lookup
  std::map<InodeNumber, int> opens_;
};

TEST(RecoveryTest, GenerationsOfServersShareATree) {
  auto fs = MakeMemFs(RecoveryOptions());
  const uint64_t empty = fs->Usage().bytes_used;
  RandomClient client;
  std::mt19937 random(3);
  for (int generation = 0; generation < 30; ++generation) {
    const Caller me(fs.get());
    for (int i = 0; i < 300; ++i) client.Step(me, &random);
    auto successor = Memory(*fs).Recover();
    ASSERT_NE(successor, nullptr);
    ASSERT_EQ(Describe(successor.get()), Describe(fs.get())) << generation;
    fs = std::move(successor);
  }
  client.RemoveAll(Caller(fs.get()));
  EXPECT_EQ(fs->Usage().inodes_used, 1u);
  EXPECT_EQ(fs->Usage().bytes_used, empty);
}

}  // namespace
}  // namespace memfuse::memfs
