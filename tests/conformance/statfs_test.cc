// statfs(2), fstatfs(2), statvfs(3).

#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include <filesystem>
#include <system_error>

#include "tests/conformance/conformance.h"

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(StatfsCall);
ROOT_CONFORMANCE_SUITE(StatfsAsRoot);

struct statvfs Statvfs(const std::string& path) {
  struct statvfs s = {};
  EXPECT_EQ(statvfs(path.c_str(), &s), 0) << path << ": " << strerror(errno);
  return s;
}

// The values in the empty directory of a case, after all files that earlier cases removed are
// freed: the inodes in use are those of the root and of the objects below it.
struct statvfs WithoutRemovedFiles(const std::string& mount_directory) {
  uint64_t inodes = 1;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator at(mount_directory, error), end; at != end;
       at.increment(error)) {
    ++inodes;
  }
  EXPECT_EQ(error.value(), 0) << error.message();
  struct statvfs s = {};
  EXPECT_TRUE(Eventually([&] {
    s = Statvfs(".");
    return s.f_files - s.f_ffree == inodes;
  })) << s.f_files - s.f_ffree
      << " inodes are in use, not " << inodes;
  return s;
}

TEST_P(StatfsCall, Fields) {
  struct statfs s;
  ASSERT_EQ(statfs(".", &s), 0);
  EXPECT_EQ(s.f_type, on_memfuse() ? FUSE_SUPER_MAGIC : TMPFS_MAGIC);
  EXPECT_EQ(s.f_bsize, 4096);
  EXPECT_EQ(s.f_frsize, 4096);
  EXPECT_EQ(s.f_namelen, 255);
  EXPECT_EQ(s.f_blocks, (uint64_t{1} << 30) / 4096);
  EXPECT_LE(s.f_bfree, s.f_blocks);
  EXPECT_EQ(s.f_bavail, s.f_bfree);
  EXPECT_GT(s.f_files, 0u);
  EXPECT_LT(s.f_ffree, s.f_files);
  const struct statvfs v = Statvfs(".");
  EXPECT_EQ(v.f_namemax, 255u);
  EXPECT_EQ(v.f_frsize, 4096u);
  EXPECT_EQ(v.f_flag & (ST_RDONLY | ST_NOEXEC), 0u);
}

TEST_P(StatfsCall, IsTheSameFromEveryObject) {
  const struct statvfs root = Statvfs(mount_directory());
  struct statfs s;
  for (const Type type : TypesWithoutPrivilege()) {
    SCOPED_TRACE(ToString(type));
    MakeObject(type, "o");
    ASSERT_EQ(fstatfs(Open("o", O_PATH | O_NOFOLLOW).get(), &s), 0);
    EXPECT_EQ(s.f_blocks, root.f_blocks);
    EXPECT_EQ(s.f_files, root.f_files);
    ASSERT_EQ(remove("o"), 0);
  }
  MakeFile("f");
  const UniqueFd fd = Open("f", O_RDONLY);
  ASSERT_EQ(unlink("f"), 0);
  ASSERT_EQ(fstatfs(fd.get(), &s), 0);
  EXPECT_EQ(s.f_blocks, root.f_blocks);
}

TEST_P(StatfsCall, InodesAreCounted) {
  const struct statvfs before = WithoutRemovedFiles(mount_directory());
  for (int i = 0; i < 10; ++i) MakeFile("f" + std::to_string(i));
  EXPECT_EQ(Statvfs(".").f_ffree, before.f_ffree - 10);
  ASSERT_EQ(mkdir("d", 0755), 0);
  ASSERT_EQ(symlink("x", "l"), 0);
  EXPECT_EQ(Statvfs(".").f_ffree, before.f_ffree - 12);
  EXPECT_EQ(Statvfs(".").f_files, before.f_files);
  for (int i = 0; i < 10; ++i) ASSERT_EQ(unlink(("f" + std::to_string(i)).c_str()), 0);
  ASSERT_EQ(rmdir("d"), 0);
  ASSERT_EQ(unlink("l"), 0);
  EXPECT_TRUE(Eventually([&] { return Statvfs(".").f_ffree == before.f_ffree; }));
}

TEST_P(StatfsCall, BlocksAreCounted) {
  const struct statvfs before = WithoutRemovedFiles(mount_directory());
  MakeFile("f", std::string(1 << 20, 'x'));
  const struct statvfs full = Statvfs(".");
  EXPECT_LE(full.f_bfree, before.f_bfree - 256);
  EXPECT_GE(full.f_bfree, before.f_bfree - 256 - 4);  // and a little for the file itself
  EXPECT_EQ(full.f_blocks, before.f_blocks);
  ASSERT_EQ(truncate("f", 0), 0);
  EXPECT_GE(Statvfs(".").f_bfree, before.f_bfree - 4);
  ASSERT_EQ(truncate("f", 1 << 30), 0);
  EXPECT_GE(Statvfs(".").f_bfree, before.f_bfree - 4) << "a hole takes space";
  ASSERT_EQ(unlink("f"), 0);
  EXPECT_TRUE(Eventually([&] { return Statvfs(".").f_bfree >= before.f_bfree; }));
}

TEST_P(StatfsCall, AnOpenFileKeepsItsSpaceUntilItIsClosed) {
  const struct statvfs before = WithoutRemovedFiles(mount_directory());
  MakeFile("f", std::string(1 << 20, 'x'));
  UniqueFd fd = Open("f", O_RDONLY);
  ASSERT_EQ(unlink("f"), 0);
  // The space of a file that is removed later is free, and the space of the open file is not.
  MakeFile("g");
  ASSERT_EQ(unlink("g"), 0);
  EXPECT_TRUE(Eventually([&] { return Statvfs(".").f_ffree == before.f_ffree - 1; }));
  EXPECT_LE(Statvfs(".").f_bfree, before.f_bfree - 256);
  fd.reset();
  EXPECT_TRUE(Eventually([&] { return Statvfs(".").f_bfree >= before.f_bfree; }));
}

TEST_P(StatfsCall, Errors) {
  struct statfs s;
  MakeFile("f");
  ASSERT_EQ(symlink("loop", "loop"), 0);
  EXPECT_EQ(ErrnoOf(statfs("missing", &s)), ENOENT);
  EXPECT_EQ(ErrnoOf(statfs("", &s)), ENOENT);
  EXPECT_EQ(ErrnoOf(statfs("f/x", &s)), ENOTDIR);
  EXPECT_EQ(ErrnoOf(statfs("loop", &s)), ELOOP);
  EXPECT_EQ(ErrnoOf(statfs(LongName(kNameMax + 1).c_str(), &s)), ENAMETOOLONG);
  EXPECT_EQ(ErrnoOf(fstatfs(-1, &s)), EBADF);
  EXPECT_EQ(ErrnoOf(statfs(".", reinterpret_cast<struct statfs*>(16))), EFAULT);
}

TEST_P(StatfsAsRoot, NeedsSearchOfThePathOnly) {
  struct statfs s;
  MakeFile("f", "", 0000);
  EXPECT_EQ(As(kAlice, [&] { return ErrnoOf(statfs("f", &s)); }), 0);
  ASSERT_EQ(mkdir("d", 0700), 0);
  MakeFile("d/f");
  EXPECT_EQ(As(kAlice, [&] { return ErrnoOf(statfs("d/f", &s)); }), EACCES);
}

}  // namespace
}  // namespace memfuse::conformance
