// The requests that make names, apart from LINK: MKNOD, MKDIR, SYMLINK, CREATE, TMPFILE.

#include <linux/fs.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/memfs/acl_bytes.h"
#include "tests/memfs/memfs_test_base.h"

namespace memfuse::memfs {
namespace {

constexpr uint32_t kDevice = 0x0103;

class CreateTest : public MemFsTest {
 protected:
  using Maker = std::function<int(InodeNumber parent, std::string_view name)>;

  // Calls every request that makes a name; returns the errno of each.
  std::vector<std::pair<std::string, Maker>> Makers() const {
    return {
        {"mknod", [this](auto p, auto n) { return me_.Mknod(p, n).error_or_zero(); }},
        {"mkdir", [this](auto p, auto n) { return me_.Mkdir(p, n).error_or_zero(); }},
        {"symlink", [this](auto p, auto n) { return me_.Symlink(p, n, "to").error_or_zero(); }},
        {"create", [this](auto p, auto n) { return me_.Create(p, n).error_or_zero(); }},
    };
  }
};

// An idmapped mount has no mapping for the caller. Nothing may be made with the owner 0xffffffff.
TEST_F(CreateTest, NothingIsMadeForAnUnmappedCaller) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  for (const bool user_is_missing : {true, false}) {
    RequestContext context;
    (user_is_missing ? context.uid : context.gid) = std::nullopt;
    EXPECT_THAT(fs_->Mknod(context, {kRootInode, "a", S_IFREG | 0644}), Fails(EOVERFLOW));
    EXPECT_THAT(fs_->Mkdir(context, {kRootInode, "a", 0755}), Fails(EOVERFLOW));
    EXPECT_THAT(fs_->Symlink(context, {kRootInode, "a", "to"}), Fails(EOVERFLOW));
    EXPECT_THAT(fs_->Rename(context, {kRootInode, "file", kRootInode, "b", RENAME_WHITEOUT}),
                Fails(EOVERFLOW));
  }
  EXPECT_THAT(me_.Lookup(kRootInode, "a"), Fails(ENOENT));
  EXPECT_EQ(Ino(me_.Lookup(kRootInode, "file")), file);
  // Operations that make no inode need no ids.
  Caller thread(fs_.get());
  thread.set_thread(0);
  EXPECT_THAT(thread.Link(file, kRootInode, "link"), Succeeds());
  EXPECT_THAT(thread.Rename(kRootInode, "link", kRootInode, "b"), Succeeds());
}

TEST_F(CreateTest, ErrorsComeInTheirOrder) {
  const std::string long_name(256, 'x');
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "there"));
  const InodeNumber gone = GoneInode();
  const InodeNumber removed = RemovedDirectory();
  for (const auto& [name, make] : Makers()) {
    SCOPED_TRACE(name);
    EXPECT_EQ(make(gone, long_name), ESTALE);
    EXPECT_EQ(make(file, long_name), ENOTDIR);
    EXPECT_EQ(make(kRootInode, long_name), ENAMETOOLONG);
    EXPECT_EQ(make(removed, long_name), ENAMETOOLONG);
    EXPECT_EQ(make(removed, "a"), ENOENT);
    EXPECT_EQ(make(removed, "."), ENOENT);
    EXPECT_EQ(make(kRootInode, ""), ENOENT);
    EXPECT_EQ(make(kRootInode, "there"), EEXIST);
    EXPECT_EQ(make(kRootInode, "."), EEXIST);
    EXPECT_EQ(make(kRootInode, ".."), EEXIST);
    EXPECT_EQ(make(kRootInode, name + std::string(255 - name.size(), 'x')), 0);
  }
}

TEST_F(CreateTest, SymlinkChecksItsTargetAfterTheName) {
  const std::string too_long(4096, 't');
  ASSERT_THAT(me_.Mknod(kRootInode, "there"), Succeeds());
  EXPECT_THAT(me_.Symlink(kRootInode, "there", too_long), Fails(EEXIST));
  EXPECT_THAT(me_.Symlink(kRootInode, "there", ""), Fails(EEXIST));
  EXPECT_THAT(me_.Symlink(kRootInode, "new", too_long), Fails(ENAMETOOLONG));
  EXPECT_THAT(me_.Symlink(kRootInode, "new", ""), Fails(ENOENT));
  EXPECT_THAT(me_.Symlink(kRootInode, "new", std::string(4095, 't')), Succeeds());
}

