// openat2(2): restrictions of path resolution.

#include <linux/openat2.h>
#include <sys/syscall.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(OpenHow);

// 0, or an errno.
int Openat2(int dir, const std::string& path, uint64_t flags, uint64_t resolve, uint64_t mode = 0) {
  open_how how = {};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = resolve;
  for (;;) {
    const UniqueFd fd(static_cast<int>(syscall(SYS_openat2, dir, path.c_str(), &how, sizeof(how))));
    if (fd.valid()) return 0;
    // A process somewhere on the machine renamed or mounted something during the walk of a "..".
    const bool confined = (resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) != 0;
    if (errno != EAGAIN || !confined) return errno;
  }
}

TEST_P(OpenHow, OpensAndCreatesAsOpenDoes) {
  EXPECT_EQ(Openat2(AT_FDCWD, "f", O_CREAT | O_EXCL | O_RDWR, 0, 0640), 0);
  EXPECT_EQ(Permissions("f"), mode_t{0640});
  EXPECT_EQ(Openat2(AT_FDCWD, "f", O_CREAT | O_EXCL | O_RDWR, 0, 0640), EEXIST);
  EXPECT_EQ(Openat2(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY, 0), 0);
  EXPECT_EQ(Openat2(AT_FDCWD, ".", O_TMPFILE | O_RDWR, 0, 0600), 0);
  EXPECT_EQ(Openat2(AT_FDCWD, "missing", O_RDONLY, 0), ENOENT);
}

TEST_P(OpenHow, FlagsThatOpenIgnoresAreInvalid) {
  MakeFile("f");
  EXPECT_EQ(Openat2(AT_FDCWD, "f", O_RDONLY, 0, 0644), EINVAL);
  EXPECT_EQ(Openat2(AT_FDCWD, "f", uint64_t{1} << 40, 0), EINVAL);
  EXPECT_EQ(Openat2(AT_FDCWD, "f", O_RDONLY, 0x10000), EINVAL);
  EXPECT_EQ(Openat2(AT_FDCWD, "n", O_CREAT | O_RDWR, 0, 010000), EINVAL);
  EXPECT_EQ(Openat2(AT_FDCWD, "f", O_PATH | O_RDWR | O_TRUNC, 0), EINVAL);
  EXPECT_EQ(Openat2(AT_FDCWD, "f", O_RDONLY, RESOLVE_BENEATH | RESOLVE_IN_ROOT), EINVAL);
}

TEST_P(OpenHow, BeneathStaysBelowTheDirectory) {
  MakeDirectory("d");
  MakeDirectory("d/e");
  MakeFile("d/f");
  MakeFile("outside");
  ASSERT_EQ(symlink("../outside", "d/up"), 0);
  ASSERT_EQ(symlink(Absolute("d/f").c_str(), "d/absolute"), 0);
  ASSERT_EQ(symlink("e/../f", "d/inside"), 0);
  const UniqueFd dir = Open("d", O_PATH);
  for (const char* path : {"f", "e/../f", "inside", "e/../inside"}) {
    EXPECT_EQ(Openat2(dir.get(), path, O_RDONLY, RESOLVE_BENEATH), 0) << path;
  }
  for (const char* path : {"..", "../d/f", "up", "absolute", "/", "e/../../d/f"}) {
    EXPECT_EQ(Openat2(dir.get(), path, O_RDONLY, RESOLVE_BENEATH), EXDEV) << path;
  }
}

TEST_P(OpenHow, InRootTheDirectoryIsTheTop) {
  MakeDirectory("d");
  MakeFile("d/f");
  MakeFile("outside");
  ASSERT_EQ(symlink("/f", "d/absolute"), 0);
  ASSERT_EQ(symlink("../../../f", "d/up"), 0);
  ASSERT_EQ(symlink("/outside", "d/nowhere"), 0);
  const UniqueFd dir = Open("d", O_PATH);
  for (const char* path : {"f", "/f", "../f", "absolute", "up", "../../d/../f"}) {
    const int expected = std::string(path) == "../../d/../f" ? ENOENT : 0;
    EXPECT_EQ(Openat2(dir.get(), path, O_RDONLY, RESOLVE_IN_ROOT), expected) << path;
  }
  EXPECT_EQ(Openat2(dir.get(), "nowhere", O_RDONLY, RESOLVE_IN_ROOT), ENOENT);
}

TEST_P(OpenHow, NoSymlinksRefusesThemAnywhere) {
  MakeDirectory("d");
  MakeFile("d/f");
  ASSERT_EQ(symlink("d", "link"), 0);
  ASSERT_EQ(symlink("f", "d/link"), 0);
  EXPECT_EQ(Openat2(AT_FDCWD, "d/f", O_RDONLY, RESOLVE_NO_SYMLINKS), 0);
  EXPECT_EQ(Openat2(AT_FDCWD, "link/f", O_RDONLY, RESOLVE_NO_SYMLINKS), ELOOP);
  EXPECT_EQ(Openat2(AT_FDCWD, "d/link", O_RDONLY, RESOLVE_NO_SYMLINKS), ELOOP);
  EXPECT_EQ(Openat2(AT_FDCWD, "d/link", O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS), 0);
  const UniqueFd fd = Open("d/f", O_RDONLY);
  const std::string magic = "/proc/self/fd/" + std::to_string(fd.get());
  EXPECT_EQ(Openat2(AT_FDCWD, magic, O_RDONLY, RESOLVE_NO_MAGICLINKS), ELOOP);
  EXPECT_EQ(Openat2(AT_FDCWD, "link/f", O_RDONLY, RESOLVE_NO_MAGICLINKS), 0);
}

TEST_P(OpenHow, NoXdevStaysOnTheFileSystem) {
  MakeFile("f");
  const UniqueFd top = Open(mount_directory(), O_PATH);
  const std::string other = FileSystems()[on_memfuse() ? 1 : 0].directory;
  ASSERT_EQ(symlink(other.c_str(), "across"), 0);
  EXPECT_EQ(Openat2(AT_FDCWD, "../" + directory().substr(mount_directory().size() + 1) + "/f",
                    O_RDONLY, RESOLVE_NO_XDEV),
            0);
  EXPECT_EQ(Openat2(top.get(), "..", O_PATH, RESOLVE_NO_XDEV), EXDEV);
  EXPECT_EQ(Openat2(AT_FDCWD, "across", O_PATH, RESOLVE_NO_XDEV), EXDEV);
}

TEST_P(OpenHow, CachedOpensARecentlyUsedPath) {
  MakeDirectory("d");
  MakeFile("d/f");
  for (const char* path : {".", "d", "d/f"}) (void)Stat(path);
  // The call may fail while a process mounts something.
  EXPECT_TRUE(Eventually([] { return Openat2(AT_FDCWD, "d/f", O_RDONLY, RESOLVE_CACHED) == 0; }));
  EXPECT_EQ(Openat2(AT_FDCWD, "d/f", O_RDONLY | O_TRUNC, RESOLVE_CACHED), EAGAIN);
  EXPECT_EQ(Openat2(AT_FDCWD, "d/n", O_RDONLY | O_CREAT, RESOLVE_CACHED, 0644), EAGAIN);
}

}  // namespace
}  // namespace memfuse::conformance
