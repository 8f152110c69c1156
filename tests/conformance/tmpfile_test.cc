// open(2) with O_TMPFILE, and linkat(2) of its file.

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Tmpfile);
ROOT_CONFORMANCE_SUITE(TmpfileAsRoot);

int OpenErrno(const std::string& path, int flags, mode_t mode = 0600) {
  const UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC, mode));
  return fd.valid() ? 0 : errno;
}

int LinkByProc(int fd, const char* name) {
  const std::string proc = "/proc/self/fd/" + std::to_string(fd);
  return ErrnoOf(linkat(AT_FDCWD, proc.c_str(), AT_FDCWD, name, AT_SYMLINK_FOLLOW));
}

TEST_P(Tmpfile, HasNoName) {
  const TimeWatch parent(".");
  const UniqueFd fd = Open(".", O_TMPFILE | O_RDWR, 0640);
  struct stat s;
  ASSERT_EQ(fstat(fd.get(), &s), 0);
  EXPECT_EQ(s.st_mode, S_IFREG | mode_t{0640});
  EXPECT_EQ(s.st_nlink, 0u);
  EXPECT_EQ(s.st_size, 0);
  EXPECT_EQ(s.st_uid, geteuid());
  EXPECT_EQ(s.st_gid, getegid());
  EXPECT_THAT(List("."), testing::IsEmpty());
  EXPECT_EQ(parent.Moved(), "");
}

TEST_P(Tmpfile, IsReadAndWritten) {
  const UniqueFd fd = Open(".", O_TMPFILE | O_RDWR, 0);
  EXPECT_EQ(write(fd.get(), "content", 7), 7);
  char buffer[16];
  EXPECT_EQ(pread(fd.get(), buffer, sizeof(buffer), 0), 7);
  EXPECT_EQ(ftruncate(fd.get(), 100), 0);
  EXPECT_EQ(fchmod(fd.get(), 0600), 0);
  EXPECT_EQ(ReadFile("/proc/self/fd/" + std::to_string(fd.get())).size(), 100u);
}

TEST_P(Tmpfile, TakesTheModeWithoutTheUmask) {
  umask(027);
  const UniqueFd fd = Open(".", O_TMPFILE | O_WRONLY, 0666);
  struct stat s;
  ASSERT_EQ(fstat(fd.get(), &s), 0);
  EXPECT_EQ(s.st_mode & 07777, mode_t{0640});
}

TEST_P(Tmpfile, NeedsADirectoryAndToWrite) {
  MakeFile("f");
  EXPECT_EQ(OpenErrno(".", O_TMPFILE | O_RDONLY), EINVAL);
  EXPECT_EQ(OpenErrno(".", O_TMPFILE | O_CREAT | O_RDWR), EINVAL);
  EXPECT_EQ(OpenErrno("f", O_TMPFILE | O_RDWR), ENOTDIR);
  EXPECT_EQ(OpenErrno("missing", O_TMPFILE | O_RDWR), ENOENT);
  EXPECT_EQ(OpenErrno(".", O_TMPFILE | O_WRONLY | O_TRUNC | O_APPEND), 0);
}

TEST_P(Tmpfile, GetsItsFirstName) {
  const UniqueFd fd = Open(".", O_TMPFILE | O_RDWR, 0644);
  ASSERT_EQ(write(fd.get(), "content", 7), 7);
  const TimeWatch parent(".");
  ASSERT_EQ(LinkByProc(fd.get(), "f"), 0);
  EXPECT_EQ(parent.Moved(), "mc");
  EXPECT_EQ(ReadFile("f"), "content");
  struct stat s;
  ASSERT_EQ(fstat(fd.get(), &s), 0);
  EXPECT_EQ(s.st_nlink, 1u);
  EXPECT_EQ(s.st_ino, LStat("f").st_ino);
  EXPECT_EQ(LinkByProc(fd.get(), "f"), EEXIST);
  EXPECT_EQ(LinkByProc(fd.get(), "g"), 0);
  EXPECT_EQ(LStat("f").st_nlink, 2u);
  EXPECT_EQ(pwrite(fd.get(), "C", 1, 0), 1);
  EXPECT_EQ(ReadFile("g"), "Content");
}

TEST_P(Tmpfile, GetsItsNameInAnotherDirectory) {
  MakeDirectory("d");
  const UniqueFd fd = Open(".", O_TMPFILE | O_WRONLY, 0644);
  ASSERT_EQ(LinkByProc(fd.get(), "d/f"), 0);
  EXPECT_THAT(List("d"), testing::ElementsAre("f"));
}