TEST_F(CreateTest, TmpfileErrorsComeInTheirOrder) {
  EXPECT_THAT(me_.Tmpfile(GoneInode()), Fails(ESTALE));
  EXPECT_THAT(me_.Tmpfile(Ino(me_.Mknod(kRootInode, "file"))), Fails(ENOTDIR));
  EXPECT_THAT(me_.Tmpfile(RemovedDirectory()), Succeeds());
}

TEST_F(CreateTest, MakesEveryType) {
  const struct {
    uint32_t mode, made;
    uint64_t rdev;
  } kTypes[] = {
      {0640, S_IFREG | 0640, 0},
      {S_IFREG | 0640, S_IFREG | 0640, 0},
      {S_IFIFO | 0600, S_IFIFO | 0600, 0},
      {S_IFSOCK | 0755, S_IFSOCK | 0755, 0},
      {S_IFCHR | 0660, S_IFCHR | 0660, kDevice},
      {S_IFBLK | 0660, S_IFBLK | 0660, kDevice},
  };
  for (const auto& type : kTypes) {
    SCOPED_TRACE(type.mode);
    const Entry entry = Must(me_.Mknod(kRootInode, "node", type.mode, 0, kDevice));
    EXPECT_EQ(entry.attributes.mode, type.made);
    EXPECT_EQ(entry.attributes.rdev, type.rdev);
    EXPECT_EQ(entry.attributes.nlink, 1u);
    EXPECT_EQ(entry.attributes.size, 0u);
    me_.Forget(entry.ino);
    ASSERT_THAT(me_.Unlink(kRootInode, "node"), Succeeds());
  }
  const Attributes link = Must(me_.Symlink(kRootInode, "link", "target")).attributes;
  EXPECT_EQ(link.mode, static_cast<uint32_t>(S_IFLNK | 0777));
  EXPECT_EQ(link.size, 6u);
  EXPECT_EQ(link.nlink, 1u);
  EXPECT_EQ(Must(me_.Mkdir(kRootInode, "dir")).attributes.nlink, 2u);
}

TEST_F(CreateTest, NewInodesBelongToTheCaller) {
  const Caller user(fs_.get(), 1000, 1001);
  const Attributes a = Must(user.Create(kRootInode, "file", 04755)).entry.attributes;
  EXPECT_EQ(a.uid, 1000u);
  EXPECT_EQ(a.gid, 1001u);
  EXPECT_EQ(a.mode, static_cast<uint32_t>(S_IFREG | 04755));
  EXPECT_EQ(a.atime, a.mtime);
  EXPECT_EQ(a.mtime, a.ctime);
  EXPECT_EQ(a.ctime, a.btime);
}

TEST_F(CreateTest, ANewInodeInheritsTheGroupOfASetgidParent) {
  const InodeNumber parent = Ino(me_.Mkdir(kRootInode, "parent"));
  ASSERT_THAT(me_.Chown(parent, 1, 777), Succeeds());
  ASSERT_THAT(me_.Chmod(parent, 02775), Succeeds());
  const Caller user(fs_.get(), 1000, 1001);
  const Attributes dir = Must(user.Mkdir(parent, "dir", 0750)).attributes;
  EXPECT_EQ(dir.uid, 1000u);
  EXPECT_EQ(dir.gid, 777u);
  EXPECT_EQ(dir.mode, static_cast<uint32_t>(S_IFDIR | 02750));
  const Attributes file = Must(user.Mknod(parent, "file", 0640)).attributes;
  EXPECT_EQ(file.gid, 777u);
  EXPECT_EQ(file.mode, static_cast<uint32_t>(S_IFREG | 0640));
  EXPECT_EQ(Must(user.Symlink(parent, "link", "x")).attributes.gid, 777u);
  EXPECT_EQ(Must(user.Tmpfile(parent)).entry.attributes.gid, 777u);
}

