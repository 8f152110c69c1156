// RENAME without EXCHANGE: errors, replacing, directories, times. See rename_flags_test.cc.

#include <linux/fs.h>

#include <string>

#include "tests/memfs/memfs_test_base.h"

namespace memfuse::memfs {
namespace {

class RenameTest : public MemFsTest {};

TEST_F(RenameTest, ErrorsComeInTheirOrder) {
  const std::string long_name(256, 'x');
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  const InodeNumber child = Ino(me_.Mkdir(dir, "child"));
  const InodeNumber gone = GoneInode();
  const InodeNumber removed = RemovedDirectory();
  const uint32_t unknown = 8;

  EXPECT_THAT(me_.Rename(gone, long_name, file, ".", unknown), Fails(ESTALE));
  EXPECT_THAT(me_.Rename(file, long_name, gone, ".", unknown), Fails(ESTALE));
  EXPECT_THAT(me_.Rename(file, long_name, file, ".", unknown), Fails(EINVAL));
  for (const uint32_t flags :
       {RENAME_EXCHANGE | RENAME_NOREPLACE, RENAME_EXCHANGE | RENAME_WHITEOUT}) {
    EXPECT_THAT(me_.Rename(file, long_name, file, ".", flags), Fails(EINVAL));
  }
  EXPECT_THAT(me_.Rename(file, long_name, kRootInode, "."), Fails(ENOTDIR));
  EXPECT_THAT(me_.Rename(kRootInode, long_name, file, "."), Fails(ENOTDIR));
  EXPECT_THAT(me_.Rename(kRootInode, long_name, kRootInode, "."), Fails(ENAMETOOLONG));
  EXPECT_THAT(me_.Rename(kRootInode, ".", kRootInode, long_name), Fails(ENAMETOOLONG));
  for (const char* dots : {".", ".."}) {
    EXPECT_THAT(me_.Rename(removed, "missing", kRootInode, dots), Fails(EBUSY));
    EXPECT_THAT(me_.Rename(kRootInode, dots, removed, "missing"), Fails(EBUSY));
    EXPECT_THAT(me_.Rename(kRootInode, "", kRootInode, dots), Fails(EBUSY));
  }
  EXPECT_THAT(me_.Rename(kRootInode, "", kRootInode, "file"), Fails(ENOENT));
  EXPECT_THAT(me_.Rename(kRootInode, "file", kRootInode, ""), Fails(ENOENT));
  EXPECT_THAT(me_.Rename(kRootInode, "file", removed, "new"), Fails(ENOENT));
  EXPECT_THAT(me_.Rename(removed, "missing", kRootInode, "file", RENAME_NOREPLACE), Fails(ENOENT));
  EXPECT_THAT(me_.Rename(kRootInode, "missing", kRootInode, "file", RENAME_NOREPLACE),
              Fails(ENOENT));
  EXPECT_THAT(me_.Rename(kRootInode, "file", kRootInode, "missing", RENAME_EXCHANGE),
              Fails(ENOENT));
  // EEXIST precedes all errors that depend on types and positions.
  EXPECT_THAT(me_.Rename(kRootInode, "dir", dir, "child", RENAME_NOREPLACE), Fails(EEXIST));
  EXPECT_THAT(me_.Rename(dir, "child", kRootInode, "dir", RENAME_NOREPLACE), Fails(EEXIST));
  EXPECT_THAT(me_.Rename(kRootInode, "file", kRootInode, "file", RENAME_NOREPLACE), Fails(EEXIST));
  // Into itself or a descendant.
  EXPECT_THAT(me_.Rename(kRootInode, "dir", dir, "new"), Fails(EINVAL));
  EXPECT_THAT(me_.Rename(kRootInode, "dir", dir, "child"), Fails(EINVAL));
  EXPECT_THAT(me_.Rename(kRootInode, "dir", child, "new"), Fails(EINVAL));
  EXPECT_THAT(me_.Rename(kRootInode, "dir", child, "new", RENAME_WHITEOUT), Fails(EINVAL));
  // Onto an ancestor.
  ASSERT_THAT(me_.Mknod(child, "leaf"), Succeeds());
  EXPECT_THAT(me_.Rename(dir, "child", kRootInode, "dir"), Fails(ENOTEMPTY));
  EXPECT_THAT(me_.Rename(child, "leaf", kRootInode, "dir"), Fails(ENOTEMPTY));
  EXPECT_THAT(me_.Rename(child, "leaf", dir, "child"), Fails(ENOTEMPTY));
}

TEST_F(RenameTest, TheSameInodeUnderBothNamesStays) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  ASSERT_THAT(me_.Link(file, kRootInode, "other"), Succeeds());
  AgeTimes(kRootInode);
  AgeTimes(file);
  for (const uint32_t flags : {0u, 0u + RENAME_EXCHANGE, 0u + RENAME_WHITEOUT}) {
    EXPECT_THAT(me_.Rename(kRootInode, "file", kRootInode, "other", flags), Succeeds());
    EXPECT_THAT(me_.Rename(kRootInode, "file", kRootInode, "file", flags), Succeeds());
  }
  EXPECT_EQ(Ino(me_.Lookup(kRootInode, "file")), file);
  EXPECT_EQ(Ino(me_.Lookup(kRootInode, "other")), file);
  EXPECT_EQ(Stat(file).nlink, 2u);
  EXPECT_EQ(MovedTimes(kRootInode), "");
  EXPECT_EQ(MovedTimes(file), "");
}

TEST_F(RenameTest, MovesToAFreeName) {
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  AgeTimes(kRootInode);
  AgeTimes(file);
  ASSERT_THAT(me_.Rename(kRootInode, "file", kRootInode, "new"), Succeeds());
  EXPECT_EQ(MovedTimes(kRootInode), "mc");
  EXPECT_EQ(MovedTimes(file), "c");
  EXPECT_THAT(me_.Lookup(kRootInode, "file"), Fails(ENOENT));
  EXPECT_EQ(Ino(me_.Lookup(kRootInode, "new")), file);

  AgeTimes(kRootInode);
  AgeTimes(dir);
  ASSERT_THAT(me_.Rename(kRootInode, "new", dir, "below", RENAME_NOREPLACE), Succeeds());
  EXPECT_EQ(MovedTimes(kRootInode), "mc");
  EXPECT_EQ(MovedTimes(dir), "mc");
  EXPECT_THAT(me_.Lookup(kRootInode, "new"), Fails(ENOENT));
  EXPECT_EQ(Ino(me_.Lookup(dir, "below")), file);
  EXPECT_EQ(Stat(file).nlink, 1u);
}

TEST_F(RenameTest, ReplacesAFile) {
  const InodeNumber source = Ino(me_.Mknod(kRootInode, "source"));
  const InodeNumber target = Ino(me_.Create(kRootInode, "target"));
  ASSERT_THAT(me_.Link(target, kRootInode, "other"), Succeeds());
  AgeTimes(target);
  ASSERT_THAT(me_.Rename(kRootInode, "source", kRootInode, "target"), Succeeds());
  EXPECT_EQ(MovedTimes(target), "c");
  EXPECT_EQ(Stat(target).nlink, 1u);
  EXPECT_EQ(Ino(me_.Lookup(kRootInode, "target")), source);
  ASSERT_THAT(me_.Rename(kRootInode, "target", kRootInode, "other"), Succeeds());
  EXPECT_EQ(Stat(target).nlink, 0u);
  me_.Forget(target, 2);
  ASSERT_THAT(me_.Write(target, 0, "still open"), Succeeds());
  ASSERT_THAT(me_.Release(target), Succeeds());
  EXPECT_THAT(me_.Getattr(target), Fails(ESTALE));
  EXPECT_EQ(fs_->Usage().inodes_used, 2u);
}

TEST_F(RenameTest, AReplacedInodeWithoutLookupsIsFreedAtOnce) {
  const InodeNumber source = Ino(me_.Mknod(kRootInode, "source"));
  const InodeNumber target = Ino(me_.Mknod(kRootInode, "target"));
  me_.Forget(target);
  ASSERT_THAT(me_.Rename(kRootInode, "source", kRootInode, "target"), Succeeds());
  EXPECT_THAT(me_.Getattr(target), Fails(ESTALE));
  ASSERT_THAT(me_.Unlink(kRootInode, "target"), Succeeds());
  me_.Forget(source);
  ExpectEmpty();
}

TEST_F(RenameTest, ReplacesAnEmptyDirectory) {
  const InodeNumber a = Ino(me_.Mkdir(kRootInode, "a"));
  const InodeNumber b = Ino(me_.Mkdir(kRootInode, "b"));
  const InodeNumber moved = Ino(me_.Mkdir(a, "moved"));
  const InodeNumber victim = Ino(me_.Mkdir(b, "victim"));
  ASSERT_THAT(me_.Mknod(moved, "inside"), Succeeds());
  ASSERT_THAT(me_.Rename(a, "moved", b, "victim"), Succeeds());
  EXPECT_EQ(Stat(a).nlink, 2u);
  EXPECT_EQ(Stat(b).nlink, 3u);
  EXPECT_EQ(Stat(moved).nlink, 2u);
  EXPECT_EQ(Stat(victim).nlink, 0u);
  EXPECT_EQ(Ino(me_.Lookup(moved, "..")), b);
  EXPECT_THAT(me_.Mknod(victim, "new"), Fails(ENOENT));
  EXPECT_THAT(me_.Lookup(a, "moved"), Fails(ENOENT));

  const InodeNumber other = Ino(me_.Mkdir(b, "other"));
  EXPECT_EQ(Stat(b).nlink, 4u);
  ASSERT_THAT(me_.Rename(b, "victim", b, "other"), Succeeds());
  EXPECT_EQ(Stat(b).nlink, 3u);
  EXPECT_EQ(Stat(other).nlink, 0u);
}

TEST_F(RenameTest, AMovedDirectoryMovesTheLinkCount) {
  const InodeNumber a = Ino(me_.Mkdir(kRootInode, "a"));
  const InodeNumber b = Ino(me_.Mkdir(a, "b"));
  const InodeNumber moved = Ino(me_.Mkdir(b, "moved"));
  AgeTimes(moved);
  ASSERT_THAT(me_.Rename(b, "moved", kRootInode, "up"), Succeeds());
  EXPECT_EQ(Stat(b).nlink, 2u);
  EXPECT_EQ(Stat(kRootInode).nlink, 4u);
  EXPECT_EQ(MovedTimes(moved), "c");
  EXPECT_EQ(Ino(me_.Lookup(moved, "..")), kRootInode);
  ASSERT_THAT(me_.Rename(kRootInode, "up", b, "down"), Succeeds());
  EXPECT_EQ(Stat(b).nlink, 3u);
  EXPECT_EQ(Stat(kRootInode).nlink, 3u);
  EXPECT_EQ(Ino(me_.Lookup(moved, "..")), b);
  // The positions are swapped: the former ancestor becomes the descendant.
  ASSERT_THAT(me_.Rename(b, "down", kRootInode, "top"), Succeeds());
  ASSERT_THAT(me_.Rename(kRootInode, "a", moved, "a"), Succeeds());
  EXPECT_EQ(Ino(me_.Lookup(a, "..")), moved);
  EXPECT_THAT(me_.Rename(kRootInode, "top", b, "loop"), Fails(EINVAL));
}

TEST_F(RenameTest, TheListingKeepsEntriesWhoseNeighboursAreRenamed) {
  for (const char* name : {"a", "b", "c"}) ASSERT_THAT(me_.Mknod(kRootInode, name), Succeeds());
  Listing first(3);  // ".", ".." and "c"
  ASSERT_THAT(me_.Readdir(kRootInode, 0, false, &first), Succeeds());
  ASSERT_THAT(me_.Rename(kRootInode, "c", kRootInode, "c2"), Succeeds());
  ASSERT_THAT(me_.Rename(kRootInode, "c2", kRootInode, "b"), Succeeds());
  Listing rest;
  ASSERT_THAT(me_.Readdir(kRootInode, first.items.back().next_offset, false, &rest), Succeeds());
  EXPECT_THAT(rest.Names(), ::testing::UnorderedElementsAre("a", "b"));
}

class FullRenameTest : public MemFsTest {
 protected:
  FullRenameTest() : MemFsTest(SmallOptions(20000, 20)) {}
};

TEST_F(FullRenameTest, NoSpaceComesLastAndChangesNothing) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  ASSERT_THAT(me_.Mknod(dir, "inside"), Succeeds());
  ASSERT_THAT(me_.Mkdir(kRootInode, "other"), Succeeds());
  Fill(file, /*left=*/0);
  const MemoryFileSystemUsage used = fs_->Usage();
  AgeTimes(kRootInode);
  EXPECT_THAT(me_.Rename(kRootInode, "file", dir, "new"), Fails(ENOSPC));
  EXPECT_THAT(me_.Rename(kRootInode, "file", dir, "inside", RENAME_WHITEOUT), Fails(ENOSPC));
  EXPECT_THAT(me_.Rename(kRootInode, "other", kRootInode, "dir", RENAME_WHITEOUT),
              Fails(ENOTEMPTY));
  EXPECT_THAT(me_.Rename(kRootInode, "file", kRootInode, "dir", RENAME_WHITEOUT), Fails(EISDIR));
  EXPECT_EQ(MovedTimes(kRootInode), "");
  EXPECT_EQ(fs_->Usage().bytes_used, used.bytes_used);
  EXPECT_EQ(fs_->Usage().inodes_used, used.inodes_used);
  EXPECT_EQ(Ino(me_.Lookup(kRootInode, "file")), file);
  // Replacing a name needs no space.
  EXPECT_THAT(me_.Rename(kRootInode, "file", dir, "inside"), Succeeds());
}

