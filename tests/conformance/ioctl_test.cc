// ioctl(2) of files and directories: commands that the kernel handles itself, and the inode flags
// of chattr(1): FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR.

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <cstring>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Ioctl);
ROOT_CONFORMANCE_SUITE(IoctlAsRoot);

int SetFlags(const std::string& path, int flags) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return ErrnoOf(ioctl(fd.get(), FS_IOC_SETFLAGS, &flags));
}

int Flags(const std::string& path) {
  const UniqueFd fd = Open(path, O_RDONLY);
  int flags = -1;
  EXPECT_EQ(ioctl(fd.get(), FS_IOC_GETFLAGS, &flags), 0) << strerror(errno);
  return flags;
}

TEST_P(Ioctl, UnknownCommandsAreInappropriate) {
  MakeFile("f", "content");
  for (const char* name : {"f", "."}) {
    const UniqueFd fd = Open(name, O_RDONLY);
    char argument[256] = {};
    for (const unsigned long command : std::vector<unsigned long>{
             0x1234ul, 0x5401ul /* TCGETS */, 0x5413ul /* TIOCGWINSZ */, _IOR('m', 1, int),
             _IOW('m', 2, int), _IOWR('m', 3, char[200]), _IO('m', 4), FS_IOC_GETVERSION, FITRIM}) {
      EXPECT_EQ(ErrnoOf(ioctl(fd.get(), command, argument)), ENOTTY) << name << " " << command;
    }
  }
  EXPECT_EQ(isatty(Open("f", O_RDONLY).get()), 0);
}

TEST_P(Ioctl, RemainingBytes) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDONLY), directory = Open(".", O_RDONLY);
  int n = -1;
  EXPECT_EQ(ioctl(fd.get(), FIONREAD, &n), 0);
  EXPECT_EQ(n, 10);
  ASSERT_EQ(lseek(fd.get(), 4, SEEK_SET), 4);
  EXPECT_EQ(ioctl(fd.get(), FIONREAD, &n), 0);
  EXPECT_EQ(n, 6);
  EXPECT_EQ(ErrnoOf(ioctl(directory.get(), FIONREAD, &n)), ENOTTY);
}