TEST_F(CreateTest, TheUmaskIsApplied) {
  EXPECT_EQ(Must(me_.Mkdir(kRootInode, "dir", 0777, 027)).attributes.mode & 07777, 0750u);
  EXPECT_EQ(Must(me_.Mknod(kRootInode, "node", 0666, 022)).attributes.mode & 07777, 0644u);
  const uint32_t created = Must(me_.Create(kRootInode, "file", 04777, 077)).entry.attributes.mode;
  EXPECT_EQ(created & 07777, 04700u);
  EXPECT_EQ(Must(me_.Tmpfile(kRootInode, 0666, 066)).entry.attributes.mode & 07777, 0600u);
}

TEST_F(CreateTest, ADefaultAclReplacesTheUmask) {
  const std::string acl = AclBytes(
      {{kAclUserObj, 7}, {kAclUser, 7, 1000}, {kAclGroupObj, 5}, {kAclMask, 7}, {kAclOther, 0}});
  ASSERT_THAT(me_.Setxattr(kRootInode, kDefaultAclName, acl), Succeeds());

  const Entry file = Must(me_.Mknod(kRootInode, "file", 0666, 077));
  EXPECT_EQ(file.attributes.mode & 07777, 0660u);
  EXPECT_EQ(Must(me_.Getxattr(file.ino, kAccessAclName)), AclBytes({{kAclUserObj, 6},
                                                                    {kAclUser, 7, 1000},
                                                                    {kAclGroupObj, 5},
                                                                    {kAclMask, 6},
                                                                    {kAclOther, 0}}));
  EXPECT_THAT(me_.Getxattr(file.ino, kDefaultAclName), Fails(ENODATA));

  const Entry dir = Must(me_.Mkdir(kRootInode, "dir", 0755, 077));
  EXPECT_EQ(dir.attributes.mode & 07777, 0750u);
  EXPECT_EQ(Must(me_.Getxattr(dir.ino, kDefaultAclName)), acl);
  EXPECT_THAT(me_.Getxattr(dir.ino, kAccessAclName), Succeeds());

  const Entry link = Must(me_.Symlink(kRootInode, "link", "x"));
  EXPECT_EQ(link.attributes.mode & 07777, 0777u);
  EXPECT_EQ(Must(me_.Listxattr(link.ino)), "");
}

TEST_F(CreateTest, ADefaultAclOfThreeEntriesOnlySetsTheMode) {
  const std::string acl = AclBytes({{kAclUserObj, 7}, {kAclGroupObj, 5}, {kAclOther, 5}});
  ASSERT_THAT(me_.Setxattr(kRootInode, kDefaultAclName, acl), Succeeds());
  const Entry file = Must(me_.Create(kRootInode, "file", 0666, 077)).entry;
  EXPECT_EQ(file.attributes.mode & 07777, 0644u);
  EXPECT_EQ(Must(me_.Listxattr(file.ino)), "");
}

TEST_F(CreateTest, MovesTheParentsTimes) {
  for (const auto& [name, make] : Makers()) {
    AgeTimes(kRootInode);
    ASSERT_EQ(make(kRootInode, name), 0);
    EXPECT_EQ(MovedTimes(kRootInode), "mc") << name;
    AgeTimes(kRootInode);
    EXPECT_EQ(make(kRootInode, name), EEXIST);
    EXPECT_EQ(MovedTimes(kRootInode), "") << name;
  }
  ASSERT_THAT(me_.Tmpfile(kRootInode), Succeeds());
  EXPECT_EQ(MovedTimes(kRootInode), "");
}

TEST_F(CreateTest, OnlyDirectoriesCountInTheParentsLinks) {
  for (const auto& [name, make] : Makers()) {
    const uint32_t before = Stat(kRootInode).nlink;
    ASSERT_EQ(make(kRootInode, name), 0);
    EXPECT_EQ(Stat(kRootInode).nlink, before + (name == "mkdir" ? 1 : 0)) << name;
  }
}

TEST_F(CreateTest, ATmpfileHasNoName) {
  const Entry entry = Must(me_.Tmpfile(kRootInode)).entry;
  EXPECT_EQ(entry.attributes.nlink, 0u);
  ASSERT_THAT(me_.Write(entry.ino, 0, "data"), Succeeds());
  me_.Forget(entry.ino);
  EXPECT_EQ(Must(me_.Read(entry.ino, 0, 9)), "data");
  ASSERT_THAT(me_.Release(entry.ino), Succeeds());
  EXPECT_THAT(me_.Getattr(entry.ino), Fails(ESTALE));
  ExpectEmpty();
}

