// statx(2).

#include <linux/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>

#include "tests/conformance/conformance.h"

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000U
#endif

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(StatxCall);
ROOT_CONFORMANCE_SUITE(StatxAsRoot);

constexpr unsigned kAll = STATX_BASIC_STATS | STATX_BTIME;

struct statx Statx(const std::string& path, unsigned mask = kAll, int flags = AT_SYMLINK_NOFOLLOW) {
  struct statx x = {};
  EXPECT_EQ(statx(AT_FDCWD, path.c_str(), flags, mask, &x), 0) << path << ": " << strerror(errno);
  return x;
}

int StatxErrno(int dir, const char* path, int flags, unsigned mask = kAll) {
  struct statx x;
  return ErrnoOf(statx(dir, path, flags, mask, &x));
}

bool Same(const statx_timestamp& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == static_cast<unsigned>(b.tv_nsec);
}

bool Same(const statx_timestamp& a, const statx_timestamp& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

// FUSE has no birth times before Linux 6.6.
unsigned AllThatThereIs(bool on_memfuse) {
  return on_memfuse && !KernelAtLeast(6, 6) ? STATX_BASIC_STATS : kAll;
}

TEST_P(StatxCall, AgreesWithStat) {
  const unsigned all = AllThatThereIs(on_memfuse());
  for (const Type type : TypesWithoutPrivilege()) {
    SCOPED_TRACE(ToString(type));
    MakeObject(type, "o");
    const struct stat s = LStat("o");
    const struct statx x = Statx("o");
    EXPECT_EQ(x.stx_mask & kAll, all);
    EXPECT_EQ(x.stx_mode, s.st_mode);
    EXPECT_EQ(x.stx_ino, s.st_ino);
    EXPECT_EQ(x.stx_nlink, s.st_nlink);
    EXPECT_EQ(x.stx_uid, s.st_uid);
    EXPECT_EQ(x.stx_gid, s.st_gid);
    EXPECT_EQ(x.stx_size, static_cast<uint64_t>(s.st_size));
    EXPECT_EQ(x.stx_blocks, static_cast<uint64_t>(s.st_blocks));
    EXPECT_EQ(x.stx_blksize, static_cast<uint32_t>(s.st_blksize));
    EXPECT_EQ(makedev(x.stx_dev_major, x.stx_dev_minor), s.st_dev);
    EXPECT_EQ(x.stx_rdev_major, 0u);
    EXPECT_EQ(x.stx_rdev_minor, 0u);
    EXPECT_TRUE(Same(x.stx_atime, s.st_atim));
    EXPECT_TRUE(Same(x.stx_mtime, s.st_mtim));
    EXPECT_TRUE(Same(x.stx_ctime, s.st_ctim));
    ASSERT_EQ(remove("o"), 0);
  }
}

TEST_P(StatxCall, BirthTimeIsTheCreationTimeAndStays) {
  NEEDS_USER_ATTRIBUTES();
  NEEDS_BIRTH_TIMES();
  for (const Type type : TypesWithoutPrivilege()) {
    SCOPED_TRACE(ToString(type));
    timespec before, after;
    clock_gettime(CLOCK_REALTIME_COARSE, &before);
    MakeObject(type, "o");
    clock_gettime(CLOCK_REALTIME, &after);
    const struct statx born = Statx("o");
    ASSERT_NE(born.stx_mask & STATX_BTIME, 0u);
    EXPECT_GE(born.stx_btime.tv_sec, before.tv_sec);
    EXPECT_LE(born.stx_btime.tv_sec, after.tv_sec);
    const TimeWatch tick("o");
    const timespec old[2] = {{1, 1}, {1, 1}};
    ASSERT_EQ(utimensat(AT_FDCWD, "o", old, AT_SYMLINK_NOFOLLOW), 0);
    ASSERT_EQ(rename("o", "p"), 0);
    if (type != Type::kSymlink) {
      ASSERT_EQ(chmod("p", 0600), 0);
    }
    if (type == Type::kFile) {
      ASSERT_EQ(truncate("p", 10), 0);
      ASSERT_EQ(link("p", "q"), 0);
      ASSERT_EQ(setxattr("p", "user.a", "", 0, 0), 0);
      EXPECT_TRUE(Same(Statx("q").stx_btime, born.stx_btime));
      ASSERT_EQ(unlink("q"), 0);
    }
    EXPECT_TRUE(Same(Statx("p").stx_btime, born.stx_btime));
    ASSERT_EQ(remove("p"), 0);
  }
}

TEST_P(StatxCall, BirthTimesOfSuccessorsDiffer) {
  NEEDS_BIRTH_TIMES();
  MakeFile("f");
  const struct statx first = Statx("f");
  const TimeWatch tick("f");
  ASSERT_EQ(unlink("f"), 0);
  MakeFile("f");
  EXPECT_FALSE(Same(Statx("f").stx_btime, first.stx_btime));
}

TEST_P(StatxCall, BirthTimeIsReturnedAfterBasicStatistics) {
  NEEDS_BIRTH_TIMES();
  MakeFile("f");
  Stat("f");
  EXPECT_NE(Statx("f", STATX_BTIME).stx_mask & STATX_BTIME, 0u);
  EXPECT_NE(Statx("f", STATX_BTIME | STATX_SIZE).stx_mask & STATX_BTIME, 0u);
}

TEST_P(StatxCall, SynchronisationFlags) {
  MakeFile("f", "content");
  for (const int flag : {AT_STATX_SYNC_AS_STAT, AT_STATX_FORCE_SYNC, AT_STATX_DONT_SYNC}) {
    const struct statx x = Statx("f", STATX_BASIC_STATS, flag);
    EXPECT_EQ(x.stx_size, 7u);
    EXPECT_EQ(x.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
  }
  ASSERT_EQ(truncate("f", 3), 0);
  EXPECT_EQ(Statx("f", STATX_SIZE, AT_STATX_FORCE_SYNC).stx_size, 3u);
  EXPECT_EQ(Statx("f", kAll, AT_STATX_FORCE_SYNC).stx_mask & kAll, AllThatThereIs(on_memfuse()));
  EXPECT_EQ(StatxErrno(AT_FDCWD, "f", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC), EINVAL);
}

TEST_P(StatxCall, ByDescriptor) {
  MakeFile("f", "content");
  ASSERT_EQ(symlink("f", "l"), 0);
  struct statx x;
  for (const int flags : {O_RDONLY, O_WRONLY, O_PATH}) {
    ASSERT_EQ(statx(Open("f", flags).get(), "", AT_EMPTY_PATH, kAll, &x), 0);
    EXPECT_EQ(x.stx_size, 7u);
  }
  ASSERT_EQ(statx(Open("l", O_PATH | O_NOFOLLOW).get(), "", AT_EMPTY_PATH, kAll, &x), 0);
  EXPECT_TRUE(S_ISLNK(x.stx_mode));
  const UniqueFd removed = Open("f", O_RDONLY);
  const struct statx born = Statx("f");
  ASSERT_EQ(unlink("f"), 0);
  ASSERT_EQ(statx(removed.get(), "", AT_EMPTY_PATH, kAll, &x), 0);
  EXPECT_EQ(x.stx_nlink, 0u);
  EXPECT_TRUE(Same(x.stx_btime, born.stx_btime));
}

TEST_P(StatxCall, TheMountAndItsRoot) {
  MakeFile("f");
  const struct statx root = Statx(mount_directory(), STATX_BASIC_STATS | STATX_MNT_ID);
  const struct statx file = Statx("f", STATX_BASIC_STATS | STATX_MNT_ID);
  ASSERT_NE(file.stx_mask & STATX_MNT_ID, 0u);
  EXPECT_NE(file.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT, 0u);
  EXPECT_NE(root.stx_attributes & STATX_ATTR_MOUNT_ROOT, 0u);
  EXPECT_EQ(file.stx_attributes & STATX_ATTR_MOUNT_ROOT, 0u);
}

TEST_P(StatxCall, AttributesOfAFreshFileAreClear) {
  MakeFile("f");
  const struct statx x = Statx("f");
  EXPECT_EQ(x.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP |
                                STATX_ATTR_ENCRYPTED | STATX_ATTR_COMPRESSED | STATX_ATTR_VERITY),
            0u);
}

TEST_P(StatxCall, Errors) {
  MakeFile("f");
  ASSERT_EQ(symlink("loop", "loop"), 0);
  EXPECT_EQ(StatxErrno(AT_FDCWD, "missing", 0), ENOENT);
  EXPECT_EQ(StatxErrno(AT_FDCWD, "", 0), ENOENT);
  EXPECT_EQ(StatxErrno(AT_FDCWD, "f/x", 0), ENOTDIR);
  EXPECT_EQ(StatxErrno(AT_FDCWD, "loop", 0), ELOOP);
  EXPECT_EQ(StatxErrno(AT_FDCWD, LongName(kNameMax + 1).c_str(), 0), ENAMETOOLONG);
  EXPECT_EQ(StatxErrno(-1, "f", 0), EBADF);
  EXPECT_EQ(StatxErrno(Open("f", O_RDONLY).get(), "x", 0), ENOTDIR);
  EXPECT_EQ(StatxErrno(AT_FDCWD, "f", 0x40000000), EINVAL);
  EXPECT_EQ(StatxErrno(AT_FDCWD, "f", 0, STATX__RESERVED), EINVAL);
  EXPECT_EQ(ErrnoOf(statx(AT_FDCWD, "f", 0, kAll, reinterpret_cast<struct statx*>(16))), EFAULT);
}

TEST_P(StatxAsRoot, DeviceNumbers) {
  ASSERT_EQ(mknod("o", S_IFCHR | 0600, makedev(300, 70000)), 0);
  const struct statx x = Statx("o");
  EXPECT_EQ(x.stx_rdev_major, 300u);
  EXPECT_EQ(x.stx_rdev_minor, 70000u);
}

TEST_P(StatxAsRoot, NeedsSearchOfThePath) {
  ASSERT_EQ(mkdir("d", 0700), 0);
  MakeFile("d/f");
  EXPECT_EQ(As(kAlice, [] { return StatxErrno(AT_FDCWD, "d/f", 0); }), EACCES);
}

}  // namespace
}  // namespace memfuse::conformance
