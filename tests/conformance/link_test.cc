// link(2), linkat(2).

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Link);
ROOT_CONFORMANCE_SUITE(LinkAsRoot);

TEST_P(Link, GivesEveryTypeButDirectoriesAnotherName) {
  for (const Type type : TypesWithoutPrivilege()) {
    if (type == Type::kDirectory) continue;
    TRACE(ToString(type));
    MakeObject(type, "a");
    const TimeWatch object("a"), parent(".");
    ASSERT_EQ(link("a", "b"), 0);
    EXPECT_EQ(object.Moved(), "c");
    EXPECT_EQ(parent.Moved(), "mc");
    const struct stat a = LStat("a"), b = LStat("b");
    EXPECT_EQ(a.st_ino, b.st_ino);
    EXPECT_EQ(a.st_mode, b.st_mode);
    EXPECT_EQ(a.st_nlink, 2u);
    EXPECT_EQ(b.st_nlink, 2u);
    ASSERT_EQ(unlink("a"), 0);
    ASSERT_EQ(unlink("b"), 0);
  }
}

TEST_P(Link, EveryNameIsTheSameFile) {
  MakeFile("a", "content");
  MakeDirectory("d");
  ASSERT_EQ(link("a", "d/b"), 0);
  ASSERT_EQ(chmod("d/b", 0606), 0);
  EXPECT_EQ(Permissions("a"), mode_t{0606});
  const UniqueFd fd = Open("a", O_WRONLY | O_APPEND);
  EXPECT_EQ(write(fd.get(), "!", 1), 1);
  EXPECT_EQ(ReadFile("d/b"), "content!");
  ASSERT_EQ(unlink("a"), 0);
  EXPECT_EQ(ReadFile("d/b"), "content!");
  EXPECT_EQ(Stat("d/b").st_nlink, 1u);
}

TEST_P(Link, AThousandNames) {
  MakeFile("f");
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(link("f", std::to_string(i).c_str()), 0);
  EXPECT_EQ(Stat("f").st_nlink, 1001u);
  EXPECT_EQ(Stat("999").st_nlink, 1001u);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(unlink(std::to_string(i).c_str()), 0);
  EXPECT_EQ(Stat("f").st_nlink, 1u);
}

TEST_P(Link, OfADirectoryIsNotPermitted) {
  MakeDirectory("d");
  const TimeWatch dir("d"), parent(".");
  EXPECT_EQ(ErrnoOf(link("d", "e")), EPERM);
  EXPECT_EQ(ErrnoOf(link(".", "e")), EPERM);
  EXPECT_EQ(ErrnoOf(link("d", "d/e")), EPERM);
  EXPECT_EQ(ErrnoOf(link("d", "d")), EEXIST);
  EXPECT_EQ(dir.Moved(), "");
  EXPECT_EQ(parent.Moved(), "");
}

TEST_P(Link, ToItselfExists) {
  MakeFile("f");
  const TimeWatch file("f");
  EXPECT_EQ(ErrnoOf(link("f", "f")), EEXIST);
  EXPECT_EQ(LStat("f").st_nlink, 1u);
  EXPECT_EQ(file.Moved(), "");
}

TEST_P(Link, OfASymbolicLinkIsOfTheLinkUnlessFollowed) {
  MakeFile("f");
  ASSERT_EQ(symlink("f", "s"), 0);
  ASSERT_EQ(link("s", "hard"), 0);
  EXPECT_EQ(LStat("hard").st_ino, LStat("s").st_ino);
  EXPECT_TRUE(S_ISLNK(LStat("hard").st_mode));
  ASSERT_EQ(linkat(AT_FDCWD, "s", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW), 0);
  EXPECT_EQ(LStat("followed").st_ino, LStat("f").st_ino);
  ASSERT_EQ(symlink("missing", "dangling"), 0);
  EXPECT_EQ(link("dangling", "hard dangling"), 0);
  EXPECT_EQ(ErrnoOf(linkat(AT_FDCWD, "dangling", AT_FDCWD, "n", AT_SYMLINK_FOLLOW)), ENOENT);
}

TEST_P(Link, AcrossFileSystemsIsRefused) {
  MakeFile("f");
  const FileSystemUnderTest other = FileSystems()[on_memfuse() ? 1 : 0];
  EXPECT_EQ(ErrnoOf(link("f", (other.directory + "/link-across").c_str())), EXDEV);
  EXPECT_EQ(ErrnoOf(link("/proc/self/status", "n")), EXDEV);
  EXPECT_FALSE(Exists(other.directory + "/link-across"));
}

TEST_P(Link, FlagsThatAreNotKnownAreInvalid) {
  MakeFile("f");
  EXPECT_EQ(ErrnoOf(linkat(AT_FDCWD, "f", AT_FDCWD, "n", 0x10000)), EINVAL);
  EXPECT_EQ(ErrnoOf(linkat(AT_FDCWD, "f", AT_FDCWD, "n", AT_SYMLINK_NOFOLLOW)), EINVAL);
  EXPECT_FALSE(Exists("n"));
}