TEST_P(Ioctl, FlagsOfTheDescriptor) {
  MakeFile("f");
  const UniqueFd fd = Open("f", O_RDONLY);
  int on = 1;
  EXPECT_EQ(ioctl(fd.get(), FIONBIO, &on), 0);
  EXPECT_EQ(fcntl(fd.get(), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  EXPECT_EQ(ioctl(fd.get(), FIONCLEX), 0);
  EXPECT_EQ(fcntl(fd.get(), F_GETFD), 0);
  EXPECT_EQ(ioctl(fd.get(), FIOCLEX), 0);
  EXPECT_EQ(fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(ErrnoOf(ioctl(-1, FIOCLEX)), EBADF);
  EXPECT_EQ(ErrnoOf(ioctl(Open("f", O_PATH).get(), FIOCLEX)), EBADF);
  int size = 0;
  EXPECT_EQ(ioctl(fd.get(), FIGETBSZ, &size), 0);
  EXPECT_EQ(size, 4096);
}

TEST_P(Ioctl, ExtentsAndDuplicatesAreNotSupported) {
  MakeFile("f", std::string(8192, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  fiemap map = {};
  map.fm_length = 8192;
  EXPECT_EQ(ErrnoOf(ioctl(fd.get(), FS_IOC_FIEMAP, &map)), EOPNOTSUPP);
  alignas(file_dedupe_range) char
      memory[sizeof(file_dedupe_range) + sizeof(file_dedupe_range_info)] = {};
  auto* const range = reinterpret_cast<file_dedupe_range*>(memory);
  range->src_length = 4096;
  range->dest_count = 1;
  range->info[0].dest_fd = fd.get();
  range->info[0].dest_offset = 4096;
  const int error = ErrnoOf(ioctl(fd.get(), FIDEDUPERANGE, range));
  EXPECT_TRUE(error == EOPNOTSUPP || (error == 0 && range->info[0].status == -EOPNOTSUPP))
      << error << " " << range->info[0].status;
}

// The kernel itself fails with ENOTTY for file systems without a block device, but sends a FUSE
// request first.
TEST_P(Ioctl, BlocksHaveNoNumbers) {
  if (!RunsAsRoot()) return;  // needs CAP_SYS_RAWIO
  MakeFile("f", std::string(8192, 'x'));
  int block = 1;
  EXPECT_EQ(ErrnoOf(ioctl(Open("f", O_RDONLY).get(), FIBMAP, &block)), on_memfuse() ? 0 : EINVAL);
  EXPECT_EQ(block, 0);
}

// fcntl(2): tmpfs files support seals, and files with a name have the seal F_SEAL_SEAL.
TEST_P(Ioctl, SealsAreRefused) {
  MakeFile("f");
  const UniqueFd fd = Open("f", O_RDWR);
  // The kernel supports seals for its own page cache only.
  EXPECT_EQ(ErrnoOf(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE)), on_memfuse() ? EINVAL : EPERM);
  EXPECT_EQ(fcntl(fd.get(), F_GET_SEALS), on_memfuse() ? -1 : F_SEAL_SEAL);
}

TEST_P(Ioctl, FlagsAreInitiallyZero) {
  MakeFile("f");
  EXPECT_EQ(Flags("f"), 0);
  EXPECT_EQ(Flags("."), 0);
  fsxattr x;
  std::memset(&x, 0xff, sizeof(x));
  EXPECT_EQ(ioctl(Open("f", O_RDONLY).get(), FS_IOC_FSGETXATTR, &x), 0);
  EXPECT_EQ(x.fsx_xflags | x.fsx_extsize | x.fsx_nextents | x.fsx_projid | x.fsx_cowextsize, 0u);
}

TEST_P(Ioctl, FlagsOfTheOwner) {
  MakeFile("f");
  ASSERT_EQ(mkdir("d", 0755), 0);
  for (const char* name : {"f", "d"}) {
    for (const int flags : {FS_NODUMP_FL, FS_NOATIME_FL, FS_NODUMP_FL | FS_NOATIME_FL, 0}) {
      EXPECT_EQ(SetFlags(name, flags), 0) << name << flags;
      EXPECT_EQ(Flags(name), flags) << name;
    }
  }
}

TEST_P(Ioctl, FlagsThatAreNotKeptAreRefused) {
  MakeFile("f");
  ASSERT_EQ(SetFlags("f", FS_NODUMP_FL), 0);
  for (const int flags : {FS_SECRM_FL, FS_UNRM_FL, FS_COMPR_FL, FS_SYNC_FL, FS_NOCOW_FL,
                          FS_DIRSYNC_FL, FS_PROJINHERIT_FL, FS_NODUMP_FL | FS_COMPR_FL}) {
    EXPECT_EQ(SetFlags("f", flags), EOPNOTSUPP) << flags;
    EXPECT_EQ(Flags("f"), FS_NODUMP_FL);
  }
}

TEST_P(Ioctl, FlagsAsXflags) {
  MakeFile("f");
  const UniqueFd fd = Open("f", O_RDONLY);
  fsxattr x = {};
  x.fsx_xflags = FS_XFLAG_NODUMP | FS_XFLAG_NOATIME;
  EXPECT_EQ(ioctl(fd.get(), FS_IOC_FSSETXATTR, &x), 0);
  EXPECT_EQ(Flags("f"), FS_NODUMP_FL | FS_NOATIME_FL);
  ASSERT_EQ(SetFlags("f", FS_NODUMP_FL), 0);
  EXPECT_EQ(ioctl(fd.get(), FS_IOC_FSGETXATTR, &x), 0);
  EXPECT_EQ(x.fsx_xflags, uint32_t{FS_XFLAG_NODUMP});
  for (const uint32_t xflags : {FS_XFLAG_REALTIME, FS_XFLAG_SYNC, FS_XFLAG_PROJINHERIT}) {
    x = {};
    x.fsx_xflags = xflags;
    EXPECT_EQ(ErrnoOf(ioctl(fd.get(), FS_IOC_FSSETXATTR, &x)), EOPNOTSUPP) << xflags;
  }
  x = {};
  x.fsx_projid = 5;
  const int project = ErrnoOf(ioctl(fd.get(), FS_IOC_FSSETXATTR, &x));
  EXPECT_TRUE(project == EOPNOTSUPP || project == EINVAL) << project;
}

TEST_P(Ioctl, SettingFlagsMovesCtime) {
  MakeFile("f");
  const TimeWatch watch("f"), directory(".");
  ASSERT_EQ(SetFlags("f", FS_NODUMP_FL), 0);
  EXPECT_EQ(watch.Moved(/*with_atime=*/true), "c");
  EXPECT_EQ(directory.Moved(), "");
  const TimeWatch reading("f");
  EXPECT_EQ(Flags("f"), FS_NODUMP_FL);
  EXPECT_EQ(reading.Moved(), "");
}

TEST_P(Ioctl, NewInodesTakeFlagsOfTheirDirectory) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  ASSERT_EQ(SetFlags("d", FS_NODUMP_FL | FS_NOATIME_FL), 0);
  MakeFile("d/f");
  ASSERT_EQ(mkdir("d/e", 0755), 0);
  EXPECT_EQ(Flags("d/f"), FS_NODUMP_FL | FS_NOATIME_FL);
  EXPECT_EQ(Flags("d/e"), FS_NODUMP_FL | FS_NOATIME_FL);
  MakeFile("g");
  ASSERT_EQ(rename("g", "d/g"), 0);
  EXPECT_EQ(Flags("d/g"), 0);
}

TEST_P(Ioctl, NoatimeKeepsTheAccessTime) {
  NEEDS_DIRECT_IO();
  MakeFile("f", "content");
  ASSERT_EQ(SetFlags("f", FS_NOATIME_FL), 0);
  const TimeWatch watch("f");
  char c;
  ASSERT_EQ(pread(Open("f", O_RDONLY | O_DIRECT).get(), &c, 1, 0), 1);
  EXPECT_EQ(watch.Moved(/*with_atime=*/true), "");
}

TEST_P(Ioctl, FlagsNeedAnOpenFile) {
  MakeFile("f");
  int flags = 0;
  EXPECT_EQ(ErrnoOf(ioctl(Open("f", O_PATH).get(), FS_IOC_GETFLAGS, &flags)), EBADF);
  EXPECT_EQ(ErrnoOf(ioctl(Open("f", O_RDONLY).get(), FS_IOC_SETFLAGS, nullptr)), EFAULT);
  EXPECT_EQ(ErrnoOf(ioctl(Open("f", O_RDONLY).get(), FS_IOC_GETFLAGS, nullptr)), EFAULT);
  ASSERT_EQ(mkfifo("p", 0644), 0);
  EXPECT_EQ(ErrnoOf(ioctl(Open("p", O_RDWR).get(), FS_IOC_GETFLAGS, &flags)), ENOTTY);
}

TEST_P(Ioctl, FlagsOfAnUnlinkedFile) {
  MakeFile("f");
  const UniqueFd fd = Open("f", O_RDWR);
  ASSERT_EQ(unlink("f"), 0);
  int flags = FS_NODUMP_FL;
  EXPECT_EQ(ioctl(fd.get(), FS_IOC_SETFLAGS, &flags), 0);
  flags = 0;
  EXPECT_EQ(ioctl(fd.get(), FS_IOC_GETFLAGS, &flags), 0);
  EXPECT_EQ(flags, FS_NODUMP_FL);
}

TEST_P(IoctlAsRoot, FlagsAreTheOwnersAndPrivilegedOnesAreRoots) {
  MakeFile("f", "", 0666);
  ASSERT_EQ(chown("f", kAlice.uid, kAlice.gid), 0);
  EXPECT_EQ(As(kAlice, [] { return SetFlags("f", FS_NODUMP_FL); }), 0);
  EXPECT_EQ(As(kBob, [] { return SetFlags("f", FS_NODUMP_FL); }), EPERM);
  EXPECT_EQ(As(kBob, [] { return SetFlags("f", 0); }), EPERM);
  EXPECT_EQ(As(kAlice, [] { return SetFlags("f", FS_IMMUTABLE_FL); }), EPERM);
  EXPECT_EQ(As(kAlice, [] { return SetFlags("f", FS_APPEND_FL); }), EPERM);
  EXPECT_EQ(Flags("f"), FS_NODUMP_FL);
  ASSERT_EQ(SetFlags("f", FS_APPEND_FL), 0);
  EXPECT_EQ(As(kAlice, [] { return SetFlags("f", 0); }), EPERM);
  EXPECT_EQ(As(kAlice, [] { return SetFlags("f", FS_APPEND_FL | FS_NODUMP_FL); }), 0);
  ASSERT_EQ(SetFlags("f", 0), 0);
}

}  // namespace
}  // namespace memfuse::conformance
