// SETXATTR, GETXATTR, LISTXATTR, REMOVEXATTR, and ACLs as attributes.

#include <linux/capability.h>
#include <sys/xattr.h>

#include <string>

#include "tests/memfs/acl_bytes.h"
#include "tests/memfs/memfs_test_base.h"
#include "tests/testing/child_process.h"

namespace memfuse::memfs {
namespace {

using test::BecomeUser;
using test::ForkIntoUserNamespace;
using test::SetCapabilities;
using test::WithChild;

const std::string kNamedAcl = AclBytes(
    {{kAclUserObj, 6}, {kAclUser, 7, 1000}, {kAclGroupObj, 4}, {kAclMask, 7}, {kAclOther, 0}});

class XattrTest : public MemFsTest {
 protected:
  uint32_t Permissions() const { return Stat(file_).mode & 07777; }

  const InodeNumber file_ = Ino(me_.Mknod(kRootInode, "file", 0644));
};

TEST_F(XattrTest, SetErrorsComeInTheirOrder) {
  const std::string long_value(65537, 'v');
  const std::string long_name = "user." + std::string(251, 'n');
  const InodeNumber link = Ino(me_.Symlink(kRootInode, "link", "to"));
  const InodeNumber fifo = Ino(me_.Mknod(kRootInode, "fifo", S_IFIFO));
  EXPECT_THAT(me_.Setxattr(GoneInode(), "unknown.a", long_value), Fails(ESTALE));
  for (const char* name : {"unknown.a", "user", "", "system.other", "USER.a", "system."}) {
    EXPECT_THAT(me_.Setxattr(file_, name, long_value), Fails(EOPNOTSUPP)) << name;
  }
  for (const InodeNumber other : {link, fifo}) {
    EXPECT_THAT(me_.Setxattr(other, long_name, long_value), Fails(EOPNOTSUPP));
    EXPECT_THAT(me_.Setxattr(other, "trusted.a", "v"), Succeeds());
    EXPECT_THAT(me_.Setxattr(other, "security.a", "v"), Succeeds());
  }
  for (const char* name : {"user.", "trusted.", "security."}) {
    EXPECT_THAT(me_.Setxattr(file_, name, long_value), Fails(EINVAL)) << name;
  }
  EXPECT_THAT(me_.Setxattr(file_, long_name, long_value), Fails(ERANGE));
  EXPECT_THAT(me_.Setxattr(file_, "user.a", long_value, XATTR_REPLACE), Fails(E2BIG));
  EXPECT_THAT(me_.Setxattr(file_, "user.a", "v", XATTR_REPLACE), Fails(ENODATA));
  EXPECT_THAT(me_.Setxattr(file_, "user.a", "v", XATTR_CREATE), Succeeds());
  EXPECT_THAT(me_.Setxattr(file_, "user.a", "w", XATTR_CREATE), Fails(EEXIST));
  EXPECT_EQ(Must(me_.Getxattr(file_, "user.a")), "v");
}

TEST_F(XattrTest, TakesTheLargestNameAndValue) {
  const std::string name = "user." + std::string(250, 'n');
  const std::string value(65536, 'v');
  ASSERT_THAT(me_.Setxattr(file_, name, value), Succeeds());
  EXPECT_TRUE(Must(me_.Getxattr(file_, name)) == value);
  EXPECT_EQ(Must(me_.Listxattr(file_)), name + '\0');
}

TEST_F(XattrTest, GetAndRemoveErrors) {
  const InodeNumber gone = GoneInode();
  EXPECT_THAT(me_.Getxattr(gone, "user.a"), Fails(ESTALE));
  EXPECT_THAT(me_.Getxattr(file_, "unknown.a"), Fails(EOPNOTSUPP));
  EXPECT_THAT(me_.Getxattr(file_, "user.a"), Fails(ENODATA));
  EXPECT_THAT(me_.Getxattr(file_, kAccessAclName), Fails(ENODATA));
  EXPECT_THAT(me_.Listxattr(gone), Fails(ESTALE));
  EXPECT_THAT(me_.Removexattr(gone, "user.a"), Fails(ESTALE));
  EXPECT_THAT(me_.Removexattr(file_, "unknown.a"), Fails(EOPNOTSUPP));
  EXPECT_THAT(me_.Removexattr(file_, "user.a"), Fails(ENODATA));
  ASSERT_THAT(me_.Setxattr(file_, "user.b", "v"), Succeeds());
  EXPECT_THAT(me_.Getxattr(file_, "user.a"), Fails(ENODATA));
  EXPECT_THAT(me_.Removexattr(file_, "user.a"), Fails(ENODATA));
}

TEST(NoXattrTest, WithoutXattrsTheKernelStopsAsking) {
  MemoryFileSystemOptions options = SmallOptions(1 << 20);
  options.xattr = false;
  const std::unique_ptr<MemFs> fs = MakeMemFs(options);
  const Caller me(fs.get());
  const InodeNumber file = Ino(me.Mknod(kRootInode, "file", 0644));
  EXPECT_THAT(me.Setxattr(file, "user.a", "v"), Fails(ENOSYS));
  EXPECT_THAT(me.Getxattr(file, "security.capability"), Fails(ENOSYS));
  EXPECT_THAT(me.Listxattr(file), Fails(ENOSYS));
  EXPECT_THAT(me.Removexattr(file, "user.a"), Fails(ENOSYS));
}

TEST_F(XattrTest, ChangesMoveCtime) {
  AgeTimes(file_);
  ASSERT_THAT(me_.Setxattr(file_, "user.a", "v"), Succeeds());
  EXPECT_EQ(MovedTimes(file_), "c");
  AgeTimes(file_);
  ASSERT_THAT(me_.Getxattr(file_, "user.a"), Succeeds());
  ASSERT_THAT(me_.Listxattr(file_), Succeeds());
  EXPECT_THAT(me_.Setxattr(file_, "user.a", "v", XATTR_CREATE), Fails(EEXIST));
  EXPECT_EQ(MovedTimes(file_), "");
  ASSERT_THAT(me_.Removexattr(file_, "user.a"), Succeeds());
  EXPECT_EQ(MovedTimes(file_), "c");
}

TEST_F(XattrTest, TrustedNamesAreListedForCapSysAdminOnly) {
  for (const char* name : {"user.u", "trusted.t", "security.s"}) {
    ASSERT_THAT(me_.Setxattr(file_, name, ""), Succeeds());
  }
  const std::string all("security.s\0trusted.t\0user.u\0", 28);
  const std::string others("security.s\0user.u\0", 18);
  const auto listed_for = [this](uint32_t pid) {
    Caller caller(fs_.get());
    caller.set_thread(pid);
    return Must(caller.Listxattr(file_));
  };
  const bool root = geteuid() == 0;
  EXPECT_EQ(listed_for(static_cast<uint32_t>(getpid())), root ? all : others);
  WithChild([] { return SetCapabilities(0); },
            [&](uint32_t pid) { EXPECT_EQ(listed_for(pid), others); });
  WithChild([] { return true; }, [&](uint32_t pid) { EXPECT_EQ(listed_for(pid), others); },
            ForkIntoUserNamespace);
  if (root) {
    WithChild([] { return BecomeUser(77, uint32_t{1} << CAP_SYS_ADMIN); },
              [&](uint32_t pid) { EXPECT_EQ(listed_for(pid), all); });
  }
  // The daemon cannot find the calling thread. An older kernel sends its user ID.
  EXPECT_EQ(listed_for(0), others);
  EXPECT_EQ(Must(me_.Listxattr(file_)), all);
  EXPECT_EQ(Must(Caller(fs_.get(), 1000).Listxattr(file_)), others);
}

TEST_F(XattrTest, ARemovedAttributeReleasesItsSpace) {
  const uint64_t before = fs_->Usage().bytes_used;
  ASSERT_THAT(me_.Setxattr(file_, "user.a", std::string(5000, 'v')), Succeeds());
  EXPECT_GE(fs_->Usage().bytes_used, before + 5000);
  ASSERT_THAT(me_.Removexattr(file_, "user.a"), Succeeds());
  EXPECT_EQ(fs_->Usage().bytes_used, before);
  EXPECT_EQ(Must(me_.Listxattr(file_)), "");
}

TEST_F(XattrTest, AnAccessAclSetsTheMode) {
  ASSERT_THAT(me_.Chmod(file_, 02755), Succeeds());
  ASSERT_THAT(me_.Setxattr(file_, kAccessAclName, kNamedAcl), Succeeds());
  EXPECT_EQ(Permissions(), 02670u);
  EXPECT_EQ(Must(me_.Getxattr(file_, kAccessAclName)), kNamedAcl);
  SetxattrRequest request{};
  request.ino = file_;
  request.name = kAccessAclName;
  request.value = kNamedAcl;
  request.kill_sgid = true;
  ASSERT_THAT(fs_->Setxattr(me_.context(), request), Succeeds());
  EXPECT_EQ(Permissions(), 0670u);
}

TEST_F(XattrTest, ChmodChangesTheAcl) {
  ASSERT_THAT(me_.Setxattr(file_, kAccessAclName, kNamedAcl), Succeeds());
  ASSERT_THAT(me_.Chmod(file_, 0751), Succeeds());
  EXPECT_EQ(Must(me_.Getxattr(file_, kAccessAclName)), AclBytes({{kAclUserObj, 7},
                                                                 {kAclUser, 7, 1000},
                                                                 {kAclGroupObj, 4},
                                                                 {kAclMask, 5},
                                                                 {kAclOther, 1}}));
  EXPECT_EQ(Permissions(), 0751u);
}

TEST_F(XattrTest, AnAclEquivalentToAModeIsNotKept) {
  ASSERT_THAT(me_.Setxattr(file_, kAccessAclName, kNamedAcl), Succeeds());
  const std::string minimal = AclBytes({{kAclUserObj, 7}, {kAclGroupObj, 4}, {kAclOther, 1}});
  ASSERT_THAT(me_.Setxattr(file_, kAccessAclName, minimal), Succeeds());
  EXPECT_EQ(Permissions(), 0741u);
  EXPECT_THAT(me_.Getxattr(file_, kAccessAclName), Fails(ENODATA));
}

TEST_F(XattrTest, AnAclIsRemovedByRemovexattrOrAnEmptyValue) {
  ASSERT_THAT(me_.Setxattr(file_, kAccessAclName, kNamedAcl), Succeeds());
  ASSERT_THAT(me_.Setxattr(file_, kAccessAclName, ""), Succeeds());
  EXPECT_THAT(me_.Getxattr(file_, kAccessAclName), Fails(ENODATA));
  EXPECT_EQ(Permissions(), 0670u);
  ASSERT_THAT(me_.Setxattr(file_, kAccessAclName, kNamedAcl), Succeeds());
  EXPECT_THAT(me_.Removexattr(file_, kAccessAclName), Succeeds());
  EXPECT_THAT(me_.Getxattr(file_, kAccessAclName), Fails(ENODATA));
  EXPECT_THAT(me_.Removexattr(file_, kAccessAclName), Succeeds());
}

TEST_F(XattrTest, AclErrors) {
  EXPECT_THAT(me_.Setxattr(file_, kAccessAclName, "nonsense"), Fails(EINVAL));
  EXPECT_THAT(me_.Setxattr(file_, kAccessAclName, AclBytes({}, 9)), Fails(EOPNOTSUPP));
  EXPECT_EQ(Permissions(), 0644u);
  // Only directories have default ACLs, and symbolic links have no permissions.
  EXPECT_THAT(me_.Setxattr(file_, kDefaultAclName, kNamedAcl), Fails(EACCES));
  EXPECT_THAT(me_.Setxattr(kRootInode, kDefaultAclName, kNamedAcl), Succeeds());
  const InodeNumber link = Ino(me_.Symlink(kRootInode, "link", "to"));
  EXPECT_THAT(me_.Setxattr(link, kAccessAclName, kNamedAcl), Fails(EOPNOTSUPP));
}

class FullXattrTest : public MemFsTest {
 protected:
  FullXattrTest() : MemFsTest(SmallOptions(20000)) {}
};

TEST_F(FullXattrTest, NoSpaceComesLastAndChangesNothing) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  ASSERT_THAT(me_.Setxattr(file, "user.a", "old"), Succeeds());
  AgeTimes(file);
  const uint64_t used = fs_->Usage().bytes_used;
  const std::string large(20000, 'v');
  EXPECT_THAT(me_.Setxattr(file, "user.a", large, XATTR_CREATE), Fails(EEXIST));
  EXPECT_THAT(me_.Setxattr(file, "user.b", large, XATTR_REPLACE), Fails(ENODATA));
  EXPECT_THAT(me_.Setxattr(file, "user.a", large), Fails(ENOSPC));
  EXPECT_THAT(me_.Setxattr(file, "user.b", large), Fails(ENOSPC));
  EXPECT_EQ(Must(me_.Getxattr(file, "user.a")), "old");
  EXPECT_EQ(MovedTimes(file), "");
  EXPECT_EQ(fs_->Usage().bytes_used, used);
}

TEST_F(XattrTest, RemovingAnAccessAclClearsSetgidForNonMembers) {
  const auto mode_after = [this](const Caller& owner) {
    const InodeNumber dir = me_.Mkdir(kRootInode, "d", 02755)->ino;
    EXPECT_THAT(owner.Removexattr(dir, kAccessAclName), Succeeds());
    const uint32_t mode = me_.Getattr(dir)->attributes.mode & 07777;
    EXPECT_THAT(me_.Rmdir(kRootInode, "d"), Succeeds());
    return mode;
  };
  EXPECT_EQ(mode_after(Caller(fs_.get(), 1001, 1001)), 0755u);
  EXPECT_EQ(mode_after(Caller(fs_.get(), 1001, 0)), 02755u);
  EXPECT_EQ(mode_after(Caller(fs_.get(), 0, 1001)), 02755u);
  // A request without ids identifies the caller by its thread.
  const auto mode_after_thread = [&](uint32_t pid) {
    Caller caller(fs_.get());
    caller.set_thread(pid);
    return mode_after(caller);
  };
  EXPECT_EQ(mode_after_thread(0), 02755u) << "cannot be found out";
  EXPECT_EQ(mode_after_thread(static_cast<uint32_t>(getpid())),
            geteuid() == 0 || getegid() == 0 ? 02755u : 0755u);
  if (geteuid() != 0) return;
  WithChild([] { return BecomeUser(1001); },
            [&](uint32_t pid) { EXPECT_EQ(mode_after_thread(pid), 0755u); });
  WithChild([] { return SetCapabilities(0); },
            [&](uint32_t pid) { EXPECT_EQ(mode_after_thread(pid), 02755u) << "of the group"; });
}

}  // namespace
}  // namespace memfuse::memfs
