// Quotas of directory trees, through the operations of the file system.

#include <fcntl.h>
#include <linux/fs.h>

#include <string>
#include <vector>

#include "src/memfs/data/arena.h"
#include "tests/memfs/memfs_test_base.h"

namespace memfuse::memfs {
namespace {

QuotaRule TreeRule(const std::string& path, uint64_t bytes, uint64_t inodes = kNoQuota) {
  return {QuotaKind::kTree, std::nullopt, bytes, inodes, path};
}

class TreeQuotaTest : public MemFsTest {
 protected:
  TreeQuotaTest() : MemFsTest(SmallOptions(64 << 20)), tree_(Ino(me_.Mkdir(kRootInode, "tree"))) {
    EXPECT_THAT(fs_->SetQuota(TreeRule("/tree", 1 << 20, 10)), Succeeds());
  }

  QuotaUsage UsageOf(const std::string& path) {
    for (const QuotaUsage& usage : fs_->UsageByOwner()) {
      if (usage.kind == QuotaKind::kTree && usage.path == path) return usage;
    }
    ADD_FAILURE() << path << " is not listed";
    return QuotaUsage();
  }
  FileSystemStatistics Statfs(InodeNumber ino) { return Must(fs_->Statfs({}, {ino})); }
  // Writes up to `size` bytes; returns how many bytes there was room for.
  uint64_t Fill(InodeNumber file, uint64_t size) const {
    const std::string data(64 << 10, 'x');
    uint64_t written = 0;
    while (written < size) {
      const Result<size_t> count = me_.Write(file, written, data);
      if (!count.ok()) {
        EXPECT_THAT(count, Fails(EDQUOT));
        break;
      }
      written += *count;
    }
    return written;
  }

