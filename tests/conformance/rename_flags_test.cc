// renameat2(2): RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT.

#include <linux/fs.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(RenameFlags);
ROOT_CONFORMANCE_SUITE(RenameFlagsAsRoot);

int Rename2(const std::string& from, const std::string& to, unsigned flags) {
  return ErrnoOf(renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags));
}

bool IsWhiteout(const std::string& path) {
  const struct stat s = LStat(path);
  return S_ISCHR(s.st_mode) && s.st_rdev == 0;
}

TEST_P(RenameFlags, OthersAndImpossiblePairsAreInvalid) {
  MakeFile("a");
  MakeFile("b");
  for (const unsigned flags : {8u, 0x80000000u, unsigned{RENAME_EXCHANGE | RENAME_NOREPLACE},
                               unsigned{RENAME_EXCHANGE | RENAME_WHITEOUT}, 7u, 15u}) {
    EXPECT_EQ(Rename2("a", "b", flags), EINVAL) << flags;
  }
  EXPECT_THAT(List("."), testing::ElementsAre("a", "b"));
}

TEST_P(RenameFlags, NoreplaceRefusesEveryTarget) {
  for (const Type from : TypesWithoutPrivilege()) {
    for (const Type to : TypesWithoutPrivilege()) {
      TRACE(ToString(from) << " onto " << ToString(to));
      MakeObject(from, "a");
      MakeObject(to, "b");
      const TimeWatch parent("."), source("a"), target("b");
      EXPECT_EQ(Rename2("a", "b", RENAME_NOREPLACE), EEXIST);
      EXPECT_EQ(parent.Moved(), "");
      EXPECT_EQ(source.Moved(), "");
      EXPECT_EQ(target.Moved(), "");
      Remove("a");
      Remove("b");
    }
  }
}

TEST_P(RenameFlags, NoreplaceToANewNameIsRename) {
  for (const Type type : TypesWithoutPrivilege()) {
    TRACE(ToString(type));
    MakeObject(type, "a");
    const struct stat before = LStat("a");
    const TimeWatch parent(".");
    EXPECT_EQ(Rename2("a", "b", RENAME_NOREPLACE), 0);
    EXPECT_EQ(LStat("b").st_ino, before.st_ino);
    EXPECT_FALSE(Exists("a"));
    EXPECT_EQ(parent.Moved(), "mc");
    Remove("b");
  }
}

TEST_P(RenameFlags, NoreplaceOfItselfExists) {
  MakeFile("a");
  ASSERT_EQ(link("a", "b"), 0);
  EXPECT_EQ(Rename2("a", "a", RENAME_NOREPLACE), EEXIST);
  EXPECT_EQ(Rename2("a", "b", RENAME_NOREPLACE), EEXIST);
  EXPECT_EQ(Rename2("missing", "b", RENAME_NOREPLACE), ENOENT);
  EXPECT_EQ(Rename2("a", ".", RENAME_NOREPLACE), EEXIST);
}

