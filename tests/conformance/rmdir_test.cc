// rmdir(2).

#include <dirent.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Rmdir);
ROOT_CONFORMANCE_SUITE(RmdirAsRoot);

TEST_P(Rmdir, RemovesAndCountsInTheParentsLinks) {
  const nlink_t before = Stat(".").st_nlink;
  MakeDirectory("d");
  const TimeWatch parent(".");
  EXPECT_EQ(rmdir("d"), 0);
  EXPECT_FALSE(Exists("d"));
  EXPECT_EQ(Stat(".").st_nlink, before);
  EXPECT_EQ(parent.Moved(), "mc");
}

TEST_P(Rmdir, OfADirectoryWithAnythingInItIsRefused) {
  MakeDirectory("d");
  for (const Type type : TypesWithoutPrivilege()) {
    TRACE(ToString(type));
    MakeObject(type, "d/x");
    const TimeWatch dir("d"), parent(".");
    EXPECT_EQ(ErrnoOf(rmdir("d")), ENOTEMPTY);
    EXPECT_EQ(ErrnoOf(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR)), ENOTEMPTY);
    EXPECT_EQ(dir.Moved(), "");
    EXPECT_EQ(parent.Moved(), "");
    if (unlink("d/x") != 0) {
      ASSERT_EQ(rmdir("d/x"), 0);
    }
  }
  EXPECT_EQ(rmdir("d"), 0);
}

TEST_P(Rmdir, OfAnotherTypeIsRefused) {
  for (const Type type : TypesWithoutPrivilege()) {
    if (type == Type::kDirectory) continue;
    TRACE(ToString(type));
    MakeObject(type, "x");
    const TimeWatch object("x"), parent(".");
    EXPECT_EQ(ErrnoOf(rmdir("x")), ENOTDIR);
    EXPECT_EQ(object.Moved(), "");
    EXPECT_EQ(parent.Moved(), "");
    ASSERT_EQ(unlink("x"), 0);
  }
  MakeDirectory("d");
  ASSERT_EQ(symlink("d", "link"), 0);
  EXPECT_EQ(ErrnoOf(rmdir("link")), ENOTDIR);
  EXPECT_TRUE(Exists("d"));
}

TEST_P(Rmdir, FlagsOfUnlinkat) {
  MakeDirectory("d");
  EXPECT_EQ(ErrnoOf(unlinkat(AT_FDCWD, "d", 0x10000)), EINVAL);
  EXPECT_EQ(ErrnoOf(unlinkat(AT_FDCWD, "d", 0)), EISDIR);
  EXPECT_EQ(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR), 0);
}

TEST_P(Rmdir, ARemovedDirectoryStaysUsableThroughDescriptors) {
  MakeDirectory("d", 0750);
  const UniqueFd fd = Open("d", O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(rmdir("d"), 0);
  struct stat s;
  ASSERT_EQ(fstat(fd.get(), &s), 0);
  EXPECT_EQ(s.st_nlink, 0u);
  EXPECT_EQ(s.st_mode, S_IFDIR | mode_t{0750});
  EXPECT_EQ(fchmod(fd.get(), 0700), 0);
  EXPECT_EQ(ErrnoOf(openat(fd.get(), "f", O_CREAT | O_WRONLY, 0644)), ENOENT);
  EXPECT_EQ(ErrnoOf(mkdirat(fd.get(), "n", 0755)), ENOENT);
  EXPECT_EQ(ErrnoOf(unlinkat(fd.get(), "f", 0)), ENOENT);
  EXPECT_EQ(ErrnoOf(faccessat(fd.get(), "f", F_OK, 0)), ENOENT);
  DIR* const dir = fdopendir(dup(fd.get()));
  ASSERT_NE(dir, nullptr);
  errno = 0;
  EXPECT_EQ(readdir(dir), nullptr);
  EXPECT_THAT(errno, testing::AnyOf(0, ENOENT));
  closedir(dir);
  // The name is free, and a new object there is another directory.
  MakeDirectory("d");
  EXPECT_NE(Stat("d").st_ino, s.st_ino);
}

TEST_P(Rmdir, MovesTheChangeTimeOfTheRemovedDirectory) {
  MakeDirectory("d");
  const UniqueFd fd = Open("d", O_RDONLY | O_DIRECTORY);
  const TimeWatch watch("/proc/self/fd/" + std::to_string(fd.get()) + "/.");
  struct stat before, after;
  ASSERT_EQ(fstat(fd.get(), &before), 0);
  ASSERT_EQ(rmdir("d"), 0);
  ASSERT_EQ(fstat(fd.get(), &after), 0);
  EXPECT_NE(std::make_pair(before.st_ctim.tv_sec, before.st_ctim.tv_nsec),
            std::make_pair(after.st_ctim.tv_sec, after.st_ctim.tv_nsec));
}

TEST_P(Rmdir, OfAWorkingDirectory) {
  MakeDirectory("d");
  ASSERT_EQ(chdir("d"), 0);
  EXPECT_EQ(rmdir("../d"), 0);
  EXPECT_EQ(chdir(directory().c_str()), 0);
  EXPECT_FALSE(Exists("d"));
}

TEST_P(RmdirAsRoot, OfTheMountPointIsBusy) {
  EXPECT_EQ(ErrnoOf(rmdir(mount_directory().c_str())), EBUSY);
}

TEST_P(RmdirAsRoot, NeedsToWriteAndSearchTheParentOnly) {
  MakeDirectory("p");
  ASSERT_EQ(chown("p", kAlice.uid, kShared), 0);
  const struct {
    User user;
    int shift;
  } roles[] = {{kAlice, 6}, {kBob, 3}, {kStranger, 0}};
  for (const auto& role : roles) {
    for (mode_t bits = 0; bits < 8; ++bits) {
      TRACE(role.user.uid << " " << bits);
      ASSERT_EQ(chmod("p", 0700), 0);
      if (!Exists("p/d")) MakeDirectory("p/d", 0);  // owned by root, without permissions
      ASSERT_EQ(chmod("p", bits << role.shift), 0);
      EXPECT_EQ(As(role.user, [] { return ErrnoOf(rmdir("p/d")); }), (bits & 3) == 3 ? 0 : EACCES);
    }
  }
}

TEST_P(RmdirAsRoot, PermissionComesBeforeNotEmptyAndNotADirectory) {
  MakeDirectory("p", 0755);
  MakeDirectory("p/d");
  MakeFile("p/d/f");
  MakeFile("p/f");
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(rmdir("p/d")); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(rmdir("p/f")); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(rmdir("p/missing")); }), ENOENT);
}

}  // namespace
}  // namespace memfuse::conformance
