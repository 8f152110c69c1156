// rename(2), renameat2(2): the effect on names. rename_permission_test.cc tests permissions,
// rename_flags_test.cc tests flags.

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Rename);
ROOT_CONFORMANCE_SUITE(RenameAsRoot);

// The documented result of rename(2) for replacing one type by another.
int ExpectedOnto(Type from, Type to) {
  if (from == Type::kDirectory) return to == Type::kDirectory ? 0 : ENOTDIR;
  return to == Type::kDirectory ? EISDIR : 0;
}

void RenameOntoEachType(const std::vector<Type>& types) {
  for (const Type from : types) {
    for (const Type to : types) {
      TRACE(ToString(from) << " onto " << ToString(to));
      MakeObject(from, "a");
      MakeObject(to, "b");
      const struct stat moved = LStat("a"), replaced = LStat("b");
      const int expected = ExpectedOnto(from, to);
      const TimeWatch source("a"), target("b"), parent(".");
      EXPECT_EQ(ErrnoOf(rename("a", "b")), expected);
      EXPECT_EQ(Exists("a"), expected != 0);
      EXPECT_EQ(LStat("b").st_ino, expected == 0 ? moved.st_ino : replaced.st_ino);
      EXPECT_EQ(parent.Moved(), expected == 0 ? "mc" : "");
      if (expected != 0) {
        EXPECT_EQ(source.Moved(), "");
        EXPECT_EQ(target.Moved(), "");
        Remove("a");
      }
      Remove("b");
    }
  }
}

TEST_P(Rename, EveryTypeOntoEveryType) { RenameOntoEachType(TypesWithoutPrivilege()); }

TEST_P(RenameAsRoot, EveryTypeOntoEveryType) { RenameOntoEachType(AllTypes()); }

