// access(2), faccessat(2), faccessat2(2).

#include <grp.h>
#include <sys/syscall.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Access);
ROOT_CONFORMANCE_SUITE(AccessAsRoot);

#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif

// glibc's faccessat implements some flags itself.
int Faccessat2(int dir, const char* path, int mode, int flags) {
  return ErrnoOf(syscall(SYS_faccessat2, dir, path, mode, flags));
}

TEST_P(Access, EveryTypeByItsOwner) {
  if (RunsAsRoot()) {
    ASSERT_EQ(chmod(".", 0777), 0);
  }
  for (const Type type : TypesWithoutPrivilege()) {
    TRACE(ToString(type));
    MakeObject(type, "x");
    if (type == Type::kSymlink) {
      EXPECT_EQ(ErrnoOf(access("x", F_OK)), ENOENT);
      EXPECT_EQ(Faccessat2(AT_FDCWD, "x", F_OK, AT_SYMLINK_NOFOLLOW), 0);
    } else {
      EXPECT_EQ(access("x", F_OK), 0);
      EXPECT_EQ(access("x", R_OK | W_OK), 0);
      ASSERT_EQ(chmod("x", 0700), 0);
      EXPECT_EQ(access("x", R_OK | W_OK | X_OK), 0);
    }
    if (unlink("x") != 0) {
      ASSERT_EQ(rmdir("x"), 0);
    }
  }
}

TEST_P(Access, OtherModesAndFlagsAreInvalid) {
  MakeFile("f");
  EXPECT_EQ(ErrnoOf(access("f", 8)), EINVAL);
  EXPECT_EQ(ErrnoOf(access("f", -1)), EINVAL);
  EXPECT_EQ(Faccessat2(AT_FDCWD, "f", 8, 0), EINVAL);
  EXPECT_EQ(Faccessat2(AT_FDCWD, "f", R_OK, 0x10000), EINVAL);
  EXPECT_EQ(Faccessat2(AT_FDCWD, "missing", F_OK, 0), ENOENT);
}

TEST_P(Access, ByDescriptors) {
  MakeFile("f", "", 0600);
  const UniqueFd fd = Open("f", O_RDONLY);
  const UniqueFd path = Open("f", O_PATH);
  EXPECT_EQ(Faccessat2(fd.get(), "", R_OK, AT_EMPTY_PATH), 0);
  EXPECT_EQ(Faccessat2(path.get(), "", R_OK, AT_EMPTY_PATH), 0);
  EXPECT_EQ(Faccessat2(path.get(), "", X_OK, AT_EMPTY_PATH), EACCES);
  EXPECT_EQ(Faccessat2(fd.get(), "", R_OK, 0), ENOENT);
}

TEST_P(Access, MovesNoTime) {
  MakeFile("f");
  const TimeWatch file("f"), parent(".");
  EXPECT_EQ(access("f", R_OK), 0);
  EXPECT_EQ(file.Moved(true), "");
  EXPECT_EQ(parent.Moved(true), "");
}

TEST_P(AccessAsRoot, UsesTheBitsOfTheFirstClassThatApplies) {
  const struct {
    User user;
    int shift;
  } roles[] = {{kAlice, 6}, {kBob, 3}, {{1004, kShared, {}}, 3}, {kStranger, 0}};
  for (const Type type : AllTypes()) {
    if (type == Type::kSymlink) continue;
    MakeObject(type, "x");
    ASSERT_EQ(chown("x", kAlice.uid, kShared), 0);
    for (const auto& role : roles) {
      for (mode_t bits = 0; bits < 8; ++bits) {
        for (const bool inverted : {false, true}) {
          const mode_t others = inverted ? static_cast<mode_t>(~(7 << role.shift)) & 0777 : 0;
          ASSERT_EQ(chmod("x", (bits << role.shift) | others), 0);
          TRACE(ToString(type) << " " << role.user.uid << " " << std::oct << Permissions("x"));
          EXPECT_EQ(As(role.user,
                       [&] {
                         for (int asked = 0; asked < 8; ++asked) {
                           const int expected = (asked & ~static_cast<int>(bits)) == 0 ? 0 : EACCES;
                           if (ErrnoOf(access("x", asked)) != expected) return 100 + asked;
                           if (Faccessat2(AT_FDCWD, "x", asked, AT_EACCESS) != expected) {
                             return 200 + asked;
                           }
                         }
                         return 0;
                       }),
                    0);
        }
      }
    }
    if (unlink("x") != 0) {
      ASSERT_EQ(rmdir("x"), 0);
    }
  }
}