TEST_F(FullRenameTest, AWhiteoutNeedsAnInode) {
  ASSERT_THAT(me_.Mknod(kRootInode, "file"), Succeeds());
  ASSERT_THAT(me_.Mkdir(kRootInode, "empty"), Succeeds());
  ASSERT_THAT(me_.Mkdir(kRootInode, "dir"), Succeeds());
  for (int i = 4; i < 20; ++i) {
    ASSERT_THAT(me_.Mknod(kRootInode, std::to_string(i)), Succeeds());
  }
  const MemoryFileSystemUsage used = fs_->Usage();
  EXPECT_EQ(used.inodes_used, used.inode_limit);
  EXPECT_THAT(me_.Rename(kRootInode, "file", kRootInode, "new", RENAME_WHITEOUT), Fails(ENOSPC));
  EXPECT_THAT(me_.Rename(kRootInode, "dir", kRootInode, "empty", RENAME_WHITEOUT), Fails(ENOSPC));
  EXPECT_EQ(fs_->Usage().bytes_used, used.bytes_used);
  EXPECT_EQ(fs_->Usage().inodes_used, used.inodes_used);
  EXPECT_THAT(me_.Rename(kRootInode, "file", kRootInode, "new"), Succeeds());
}

}  // namespace
}  // namespace memfuse::memfs
