// Sticky directories: the owner of the directory, the owner of an object and root may remove its
// name. rename_permission_test.cc tests renames.

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Sticky);
ROOT_CONFORMANCE_SUITE(StickyAsRoot);

int RemoveErrno(const std::string& path, Type type) {
  return ErrnoOf(type == Type::kDirectory ? rmdir(path.c_str()) : unlink(path.c_str()));
}

TEST_P(Sticky, TheOwnerOfBothRemoves) {
  MakeDirectory("s", 01755);
  for (const Type type : TypesWithoutPrivilege()) {
    TRACE(ToString(type));
    MakeObject(type, "s/x");
    EXPECT_EQ(RemoveErrno("s/x", type), 0);
  }
}

TEST_P(StickyAsRoot, RemovalIsForOwnersAndRoot) {
  const User users[] = {kAlice, kBob, kRoot};
  for (const User& directory_owner : users) {
    MakeDirectory("s");
    Give("s", directory_owner);
    ASSERT_EQ(chmod("s", 01777), 0);
    for (const User& owner : users) {
      for (const User& caller : users) {
        for (const Type type : AllTypes()) {
          TRACE(ToString(type) << " of " << owner.uid << " in a directory of "
                               << directory_owner.uid << " by " << caller.uid);
          MakeObject(type, "s/x");
          Give("s/x", owner);
          const bool may =
              caller.uid == 0 || caller.uid == owner.uid || caller.uid == directory_owner.uid;
          EXPECT_EQ(As(caller, [&] { return RemoveErrno("s/x", type); }), may ? 0 : EPERM);
          EXPECT_EQ(Exists("s/x"), !may);
          if (!may) {
            ASSERT_EQ(RemoveErrno("s/x", type), 0);
          }
        }
      }
    }
    ASSERT_EQ(rmdir("s"), 0);
  }
}

TEST_P(StickyAsRoot, WithoutItTheDirectorysBitsDecide) {
  MakeDirectory("s", 0777);
  for (const Type type : AllTypes()) {
    MakeObject(type, "s/x");
    EXPECT_EQ(As(kBob, [&] { return RemoveErrno("s/x", type); }), 0) << ToString(type);
  }
}

TEST_P(StickyAsRoot, TheGroupsOfTheDirectoryDoNotHelp) {
  MakeDirectory("s");
  ASSERT_EQ(chown("s", 0, kShared), 0);
  ASSERT_EQ(chmod("s", 01775), 0);
  MakeFile("s/f", "", 0666);
  ASSERT_EQ(chown("s/f", kAlice.uid, kShared), 0);
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(unlink("s/f")); }), EPERM);
  EXPECT_EQ(As(kStranger, [] { return ErrnoOf(unlink("s/f")); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(unlink("s/f")); }), 0);
}

TEST_P(StickyAsRoot, MakingLinkingAndWritingAreNotRestricted) {
  MakeDirectory("s", 01777);
  MakeFile("s/f", "", 0666);
  const TimeWatch dir("s");
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(truncate("s/f", 10)); }), 0);
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(mkdir("s/d", 0755)); }), 0);
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(symlink("target", "s/l")); }), 0);
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(link("s/f", "s/g")); }), 0);
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(unlink("s/g")); }), EPERM);
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(unlink("s/l")); }), 0);
}

TEST_P(StickyAsRoot, OnAFileItHasNoEffect) {
  MakeDirectory("d", 0777);
  MakeFile("d/f", "", 01666);
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(unlink("d/f")); }), 0);
}

TEST_P(StickyAsRoot, DependsOnTheDirectoryOfTheName) {
  // The sticky directory itself is in a directory without the bit.
  MakeDirectory("d", 0777);
  MakeDirectory("d/s", 01777);
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(rmdir("d/s")); }), 0);
  // Names further below depend on their own parent.
  MakeDirectory("s", 01777);
  MakeDirectory("s/d", 0777);
  MakeFile("s/d/f");
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(unlink("s/d/f")); }), 0);
}

}  // namespace
}  // namespace memfuse::conformance
