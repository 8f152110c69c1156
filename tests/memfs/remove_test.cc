// UNLINK, RMDIR.

#include <string>

#include "tests/memfs/memfs_test_base.h"

namespace memfuse::memfs {
namespace {

class RemoveTest : public MemFsTest {};

TEST_F(RemoveTest, UnlinkErrorsComeInTheirOrder) {
  const std::string long_name(256, 'x');
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  ASSERT_THAT(me_.Mkdir(kRootInode, "dir"), Succeeds());
  EXPECT_THAT(me_.Unlink(GoneInode(), long_name), Fails(ESTALE));
  EXPECT_THAT(me_.Unlink(file, long_name), Fails(ENOTDIR));
  EXPECT_THAT(me_.Unlink(kRootInode, long_name), Fails(ENAMETOOLONG));
  EXPECT_THAT(me_.Unlink(kRootInode, ""), Fails(ENOENT));
  EXPECT_THAT(me_.Unlink(kRootInode, "missing"), Fails(ENOENT));
  EXPECT_THAT(me_.Unlink(RemovedDirectory(), "missing"), Fails(ENOENT));
  EXPECT_THAT(me_.Unlink(kRootInode, "dir"), Fails(EISDIR));
  EXPECT_THAT(me_.Unlink(kRootInode, "."), Fails(EISDIR));
  EXPECT_THAT(me_.Unlink(kRootInode, ".."), Fails(EISDIR));
}

TEST_F(RemoveTest, RmdirErrorsComeInTheirOrder) {
  const std::string long_name(256, 'x');
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  ASSERT_THAT(me_.Symlink(dir, "child", "to"), Succeeds());
  EXPECT_THAT(me_.Rmdir(GoneInode(), long_name), Fails(ESTALE));
  EXPECT_THAT(me_.Rmdir(file, long_name), Fails(ENOTDIR));
  EXPECT_THAT(me_.Rmdir(file, "."), Fails(ENOTDIR));
  EXPECT_THAT(me_.Rmdir(kRootInode, long_name), Fails(ENAMETOOLONG));
  EXPECT_THAT(me_.Rmdir(kRootInode, "."), Fails(EINVAL));
  EXPECT_THAT(me_.Rmdir(kRootInode, ".."), Fails(ENOTEMPTY));
  EXPECT_THAT(me_.Rmdir(kRootInode, ""), Fails(ENOENT));
  EXPECT_THAT(me_.Rmdir(kRootInode, "missing"), Fails(ENOENT));
  EXPECT_THAT(me_.Rmdir(RemovedDirectory(), "missing"), Fails(ENOENT));
  EXPECT_THAT(me_.Rmdir(kRootInode, "file"), Fails(ENOTDIR));
  EXPECT_THAT(me_.Rmdir(kRootInode, "dir"), Fails(ENOTEMPTY));
  ASSERT_THAT(me_.Unlink(dir, "child"), Succeeds());
  EXPECT_THAT(me_.Rmdir(kRootInode, "dir"), Succeeds());
}

TEST_F(RemoveTest, UnlinkMovesTheTimesOfFileAndParent) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  AgeTimes(kRootInode);
  AgeTimes(file);
  ASSERT_THAT(me_.Unlink(kRootInode, "file"), Succeeds());
  EXPECT_EQ(MovedTimes(kRootInode), "mc");
  EXPECT_EQ(MovedTimes(file), "c");
}

TEST_F(RemoveTest, ARemovedDirectoryHasNoLinksAndAcceptsNoNames) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  EXPECT_EQ(Stat(kRootInode).nlink, 3u);
  AgeTimes(kRootInode);
  AgeTimes(dir);
  ASSERT_THAT(me_.Rmdir(kRootInode, "dir"), Succeeds());
  EXPECT_EQ(MovedTimes(kRootInode), "mc");
  EXPECT_EQ(MovedTimes(dir), "c");
  EXPECT_EQ(Stat(kRootInode).nlink, 2u);
  EXPECT_EQ(Stat(dir).nlink, 0u);
  EXPECT_THAT(me_.Create(dir, "new"), Fails(ENOENT));
  EXPECT_THAT(me_.Tmpfile(dir), Succeeds());
  EXPECT_THAT(me_.Link(file, dir, "new"), Fails(ENOENT));
  EXPECT_THAT(me_.Rename(kRootInode, "file", dir, "new"), Fails(ENOENT));
  EXPECT_THAT(me_.Rename(dir, "new", kRootInode, "new"), Fails(ENOENT));
  Listing listing;
  ASSERT_THAT(me_.Readdir(dir, 0, false, &listing), Succeeds());
  EXPECT_THAT(listing.Names(), ::testing::ElementsAre(".", ".."));
}

TEST_F(RemoveTest, EverythingIsReleased) {
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  const InodeNumber file = Ino(me_.Create(dir, "file"));
  const InodeNumber link = Ino(me_.Symlink(dir, "link", std::string(1000, 't')));
  ASSERT_THAT(me_.Write(file, 0, std::string(100000, 'x')), Succeeds());
  ASSERT_THAT(me_.Write(file, uint64_t{1} << 40, "far"), Succeeds());
  ASSERT_THAT(me_.Setxattr(file, "user.a", std::string(1000, 'v')), Succeeds());
  ASSERT_THAT(me_.Setxattr(dir, "user.a", "v"), Succeeds());
  EXPECT_GT(fs_->Usage().bytes_used, empty_.bytes_used + 100000);
  EXPECT_EQ(fs_->Usage().inodes_used, 4u);
  EXPECT_EQ(fs_->Usage().data_bytes, 26u * 4096);
  ASSERT_THAT(me_.Unlink(dir, "file"), Succeeds());
  ASSERT_THAT(me_.Unlink(dir, "link"), Succeeds());
  ASSERT_THAT(me_.Rmdir(kRootInode, "dir"), Succeeds());
  ASSERT_THAT(me_.Release(file), Succeeds());
  for (const InodeNumber ino : {dir, file, link}) me_.Forget(ino);
  ExpectEmpty();
}

TEST_F(RemoveTest, ADeepTreeIsDroppedWithTheFileSystem) {
  InodeNumber at = kRootInode;
  for (int i = 0; i < 20000; ++i) {
    const InodeNumber next = Ino(me_.Mkdir(at, "d"));
    me_.Forget(next);
    at = next;
  }
  EXPECT_EQ(fs_->Usage().inodes_used, 20001u);
}

}  // namespace
}  // namespace memfuse::memfs