TEST_P(Rename, EveryTypeToANewName) {
  MakeDirectory("p");
  for (const Type type : TypesWithoutPrivilege()) {
    TRACE(ToString(type));
    MakeObject(type, "a");
    const struct stat before = LStat("a");
    for (const auto& [from, to] :
         {std::pair{"a", "b"}, {"b", "p/b"}, {"p/b", "p/c"}, {"p/c", "a"}}) {
      TRACE(from << " to " << to);
      const TimeWatch tick(".");
      ASSERT_EQ(rename(from, to), 0);
      EXPECT_FALSE(Exists(from));
      const struct stat s = LStat(to);
      EXPECT_EQ(s.st_ino, before.st_ino);
      EXPECT_EQ(s.st_mode, before.st_mode);
      EXPECT_EQ(s.st_nlink, before.st_nlink);
      EXPECT_EQ(s.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
      EXPECT_NE(s.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
    }
    Remove("a");
  }
}

TEST_P(Rename, OfTheSameInodeDoesNothing) {
  MakeFile("a", "content");
  ASSERT_EQ(link("a", "b"), 0);
  const TimeWatch file("a"), parent(".");
  EXPECT_EQ(rename("a", "b"), 0);
  EXPECT_EQ(rename("a", "a"), 0);
  EXPECT_THAT(List("."), testing::ElementsAre("a", "b"));
  EXPECT_EQ(LStat("a").st_nlink, 2u);
  EXPECT_EQ(file.Moved(), "");
  EXPECT_EQ(parent.Moved(), "");
  MakeDirectory("d");
  EXPECT_EQ(rename("d", "d"), 0);
  EXPECT_TRUE(Exists("d"));
}

TEST_P(Rename, OfOneOfManyNamesKeepsTheCount) {
  MakeFile("a");
  ASSERT_EQ(link("a", "b"), 0);
  ASSERT_EQ(rename("a", "c"), 0);
  EXPECT_EQ(LStat("b").st_nlink, 2u);
  EXPECT_EQ(LStat("b").st_ino, LStat("c").st_ino);
}

TEST_P(Rename, OntoOneOfManyNamesRemovesThatName) {
  MakeFile("a");
  MakeFile("b");
  ASSERT_EQ(link("b", "c"), 0);
  const TimeWatch left("c");
  ASSERT_EQ(rename("a", "b"), 0);
  EXPECT_EQ(LStat("c").st_nlink, 1u);
  EXPECT_EQ(left.Moved(), "c");
}

TEST_P(Rename, OntoAFileThatIsOpen) {
  MakeFile("a", "new");
  MakeFile("b", "old");
  const UniqueFd fd = Open("b", O_RDWR);
  ASSERT_EQ(rename("a", "b"), 0);
  EXPECT_EQ(ReadFile("b"), "new");
  char buffer[8] = {};
  EXPECT_EQ(pread(fd.get(), buffer, sizeof(buffer), 0), 3);
  EXPECT_STREQ(buffer, "old");
  struct stat s;
  ASSERT_EQ(fstat(fd.get(), &s), 0);
  EXPECT_EQ(s.st_nlink, 0u);
  EXPECT_EQ(write(fd.get(), "gone", 4), 4);
  EXPECT_EQ(ReadFile("b"), "new");
}

TEST_P(Rename, OfAFileThatIsOpen) {
  MakeFile("a", "content");
  const UniqueFd fd = Open("a", O_RDWR);
  ASSERT_EQ(rename("a", "b"), 0);
  EXPECT_EQ(pwrite(fd.get(), "C", 1, 0), 1);
  EXPECT_EQ(ReadFile("b"), "Content");
}

TEST_P(Rename, IntoItsOwnChildIsInvalid) {
  MakeDirectory("d");
  MakeDirectory("d/e");
  EXPECT_EQ(ErrnoOf(rename("d", "d/f")), EINVAL);
  EXPECT_EQ(ErrnoOf(rename("d", "d/e/f")), EINVAL);
  EXPECT_EQ(ErrnoOf(rename("d", "d/e")), EINVAL);
  EXPECT_EQ(ErrnoOf(rename("d/e", "d")), ENOTEMPTY);
  ASSERT_EQ(symlink("d/e", "link"), 0);
  EXPECT_EQ(ErrnoOf(rename("d", "link/f")), EINVAL);
}

TEST_P(Rename, OfADirectoryOntoOneThatIsNotEmpty) {
  MakeDirectory("a");
  MakeDirectory("b");
  for (const Type type : TypesWithoutPrivilege()) {
    TRACE(ToString(type));
    MakeObject(type, "b/x");
    EXPECT_EQ(ErrnoOf(rename("a", "b")), ENOTEMPTY);
    Remove("b/x");
  }
  MakeFile("a/x");
  EXPECT_EQ(rename("a", "b"), 0);
  EXPECT_THAT(List("b"), testing::ElementsAre("x"));
}

TEST_P(Rename, OfADirectoryMovesItsTree) {
  MakeDirectory("p");
  MakeDirectory("q");
  MakeDirectory("p/d");
  MakeDirectory("p/d/e");
  MakeFile("p/d/e/f", "content");
  const ino_t p = Stat("p").st_ino, q = Stat("q").st_ino;
  ASSERT_EQ(Stat("p/d/..").st_ino, p);
  const TimeWatch child("p/d/e"), moved("p/d");
  ASSERT_EQ(rename("p/d", "q/n"), 0);
  EXPECT_EQ(Stat("q/n/..").st_ino, q);
  EXPECT_EQ(ReadFile("q/n/e/f"), "content");
  EXPECT_EQ(ErrnoOf(access("p/d/e/f", F_OK)), ENOENT);
  ASSERT_EQ(rename("q/n", "p/d"), 0);
  EXPECT_EQ(Stat("p/d/..").st_ino, p);
  EXPECT_EQ(child.Moved(), "");
  EXPECT_EQ(moved.Moved(), "c");
}

TEST_P(Rename, OfADirectoryMovesALinkBetweenParents) {
  for (const char* name : {"p", "q", "p/d", "q/full", "q/full/e"}) MakeDirectory(name);
  const nlink_t p = Stat("p").st_nlink, q = Stat("q").st_nlink;
  ASSERT_EQ(rename("p/d", "q/d"), 0);
  EXPECT_EQ(Stat("p").st_nlink, p - 1);
  EXPECT_EQ(Stat("q").st_nlink, q + 1);
  ASSERT_EQ(rename("q/d", "q/e"), 0);
  EXPECT_EQ(Stat("q").st_nlink, q + 1);
  MakeDirectory("p/victim");
  ASSERT_EQ(rename("q/e", "p/victim"), 0);
  EXPECT_EQ(Stat("p").st_nlink, p);
  EXPECT_EQ(Stat("q").st_nlink, q);
  EXPECT_EQ(ErrnoOf(rename("p/victim", "q/full")), ENOTEMPTY);
  EXPECT_EQ(Stat("p").st_nlink, p);
}

TEST_P(Rename, OfTheWorkingDirectoryIsFollowed) {
  MakeDirectory("p");
  MakeDirectory("p/d");
  MakeDirectory("q");
  const UniqueFd fd = Open("p/d", O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(chdir("p/d"), 0);
  ASSERT_EQ(rename("../../p/d", "../../q/n"), 0);
  MakeFile("f", "content");
  char* const cwd = getcwd(nullptr, 0);
  EXPECT_EQ(std::string(cwd), Absolute("q/n"));
  free(cwd);
  EXPECT_EQ(Stat("..").st_ino, Stat(Absolute("q")).st_ino);
  ASSERT_EQ(chdir(directory().c_str()), 0);
  struct stat s;
  EXPECT_EQ(fstatat(fd.get(), "f", &s, 0), 0);
  EXPECT_EQ(fstatat(fd.get(), "../n/f", &s, 0), 0);
  EXPECT_EQ(ReadFile("q/n/f"), "content");
}

TEST_P(Rename, OntoAnOpenDirectoryRemovesIt) {
  MakeDirectory("a");
  MakeFile("a/f");
  MakeDirectory("b");
  const UniqueFd fd = Open("b", O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(rename("a", "b"), 0);
  struct stat s;
  ASSERT_EQ(fstat(fd.get(), &s), 0);
  EXPECT_EQ(s.st_nlink, 0u);
  EXPECT_EQ(ErrnoOf(openat(fd.get(), "f", O_RDONLY)), ENOENT);
  EXPECT_EQ(ErrnoOf(openat(fd.get(), "g", O_CREAT | O_RDWR, 0644)), ENOENT);
  EXPECT_THAT(List("b"), testing::ElementsAre("f"));
}

TEST_P(Rename, OfAMissingName) {
  MakeFile("f", "content");
  MakeDirectory("d");
  for (const char* target : {"new", "f", "d", "missing"}) {
    EXPECT_EQ(ErrnoOf(rename("missing", target)), ENOENT) << target;
  }
  EXPECT_EQ(ErrnoOf(rename("f", "missing/f")), ENOENT);
  EXPECT_EQ(ErrnoOf(rename("f", "f/x")), ENOTDIR);
  EXPECT_EQ(ReadFile("f"), "content");
}

TEST_P(Rename, OfASymbolicLinkIsOfTheLink) {
  MakeFile("f", "content");
  ASSERT_EQ(symlink("f", "s"), 0);
  ASSERT_EQ(rename("s", "t"), 0);
  EXPECT_TRUE(S_ISLNK(LStat("t").st_mode));
  EXPECT_EQ(ReadFile("t"), "content");
  MakeFile("g");
  ASSERT_EQ(rename("g", "t"), 0);
  EXPECT_TRUE(S_ISREG(LStat("t").st_mode));
  EXPECT_EQ(ReadFile("f"), "content");
  MakeDirectory("d");
  ASSERT_EQ(symlink("d", "to d"), 0);
  EXPECT_EQ(ErrnoOf(rename("d", "to d")), ENOTDIR);
}

TEST_P(Rename, AcrossFileSystemsIsRefused) {
  MakeFile("f");
  const std::string across = FileSystems()[on_memfuse() ? 1 : 0].directory + "/rename-across";
  EXPECT_EQ(ErrnoOf(rename("f", across.c_str())), EXDEV);
  EXPECT_FALSE(Exists(across));
  EXPECT_TRUE(Exists("f"));
}

TEST_P(Rename, MovesTimesOfBothParentsAndOfTheObjectItself) {
  MakeDirectory("p");
  MakeDirectory("q");
  for (const Type type : TypesWithoutPrivilege()) {
    TRACE(ToString(type));
    MakeObject(type, "p/x");
    const TimeWatch from("p"), to("q"), object("p/x");
    ASSERT_EQ(rename("p/x", "q/x"), 0);
    EXPECT_EQ(from.Moved(), "mc");
    EXPECT_EQ(to.Moved(), "mc");
    ASSERT_EQ(rename("q/x", "p/x"), 0);
    EXPECT_EQ(object.Moved(), "c");
    Remove("p/x");
  }
}

TEST_P(Rename, BackAndForthManyTimes) {
  MakeDirectory("p");
  MakeDirectory("q");
  MakeDirectory("p/d");
  MakeFile("p/d/f", "content");
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(rename("p/d", "q/d"), 0);
    ASSERT_EQ(rename("q/d", "p/d"), 0);
  }
  EXPECT_EQ(ReadFile("p/d/f"), "content");
  EXPECT_EQ(Stat("p").st_nlink, 3u);
  EXPECT_EQ(Stat("q").st_nlink, 2u);
}

TEST_P(Rename, SwapsDepthsOfATree) {
  // A directory replaces its parent in the hierarchy, and the parent moves below it.
  MakeDirectory("a");
  MakeDirectory("a/b");
  MakeDirectory("a/b/c");
  ASSERT_EQ(rename("a/b", "b"), 0);
  ASSERT_EQ(rename("a", "b/c/a"), 0);
  EXPECT_EQ(Stat("b/c/a/..").st_ino, Stat("b/c").st_ino);
  EXPECT_EQ(ErrnoOf(rename("b", "b/c/a/b")), EINVAL);
  EXPECT_THAT(List("."), testing::ElementsAre("b"));
}

TEST_P(RenameAsRoot, OfTheMountPointIsBusy) {
  EXPECT_EQ(ErrnoOf(rename(mount_directory().c_str(), "n")), EXDEV);
  EXPECT_EQ(ErrnoOf(rename(mount_directory().c_str(), (mount_directory() + "-other").c_str())),
            EBUSY);
}

}  // namespace
}  // namespace memfuse::conformance
