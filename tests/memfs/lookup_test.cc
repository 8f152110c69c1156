// LOOKUP, FORGET, READLINK and the lifetime of inodes.

#include <fcntl.h>

#include <string>

#include "tests/memfs/memfs_test_base.h"

namespace memfuse::memfs {
namespace {

class LookupTest : public MemFsTest {};

TEST_F(LookupTest, ErrorsComeInTheirOrder) {
  const std::string long_name(256, 'x');
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  EXPECT_THAT(me_.Lookup(GoneInode(), long_name), Fails(ESTALE));
  EXPECT_THAT(me_.Lookup(file, long_name), Fails(ENOTDIR));
  EXPECT_THAT(me_.Lookup(kRootInode, long_name), Fails(ENAMETOOLONG));
  EXPECT_THAT(me_.Lookup(kRootInode, std::string(255, 'x')), Fails(ENOENT));
  EXPECT_THAT(me_.Lookup(kRootInode, ""), Fails(ENOENT));
  EXPECT_THAT(me_.Lookup(RemovedDirectory(), "a"), Fails(ENOENT));
}

TEST_F(LookupTest, FindsExistingNames) {
  const Entry made = Must(me_.Mkdir(kRootInode, "dir"));
  const Entry found = Must(me_.Lookup(kRootInode, "dir"));
  EXPECT_EQ(found.ino, made.ino);
  EXPECT_EQ(found.generation, made.generation);
  EXPECT_EQ(found.attributes.ino, made.ino);
  EXPECT_EQ(found.attributes.mode, static_cast<uint32_t>(S_IFDIR | 0755));
}

TEST_F(LookupTest, DotAndDotDotAreAnsweredOnEveryInode) {
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  const InodeNumber child = Ino(me_.Mkdir(dir, "child"));
  const InodeNumber file = Ino(me_.Mknod(dir, "file"));
  EXPECT_EQ(Ino(me_.Lookup(child, ".")), child);
  EXPECT_EQ(Ino(me_.Lookup(child, "..")), dir);
  EXPECT_EQ(Ino(me_.Lookup(kRootInode, ".")), kRootInode);
  EXPECT_EQ(Ino(me_.Lookup(kRootInode, "..")), kRootInode);
  EXPECT_EQ(Ino(me_.Lookup(file, ".")), file);
  EXPECT_THAT(me_.Lookup(file, ".."), Fails(ENOTDIR));
  const InodeNumber gone = GoneInode();
  EXPECT_THAT(me_.Lookup(gone, "."), Fails(ESTALE));
  EXPECT_THAT(me_.Lookup(gone, ".."), Fails(ESTALE));
}

TEST_F(LookupTest, DotOfARemovedInodeIsStaleUnlessItIsOpen) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  ASSERT_THAT(me_.Open(file), Succeeds());
  ASSERT_THAT(me_.Unlink(kRootInode, "file"), Succeeds());
  EXPECT_EQ(Ino(me_.Lookup(file, ".")), file);
  ASSERT_THAT(me_.Release(file), Succeeds());
  EXPECT_THAT(me_.Lookup(file, "."), Fails(ESTALE));
  EXPECT_THAT(me_.Getattr(file), Succeeds()) << "an inode with lookups stays usable";
}

TEST_F(LookupTest, DotDotOfADirectoryWhoseParentIsGoneIsStale) {
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  const InodeNumber child = Ino(me_.Mkdir(dir, "child"));
  ASSERT_THAT(me_.Rmdir(dir, "child"), Succeeds());
  ASSERT_THAT(me_.Rmdir(kRootInode, "dir"), Succeeds());
  EXPECT_EQ(Ino(me_.Lookup(child, "..")), dir);
  me_.Forget(dir, 2);
  EXPECT_THAT(me_.Lookup(child, ".."), Fails(ESTALE));
}

TEST_F(LookupTest, AnInodeLivesUntilEveryLookupIsForgotten) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  for (int i = 0; i < 3; ++i) Must(me_.Lookup(kRootInode, "file"));
  ASSERT_THAT(me_.Unlink(kRootInode, "file"), Succeeds());
  EXPECT_EQ(Stat(file).nlink, 0u);
  me_.Forget(file, 3);
  EXPECT_EQ(fs_->Usage().inodes_used, 2u);
  EXPECT_THAT(me_.Getattr(file), Succeeds());
  me_.Forget(file, 1);
  EXPECT_THAT(me_.Getattr(file), Fails(ESTALE));
  ExpectEmpty();
}

