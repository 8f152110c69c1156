// Files that are open without a name.

#include <sys/xattr.h>

#include <cstring>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Unlinked);

struct stat FStat(int fd) {
  struct stat s = {};
  EXPECT_EQ(fstat(fd, &s), 0) << strerror(errno);
  return s;
}

std::string SelfFd(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

TEST_P(Unlinked, CanBeUsedAsBefore) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  ASSERT_EQ(unlink("f"), 0);
  EXPECT_FALSE(Exists("f"));
  EXPECT_EQ(FStat(fd.get()).st_nlink, 0u);
  EXPECT_EQ(FStat(fd.get()).st_size, 7);
  char buffer[20];
  EXPECT_EQ(read(fd.get(), buffer, 20), 7);
  EXPECT_EQ(pwrite(fd.get(), "xyz", 3, 100000), 3);
  EXPECT_EQ(FStat(fd.get()).st_size, 100003);
  EXPECT_EQ(pread(fd.get(), buffer, 20, 99999), 4);
  EXPECT_EQ(std::string(buffer, 4), std::string("\0xyz", 4));
  EXPECT_EQ(ftruncate(fd.get(), 10), 0);
  EXPECT_EQ(fchmod(fd.get(), 0600), 0);
  EXPECT_EQ(FStat(fd.get()).st_mode & 07777, 0600u);
  EXPECT_EQ(fsync(fd.get()), 0);
  const timespec times[2] = {{100, 1}, {200, 2}};
  EXPECT_EQ(futimens(fd.get(), times), 0);
  EXPECT_EQ(FStat(fd.get()).st_mtim.tv_sec, 200);
}

TEST_P(Unlinked, UnlinkMovesItsCtimeOnly) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  const struct stat before = FStat(fd.get());
  const TimeWatch wait("f");
  ASSERT_EQ(unlink("f"), 0);
  const struct stat after = FStat(fd.get());
  EXPECT_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
  EXPECT_NE(before.st_ctim.tv_nsec, after.st_ctim.tv_nsec);
}

TEST_P(Unlinked, ManyDescriptorsSeeTheSame) {
  MakeFile("f", "content");
  const UniqueFd a = Open("f", O_RDWR), b = Open("f", O_RDONLY);
  ASSERT_EQ(unlink("f"), 0);
  ASSERT_EQ(pwrite(a.get(), "C", 1, 0), 1);
  char c = 0;
  ASSERT_EQ(pread(b.get(), &c, 1, 0), 1);
  EXPECT_EQ(c, 'C');
}

TEST_P(Unlinked, ANewFileOfThatNameIsAnother) {
  MakeFile("f", "old");
  const UniqueFd old = Open("f", O_RDWR);
  ASSERT_EQ(unlink("f"), 0);
  MakeFile("f", "new");
  EXPECT_NE(FStat(old.get()).st_ino, Stat("f").st_ino);
  ASSERT_EQ(pwrite(old.get(), "OLD", 3, 0), 3);
  EXPECT_EQ(ReadFile("f"), "new");
}

TEST_P(Unlinked, CanBeOpenedAgainThroughProc) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDONLY);
  ASSERT_EQ(unlink("f"), 0);
  EXPECT_EQ(ReadFile(SelfFd(fd.get())), "content");
  const UniqueFd again = Open(SelfFd(fd.get()), O_RDWR | O_TRUNC);
  ASSERT_EQ(write(again.get(), "x", 1), 1);
  EXPECT_EQ(FStat(fd.get()).st_size, 1);
  EXPECT_EQ(Stat(SelfFd(fd.get())).st_nlink, 0u);
  EXPECT_EQ(chmod(SelfFd(fd.get()).c_str(), 0640), 0);
  EXPECT_EQ(FStat(fd.get()).st_mode & 07777, 0640u);
  EXPECT_EQ(truncate(SelfFd(fd.get()).c_str(), 500), 0);
  EXPECT_EQ(FStat(again.get()).st_size, 500);
}

TEST_P(Unlinked, ItsProcLinkEndsInDeleted) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDONLY);
  ASSERT_EQ(unlink("f"), 0);
  char target[4096];
  const ssize_t n = readlink(SelfFd(fd.get()).c_str(), target, sizeof(target));
  ASSERT_GT(n, 0);
  EXPECT_EQ(std::string(target, static_cast<size_t>(n)), Absolute("f") + " (deleted)");
}

TEST_P(Unlinked, GetsNoNewName) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDONLY);
  ASSERT_EQ(unlink("f"), 0);
  EXPECT_EQ(ErrnoOf(linkat(AT_FDCWD, SelfFd(fd.get()).c_str(), AT_FDCWD, "g", AT_SYMLINK_FOLLOW)),
            ENOENT);
}

