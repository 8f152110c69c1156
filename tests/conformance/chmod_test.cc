// chmod(2), fchmod(2), fchmodat(2), fchmodat2(2).

#include <sys/syscall.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Chmod);
ROOT_CONFORMANCE_SUITE(ChmodAsRoot);

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

// This call is newer than the C library's support; Linux has it since 6.6.
int Fchmodat2(int dir, const char* path, mode_t mode, int flags) {
  return ErrnoOf(syscall(SYS_fchmodat2, dir, path, mode, flags));
}

TEST_P(Chmod, SetsAllBitsOfEveryType) {
  for (const Type type : TypesWithoutPrivilege()) {
    if (type == Type::kSymlink) continue;
    MakeObject(type, "x");
    const mode_t format = LStat("x").st_mode & S_IFMT;
    for (const mode_t mode : {0, 0111, 0222, 0444, 0644, 0755, 0777, 01777, 02777, 04777, 07777,
                              01000, 02000, 04000, 07000, 0123, 0654}) {
      TRACE(ToString(type) << " " << std::oct << mode);
      ASSERT_EQ(chmod("x", mode), 0);
      EXPECT_EQ(LStat("x").st_mode, format | mode);
    }
    if (unlink("x") != 0) {
      ASSERT_EQ(rmdir("x"), 0);
    }
  }
}

TEST_P(Chmod, MovesTheChangeTimeOnly) {
  for (const Type type : TypesWithoutPrivilege()) {
    if (type == Type::kSymlink) continue;
    TRACE(ToString(type));
    const std::string path = ToString(type);
    MakeObject(type, path);
    const TimeWatch object(path), parent(".");
    ASSERT_EQ(chmod(path.c_str(), 0700), 0);
    EXPECT_EQ(object.Moved(true), "c");
    EXPECT_EQ(parent.Moved(true), "");
    const TimeWatch again(path);
    ASSERT_EQ(chmod(path.c_str(), 0700), 0);  // even if nothing changes
    EXPECT_EQ(again.Moved(true), "c");
  }
}

TEST_P(Chmod, FollowsLinks) {
  MakeFile("f", "", 0644);
  ASSERT_EQ(symlink("f", "s"), 0);
  ASSERT_EQ(chmod("s", 0600), 0);
  EXPECT_EQ(Permissions("f"), mode_t{0600});
  EXPECT_EQ(Permissions("s"), mode_t{0777});
  ASSERT_EQ(symlink("missing", "dangling"), 0);
  EXPECT_EQ(ErrnoOf(chmod("dangling", 0600)), ENOENT);
}

TEST_P(Chmod, OfALinkItselfIsNotSupported) {
  MakeFile("f", "", 0644);
  ASSERT_EQ(symlink("f", "s"), 0);
  const TimeWatch link("s");
  EXPECT_EQ(Fchmodat2(AT_FDCWD, "s", 0600, AT_SYMLINK_NOFOLLOW),
            KernelAtLeast(6, 6) ? EOPNOTSUPP : ENOSYS);
  EXPECT_EQ(ErrnoOf(fchmodat(AT_FDCWD, "s", 0600, AT_SYMLINK_NOFOLLOW)), EOPNOTSUPP);
  EXPECT_EQ(Permissions("s"), mode_t{0777});
  EXPECT_EQ(Permissions("f"), mode_t{0644});
  EXPECT_EQ(link.Moved(), "");
}

TEST_P(Chmod, ByDescriptorsOfEveryKind) {
  MakeFile("f", "", 0);
  ASSERT_EQ(chmod("f", 0600), 0);
  const UniqueFd reading = Open("f", O_RDONLY);
  const UniqueFd writing = Open("f", O_WRONLY);
  const UniqueFd path = Open("f", O_PATH);
  EXPECT_EQ(fchmod(reading.get(), 0640), 0);
  EXPECT_EQ(Permissions("f"), mode_t{0640});
  EXPECT_EQ(fchmod(writing.get(), 0400), 0);
  EXPECT_EQ(Permissions("f"), mode_t{0400});
  EXPECT_EQ(ErrnoOf(fchmod(path.get(), 0600)), EBADF);
  if (KernelAtLeast(6, 6)) {
    EXPECT_EQ(Fchmodat2(path.get(), "", 0604, AT_EMPTY_PATH), 0);
    EXPECT_EQ(Permissions("f"), mode_t{0604});
  }
  EXPECT_EQ(chmod(("/proc/self/fd/" + std::to_string(path.get())).c_str(), 0606), 0);
  EXPECT_EQ(Permissions("f"), mode_t{0606});
  EXPECT_EQ(ErrnoOf(fchmod(-1, 0600)), EBADF);
}

TEST_P(Chmod, FlagsOfFchmodat2) {
  if (!KernelAtLeast(6, 6)) GTEST_SKIP() << "Linux has no fchmodat2(2) before 6.6";
  MakeFile("f", "", 0644);
  EXPECT_EQ(Fchmodat2(AT_FDCWD, "f", 0600, AT_SYMLINK_NOFOLLOW), 0);
  EXPECT_EQ(Permissions("f"), mode_t{0600});
  EXPECT_EQ(Fchmodat2(AT_FDCWD, "f", 0644, 0x10000), EINVAL);
  EXPECT_EQ(Fchmodat2(AT_FDCWD, "", 0644, 0), ENOENT);
  EXPECT_EQ(Fchmodat2(AT_FDCWD, "missing", 0644, 0), ENOENT);
  EXPECT_EQ(Permissions("f"), mode_t{0600});
}

