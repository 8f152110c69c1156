// rename(2): permissions.

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

ROOT_CONFORMANCE_SUITE(RenamePermission);

int RenameErrno(const char* from, const char* to) { return ErrnoOf(rename(from, to)); }

TEST_P(RenamePermission, NeedsToWriteAndSearchBothParents) {
  MakeDirectory("p");
  MakeDirectory("q");
  const struct {
    User user;
    int shift;
  } roles[] = {{kAlice, 6}, {kBob, 3}, {kStranger, 0}};
  for (const char* path : {"p", "q"}) ASSERT_EQ(chown(path, kAlice.uid, kShared), 0);
  MakeFile("p/f", "", 0);  // root's: the file's own permissions do not matter
  for (const auto& role : roles) {
    for (mode_t from = 0; from < 8; ++from) {
      for (mode_t to = 0; to < 8; ++to) {
        TRACE(role.user.uid << " " << from << " " << to);
        ASSERT_EQ(chmod("p", from << role.shift), 0);
        ASSERT_EQ(chmod("q", to << role.shift), 0);
        const bool allowed = (from & 3) == 3 && (to & 3) == 3;
        EXPECT_EQ(As(role.user, [] { return RenameErrno("p/f", "q/f"); }), allowed ? 0 : EACCES);
        if (allowed) {
          ASSERT_EQ(rename("q/f", "p/f"), 0);
        }
      }
    }
  }
}

TEST_P(RenamePermission, ADirectoryThatGetsAnotherParentMustBeWriteable) {
  MakeDirectory("p", 0777);
  MakeDirectory("q", 0777);
  for (mode_t bits = 0; bits < 8; ++bits) {
    TRACE(bits);
    MakeDirectory("p/d", bits << 6);
    Give("p/d", kAlice);
    // Its ".." changes.
    EXPECT_EQ(As(kAlice, [] { return RenameErrno("p/d", "q/d"); }), (bits & 2) != 0 ? 0 : EACCES);
    if (Exists("q/d")) {
      ASSERT_EQ(rename("q/d", "p/d"), 0);
    }
    EXPECT_EQ(As(kAlice, [] { return RenameErrno("p/d", "p/e"); }), 0);
    ASSERT_EQ(rmdir("p/e"), 0);
  }
  MakeDirectory("p/theirs", 0755);
  EXPECT_EQ(As(kAlice, [] { return RenameErrno("p/theirs", "q/theirs"); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return RenameErrno("p/theirs", "p/renamed"); }), 0);
}

TEST_P(RenamePermission, PermissionComesBeforeTheTypes) {
  MakeDirectory("p", 0755);
  MakeDirectory("p/d");
  MakeDirectory("p/full");
  MakeFile("p/full/f");
  MakeFile("p/f");
  EXPECT_EQ(As(kAlice, [] { return RenameErrno("p/d", "p/f"); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return RenameErrno("p/f", "p/d"); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return RenameErrno("p/d", "p/full"); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return RenameErrno("p/d", "p/d/x"); }), EINVAL);
  EXPECT_EQ(As(kAlice, [] { return RenameErrno("p/missing", "p/x"); }), ENOENT);
  EXPECT_EQ(As(kAlice, [] { return RenameErrno("p/f", "p/f"); }), 0);
}

// A user can move a name out of a sticky directory only if the user owns the object or the
// directory.
TEST_P(RenamePermission, OutOfAStickyDirectory) {
  const User users[] = {kAlice, kBob, kRoot};
  MakeDirectory("q", 0777);
  for (const User& directory_owner : users) {
    for (const User& file_owner : users) {
      for (const Type type : AllTypes()) {
        MakeDirectory("s", 0777);
        Give("s", directory_owner);
        ASSERT_EQ(chmod("s", 01777), 0);
        for (const User& caller : users) {
          TRACE(ToString(type) << " of " << file_owner.uid << " in a directory of "
                               << directory_owner.uid << " by " << caller.uid);
          MakeObject(type, "s/x");
          if (type == Type::kDirectory) {
            ASSERT_EQ(chmod("s/x", 0777), 0);
          }
          Give("s/x", file_owner);
          const bool allowed =
              caller.uid == 0 || caller.uid == file_owner.uid || caller.uid == directory_owner.uid;
          EXPECT_EQ(As(caller, [] { return RenameErrno("s/x", "q/x"); }), allowed ? 0 : EPERM);
          if (allowed) {
            ASSERT_EQ(rename("q/x", "s/x"), 0);
          }
          EXPECT_EQ(As(caller, [] { return RenameErrno("s/x", "s/y"); }), allowed ? 0 : EPERM);
          if (unlink("s/x") != 0 && rmdir("s/x") != 0 && unlink("s/y") != 0) {
            ASSERT_EQ(rmdir("s/y"), 0);
          }
        }
        ASSERT_EQ(rmdir("s"), 0);
      }
    }
  }
}

// Other users cannot replace a name there either.
TEST_P(RenamePermission, OntoSomethingInAStickyDirectory) {
  const User users[] = {kAlice, kBob, kRoot};
  MakeDirectory("q", 0777);
  for (const User& directory_owner : users) {
    for (const User& target_owner : users) {
      MakeDirectory("s", 0777);
      Give("s", directory_owner);
      ASSERT_EQ(chmod("s", 01777), 0);
      for (const User& caller : users) {
        for (const bool directories : {false, true}) {
          TRACE((directories ? "directory of " : "file of ")
                << target_owner.uid << " in a directory of " << directory_owner.uid << " by "
                << caller.uid);
          const Type type = directories ? Type::kDirectory : Type::kFile;
          MakeObject(type, "q/x");
          Give("q/x", caller);
          MakeObject(type, "s/x");
          Give("s/x", target_owner);
          const bool allowed = caller.uid == 0 || caller.uid == target_owner.uid ||
                               caller.uid == directory_owner.uid;
          EXPECT_EQ(As(caller, [] { return RenameErrno("q/x", "s/x"); }), allowed ? 0 : EPERM);
          EXPECT_EQ(As(caller, [] { return RenameErrno("q/x", "s/new"); }), allowed ? ENOENT : 0);
          for (const char* path : {"q/x", "s/x", "s/new"}) {
            if (unlink(path) != 0) rmdir(path);
          }
        }
      }
      ASSERT_EQ(rmdir("s"), 0);
    }
  }
}

}  // namespace
}  // namespace memfuse::conformance