TEST_P(Tmpfile, DoesNotGetANameAgain) {
  const UniqueFd fd = Open(".", O_TMPFILE | O_WRONLY, 0644);
  ASSERT_EQ(LinkByProc(fd.get(), "f"), 0);
  ASSERT_EQ(unlink("f"), 0);
  EXPECT_EQ(LinkByProc(fd.get(), "f"), ENOENT);
}

TEST_P(Tmpfile, WithExclNeverGetsAName) {
  const UniqueFd fd = Open(".", O_TMPFILE | O_EXCL | O_RDWR, 0644);
  EXPECT_EQ(write(fd.get(), "content", 7), 7);
  EXPECT_EQ(LinkByProc(fd.get(), "f"), ENOENT);
  EXPECT_THAT(List("."), testing::IsEmpty());
}

TEST_P(Tmpfile, ManyAtATime) {
  std::vector<UniqueFd> files;
  for (int i = 0; i < 100; ++i) {
    files.push_back(Open(".", O_TMPFILE | O_RDWR, 0600));
    const std::string content = std::to_string(i);
    ASSERT_EQ(write(files.back().get(), content.data(), content.size()),
              static_cast<ssize_t>(content.size()));
  }
  for (int i = 0; i < 100; i += 2) {
    ASSERT_EQ(LinkByProc(files[static_cast<size_t>(i)].get(), std::to_string(i).c_str()), 0);
  }
  files.clear();
  EXPECT_EQ(List(".").size(), 50u);
  for (int i = 0; i < 100; i += 2) {
    EXPECT_EQ(ReadFile(std::to_string(i)), std::to_string(i));
  }
}

TEST_P(Tmpfile, LinkingKeepsARefusedOneLinkable) {
  MakeFile("taken");
  const UniqueFd fd = Open(".", O_TMPFILE | O_WRONLY, 0644);
  EXPECT_EQ(LinkByProc(fd.get(), "taken"), EEXIST);
  EXPECT_EQ(LinkByProc(fd.get(), "missing/f"), ENOENT);
  EXPECT_EQ(LinkByProc(fd.get(), LongName(256).c_str()), ENAMETOOLONG);
  EXPECT_EQ(LinkByProc(fd.get(), "f"), 0);
}

TEST_P(TmpfileAsRoot, GetsItsNameByAnEmptyPath) {
  const UniqueFd fd = Open(".", O_TMPFILE | O_WRONLY, 0644);
  EXPECT_EQ(linkat(fd.get(), "", AT_FDCWD, "f", AT_EMPTY_PATH), 0);
  EXPECT_EQ(LStat("f").st_nlink, 1u);
  const UniqueFd excl = Open(".", O_TMPFILE | O_EXCL | O_WRONLY, 0644);
  EXPECT_EQ(ErrnoOf(linkat(excl.get(), "", AT_FDCWD, "g", AT_EMPTY_PATH)), ENOENT);
}

TEST_P(TmpfileAsRoot, BelongsToTheCaller) {
  const auto stat_of_new = [](const char* dir) {
    return [dir]() -> int {
      const UniqueFd fd(open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 02775));
      if (!fd.valid()) return -errno;
      struct stat s;
      if (fstat(fd.get(), &s) != 0 || s.st_uid != geteuid()) return -EIO;
      return static_cast<int>(s.st_gid * 10 + ((s.st_mode & S_ISGID) != 0 ? 1 : 0));
    };
  };
  MakeDirectory("d", 0777);
  EXPECT_EQ(As(kAlice, stat_of_new("d")), static_cast<int>(kAlice.gid * 10 + 1));
  ASSERT_EQ(chown("d", kBob.uid, kShared), 0);
  ASSERT_EQ(chmod("d", 02777), 0);
  EXPECT_EQ(As(kAlice, stat_of_new("d")), static_cast<int>(kShared * 10 + 1));
  EXPECT_EQ(As(kStranger, stat_of_new("d")), static_cast<int>(kShared * 10));
}

TEST_P(TmpfileAsRoot, NeedsToWriteAndSearchTheDirectory) {
  MakeDirectory("d");
  for (mode_t bits = 0; bits < 8; ++bits) {
    TRACE(bits);
    ASSERT_EQ(chmod("d", bits), 0);
    EXPECT_EQ(As(kAlice, [] { return OpenErrno("d", O_TMPFILE | O_RDWR); }),
              (bits & 3) == 3 ? 0 : EACCES);
  }
}

}  // namespace
}  // namespace memfuse::conformance
