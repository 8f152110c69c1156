// chroot(2), chdir(2), pivot_root(2) into the file system.

#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "tests/conformance/conformance.h"
#include "tests/conformance/mounts.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Chdir);
ROOT_CONFORMANCE_SUITE(Chroot);

std::string Here() {
  char path[8192];
  return getcwd(path, sizeof(path)) == nullptr ? strerror(errno) : path;
}

TEST_P(Chdir, FollowsNamesAndMoves) {
  ASSERT_EQ(mkdir("a", 0755), 0);
  ASSERT_EQ(mkdir("a/b", 0755), 0);
  ASSERT_EQ(symlink("a/b", "l"), 0);
  EXPECT_EQ(chdir("l"), 0);
  EXPECT_EQ(Here(), Absolute("a/b"));
  ASSERT_EQ(rename(Absolute("a").c_str(), Absolute("c").c_str()), 0);
  EXPECT_EQ(Here(), Absolute("c/b"));
  EXPECT_EQ(chdir(".."), 0);
  EXPECT_EQ(Here(), Absolute("c"));
  const UniqueFd b = Open("b", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(fchdir(b.get()), 0);
  EXPECT_EQ(Here(), Absolute("c/b"));
  EXPECT_EQ(fchdir(Open(".", O_PATH).get()), 0);
}

TEST_P(Chdir, NoPathLeadsOutOfARemovedDirectory) {
  ASSERT_EQ(mkdir("a", 0755), 0);
  ASSERT_EQ(chdir("a"), 0);
  ASSERT_EQ(rmdir("../a"), 0);
  EXPECT_EQ(Here(), strerror(ENOENT));
  EXPECT_EQ(ErrnoOf(open("f", O_CREAT | O_RDWR, 0644)), ENOENT);
  EXPECT_EQ(ErrnoOf(mkdir("d", 0755)), ENOENT);
  EXPECT_EQ(ErrnoOf(symlink("x", "l")), ENOENT);
  EXPECT_EQ(ErrnoOf(open("f", O_RDONLY)), ENOENT);
  struct stat s;
  EXPECT_EQ(ErrnoOf(stat(".", &s)), 0);
  EXPECT_EQ(s.st_nlink, 0u);
  EXPECT_EQ(ErrnoOf(stat("..", &s)), 0);
  EXPECT_EQ(chdir(".."), 0);
  EXPECT_EQ(Here(), directory());
}

TEST_P(Chdir, Errors) {
  MakeFile("f");
  ASSERT_EQ(symlink("loop", "loop"), 0);
  EXPECT_EQ(ErrnoOf(chdir("missing")), ENOENT);
  EXPECT_EQ(ErrnoOf(chdir("")), ENOENT);
  EXPECT_EQ(ErrnoOf(chdir("f")), ENOTDIR);
  EXPECT_EQ(ErrnoOf(chdir("f/x")), ENOTDIR);
  EXPECT_EQ(ErrnoOf(chdir("loop")), ELOOP);
  EXPECT_EQ(ErrnoOf(chdir(LongName(kNameMax + 1).c_str())), ENAMETOOLONG);
  EXPECT_EQ(ErrnoOf(fchdir(-1)), EBADF);
  EXPECT_EQ(ErrnoOf(fchdir(Open("f", O_RDONLY).get())), ENOTDIR);
}

TEST_P(Chroot, TheNewRootIsTheTop) {
  ASSERT_EQ(mkdir("r", 0755), 0);
  MakeFile("r/f", "inside");
  MakeFile("f", "outside");
  ASSERT_EQ(symlink("/f", "r/absolute"), 0);
  ASSERT_EQ(symlink("../../f", "r/relative"), 0);
  EXPECT_EQ(InChild([] {
              if (chroot("r") != 0 || chdir("/") != 0) return errno;
              for (const char* path : {"/f", "f", "/../f", "/absolute", "/relative"}) {
                if (ReadFile(path) != "inside") return -1;
              }
              if (Here() != "/") return -2;
              return ErrnoOf(open("/r/f", O_RDONLY));
            }),
            ENOENT);
}

TEST_P(Chroot, AProgramRunsInside) {
  // A script needs only its interpreter inside the new root.
  ASSERT_EQ(mkdir("r", 0755), 0);
  const std::string listed = OutputOf({"/usr/bin/ldd", "/bin/true"});
  MakeFile("r/true", ReadFile("/bin/true"), 0755);
  ASSERT_EQ(mkdir("r/lib64", 0755), 0);
  ASSERT_EQ(mkdir("r/lib", 0755), 0);
  size_t libraries = 0;
  for (size_t at = 0; (at = listed.find('/', at)) != std::string::npos;) {
    const std::string path = listed.substr(at, listed.find(' ', at) - at);
    at += path.size();
    if (path.find('\n') != std::string::npos) continue;
    const std::string name = path.substr(path.rfind('/') + 1);
    const bool loader = name.compare(0, 3, "ld-") == 0;
    MakeFile((loader ? "r/lib64/" : "r/lib/") + name, ReadFile(path), 0755);
    ++libraries;
  }
  EXPECT_GE(libraries, 2u);
  EXPECT_EQ(InChild([] {
              if (chroot("r") != 0 || chdir("/") != 0) return errno;
              return Spawn({"/true"}, {"LD_LIBRARY_PATH=/lib"});
            }),
            0);
}

TEST_P(Chroot, Errors) {
  MakeFile("f");
  ASSERT_EQ(mkdir("r", 0755), 0);
  ASSERT_EQ(mkdir("closed", 0700), 0);
  ASSERT_EQ(symlink("loop", "loop"), 0);
  const auto go = [](const std::string& path) {
    return InChild([&] { return ErrnoOf(chroot(path.c_str())); });
  };
  EXPECT_EQ(go("missing"), ENOENT);
  EXPECT_EQ(go(""), ENOENT);
  EXPECT_EQ(go("f"), ENOTDIR);
  EXPECT_EQ(go("loop"), ELOOP);
  EXPECT_EQ(go(LongName(kNameMax + 1)), ENAMETOOLONG);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(chroot("r")); }), EPERM);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(chroot("closed")); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(chdir("closed")); }), EACCES);
}

TEST_P(Chroot, PivotRoot) {
  ASSERT_EQ(mkdir("r", 0755), 0);
  MakeFile("r/f", "inside");
  EXPECT_EQ(InChild([] {
              // This process cannot return to the old root.
              if (unshare(CLONE_NEWNS) != 0) return errno;
              if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return errno;
              // The new root must be a mount point.
              if (syscall(SYS_pivot_root, "r", "r") == 0 || errno != EINVAL) return -1;
              if (mount("r", "r", nullptr, MS_BIND, nullptr) != 0 || chdir("r") != 0) return errno;
              if (syscall(SYS_pivot_root, ".", ".") != 0) return errno;
              if (umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) return errno;
              return ReadFile("/f") == "inside" && List("/").size() == 1 ? 0 : -2;
            }),
            0);
}

}  // namespace
}  // namespace memfuse::conformance