  const InodeNumber tree_;
};

TEST_F(TreeQuotaTest, EverythingBelowTheDirectoryIsLimitedToThePage) {
  const InodeNumber below = Ino(me_.Mkdir(tree_, "below"));
  const Caller alice(fs_.get(), 1000, 100);
  EXPECT_THAT(me_.Chmod(below, 0777), Succeeds());
  const InodeNumber file = Ino(alice.Create(below, "file", 0666));
  const uint64_t written = Fill(file, 2 << 20);
  EXPECT_LE(written, 1u << 20);
  EXPECT_LT((1u << 20) - UsageOf("/tree").bytes, kPageSize);
  EXPECT_EQ(UsageOf("/tree").inodes, 3u);
  // Elsewhere there is room.
  const InodeNumber outside = Ino(me_.Create(kRootInode, "outside"));
  EXPECT_EQ(Fill(outside, 2 << 20), 2u << 20);
  EXPECT_THAT(me_.Unlink(below, "file"), Succeeds());
  me_.Forget(file);
  EXPECT_THAT(alice.Release(file, O_RDWR), Succeeds());
  EXPECT_EQ(UsageOf("/tree").inodes, 2u);
  EXPECT_LT(UsageOf("/tree").bytes, 2000u);
  ExpectSumsAgree();
}

TEST_F(TreeQuotaTest, InodesAreLimited) {
  for (int i = 0; i < 9; ++i) {
    EXPECT_THAT(me_.Symlink(tree_, std::to_string(i), "target"), Succeeds());
  }
  EXPECT_THAT(me_.Mkdir(tree_, "one more"), Fails(EDQUOT));
  EXPECT_THAT(me_.Tmpfile(tree_), Fails(EDQUOT));
  EXPECT_THAT(me_.Mkdir(kRootInode, "elsewhere"), Succeeds());
  const std::vector<Refusal> refusals = fs_->Refusals();
  ASSERT_EQ(refusals.size(), 1u);
  EXPECT_EQ(refusals[0].owner, Refusal::Owner::kTree);
  EXPECT_EQ(refusals[0].limit, Refusal::Limit::kInodes);
  EXPECT_EQ(refusals[0].path, "/tree");
  EXPECT_EQ(refusals[0].count, 2u);
  EXPECT_EQ(refusals[0].uid, 0u);
}

TEST_F(TreeQuotaTest, ARefusalHasNoUserWhereTheKernelDoesNotTellIt) {
  const InodeNumber file = Ino(me_.Create(tree_, "file"));
  test::Caller caller(fs_.get());
  caller.set_thread(77);
  EXPECT_THAT(caller.Fallocate(file, 0, 0, 2 << 20), Fails(EDQUOT));
  ASSERT_EQ(fs_->Refusals().size(), 1u);
  EXPECT_EQ(fs_->Refusals()[0].uid, std::nullopt);
  EXPECT_EQ(fs_->Refusals()[0].pid, 77u);
}

TEST_F(TreeQuotaTest, NamesDoNotCrossTheBoundary) {
  const InodeNumber inside = Ino(me_.Create(tree_, "inside"));
  const InodeNumber outside = Ino(me_.Create(kRootInode, "outside"));
  EXPECT_THAT(me_.Rename(tree_, "inside", kRootInode, "moved"), Fails(EXDEV));
  EXPECT_THAT(me_.Rename(kRootInode, "outside", tree_, "moved"), Fails(EXDEV));
  EXPECT_THAT(me_.Rename(kRootInode, "outside", tree_, "inside", RENAME_EXCHANGE), Fails(EXDEV));
  EXPECT_THAT(me_.Link(inside, kRootInode, "link"), Fails(EXDEV));
  EXPECT_THAT(me_.Link(outside, tree_, "link"), Fails(EXDEV));
  // A file that belongs to no directory yet belongs to the tree in which it was made.
  const InodeNumber unnamed = Ino(me_.Tmpfile(tree_));
  EXPECT_THAT(me_.Link(unnamed, kRootInode, "link"), Fails(EXDEV));
  EXPECT_THAT(me_.Link(unnamed, tree_, "link"), Succeeds());
  const InodeNumber below = Ino(me_.Mkdir(tree_, "below"));
  EXPECT_THAT(me_.Rename(tree_, "inside", below, "inside"), Succeeds());
  EXPECT_THAT(me_.Link(inside, tree_, "inside"), Succeeds());
  ExpectSumsAgree();
}

TEST_F(TreeQuotaTest, TheRootOfATreeIsBusyWhileItHasLimits) {
  Ino(me_.Mkdir(kRootInode, "other"));
  EXPECT_THAT(me_.Rmdir(kRootInode, "tree"), Fails(EBUSY));
  EXPECT_THAT(me_.Rename(kRootInode, "tree", kRootInode, "new"), Fails(EBUSY));
  EXPECT_THAT(me_.Rename(kRootInode, "other", kRootInode, "tree"), Fails(EBUSY));
  EXPECT_THAT(me_.Rename(kRootInode, "other", kRootInode, "tree", RENAME_EXCHANGE), Fails(EBUSY));
  const InodeNumber file = Ino(me_.Create(tree_, "file"));
  EXPECT_THAT(me_.Rmdir(kRootInode, "tree"), Fails(EBUSY));

  EXPECT_THAT(fs_->SetQuota(TreeRule("/tree", kNoQuota)), Succeeds());
  EXPECT_EQ(Fill(file, 2 << 20), 2u << 20);
  // The inodes stay in their tree, so that what they are charged stays known.
  EXPECT_THAT(me_.Rename(tree_, "file", kRootInode, "file"), Fails(EXDEV));
  EXPECT_GT(UsageOf("/tree").bytes, 2u << 20);
  EXPECT_THAT(me_.Rename(kRootInode, "tree", kRootInode, "new"), Succeeds());
  EXPECT_GT(UsageOf("/new").bytes, 2u << 20);
  EXPECT_THAT(me_.Unlink(tree_, "file"), Succeeds());
  EXPECT_THAT(me_.Rmdir(kRootInode, "new"), Succeeds());
  EXPECT_GT(UsageOf("").bytes, 2u << 20);
  me_.Forget(file);
  EXPECT_THAT(me_.Release(file, O_RDWR), Succeeds());
  me_.Forget(tree_);
  for (const QuotaUsage& usage : fs_->UsageByOwner()) EXPECT_NE(usage.kind, QuotaKind::kTree);
  ExpectSumsAgree();
}

TEST_F(TreeQuotaTest, ADirectoryAboveATreeMayBeRenamed) {
  const InodeNumber above = Ino(me_.Mkdir(kRootInode, "above"));
  Ino(me_.Mkdir(above, "inner"));
  EXPECT_THAT(fs_->SetQuota(TreeRule("/above//inner/", 1 << 20)), Succeeds());
  EXPECT_EQ(UsageOf("/above/inner").inodes, 1u);
  EXPECT_THAT(me_.Rename(kRootInode, "above", kRootInode, "elsewhere"), Succeeds());
  EXPECT_EQ(UsageOf("/elsewhere/inner").inodes, 1u);
  EXPECT_EQ(fs_->Quotas().back().path, "/elsewhere/inner");
}

TEST_F(TreeQuotaTest, APathThatNoProgramCanOpenIsNotReported) {
  InodeNumber at = kRootInode;
  const std::string name(200, 'n');
  for (int depth = 1; depth <= 30; ++depth) {
    at = Ino(me_.Mkdir(at, name));
    const size_t size = 201 * static_cast<size_t>(depth);
    EXPECT_EQ(fs_->PathOfDirectory(at).size(), size < 4096 ? size : 0) << depth;
  }
}

TEST_F(TreeQuotaTest, AnInnerTreeDoesNotCountInTheOuterOne) {
  const InodeNumber inner = Ino(me_.Mkdir(tree_, "inner"));
  EXPECT_EQ(UsageOf("/tree").inodes, 2u);
  const uint64_t before = UsageOf("/tree").bytes;
  EXPECT_THAT(fs_->SetQuota(TreeRule("/tree/inner", 4 << 20)), Succeeds());
  EXPECT_EQ(UsageOf("/tree").inodes, 1u);
  EXPECT_LT(UsageOf("/tree").bytes, before);  // its name is left
  EXPECT_EQ(Fill(Ino(me_.Create(inner, "file")), 2 << 20), 2u << 20);
  EXPECT_LT(UsageOf("/tree").bytes, before);
  ExpectSumsAgree();
}

TEST_F(TreeQuotaTest, StatfsReportsTheLimitsOfTheTree) {
  const InodeNumber file = Ino(me_.Create(tree_, "file"));
  (void)Fill(file, 256 << 10);
  const FileSystemStatistics all = Statfs(kRootInode);
  EXPECT_EQ(all.blocks, (64u << 20) / kPageSize);
  for (const InodeNumber ino : {tree_, file}) {
    const FileSystemStatistics tree = Statfs(ino);
    EXPECT_EQ(tree.blocks, (1u << 20) / kPageSize);
    EXPECT_EQ(tree.blocks_free, ((1u << 20) - UsageOf("/tree").bytes) / kPageSize);
    EXPECT_EQ(tree.blocks_available, tree.blocks_free);
    EXPECT_EQ(tree.inodes, 10u);
    EXPECT_EQ(tree.inodes_free, 8u);
  }
  // A limit above that of the file system cannot be had.
  EXPECT_THAT(fs_->SetQuota(TreeRule("/tree", uint64_t{1} << 40, 1 << 20)), Succeeds());
  EXPECT_EQ(Statfs(tree_).blocks, all.blocks);
  EXPECT_EQ(Statfs(tree_).blocks_free, all.blocks_free);
  EXPECT_EQ(Statfs(tree_).inodes_free, all.inodes_free);
}

TEST_F(TreeQuotaTest, ChownKeepsTheTree) {
  const InodeNumber file = Ino(me_.Create(tree_, "file"));
  (void)Fill(file, 512 << 10);
  const uint64_t before = UsageOf("/tree").bytes;
  EXPECT_THAT(me_.Chown(file, 1000, 100), Succeeds());
  EXPECT_THAT(me_.Chown(tree_, 1000, 100), Succeeds());
  EXPECT_EQ(UsageOf("/tree").bytes, before);
  EXPECT_THAT(me_.Link(file, kRootInode, "link"), Fails(EXDEV));
  EXPECT_THAT(me_.Create(tree_, "another"), Succeeds());
  EXPECT_EQ(UsageOf("/tree").inodes, 3u);
  ExpectSumsAgree();
}

TEST_F(TreeQuotaTest, OnlyAnEmptyDirectoryGetsItsFirstQuota) {
  // CheckQuota has the same errors.
  const auto refuses = [&](const std::string& path, int error) {
    EXPECT_THAT(fs_->CheckQuota(TreeRule(path, 1 << 20)), Fails(error)) << path;
    EXPECT_THAT(fs_->SetQuota(TreeRule(path, 1 << 20)), Fails(error)) << path;
  };
  const InodeNumber full = Ino(me_.Mkdir(kRootInode, "full"));
  Ino(me_.Create(full, "file"));
  refuses("/full", ENOTEMPTY);
  refuses("/full/file", ENOTDIR);
  refuses("/full/file/x", ENOTDIR);
  refuses("/missing", ENOENT);
  refuses("/" + std::string(256, 'n'), ENAMETOOLONG);
  for (const char* path : {"", "tree", "/", "//", "/./tree", "/tree/..", "/tree/../full"})
    refuses(path, EINVAL);
  for (const char* path : {"/full", "/tree"}) {
    EXPECT_THAT(fs_->CheckQuota(TreeRule(path, kNoQuota)), Succeeds()) << path;
  }
  EXPECT_THAT(fs_->SetQuota(TreeRule("/full", kNoQuota)), Succeeds());
  const uint64_t before = UsageOf("/tree").byte_limit;
  // A tree that has a quota gets another one, full or not.
  Ino(me_.Create(tree_, "file"));
  EXPECT_THAT(fs_->CheckQuota(TreeRule("/tree", 2 << 20)), Succeeds());
  EXPECT_EQ(UsageOf("/tree").byte_limit, before);
  EXPECT_THAT(fs_->SetQuota(TreeRule("/tree", 2 << 20)), Succeeds());
  EXPECT_EQ(UsageOf("/tree").byte_limit, 2u << 20);
  EXPECT_EQ(UsageOf("/tree").inode_limit, kNoQuota);
}

TEST(TreeQuotaAtStart, TheDirectoriesAreMade) {
  MemoryFileSystemOptions options = SmallOptions(64 << 20);
  options.root_uid = 1000;
  options.root_mode = 01777;
  options.quotas = {TreeRule("/a/b/c", 1 << 20), TreeRule("/a", kNoQuota, 100)};
  const std::unique_ptr<MemFs> fs = MakeMemFs(options);
  const Caller me(fs.get());
  const Attributes outer = Must(me.Lookup(kRootInode, "a")).attributes;
  EXPECT_EQ(outer.mode & 07777, 01777u);
  EXPECT_EQ(outer.uid, 1000u);
  const Entry middle = Must(me.Lookup(outer.ino, "b"));
  EXPECT_EQ(middle.attributes.mode & 07777, 0755u);
  EXPECT_EQ(Must(me.Lookup(middle.ino, "c")).attributes.mode & 07777, 01777u);
  EXPECT_EQ(fs->Quotas().size(), 2u);
  EXPECT_EQ(fs->Usage().inodes_used, 4u);

  options.quotas = {TreeRule("relative", 1 << 20)};
  EXPECT_FALSE(MemFs::Make(options).ok());
}

}  // namespace
}  // namespace memfuse::memfs