TEST_P(Link, OfADescriptorByProc) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDONLY);
  const std::string proc = "/proc/self/fd/" + std::to_string(fd.get());
  EXPECT_EQ(linkat(AT_FDCWD, proc.c_str(), AT_FDCWD, "n", AT_SYMLINK_FOLLOW), 0);
  EXPECT_EQ(LStat("n").st_nlink, 2u);
  const UniqueFd path = Open("f", O_PATH);
  const std::string path_proc = "/proc/self/fd/" + std::to_string(path.get());
  EXPECT_EQ(linkat(AT_FDCWD, path_proc.c_str(), AT_FDCWD, "m", AT_SYMLINK_FOLLOW), 0);
  EXPECT_EQ(LStat("m").st_nlink, 3u);
}

TEST_P(Link, AnOpenFileKeepsItsDataWithoutNames) {
  MakeFile("a", "content");
  ASSERT_EQ(link("a", "b"), 0);
  const UniqueFd fd = Open("a", O_RDONLY);
  ASSERT_EQ(unlink("a"), 0);
  ASSERT_EQ(unlink("b"), 0);
  struct stat s;
  ASSERT_EQ(fstat(fd.get(), &s), 0);
  EXPECT_EQ(s.st_nlink, 0u);
  EXPECT_EQ(s.st_size, 7);
}

TEST_P(LinkAsRoot, OfADescriptorByAnEmptyPath) {
  for (const Type type : AllTypes()) {
    if (type == Type::kDirectory) continue;
    TRACE(ToString(type));
    MakeObject(type, "x");
    const UniqueFd fd = Open("x", O_PATH | O_NOFOLLOW);
    EXPECT_EQ(linkat(fd.get(), "", AT_FDCWD, "y", AT_EMPTY_PATH), 0);
    EXPECT_EQ(LStat("y").st_ino, LStat("x").st_ino);
    EXPECT_EQ(ErrnoOf(linkat(fd.get(), "", AT_FDCWD, "z", 0)), ENOENT);
    ASSERT_EQ(unlink("x"), 0);
    ASSERT_EQ(unlink("y"), 0);
    EXPECT_EQ(ErrnoOf(linkat(fd.get(), "", AT_FDCWD, "y", AT_EMPTY_PATH)), ENOENT);
  }
  const UniqueFd here = Open(".", O_PATH);
  EXPECT_EQ(ErrnoOf(linkat(here.get(), "", AT_FDCWD, "y", AT_EMPTY_PATH)), EPERM);
}

TEST_P(LinkAsRoot, ByAnEmptyPathNeedsTheCredentialsOfTheOpener) {
  MakeFile("f", "", 0666);
  Give("f", kAlice);
  const UniqueFd fd = Open("f", O_RDONLY);
  EXPECT_EQ(As(kAlice, [&] { return ErrnoOf(linkat(fd.get(), "", AT_FDCWD, "y", AT_EMPTY_PATH)); }),
            ENOENT);
}

TEST_P(LinkAsRoot, NeedsToWriteAndSearchTheNewParent) {
  MakeDirectory("p");
  ASSERT_EQ(chown("p", kAlice.uid, kShared), 0);
  MakeFile("f", "", 0666);
  const struct {
    User user;
    int shift;
  } roles[] = {{kAlice, 6}, {kBob, 3}, {kStranger, 0}};
  for (const auto& role : roles) {
    for (mode_t bits = 0; bits < 8; ++bits) {
      TRACE(role.user.uid << " " << bits);
      ASSERT_EQ(chmod("p", bits << role.shift), 0);
      EXPECT_EQ(As(role.user, [] { return ErrnoOf(link("f", "p/n")); }),
                (bits & 3) == 3 ? 0 : EACCES);
      unlink("p/n");
    }
  }
}

TEST_P(LinkAsRoot, NeedsToSearchTheOldParentOnly) {
  MakeDirectory("p", 0);
  MakeFile("p/f", "", 0666);
  Give("p/f", kAlice);
  for (mode_t bits = 0; bits < 8; ++bits) {
    TRACE(bits);
    ASSERT_EQ(chmod("p", bits), 0);
    EXPECT_EQ(As(kAlice, [] { return ErrnoOf(link("p/f", "n")); }), (bits & 1) != 0 ? 0 : EACCES);
    unlink("n");
  }
}

TEST_P(LinkAsRoot, KeepsOwnerAndSetIdBits) {
  MakeFile("f");
  Give("f", kBob);
  ASSERT_EQ(chmod("f", 06755), 0);
  ASSERT_EQ(link("f", "n"), 0);
  EXPECT_EQ(LStat("n").st_uid, kBob.uid);
  EXPECT_EQ(Permissions("n"), mode_t{06755});
}

TEST_P(LinkAsRoot, InASetgidDirectoryKeepsTheGroup) {
  MakeDirectory("d");
  ASSERT_EQ(chown("d", kBob.uid, kShared), 0);
  ASSERT_EQ(chmod("d", 02777), 0);
  MakeFile("f");
  Give("f", kAlice);
  ASSERT_EQ(link("f", "d/f"), 0);
  EXPECT_EQ(LStat("d/f").st_gid, kAlice.gid);
}

TEST_P(LinkAsRoot, EexistPrecedesEacces) {
  MakeDirectory("p", 0755);
  MakeFile("p/there");
  MakeFile("f", "", 0666);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(link("f", "p/there")); }), EEXIST);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(link("missing", "p/n")); }), ENOENT);
}

}  // namespace
}  // namespace memfuse::conformance
