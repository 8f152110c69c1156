// The flags of chattr(1), and what they forbid.

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/stat.h>

#include <cstring>

#include "tests/memfs/memfs_test_base.h"
#include "tests/testing/fake_host.h"

namespace memfuse::memfs {
namespace {

class InodeFlagsTest : public MemFsTest {
 protected:
  InodeFlagsTest() : file_(Ino(me_.Mknod(kRootInode, "file"))) {
    Must(me_.Write(file_, 0, "content"));
  }
  void SetUp() override {
    Host host;
    host.notifier = &notifier_;
    ASSERT_TRUE(fs_->Connected(host).ok());
  }
  void TearDown() override { fs_->Disconnected(); }

  Result<IoctlResult> Ioctl(InodeNumber ino, uint32_t command, std::string_view input,
                            uint64_t argument = 0) const {
    IoctlRequest request{};
    request.ino = ino;
    request.command = command;
    request.argument = argument;
    request.input = absl::MakeConstSpan(input.data(), input.size());
    return fs_->Ioctl(me_.context(), request);
  }
  Result<IoctlResult> SetFlags(InodeNumber ino, uint32_t flags) const {
    char input[sizeof(flags)];
    std::memcpy(input, &flags, sizeof(flags));
    return Ioctl(ino, FS_IOC_SETFLAGS, {input, sizeof(input)});
  }
  Result<IoctlResult> SetXflags(InodeNumber ino, const fsxattr& xattr) const {
    return Ioctl(ino, FS_IOC_FSSETXATTR, {reinterpret_cast<const char*>(&xattr), sizeof(xattr)});
  }
  uint32_t Flags(InodeNumber ino) const {
    const IoctlResult result = Must(Ioctl(ino, FS_IOC_GETFLAGS, ""));
    uint32_t flags = ~0u;
    EXPECT_EQ(result.output.size(), sizeof(flags));
    std::memcpy(&flags, result.output.data(), sizeof(flags));
    return flags;
  }