TEST_P(AccessAsRoot, RootMayDoAllButExecuteWithoutAnyExecuteBit) {
  for (const Type type : AllTypes()) {
    if (type == Type::kSymlink) continue;
    TRACE(ToString(type));
    MakeObject(type, "x");
    Give("x", kAlice);
    ASSERT_EQ(chmod("x", 0), 0);
    EXPECT_EQ(access("x", R_OK | W_OK), 0);
    EXPECT_EQ(ErrnoOf(access("x", X_OK)), type == Type::kDirectory ? 0 : EACCES);
    for (const mode_t bit : {0100, 0010, 0001}) {
      ASSERT_EQ(chmod("x", bit), 0);
      EXPECT_EQ(access("x", R_OK | W_OK | X_OK), 0);
    }
    if (unlink("x") != 0) {
      ASSERT_EQ(rmdir("x"), 0);
    }
  }
}

TEST_P(AccessAsRoot, UsesTheRealIdsByDefault) {
  MakeFile("f", "", 0600);
  Give("f", kAlice);
  MakeFile("group", "", 0040);
  ASSERT_EQ(chown("group", 0, kAlice.gid), 0);
  // The real IDs of Alice, the effective IDs of Bob.
  const auto as_both = [](const std::function<int()>& call) {
    return InChild([&] {
      if (setgroups(0, nullptr) != 0 || setresgid(kAlice.gid, kBob.gid, 0) != 0) return EIO;
      if (setresuid(kAlice.uid, kBob.uid, 0) != 0) return EIO;
      return call();
    });
  };
  EXPECT_EQ(as_both([] { return ErrnoOf(access("f", R_OK | W_OK)); }), 0);
  EXPECT_EQ(as_both([] { return Faccessat2(AT_FDCWD, "f", R_OK, AT_EACCESS); }), EACCES);
  EXPECT_EQ(as_both([] { return ErrnoOf(open("f", O_RDONLY | O_CLOEXEC)); }), EACCES);
  EXPECT_EQ(as_both([] { return ErrnoOf(access("group", R_OK)); }), 0);
  EXPECT_EQ(as_both([] { return Faccessat2(AT_FDCWD, "group", R_OK, AT_EACCESS); }), EACCES);
}

TEST_P(AccessAsRoot, RealRootWithAnotherEffectiveUser) {
  MakeFile("f", "", 0);
  EXPECT_EQ(InChild([] {
              if (setresuid(0, kBob.uid, 0) != 0) return EIO;
              if (access("f", R_OK | W_OK) != 0) return errno;
              return Faccessat2(AT_FDCWD, "f", R_OK, AT_EACCESS) == EACCES ? 0 : EIO;
            }),
            0);
}

TEST_P(AccessAsRoot, NeedsSearchPermissionOnThePath) {
  MakeDirectory("d", 0);
  MakeDirectory("d/e", 0777);
  MakeFile("d/e/f", "", 0777);
  for (mode_t bits = 0; bits < 8; ++bits) {
    TRACE(bits);
    ASSERT_EQ(chmod("d", bits), 0);
    EXPECT_EQ(As(kAlice, [] { return ErrnoOf(access("d/e/f", F_OK)); }),
              (bits & 1) != 0 ? 0 : EACCES);
    EXPECT_EQ(As(kAlice, [] { return ErrnoOf(access("d/e/missing", F_OK)); }),
              (bits & 1) != 0 ? ENOENT : EACCES);
  }
}

TEST_P(AccessAsRoot, FollowsSymbolicLinks) {
  MakeFile("f", "", 0400);
  ASSERT_EQ(symlink("f", "s"), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(access("s", R_OK)); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return Faccessat2(AT_FDCWD, "s", R_OK, AT_SYMLINK_NOFOLLOW); }), 0);
}

TEST_P(AccessAsRoot, ExecutionUsesTheSameBits) {
  for (const mode_t mode : {0644, 0744, 0654, 0645, 0777, 0111}) {
    TRACE(std::oct << mode);
    {
      // A script must also be readable. execve(2) fails for an empty file.
      MakeFile("f", "", mode);
    }
    const bool may = (mode & 0001) != 0;
    EXPECT_EQ(As(kStranger, [] { return ErrnoOf(execl("f", "f", nullptr)); }),
              may ? ENOEXEC : EACCES);
    EXPECT_EQ(As(kStranger, [] { return ErrnoOf(access("f", X_OK)); }), may ? 0 : EACCES);
    ASSERT_EQ(unlink("f"), 0);
  }
  MakeDirectory("d", 0777);
  EXPECT_EQ(InChild([] { return ErrnoOf(execl("d", "d", nullptr)); }), EACCES);
}

}  // namespace
}  // namespace memfuse::conformance