void ExchangeEachPair(const std::vector<Type>& types) {
  for (const Type from : types) {
    for (const Type to : types) {
      TRACE(ToString(from) << " with " << ToString(to));
      MakeObject(from, "p/a");
      MakeObject(to, "q/b");
      const struct stat a = LStat("p/a"), b = LStat("q/b");
      const nlink_t p = Stat("p").st_nlink, q = Stat("q").st_nlink;
      const TimeWatch from_parent("p"), to_parent("q");
      EXPECT_EQ(Rename2("p/a", "q/b", RENAME_EXCHANGE), 0);
      const struct stat at_p = LStat("p/a"), at_q = LStat("q/b");
      EXPECT_EQ(at_p.st_ino, b.st_ino);
      EXPECT_EQ(at_q.st_ino, a.st_ino);
      EXPECT_EQ(at_p.st_nlink, b.st_nlink);
      EXPECT_EQ(at_q.st_nlink, a.st_nlink);
      EXPECT_EQ(at_p.st_mode, b.st_mode);
      // Both objects' change times, both parents' times.
      EXPECT_NE(at_p.st_ctim.tv_nsec, b.st_ctim.tv_nsec);
      EXPECT_NE(at_q.st_ctim.tv_nsec, a.st_ctim.tv_nsec);
      EXPECT_EQ(at_p.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
      EXPECT_EQ(from_parent.Moved(), "mc");
      EXPECT_EQ(to_parent.Moved(), "mc");
      const int came = (to == Type::kDirectory ? 1 : 0) - (from == Type::kDirectory ? 1 : 0);
      EXPECT_EQ(Stat("p").st_nlink, static_cast<nlink_t>(static_cast<int>(p) + came));
      EXPECT_EQ(Stat("q").st_nlink, static_cast<nlink_t>(static_cast<int>(q) - came));
      Remove("p/a");
      Remove("q/b");
    }
  }
}

TEST_P(RenameFlags, ExchangeOfEveryPair) {
  MakeDirectory("p");
  MakeDirectory("q");
  ExchangeEachPair(TypesWithoutPrivilege());
}

TEST_P(RenameFlagsAsRoot, ExchangeOfEveryPair) {
  MakeDirectory("p");
  MakeDirectory("q");
  ExchangeEachPair(AllTypes());
}

TEST_P(RenameFlags, ExchangeWithinADirectory) {
  MakeFile("a", "A");
  MakeFile("b", "B");
  const UniqueFd fd = Open("a", O_RDWR);
  ASSERT_EQ(Rename2("a", "b", RENAME_EXCHANGE), 0);
  EXPECT_EQ(ReadFile("a"), "B");
  EXPECT_EQ(ReadFile("b"), "A");
  EXPECT_EQ(pwrite(fd.get(), "X", 1, 0), 1);
  EXPECT_EQ(ReadFile("b"), "X");
}

TEST_P(RenameFlags, ExchangeNeedsBoth) {
  MakeFile("a");
  EXPECT_EQ(Rename2("a", "missing", RENAME_EXCHANGE), ENOENT);
  EXPECT_EQ(Rename2("missing", "a", RENAME_EXCHANGE), ENOENT);
  EXPECT_THAT(List("."), testing::ElementsAre("a"));
}

TEST_P(RenameFlags, ExchangeWithItselfChangesNothing) {
  MakeFile("a");
  ASSERT_EQ(link("a", "b"), 0);
  const TimeWatch file("a"), parent(".");
  EXPECT_EQ(Rename2("a", "a", RENAME_EXCHANGE), 0);
  EXPECT_EQ(Rename2("a", "b", RENAME_EXCHANGE), 0);
  EXPECT_EQ(file.Moved(), "");
  EXPECT_EQ(parent.Moved(), "");
}

TEST_P(RenameFlags, ExchangeOfFullDirectoriesMovesTheirTrees) {
  for (const char* name : {"p", "q", "p/a", "q/b", "p/a/x", "q/b/y"}) MakeDirectory(name);
  ASSERT_EQ(Rename2("p/a", "q/b", RENAME_EXCHANGE), 0);
  EXPECT_THAT(List("p/a"), testing::ElementsAre("y"));
  EXPECT_THAT(List("q/b"), testing::ElementsAre("x"));
  EXPECT_EQ(Stat("p/a/..").st_ino, Stat("p").st_ino);
  EXPECT_EQ(Stat("q/b/..").st_ino, Stat("q").st_ino);
  MakeFile("f");
  ASSERT_EQ(Rename2("f", "q/b", RENAME_EXCHANGE), 0);
  EXPECT_EQ(Stat("f/..").st_ino, Stat(".").st_ino);
}

TEST_P(RenameFlags, ExchangeWithAnAncestorIsInvalid) {
  MakeDirectory("d");
  MakeDirectory("d/e");
  MakeFile("d/e/f");
  EXPECT_EQ(Rename2("d", "d/e", RENAME_EXCHANGE), EINVAL);
  EXPECT_EQ(Rename2("d/e", "d", RENAME_EXCHANGE), EINVAL);
  EXPECT_EQ(Rename2("d", "d/e/f", RENAME_EXCHANGE), EINVAL);
  EXPECT_EQ(Rename2("d/e/f", "d", RENAME_EXCHANGE), EINVAL);
}

TEST_P(RenameFlags, WhiteoutIsLeftBehind) {
  for (const Type type : TypesWithoutPrivilege()) {
    TRACE(ToString(type));
    MakeDirectory("p");
    MakeDirectory("q");
    MakeObject(type, "p/a");
    const ino_t moved = LStat("p/a").st_ino;
    const TimeWatch from("p"), to("q");
    ASSERT_EQ(Rename2("p/a", "q/b", RENAME_WHITEOUT), 0);
    EXPECT_TRUE(IsWhiteout("p/a"));
    EXPECT_EQ(LStat("p/a").st_nlink, 1u);
    EXPECT_EQ(LStat("q/b").st_ino, moved);
    EXPECT_EQ(from.Moved(), "mc");
    EXPECT_EQ(to.Moved(), "mc");
    EXPECT_EQ(Stat("p").st_nlink, 2u);
    EXPECT_EQ(Stat("q").st_nlink, type == Type::kDirectory ? 3u : 2u);
    ASSERT_EQ(rename("q/b", "b"), 0);
    ASSERT_EQ(unlink("p/a"), 0);
    Remove("b");
    Remove("p");
    Remove("q");
  }
}

TEST_P(RenameFlags, WhiteoutReplacesOrRefusesTheTarget) {
  MakeFile("a", "A");
  MakeFile("b", "B");
  EXPECT_EQ(Rename2("a", "b", RENAME_WHITEOUT | RENAME_NOREPLACE), EEXIST);
  EXPECT_EQ(ReadFile("a"), "A");
  EXPECT_EQ(Rename2("a", "b", RENAME_WHITEOUT), 0);
  EXPECT_TRUE(IsWhiteout("a"));
  EXPECT_EQ(ReadFile("b"), "A");
  EXPECT_EQ(Rename2("b", "c", RENAME_WHITEOUT | RENAME_NOREPLACE), 0);
  EXPECT_TRUE(IsWhiteout("b"));
  EXPECT_EQ(ReadFile("c"), "A");
  // Onto a whiteout.
  EXPECT_EQ(Rename2("c", "a", RENAME_WHITEOUT), 0);
  EXPECT_EQ(ReadFile("a"), "A");
  EXPECT_EQ(unlink("c"), 0);
  MakeDirectory("d");
  EXPECT_EQ(Rename2("a", "d", RENAME_WHITEOUT), EISDIR);
  EXPECT_EQ(Rename2("d", "a", RENAME_WHITEOUT), ENOTDIR);
}

TEST_P(RenameFlagsAsRoot, WhiteoutNeedsPermissionToMakeDevices) {
  MakeDirectory("d", 0777);
  MakeFile("d/a");
  Give("d/a", kAlice);
  // Linux allows every user to make the device 0:0.
  EXPECT_EQ(As(kAlice, [] { return Rename2("d/a", "d/b", RENAME_WHITEOUT); }), 0);
  EXPECT_TRUE(IsWhiteout("d/a"));
  EXPECT_EQ(LStat("d/a").st_uid, kAlice.uid);
}

TEST_P(RenameFlagsAsRoot, ExchangeNeedsPermissionInBothDirectories) {
  MakeDirectory("mine", 0777);
  MakeDirectory("locked", 0755);
  MakeDirectory("sticky", 01777);
  for (const char* path : {"mine/f", "locked/f", "sticky/f"}) MakeFile(path);
  Give("mine/f", kAlice);
  EXPECT_EQ(As(kAlice, [] { return Rename2("mine/f", "locked/f", RENAME_EXCHANGE); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return Rename2("locked/f", "mine/f", RENAME_EXCHANGE); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return Rename2("mine/f", "sticky/f", RENAME_EXCHANGE); }), EPERM);
  EXPECT_EQ(As(kAlice, [] { return Rename2("sticky/f", "mine/f", RENAME_EXCHANGE); }), EPERM);
  Give("sticky/f", kAlice);
  EXPECT_EQ(As(kAlice, [] { return Rename2("sticky/f", "mine/f", RENAME_EXCHANGE); }), 0);
}

}  // namespace
}  // namespace memfuse::conformance