TEST_P(Unlinked, AFileWithoutAFirstNameCanGetOne) {
  const UniqueFd fd = Open(".", O_TMPFILE | O_RDWR);
  EXPECT_EQ(FStat(fd.get()).st_nlink, 0u);
  ASSERT_EQ(write(fd.get(), "content", 7), 7);
  EXPECT_EQ(linkat(AT_FDCWD, SelfFd(fd.get()).c_str(), AT_FDCWD, "g", AT_SYMLINK_FOLLOW), 0);
  EXPECT_EQ(FStat(fd.get()).st_nlink, 1u);
  EXPECT_EQ(ReadFile("g"), "content");
  ASSERT_EQ(unlink("g"), 0);
  EXPECT_EQ(ErrnoOf(linkat(AT_FDCWD, SelfFd(fd.get()).c_str(), AT_FDCWD, "h", AT_SYMLINK_FOLLOW)),
            ENOENT);
  const UniqueFd exclusive = Open(".", O_TMPFILE | O_RDWR | O_EXCL);
  EXPECT_EQ(
      ErrnoOf(linkat(AT_FDCWD, SelfFd(exclusive.get()).c_str(), AT_FDCWD, "i", AT_SYMLINK_FOLLOW)),
      ENOENT);
}

TEST_P(Unlinked, ALinkThatIsLeftKeepsTheCount) {
  MakeFile("f", "content");
  ASSERT_EQ(link("f", "g"), 0);
  const UniqueFd fd = Open("f", O_RDWR);
  ASSERT_EQ(unlink("f"), 0);
  EXPECT_EQ(FStat(fd.get()).st_nlink, 1u);
  ASSERT_EQ(pwrite(fd.get(), "C", 1, 0), 1);
  EXPECT_EQ(ReadFile("g"), "Content");
}

TEST_P(Unlinked, ByARenameOverIt) {
  MakeFile("f", "old");
  MakeFile("g", "new");
  const UniqueFd fd = Open("f", O_RDWR);
  ASSERT_EQ(rename("g", "f"), 0);
  EXPECT_EQ(FStat(fd.get()).st_nlink, 0u);
  char buffer[3];
  EXPECT_EQ(pread(fd.get(), buffer, 3, 0), 3);
  EXPECT_EQ(std::string(buffer, 3), "old");
}

TEST_P(Unlinked, ExtendedAttributesStay) {
  NEEDS_USER_ATTRIBUTES();
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  ASSERT_EQ(fsetxattr(fd.get(), "user.a", "1", 1, 0), 0);
  ASSERT_EQ(unlink("f"), 0);
  char value = 0;
  EXPECT_EQ(fgetxattr(fd.get(), "user.a", &value, 1), 1);
  EXPECT_EQ(value, '1');
  EXPECT_EQ(fsetxattr(fd.get(), "user.b", "2", 1, 0), 0);
}

TEST_P(Unlinked, ADirectoryThatIsOpenIsEmpty) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  const UniqueFd fd = Open("d", O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(rmdir("d"), 0);
  EXPECT_EQ(FStat(fd.get()).st_nlink, 0u);
  EXPECT_EQ(ErrnoOf(openat(fd.get(), "f", O_CREAT | O_RDWR, 0644)), ENOENT);
  EXPECT_EQ(ErrnoOf(mkdirat(fd.get(), "e", 0755)), ENOENT);
  EXPECT_EQ(ErrnoOf(openat(fd.get(), "f", O_RDONLY)), ENOENT);
  EXPECT_EQ(fchmod(fd.get(), 0700), 0);
  EXPECT_EQ(FStat(fd.get()).st_mode & 07777, 0700u);
}

TEST_P(Unlinked, ManyAtOnce) {
  std::vector<UniqueFd> files;
  for (int i = 0; i < 100; ++i) {
    const std::string name = "f" + std::to_string(i);
    files.push_back(Open(name, O_CREAT | O_RDWR));
    ASSERT_EQ(pwrite(files.back().get(), &i, sizeof(i), 8000), static_cast<ssize_t>(sizeof(i)));
    ASSERT_EQ(unlink(name.c_str()), 0);
  }
  for (int i = 0; i < 100; ++i) {
    int value = -1;
    EXPECT_EQ(pread(files[static_cast<size_t>(i)].get(), &value, sizeof(value), 8000),
              static_cast<ssize_t>(sizeof(value)));
    EXPECT_EQ(value, i);
  }
}

}  // namespace
}  // namespace memfuse::conformance