TEST_F(LookupTest, ANameKeepsAForgottenInode) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  me_.Forget(file, 1);
  EXPECT_THAT(me_.Getattr(file), Succeeds());
  EXPECT_EQ(Ino(me_.Lookup(kRootInode, "file")), file);
  me_.Forget(file, 1);
  ASSERT_THAT(me_.Unlink(kRootInode, "file"), Succeeds());
  EXPECT_THAT(me_.Getattr(file), Fails(ESTALE));
  ExpectEmpty();
}

TEST_F(LookupTest, AnOpenKeepsANamelessForgottenInode) {
  const InodeNumber file = Ino(me_.Create(kRootInode, "file"));
  ASSERT_THAT(me_.Write(file, 0, std::string(10000, 'x')), Succeeds());
  ASSERT_THAT(me_.Unlink(kRootInode, "file"), Succeeds());
  me_.Forget(file, 1);
  EXPECT_EQ(Must(me_.Read(file, 9998, 10)), "xx");
  ASSERT_THAT(me_.Write(file, 20000, "more"), Succeeds());
  ASSERT_THAT(me_.Open(file), Succeeds());
  ASSERT_THAT(me_.Release(file), Succeeds());
  EXPECT_EQ(Stat(file).size, 20004u);
  ASSERT_THAT(me_.Release(file), Succeeds());
  EXPECT_THAT(me_.Read(file, 0, 1), Fails(ESTALE));
  EXPECT_THAT(me_.Release(file), Fails(ESTALE));
  ExpectEmpty();
}

TEST_F(LookupTest, ForgettingTooManyLookupsIsIgnored) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  me_.Forget(file, 1000);
  me_.Forget(file, ~uint64_t{0});
  EXPECT_THAT(me_.Getattr(file), Succeeds());
  // A lookup after that counts in full.
  Must(me_.Lookup(kRootInode, "file"));
  ASSERT_THAT(me_.Unlink(kRootInode, "file"), Succeeds());
  EXPECT_THAT(me_.Getattr(file), Succeeds());
  me_.Forget(file, 1);
  ExpectEmpty();
}

TEST_F(LookupTest, ForgettingUnknownInodesOrTheRootIsIgnored) {
  me_.Forget(GoneInode());
  me_.Forget(kNoInode);
  me_.Forget(InodeNumber{~uint64_t{0}});
  me_.Forget(kRootInode, 1000);
  EXPECT_THAT(me_.Getattr(kRootInode), Succeeds());
  ExpectEmpty();
}

TEST_F(LookupTest, InodeNumbersAreNeverUsedAgain) {
  std::vector<InodeNumber> seen;
  for (int i = 0; i < 500; ++i) {
    seen.push_back(Ino(me_.Mknod(kRootInode, "file")));
    me_.Forget(seen.back());
    ASSERT_THAT(me_.Unlink(kRootInode, "file"), Succeeds());
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end());
  ExpectEmpty();
}

TEST_F(LookupTest, ReadlinkReturnsTheTargetOfSymbolicLinksOnly) {
  const std::string target(4095, 't');
  const InodeNumber link = Ino(me_.Symlink(kRootInode, "link", target));
  EXPECT_EQ(Must(me_.Readlink(link)), target);
  EXPECT_THAT(me_.Readlink(kRootInode), Fails(EINVAL));
  EXPECT_THAT(me_.Readlink(Ino(me_.Mknod(kRootInode, "file"))), Fails(EINVAL));
  EXPECT_THAT(me_.Readlink(GoneInode()), Fails(ESTALE));
}

TEST_F(LookupTest, ReadlinkMovesTheAccessTime) {
  const InodeNumber link = Ino(me_.Symlink(kRootInode, "link", "target"));
  SetattrRequest old;
  old.ino = link;
  old.atime = {TimeChange::Kind::kSet, {1000, 1}};
  ASSERT_THAT(me_.Setattr(old), Succeeds());
  ASSERT_THAT(me_.Readlink(link), Succeeds());
  EXPECT_GT(Stat(link).atime.seconds, 1000);
}

}  // namespace
}  // namespace memfuse::memfs