  test::RecordingNotifier notifier_;
  const InodeNumber file_;
};

TEST_F(InodeFlagsTest, AreStoredAndReturned) {
  EXPECT_EQ(Flags(file_), 0u);
  for (const uint32_t flags : {FS_IMMUTABLE_FL, FS_APPEND_FL, FS_NODUMP_FL, FS_NOATIME_FL, 0}) {
    AgeTimes(file_);
    Must(SetFlags(file_, flags));
    EXPECT_THAT(notifier_.TakeAttributes(), testing::ElementsAre(file_));
    EXPECT_EQ(Flags(file_), flags);
    EXPECT_EQ(MovedTimes(file_), "c");
    Must(SetFlags(file_, 0));
    (void)notifier_.TakeAttributes();
  }
}

TEST_F(InodeFlagsTest, UnknownOnesAreNotKept) {
  Must(SetFlags(file_, FS_NODUMP_FL));
  EXPECT_THAT(SetFlags(file_, FS_COMPR_FL | FS_NODUMP_FL), Fails(EOPNOTSUPP));
  fsxattr xattr = {};
  xattr.fsx_xflags = FS_XFLAG_SYNC;
  EXPECT_THAT(SetXflags(file_, xattr), Fails(EOPNOTSUPP));
  xattr = {};
  xattr.fsx_projid = 1;
  EXPECT_THAT(SetXflags(file_, xattr), Fails(EOPNOTSUPP));
  EXPECT_EQ(Flags(file_), uint32_t{FS_NODUMP_FL});
}

TEST_F(InodeFlagsTest, CanBeSetByEitherStructure) {
  fsxattr xattr = {};
  xattr.fsx_xflags = FS_XFLAG_APPEND | FS_XFLAG_NOATIME;
  Must(SetXflags(file_, xattr));
  EXPECT_THAT(notifier_.TakeAttributes(), testing::ElementsAre(file_));
  EXPECT_EQ(Flags(file_), uint32_t{FS_APPEND_FL | FS_NOATIME_FL});
  const std::string output = Must(Ioctl(file_, FS_IOC_FSGETXATTR, "")).output;
  ASSERT_EQ(output.size(), sizeof(xattr));
  std::memcpy(&xattr, output.data(), sizeof(xattr));
  EXPECT_EQ(xattr.fsx_xflags, uint32_t{FS_XFLAG_APPEND | FS_XFLAG_NOATIME});
}

TEST_F(InodeFlagsTest, RequestsAreChecked) {
  EXPECT_THAT(Ioctl(file_, FS_IOC_SETFLAGS, "xxx"), Fails(EINVAL));
  EXPECT_THAT(Ioctl(file_, FS_IOC_FSSETXATTR, "xxx"), Fails(EINVAL));
  EXPECT_THAT(Ioctl(file_, FS_IOC_GETVERSION, ""), Fails(ENOTTY));
  // A request of a kernel that checks nothing itself.
  EXPECT_THAT(Ioctl(file_, FS_IOC_SETFLAGS, std::string(4, '\0'), 0x7fff0000), Fails(ENOTTY));
  EXPECT_THAT(Ioctl(GoneInode(), FS_IOC_GETFLAGS, ""), Fails(ESTALE));
}

TEST_F(InodeFlagsTest, AreShownByStatx) {
  Must(SetFlags(file_, FS_IMMUTABLE_FL | FS_NOATIME_FL));
  const StatxResult result = Must(fs_->Statx(me_.context(), {file_, {}}));
  EXPECT_EQ(result.attribute_flags, uint64_t{STATX_ATTR_IMMUTABLE});
  EXPECT_EQ(result.attribute_flags_mask,
            uint64_t{STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP});
}

TEST_F(InodeFlagsTest, SomeAreInherited) {
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  Must(SetFlags(dir, FS_NODUMP_FL | FS_NOATIME_FL | FS_APPEND_FL));
  EXPECT_EQ(Flags(Ino(me_.Mknod(dir, "file"))), uint32_t{FS_NODUMP_FL | FS_NOATIME_FL});
  EXPECT_EQ(Flags(Ino(me_.Mkdir(dir, "dir"))), uint32_t{FS_NODUMP_FL | FS_NOATIME_FL});
}

TEST_F(InodeFlagsTest, ImmutableForbidsChanges) {
  Must(SetFlags(file_, FS_IMMUTABLE_FL));
  EXPECT_THAT(me_.Open(file_, O_RDONLY), Succeeds());
  EXPECT_THAT(me_.Open(file_, O_WRONLY | O_APPEND), Fails(EPERM));
  EXPECT_THAT(me_.Open(file_, O_RDONLY | O_TRUNC), Fails(EPERM));
  EXPECT_THAT(me_.Truncate(file_, 0), Fails(EPERM));
  EXPECT_THAT(me_.Chmod(file_, 0600), Fails(EPERM));
  EXPECT_THAT(me_.Chown(file_, 1, 1), Fails(EPERM));
  EXPECT_THAT(me_.Setxattr(file_, "user.a", "1"), Fails(EPERM));
  EXPECT_THAT(me_.Removexattr(file_, "user.a"), Fails(EPERM));
  EXPECT_THAT(me_.Fallocate(file_, 0, 0, 100), Fails(EPERM));
  EXPECT_THAT(me_.Link(file_, kRootInode, "link"), Fails(EPERM));
  EXPECT_THAT(me_.Unlink(kRootInode, "file"), Fails(EPERM));
  EXPECT_THAT(me_.Rename(kRootInode, "file", kRootInode, "new"), Fails(EPERM));
  EXPECT_THAT(me_.Rename(kRootInode, "file", kRootInode, "file"), Succeeds());
  const InodeNumber other = Ino(me_.Mknod(kRootInode, "other"));
  EXPECT_THAT(me_.Rename(kRootInode, "other", kRootInode, "file"), Fails(EPERM));
  EXPECT_THAT(me_.Copy(file_, 0, other, 0, 4), Succeeds());
  EXPECT_THAT(me_.Copy(other, 0, file_, 0, 4), Fails(EPERM));
  // A descriptor that was open before still works.
  EXPECT_EQ(Must(me_.Write(file_, 0, "C")), 1u);
}

TEST_F(InodeFlagsTest, AppendOnlyAllowsAppending) {
  Must(SetFlags(file_, FS_APPEND_FL));
  EXPECT_THAT(me_.Open(file_, O_WRONLY | O_APPEND), Succeeds());
  EXPECT_THAT(me_.Open(file_, O_WRONLY), Fails(EPERM));
  EXPECT_THAT(me_.Open(file_, O_WRONLY | O_APPEND | O_TRUNC), Fails(EPERM));
  EXPECT_THAT(me_.Truncate(file_, 100), Fails(EPERM));
  EXPECT_THAT(me_.Fallocate(file_, 0, 0, 100), Succeeds());
  EXPECT_THAT(me_.Fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 100),
              Fails(EPERM));
  EXPECT_THAT(me_.Chmod(file_, 0600), Fails(EPERM));
  SetattrRequest touch{};
  touch.ino = file_;
  touch.atime.kind = touch.mtime.kind = TimeChange::Kind::kNow;
  EXPECT_THAT(me_.Setattr(touch), Succeeds());
  touch.mtime.kind = TimeChange::Kind::kKeep;
  EXPECT_THAT(me_.Setattr(touch), Fails(EPERM));
}

TEST_F(InodeFlagsTest, DirectoriesKeepTheirEntries) {
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  Ino(me_.Mknod(dir, "a"));
  Ino(me_.Mkdir(dir, "d"));
  for (const uint32_t flag : {FS_IMMUTABLE_FL, FS_APPEND_FL}) {
    Must(SetFlags(dir, flag));
    EXPECT_THAT(me_.Unlink(dir, "a"), Fails(EPERM));
    EXPECT_THAT(me_.Rmdir(dir, "d"), Fails(EPERM));
    EXPECT_THAT(me_.Rename(dir, "a", kRootInode, "a"), Fails(EPERM));
    EXPECT_THAT(me_.Rename(kRootInode, "file", dir, "a"), Fails(EPERM));
    // The flags are checked after the existence of the names and before the types.
    EXPECT_THAT(me_.Unlink(dir, "missing"), Fails(ENOENT));
    EXPECT_THAT(me_.Mkdir(dir, "d"), Fails(EEXIST));
    EXPECT_THAT(me_.Unlink(dir, "d"), Fails(EPERM));
    EXPECT_THAT(me_.Rmdir(dir, "a"), Fails(EPERM));
  }
  EXPECT_THAT(me_.Mknod(dir, "b"), Succeeds());
  Must(SetFlags(dir, FS_IMMUTABLE_FL));
  EXPECT_THAT(me_.Mknod(dir, "c"), Fails(EPERM));
  EXPECT_THAT(me_.Tmpfile(dir), Fails(EPERM));
  EXPECT_THAT(me_.Link(file_, dir, "c"), Fails(EPERM));
  EXPECT_THAT(me_.Rename(kRootInode, "file", dir, "c"), Fails(EPERM));
}

TEST_F(InodeFlagsTest, NoatimeKeepsTheAccessTime) {
  Must(SetFlags(file_, FS_NOATIME_FL));
  AgeTimes(file_);
  EXPECT_EQ(Must(me_.Read(file_, 0, 10)), "content");
  EXPECT_EQ(MovedTimes(file_), "");
}

TEST_F(InodeFlagsTest, AProgramThatRunsIsNotTruncatedByAReader) {
  Must(fs_->Open(me_.context(), {file_, O_RDONLY, /*kill_suidgid=*/false, /*executes=*/true}));
  EXPECT_THAT(me_.Open(file_, O_RDONLY | O_TRUNC), Fails(ETXTBSY));
  EXPECT_EQ(Stat(file_).size, 7u);
  EXPECT_THAT(fs_->Release(me_.context(), {file_, {}, O_RDONLY, /*executes=*/true}), Succeeds());
  EXPECT_THAT(me_.Open(file_, O_RDONLY | O_TRUNC), Succeeds());
  EXPECT_EQ(Stat(file_).size, 0u);
}

}  // namespace
}  // namespace memfuse::memfs
