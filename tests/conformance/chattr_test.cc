// The operations that the flags "immutable" and "append only" of chattr(1) forbid.

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include <cstdlib>
#include <cstring>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

class Chattr : public Conformance {
 protected:
  // Clears the flags. Otherwise the directory could not be removed.
  void TearDown() override {
    for (const std::string& path : flagged_) {
      const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
      int none = 0;
      ioctl(fd.get(), FS_IOC_SETFLAGS, &none);
    }
    Conformance::TearDown();
  }
  void SetFlags(const std::string& path, int flags) {
    const UniqueFd fd = Open(path, O_RDONLY);
    ASSERT_EQ(ioctl(fd.get(), FS_IOC_SETFLAGS, &flags), 0) << strerror(errno);
    flagged_.push_back(path);
  }

 private:
  std::vector<std::string> flagged_;
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Chattr);
INSTANTIATE_TEST_SUITE_P(On, Chattr,
                         testing::ValuesIn(RunsAsRoot() ? FileSystems()
                                                        : std::vector<FileSystemUnderTest>()),
                         NameOf);

constexpr int kBoth[] = {FS_IMMUTABLE_FL, FS_APPEND_FL};

TEST_P(Chattr, AnImmutableFileIsOpenedForReadingOnly) {
  MakeFile("f", "content");
  SetFlags("f", FS_IMMUTABLE_FL);
  EXPECT_EQ(ErrnoOf(open("f", O_WRONLY | O_CLOEXEC)), EPERM);
  EXPECT_EQ(ErrnoOf(open("f", O_RDWR | O_CLOEXEC)), EPERM);
  EXPECT_EQ(ErrnoOf(open("f", O_WRONLY | O_APPEND | O_CLOEXEC)), EPERM);
  EXPECT_EQ(ErrnoOf(open("f", O_RDONLY | O_TRUNC | O_CLOEXEC)), EPERM);
  EXPECT_EQ(ErrnoOf(open("f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644)), EPERM);
  EXPECT_EQ(ErrnoOf(truncate("f", 0)), EPERM);
  EXPECT_EQ(ReadFile("f"), "content");
  SetFlags("f", 0);
  EXPECT_EQ(truncate("f", 0), 0);
}

TEST_P(Chattr, AnAppendOnlyFileIsOpenedForAppendingOnly) {
  MakeFile("f", "content");
  SetFlags("f", FS_APPEND_FL);
  EXPECT_EQ(ErrnoOf(open("f", O_WRONLY | O_CLOEXEC)), EPERM);
  EXPECT_EQ(ErrnoOf(open("f", O_RDWR | O_CLOEXEC)), EPERM);
  EXPECT_EQ(ErrnoOf(open("f", O_RDONLY | O_TRUNC | O_CLOEXEC)), EPERM);
  EXPECT_EQ(ErrnoOf(open("f", O_WRONLY | O_APPEND | O_TRUNC | O_CLOEXEC)), EPERM);
  EXPECT_EQ(ErrnoOf(truncate("f", 0)), EPERM);
  EXPECT_EQ(ErrnoOf(truncate("f", 100)), EPERM);
  const UniqueFd fd = Open("f", O_RDWR | O_APPEND);
  EXPECT_EQ(write(fd.get(), "!", 1), 1);
  EXPECT_EQ(ErrnoOf(ftruncate(fd.get(), 0)), EPERM);
  EXPECT_EQ(ReadFile("f"), "content!");
}

// The kernel handles F_SETFL without a request, and a FUSE inode does not have the flag.
TEST_P(Chattr, AppendCannotBeSwitchedOff) {
  MakeFile("f", "content");
  SetFlags("f", FS_APPEND_FL);
  const UniqueFd fd = Open("f", O_RDWR | O_APPEND);
  EXPECT_EQ(ErrnoOf(fcntl(fd.get(), F_SETFL, 0)), on_memfuse() ? 0 : EPERM);
}

TEST_P(Chattr, OpenDescriptorsStayWritable) {
  for (const int flag : kBoth) {
    const std::string name = "f" + std::to_string(flag);
    MakeFile(name, "content");
    const UniqueFd fd = Open(name, O_RDWR);
    SetFlags(name, flag);
    EXPECT_EQ(pwrite(fd.get(), "C", 1, 0), 1);
    EXPECT_EQ(ErrnoOf(ftruncate(fd.get(), 3)), flag == FS_APPEND_FL ? EPERM : 0);
  }
}

TEST_P(Chattr, AttributesStay) {
  NEEDS_USER_ATTRIBUTES();
  for (const int flag : kBoth) {
    for (const Type type : {Type::kFile, Type::kDirectory}) {
      const std::string name = ToString(type) + std::to_string(flag);
      SCOPED_TRACE(name);
      MakeObject(type, name);
      ASSERT_EQ(setxattr(name.c_str(), "user.a", "1", 1, 0), 0);
      SetFlags(name, flag);
      const TimeWatch watch(name);
      const char* const path = name.c_str();
      EXPECT_EQ(ErrnoOf(chmod(path, 0600)), EPERM);
      EXPECT_EQ(ErrnoOf(chown(path, 5, 5)), EPERM);
      EXPECT_EQ(ErrnoOf(chown(path, 0, 0)), EPERM);
      const timespec set[2] = {{1, 1}, {1, 1}};
      EXPECT_EQ(ErrnoOf(utimensat(AT_FDCWD, path, set, 0)), EPERM);
      const timespec one[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
      EXPECT_EQ(ErrnoOf(utimensat(AT_FDCWD, path, one, 0)), EPERM);
      EXPECT_EQ(ErrnoOf(setxattr(path, "user.b", "1", 1, 0)), EPERM);
      EXPECT_EQ(ErrnoOf(removexattr(path, "user.a")), EPERM);
      EXPECT_EQ(ErrnoOf(setxattr(path, "trusted.b", "1", 1, 0)), EPERM);
      EXPECT_EQ(ErrnoOf(removexattr(path, "system.posix_acl_access")), EPERM);
      EXPECT_EQ(watch.Moved(), "");
      char c;
      EXPECT_EQ(getxattr(path, "user.a", &c, 1), 1);
      const timespec omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
      EXPECT_EQ(utimensat(AT_FDCWD, path, omit, 0), 0);
      // touch(1) is allowed on append-only files.
      EXPECT_EQ(ErrnoOf(utimensat(AT_FDCWD, path, nullptr, 0)), flag == FS_APPEND_FL ? 0 : EPERM);
    }
  }
}

TEST_P(Chattr, TheNameStays) {
  for (const int flag : kBoth) {
    for (const Type type : {Type::kFile, Type::kDirectory}) {
      const std::string name = ToString(type) + std::to_string(flag);
      SCOPED_TRACE(name);
      MakeObject(type, name);
      MakeObject(type, name + "other");
      SetFlags(name, flag);
      const char* const path = name.c_str();
      const std::string other = name + "other";
      EXPECT_EQ(ErrnoOf(type == Type::kFile ? unlink(path) : rmdir(path)), EPERM);
      EXPECT_EQ(ErrnoOf(rename(path, "new")), EPERM);
      EXPECT_EQ(ErrnoOf(rename(other.c_str(), path)), EPERM);
      EXPECT_EQ(ErrnoOf(link(path, "new")), EPERM);
      EXPECT_EQ(
          ErrnoOf(syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, other.c_str(), RENAME_EXCHANGE)),
          EPERM);
      EXPECT_EQ(rename(path, path), 0);
      EXPECT_TRUE(Exists(name));
      EXPECT_TRUE(Exists(other));
      EXPECT_FALSE(Exists("new"));
    }
  }
}

TEST_P(Chattr, AnImmutableDirectoryKeepsItsEntries) {
  ASSERT_EQ(mkdir("d", 0777), 0);
  MakeFile("d/f", "content");
  MakeFile("g");
  ASSERT_EQ(mkdir("d/e", 0777), 0);
  SetFlags("d", FS_IMMUTABLE_FL);
  const TimeWatch watch("d");
  EXPECT_EQ(ErrnoOf(open("d/n", O_CREAT | O_WRONLY | O_CLOEXEC, 0644)), EPERM);
  EXPECT_EQ(ErrnoOf(open("d", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644)), EPERM);
  EXPECT_EQ(ErrnoOf(mkdir("d/n", 0755)), EPERM);
  EXPECT_EQ(ErrnoOf(mkfifo("d/n", 0755)), EPERM);
  EXPECT_EQ(ErrnoOf(symlink("t", "d/n")), EPERM);
  EXPECT_EQ(ErrnoOf(link("g", "d/n")), EPERM);
  EXPECT_EQ(ErrnoOf(rename("g", "d/n")), EPERM);
  EXPECT_EQ(ErrnoOf(rename("g", "d/f")), EPERM);
  EXPECT_EQ(ErrnoOf(rename("d/f", "n")), EPERM);
  EXPECT_EQ(ErrnoOf(rename("d/f", "d/n")), EPERM);
  EXPECT_EQ(ErrnoOf(unlink("d/f")), EPERM);
  EXPECT_EQ(ErrnoOf(rmdir("d/e")), EPERM);
  // An operation that is forbidden anyway keeps its errno.
  EXPECT_EQ(ErrnoOf(mkdir("d/e", 0755)), EEXIST);
  EXPECT_EQ(ErrnoOf(open("d/f", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644)), EEXIST);
  EXPECT_EQ(ErrnoOf(unlink("d/missing")), ENOENT);
  EXPECT_EQ(watch.Moved(), "");
  // The flag does not affect the files in the directory.
  EXPECT_EQ(truncate("d/f", 3), 0);
  EXPECT_EQ(chmod("d/f", 0600), 0);
  MakeFile("d/e/f");
  EXPECT_EQ(ReadFile("d/f"), "con");
}

TEST_P(Chattr, AnAppendOnlyDirectoryGrowsOnly) {
  ASSERT_EQ(mkdir("d", 0777), 0);
  MakeFile("d/f", "content");
  MakeFile("g");
  ASSERT_EQ(mkdir("d/e", 0777), 0);
  SetFlags("d", FS_APPEND_FL);
  EXPECT_EQ(mkdir("d/n", 0755), 0);
  MakeFile("d/n2");
  EXPECT_EQ(link("g", "d/n3"), 0);
  EXPECT_EQ(rename("g", "d/n4"), 0);
  EXPECT_EQ(ErrnoOf(unlink("d/n2")), EPERM);
  EXPECT_EQ(ErrnoOf(rmdir("d/e")), EPERM);
  EXPECT_EQ(ErrnoOf(rename("d/f", "out")), EPERM);
  EXPECT_EQ(ErrnoOf(rename("d/f", "d/new")), EPERM);
  MakeFile("h");
  EXPECT_EQ(ErrnoOf(rename("h", "d/f")), EPERM);
}

TEST_P(Chattr, SpaceAndCopies) {
  MakeFile("source", "0123456789");
  for (const int flag : kBoth) {
    const std::string name = "f" + std::to_string(flag);
    MakeFile(name, std::string(8192, 'x'));
    const UniqueFd fd = Open(name, O_RDWR), in = Open("source", O_RDONLY);
    SetFlags(name, flag);
    const bool append = flag == FS_APPEND_FL;
    EXPECT_EQ(ErrnoOf(fallocate(fd.get(), 0, 0, 10000)), append ? 0 : EPERM);
    EXPECT_EQ(ErrnoOf(fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, 20000)), append ? 0 : EPERM);
    EXPECT_EQ(ErrnoOf(fallocate(fd.get(), FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 4096)),
              EPERM);
    EXPECT_EQ(ErrnoOf(copy_file_range(in.get(), nullptr, fd.get(), nullptr, 5, 0)),
              append ? 0 : EPERM);
  }
}

TEST_P(Chattr, StatxShowsThem) {
  MakeFile("f");
  SetFlags("f", FS_IMMUTABLE_FL | FS_NODUMP_FL);
  struct statx s;
  ASSERT_EQ(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &s), 0);
  constexpr uint64_t kKnown = STATX_ATTR_IMMUTABLE | STATX_ATTR_NODUMP | STATX_ATTR_APPEND;
  // The kernel's FUSE client ignores the attribute bits of the server's STATX.
  EXPECT_EQ(s.stx_attributes_mask & kKnown, on_memfuse() ? 0 : kKnown);
  EXPECT_EQ(s.stx_attributes & kKnown, on_memfuse() ? 0 : kKnown & ~uint64_t{STATX_ATTR_APPEND});
}

// The kernel answers access(2) from mode bits. Only the server knows the flag, and gets no request.
TEST_P(Chattr, AccessRespectsTheFlags) {
  MakeFile("f");
  SetFlags("f", FS_IMMUTABLE_FL);
  EXPECT_EQ(ErrnoOf(access("f", W_OK)), on_memfuse() ? 0 : EPERM);
  EXPECT_EQ(access("f", R_OK), 0);
}

TEST_P(Chattr, TheErrnoForOtherUsers) {
  MakeFile("f", "content", 0666);
  ASSERT_EQ(mkdir("d", 0777), 0);
  MakeFile("d/f", "content", 0666);
  SetFlags("f", FS_IMMUTABLE_FL);
  SetFlags("d", FS_IMMUTABLE_FL);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(open("f", O_WRONLY)); }), EPERM);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(unlink("d/f")); }), EPERM);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(mkdir("d/n", 0755)); }), EPERM);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(chmod("f", 0600)); }), EPERM);
}

TEST_P(Chattr, TheToolsWork) {
  MakeFile("f", "content");
  ASSERT_EQ(system("chattr +i f"), 0);
  EXPECT_EQ(ErrnoOf(unlink("f")), EPERM);
  EXPECT_EQ(system("lsattr f | grep -q '^----i'"), 0);
  EXPECT_EQ(system("chattr -i f"), 0);
  EXPECT_EQ(unlink("f"), 0);
}

}  // namespace
}  // namespace memfuse::conformance