class FullCreateTest : public MemFsTest {
 protected:
  FullCreateTest() : MemFsTest(SmallOptions(20000, 4)) {}
};

TEST_F(FullCreateTest, EndsAtTheLimitOfInodes) {
  ASSERT_THAT(me_.Mkdir(kRootInode, "1"), Succeeds());
  ASSERT_THAT(me_.Create(kRootInode, "2"), Succeeds());
  ASSERT_THAT(me_.Symlink(kRootInode, "3", "to"), Succeeds());
  const uint64_t used = fs_->Usage().bytes_used;
  EXPECT_THAT(me_.Mkdir(kRootInode, "4"), Fails(ENOSPC));
  EXPECT_THAT(me_.Mknod(kRootInode, "4"), Fails(ENOSPC));
  EXPECT_THAT(me_.Symlink(kRootInode, "4", "to"), Fails(ENOSPC));
  EXPECT_THAT(me_.Create(kRootInode, "4"), Fails(ENOSPC));
  EXPECT_THAT(me_.Tmpfile(kRootInode), Fails(ENOSPC));
  // The limit is checked after all other errors.
  EXPECT_THAT(me_.Mkdir(kRootInode, "1"), Fails(EEXIST));
  EXPECT_THAT(me_.Symlink(kRootInode, "4", ""), Fails(ENOENT));
  EXPECT_EQ(fs_->Usage().bytes_used, used);
  EXPECT_EQ(fs_->Usage().inodes_used, 4u);
  EXPECT_THAT(me_.Lookup(kRootInode, "4"), Fails(ENOENT));
}

TEST_F(FullCreateTest, EndsAtTheLimitOfBytes) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  Fill(file, /*left=*/64);
  const MemoryFileSystemUsage used = fs_->Usage();
  AgeTimes(kRootInode);
  EXPECT_THAT(me_.Mkdir(kRootInode, "dir"), Fails(ENOSPC));
  EXPECT_THAT(me_.Mknod(kRootInode, "node"), Fails(ENOSPC));
  EXPECT_THAT(me_.Symlink(kRootInode, "link", "to"), Fails(ENOSPC));
  EXPECT_THAT(me_.Create(kRootInode, "new"), Fails(ENOSPC));
  EXPECT_THAT(me_.Tmpfile(kRootInode), Fails(ENOSPC));
  EXPECT_THAT(me_.Link(file, kRootInode, std::string(100, 'x')), Fails(ENOSPC));
  EXPECT_EQ(fs_->Usage().bytes_used, used.bytes_used);
  EXPECT_EQ(fs_->Usage().inodes_used, used.inodes_used);
  EXPECT_EQ(Stat(file).nlink, 1u);
  EXPECT_EQ(MovedTimes(kRootInode), "");
}

TEST_F(FullCreateTest, AnAclWithoutSpaceLeavesNothing) {
  const std::string acl = AclBytes(
      {{kAclUserObj, 7}, {kAclUser, 7, 1000}, {kAclGroupObj, 5}, {kAclMask, 7}, {kAclOther, 0}});
  ASSERT_THAT(me_.Setxattr(kRootInode, kDefaultAclName, acl), Succeeds());
  // There is space for a directory and its name, but not for its two ACLs.
  const uint64_t before = fs_->Usage().bytes_used;
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  const uint64_t cost = fs_->Usage().bytes_used - before;
  me_.Forget(dir);
  ASSERT_THAT(me_.Rmdir(kRootInode, "dir"), Succeeds());
  Fill(kRootInode, cost - 64);
  const MemoryFileSystemUsage used = fs_->Usage();
  EXPECT_THAT(me_.Mkdir(kRootInode, "dir"), Fails(ENOSPC));
  EXPECT_EQ(fs_->Usage().bytes_used, used.bytes_used);
  EXPECT_EQ(fs_->Usage().inodes_used, 1u);
}

}  // namespace
}  // namespace memfuse::memfs