TEST_P(Chmod, IgnoresBitsBeyondPermissions) {
  MakeFile("f", "", 0644);
  ASSERT_EQ(chmod("f", S_IFDIR | 0600), 0);
  EXPECT_EQ(LStat("f").st_mode, S_IFREG | mode_t{0600});
  ASSERT_EQ(chmod("f", 0xffff0000 | 0640), 0);
  EXPECT_EQ(LStat("f").st_mode, S_IFREG | mode_t{0640});
}

TEST_P(Chmod, IsSeenByEveryNameAndDescriptor) {
  MakeFile("f", "", 0644);
  ASSERT_EQ(link("f", "g"), 0);
  const UniqueFd fd = Open("f", O_RDONLY);
  ASSERT_EQ(chmod("g", 0601), 0);
  struct stat s;
  ASSERT_EQ(fstat(fd.get(), &s), 0);
  EXPECT_EQ(s.st_mode & 07777, mode_t{0601});
  EXPECT_EQ(Permissions("f"), mode_t{0601});
}

TEST_P(ChmodAsRoot, SetsBitsOfDevices) {
  for (const Type type : {Type::kCharDevice, Type::kBlockDevice}) {
    MakeObject(type, "x");
    for (const mode_t mode : {0, 0660, 07777}) {
      ASSERT_EQ(chmod("x", mode), 0);
      EXPECT_EQ(Permissions("x"), mode);
    }
    ASSERT_EQ(unlink("x"), 0);
  }
}

TEST_P(ChmodAsRoot, IsAllowedForTheOwner) {
  for (const Type type : AllTypes()) {
    if (type == Type::kSymlink) continue;
    TRACE(ToString(type));
    MakeObject(type, "x");
    Give("x", kAlice);
    ASSERT_EQ(chmod("x", 0777), 0);
    const TimeWatch object("x");
    EXPECT_EQ(As(kBob, [] { return ErrnoOf(chmod("x", 0777)); }), EPERM);
    EXPECT_EQ(As({1004, kAlice.gid, {}}, [] { return ErrnoOf(chmod("x", 0600)); }), EPERM);
    EXPECT_EQ(object.Moved(), "");
    EXPECT_EQ(Permissions("x"), mode_t{0777});
    EXPECT_EQ(As(kAlice, [] { return ErrnoOf(chmod("x", 0)); }), 0);
    EXPECT_EQ(As(kAlice, [] { return ErrnoOf(chmod("x", 0700)); }), 0);  // without any bit
    EXPECT_EQ(As(kRoot, [] { return ErrnoOf(chmod("x", 0707)); }), 0);
    EXPECT_EQ(Permissions("x"), mode_t{0707});
    if (unlink("x") != 0) {
      ASSERT_EQ(rmdir("x"), 0);
    }
  }
}

TEST_P(ChmodAsRoot, ByADescriptorIsForTheOwnerToo) {
  MakeFile("f", "", 0666);
  Give("f", kAlice);
  EXPECT_EQ(As(kBob,
               [] {
                 const UniqueFd fd(open("f", O_RDWR | O_CLOEXEC));
                 return ErrnoOf(fchmod(fd.get(), 0777));
               }),
            EPERM);
}

TEST_P(ChmodAsRoot, SetgidOfAFileNeedsMembershipInItsGroup) {
  for (const Type type : {Type::kFile, Type::kFifo, Type::kSocket, Type::kDirectory}) {
    TRACE(ToString(type));
    MakeObject(type, "x");
    // A foreign group, a supplementary group of the caller, and its primary group.
    const struct {
      gid_t gid;
      bool member;
    } groups[] = {{kBob.gid, false}, {kShared, true}, {kAlice.gid, true}};
    for (const auto& group : groups) {
      TRACE(group.gid);
      ASSERT_EQ(chown("x", kAlice.uid, group.gid), 0);
      for (const mode_t mode : {02755, 02745, 06755, 07777}) {
        TRACE(std::oct << mode);
        ASSERT_EQ(As(kAlice, [&] { return ErrnoOf(chmod("x", mode)); }), 0);
        EXPECT_EQ(Permissions("x"), group.member ? mode : mode & ~mode_t{S_ISGID});
        // Root counts as a member of every group.
        ASSERT_EQ(chmod("x", mode), 0);
        EXPECT_EQ(Permissions("x"), mode);
      }
    }
    if (unlink("x") != 0) {
      ASSERT_EQ(rmdir("x"), 0);
    }
  }
}

TEST_P(ChmodAsRoot, StickyOfAFileNeedsNoPrivilege) {
  MakeFile("f");
  Give("f", kAlice);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(chmod("f", 01644)); }), 0);
  EXPECT_EQ(Permissions("f"), mode_t{01644});
}

TEST_P(ChmodAsRoot, TakesEffectAtOnceForOthers) {
  MakeFile("f", "", 0600);
  MakeDirectory("d", 0700);
  MakeFile("d/f");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(As(kAlice, [] { return ErrnoOf(access("f", R_OK)); }), EACCES);
    EXPECT_EQ(As(kAlice, [] { return ErrnoOf(access("d/f", F_OK)); }), EACCES);
    ASSERT_EQ(chmod("f", 0644), 0);
    ASSERT_EQ(chmod("d", 0711), 0);
    EXPECT_EQ(As(kAlice, [] { return ErrnoOf(access("f", R_OK)); }), 0);
    EXPECT_EQ(As(kAlice, [] { return ErrnoOf(access("d/f", F_OK)); }), 0);
    ASSERT_EQ(chmod("f", 0600), 0);
    ASSERT_EQ(chmod("d", 0700), 0);
  }
}

}  // namespace
}  // namespace memfuse::conformance
