// LINK, also for files that never had a name.

#include <string>

#include "tests/memfs/memfs_test_base.h"

namespace memfuse::memfs {
namespace {

class LinkTest : public MemFsTest {};

TEST_F(LinkTest, ErrorsComeInTheirOrder) {
  const std::string long_name(256, 'x');
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  const InodeNumber gone = GoneInode();
  EXPECT_THAT(me_.Link(gone, file, long_name), Fails(ESTALE));
  EXPECT_THAT(me_.Link(file, gone, long_name), Fails(ESTALE));
  EXPECT_THAT(me_.Link(dir, file, long_name), Fails(ENOTDIR));
  EXPECT_THAT(me_.Link(dir, kRootInode, long_name), Fails(ENAMETOOLONG));
  EXPECT_THAT(me_.Link(dir, RemovedDirectory(), "new"), Fails(ENOENT));
  EXPECT_THAT(me_.Link(dir, kRootInode, ""), Fails(ENOENT));
  EXPECT_THAT(me_.Link(dir, kRootInode, "file"), Fails(EEXIST));
  EXPECT_THAT(me_.Link(dir, kRootInode, "."), Fails(EEXIST));
  EXPECT_THAT(me_.Link(dir, kRootInode, ".."), Fails(EEXIST));
  EXPECT_THAT(me_.Link(dir, kRootInode, "new"), Fails(EPERM));
  EXPECT_THAT(me_.Link(kRootInode, dir, "new"), Fails(EPERM));
}

TEST_F(LinkTest, GivesAnInodeOneMoreName) {
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  AgeTimes(file);
  AgeTimes(dir);
  const Entry linked = Must(me_.Link(file, dir, "other"));
  EXPECT_EQ(linked.ino, file);
  EXPECT_EQ(linked.attributes.nlink, 2u);
  EXPECT_EQ(MovedTimes(file), "c");
  EXPECT_EQ(MovedTimes(dir), "mc");
  EXPECT_EQ(Stat(dir).nlink, 2u);
  EXPECT_EQ(Ino(me_.Lookup(dir, "other")), file);

  AgeTimes(file);
  ASSERT_THAT(me_.Unlink(kRootInode, "file"), Succeeds());
  EXPECT_EQ(Stat(file).nlink, 1u);
  EXPECT_EQ(MovedTimes(file), "c");
  ASSERT_THAT(me_.Unlink(dir, "other"), Succeeds());
  EXPECT_EQ(Stat(file).nlink, 0u);
  me_.Forget(file, 2);  // of MKNOD and LINK
  EXPECT_THAT(me_.Getattr(file), Succeeds());
  me_.Forget(file, 1);  // of LOOKUP
  EXPECT_THAT(me_.Getattr(file), Fails(ESTALE));
}

TEST_F(LinkTest, LinksEveryTypeButDirectories) {
  const InodeNumber symlink = Ino(me_.Symlink(kRootInode, "symlink", "to"));
  const InodeNumber fifo = Ino(me_.Mknod(kRootInode, "fifo", S_IFIFO | 0600));
  EXPECT_EQ(Must(me_.Link(symlink, kRootInode, "symlink2")).attributes.nlink, 2u);
  EXPECT_EQ(Must(me_.Link(fifo, kRootInode, "fifo2")).attributes.nlink, 2u);
}

TEST_F(LinkTest, AFileWithoutNamesGetsNoNewOne) {
  const InodeNumber file = Ino(me_.Create(kRootInode, "file"));
  ASSERT_THAT(me_.Unlink(kRootInode, "file"), Succeeds());
  EXPECT_THAT(me_.Link(file, kRootInode, "again"), Fails(ENOENT));
  EXPECT_THAT(me_.Lookup(kRootInode, "again"), Fails(ENOENT));
  me_.Forget(file);
  ASSERT_THAT(me_.Release(file), Succeeds());
  ExpectEmpty();
}

TEST_F(LinkTest, ATmpfileGetsItsFirstNameOnce) {
  const InodeNumber file = Ino(me_.Tmpfile(kRootInode));
  ASSERT_THAT(me_.Write(file, 0, "data"), Succeeds());
  EXPECT_EQ(Must(me_.Link(file, kRootInode, "named")).attributes.nlink, 1u);
  EXPECT_EQ(Ino(me_.Lookup(kRootInode, "named")), file);
  ASSERT_THAT(me_.Unlink(kRootInode, "named"), Succeeds());
  EXPECT_THAT(me_.Link(file, kRootInode, "again"), Fails(ENOENT));
  ASSERT_THAT(me_.Release(file), Succeeds());
  me_.Forget(file, 3);
  ExpectEmpty();
}

class FullLinkTest : public MemFsTest {
 protected:
  FullLinkTest() : MemFsTest(SmallOptions(20000)) {}
};

TEST_F(FullLinkTest, NoSpaceComesLast) {
  const InodeNumber nameless = Ino(me_.Mknod(kRootInode, "nameless"));
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  ASSERT_THAT(me_.Unlink(kRootInode, "nameless"), Succeeds());
  Fill(file, /*left=*/0);
  EXPECT_THAT(me_.Link(nameless, kRootInode, "new"), Fails(ENOENT));
  EXPECT_THAT(me_.Link(kRootInode, kRootInode, "new"), Fails(EPERM));
  EXPECT_THAT(me_.Link(file, kRootInode, "new"), Fails(ENOSPC));
  EXPECT_EQ(Stat(file).nlink, 1u);
  // A failed LINK counts no lookup.
  ASSERT_THAT(me_.Unlink(kRootInode, "file"), Succeeds());
  me_.Forget(file);
  me_.Forget(nameless);
  ExpectEmpty();
}

}  // namespace
}  // namespace memfuse::memfs
