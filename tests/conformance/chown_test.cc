// chown(2), fchown(2), lchown(2), fchownat(2).

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Chown);
ROOT_CONFORMANCE_SUITE(ChownAsRoot);

constexpr uid_t kSameUser = static_cast<uid_t>(-1);
constexpr gid_t kSameGroup = static_cast<gid_t>(-1);

void Remove(const std::string& path) {
  if (unlink(path.c_str()) != 0) {
    ASSERT_EQ(rmdir(path.c_str()), 0) << path;
  }
}

TEST_P(Chown, ToTheSameOwnerIsForTheOwner) {
  for (const Type type : TypesWithoutPrivilege()) {
    TRACE(ToString(type));
    MakeObject(type, "x");
    const TimeWatch object("x"), parent(".");
    EXPECT_EQ(lchown("x", geteuid(), getegid()), 0);
    EXPECT_EQ(object.Moved(true), "c");
    EXPECT_EQ(parent.Moved(), "");
    Remove("x");
  }
}

TEST_P(Chown, WithoutIdsMovesTheChangeTime) {
  for (const Type type : TypesWithoutPrivilege()) {
    TRACE(ToString(type));
    MakeObject(type, "x");
    const TimeWatch object("x");
    EXPECT_EQ(lchown("x", kSameUser, kSameGroup), 0);
    EXPECT_EQ(object.Moved(true), "c");
    Remove("x");
  }
}

TEST_P(Chown, FollowsSymbolicLinksByDefault) {
  MakeFile("f");
  ASSERT_EQ(symlink("f", "s"), 0);
  const TimeWatch file("f"), link("s");
  EXPECT_EQ(lchown("s", kSameUser, kSameGroup), 0);
  EXPECT_EQ(fchownat(AT_FDCWD, "s", geteuid(), kSameGroup, AT_SYMLINK_NOFOLLOW), 0);
  EXPECT_EQ(file.Moved(), "");
  EXPECT_EQ(link.Moved(), "c");
  const TimeWatch untouched("s");
  EXPECT_EQ(chown("s", geteuid(), kSameGroup), 0);
  EXPECT_EQ(fchownat(AT_FDCWD, "s", kSameUser, getegid(), 0), 0);
  EXPECT_EQ(file.Moved(), "c");
  EXPECT_EQ(untouched.Moved(), "");
}

TEST_P(Chown, FlagsAndDescriptors) {
  MakeFile("f");
  const UniqueFd fd = Open("f", O_RDONLY);
  const UniqueFd path = Open("f", O_PATH);
  EXPECT_EQ(fchown(fd.get(), kSameUser, getegid()), 0);
  EXPECT_EQ(ErrnoOf(fchown(path.get(), kSameUser, getegid())), EBADF);
  EXPECT_EQ(fchownat(path.get(), "", kSameUser, getegid(), AT_EMPTY_PATH), 0);
  EXPECT_EQ(ErrnoOf(fchownat(path.get(), "", kSameUser, getegid(), 0)), ENOENT);
  EXPECT_EQ(ErrnoOf(fchownat(AT_FDCWD, "f", kSameUser, kSameGroup, 0x10000)), EINVAL);
  EXPECT_EQ(ErrnoOf(fchown(-1, kSameUser, kSameGroup)), EBADF);
}

TEST_P(ChownAsRoot, RootMaySetAnyOwner) {
  for (const Type type : AllTypes()) {
    TRACE(ToString(type));
    MakeObject(type, "x");
    const mode_t mode = LStat("x").st_mode;
    const TimeWatch object("x"), parent(".");
    ASSERT_EQ(lchown("x", 123, 456), 0);
    EXPECT_EQ(LStat("x").st_uid, 123u);
    EXPECT_EQ(LStat("x").st_gid, 456u);
    EXPECT_EQ(LStat("x").st_mode, mode);
    EXPECT_EQ(object.Moved(true), "c");
    EXPECT_EQ(parent.Moved(), "");
    ASSERT_EQ(lchown("x", 124, kSameGroup), 0);
    EXPECT_EQ(LStat("x").st_uid, 124u);
    EXPECT_EQ(LStat("x").st_gid, 456u);
    ASSERT_EQ(lchown("x", kSameUser, 457), 0);
    EXPECT_EQ(LStat("x").st_uid, 124u);
    EXPECT_EQ(LStat("x").st_gid, 457u);
    ASSERT_EQ(lchown("x", 0xfffffffe, 0xfffffffe), 0);
    EXPECT_EQ(LStat("x").st_uid, 0xfffffffe);
    EXPECT_EQ(LStat("x").st_gid, 0xfffffffe);
    ASSERT_EQ(lchown("x", 0, 0), 0);
    Remove("x");
  }
}

TEST_P(ChownAsRoot, LchownChangesTheLink) {
  MakeFile("f");
  ASSERT_EQ(symlink("f", "s"), 0);
  ASSERT_EQ(lchown("s", 123, 456), 0);
  EXPECT_EQ(LStat("f").st_uid, 0u);
  ASSERT_EQ(chown("s", 7, 8), 0);
  EXPECT_EQ(LStat("f").st_uid, 7u);
  EXPECT_EQ(LStat("f").st_gid, 8u);
  EXPECT_EQ(LStat("s").st_uid, 123u);
  ASSERT_EQ(symlink("missing", "dangling"), 0);
  EXPECT_EQ(lchown("dangling", 1, 1), 0);
  EXPECT_EQ(ErrnoOf(chown("dangling", 1, 1)), ENOENT);
}

TEST_P(ChownAsRoot, OtherUsersCannotChangeOwners) {
  for (const Type type : AllTypes()) {
    TRACE(ToString(type));
    MakeObject(type, "x");
    Give("x", kAlice);
    const TimeWatch object("x");
    const auto to = [](uid_t uid, gid_t gid) {
      return [=] { return ErrnoOf(lchown("x", uid, gid)); };
    };
    // The owner may set neither another user, nor a group that the caller is not in.
    EXPECT_EQ(As(kAlice, to(kBob.uid, kSameGroup)), EPERM);
    EXPECT_EQ(As(kAlice, to(0, kSameGroup)), EPERM);
    EXPECT_EQ(As(kAlice, to(kSameUser, kBob.gid)), EPERM);
    EXPECT_EQ(As(kAlice, to(kBob.uid, kAlice.gid)), EPERM);
    EXPECT_EQ(As(kAlice, to(kAlice.uid, kBob.gid)), EPERM);
    // Other users may not even make a call that changes nothing.
    EXPECT_EQ(As(kBob, to(kBob.uid, kSameGroup)), EPERM);
    EXPECT_EQ(As(kBob, to(kAlice.uid, kSameGroup)), EPERM);
    EXPECT_EQ(As(kBob, to(kSameUser, kAlice.gid)), EPERM);
    EXPECT_EQ(As(kBob, to(kSameUser, kBob.gid)), EPERM);
    EXPECT_EQ(As(kBob, to(kSameUser, kShared)), EPERM);
    EXPECT_EQ(LStat("x").st_uid, kAlice.uid);
    EXPECT_EQ(LStat("x").st_gid, kAlice.gid);
    EXPECT_EQ(object.Moved(), "");
    // A call without ids is allowed.
    EXPECT_EQ(As(kBob, to(kSameUser, kSameGroup)), 0);
    Remove("x");
  }
}

TEST_P(ChownAsRoot, TheOwnerMaySetItsGroups) {
  for (const Type type : AllTypes()) {
    TRACE(ToString(type));
    MakeObject(type, "x");
    Give("x", kAlice);
    const TimeWatch object("x");
    EXPECT_EQ(As(kAlice, [] { return ErrnoOf(lchown("x", kSameUser, kShared)); }), 0);
    EXPECT_EQ(LStat("x").st_gid, kShared);
    EXPECT_EQ(object.Moved(), "c");
    EXPECT_EQ(As(kAlice, [] { return ErrnoOf(lchown("x", kAlice.uid, kAlice.gid)); }), 0);
    EXPECT_EQ(LStat("x").st_gid, kAlice.gid);
    // A group that the file already has, although the owner is not in it.
    ASSERT_EQ(lchown("x", kAlice.uid, 4000), 0);
    EXPECT_EQ(As(kAlice, [] { return ErrnoOf(lchown("x", kAlice.uid, 4000)); }), 0);
    EXPECT_EQ(LStat("x").st_gid, 4000u);
    Remove("x");
  }
}

TEST_P(ChownAsRoot, FchownHasTheSameRules) {
  MakeFile("f", "", 0666);
  Give("f", kAlice);
  const auto by_descriptor = [](uid_t uid, gid_t gid) {
    return [=] {
      const UniqueFd fd(open("f", O_RDWR | O_CLOEXEC));
      return ErrnoOf(fchown(fd.get(), uid, gid));
    };
  };
  EXPECT_EQ(As(kBob, by_descriptor(kBob.uid, kSameGroup)), EPERM);
  EXPECT_EQ(As(kAlice, by_descriptor(kBob.uid, kSameGroup)), EPERM);
  EXPECT_EQ(As(kAlice, by_descriptor(kSameUser, kShared)), 0);
  EXPECT_EQ(LStat("f").st_gid, kShared);
}

// A change of owner clears the set-id bits. It clears S_ISGID only if the group may execute, or if
// the caller is not in the group.
TEST_P(ChownAsRoot, ClearsSetIdBitsOfFiles) {
  const struct {
    mode_t before, after_owner, after_root;
  } cases[] = {
      {04755, 0755, 0755},   {06755, 0755, 0755},   {02755, 0755, 0755},
      {07777, 01777, 01777}, {02745, 02745, 02745}, {06645, 02645, 02645},
      {04644, 0644, 0644},   {01755, 01755, 01755}, {0755, 0755, 0755},
  };
  for (const Type type : {Type::kFile, Type::kFifo, Type::kSocket}) {
    MakeObject(type, "x");
    for (const auto& c : cases) {
      TRACE(ToString(type) << " " << std::oct << c.before);
      ASSERT_EQ(chown("x", kAlice.uid, kShared), 0);
      ASSERT_EQ(chmod("x", c.before), 0);
      EXPECT_EQ(As(kAlice, [] { return ErrnoOf(chown("x", kSameUser, kAlice.gid)); }), 0);
      EXPECT_EQ(Permissions("x"), c.after_owner);
      ASSERT_EQ(chown("x", kAlice.uid, kShared), 0);
      ASSERT_EQ(chmod("x", c.before), 0);
      ASSERT_EQ(chown("x", 123, 456), 0);
      EXPECT_EQ(Permissions("x"), c.after_root);
    }
    Remove("x");
  }
}

TEST_P(ChownAsRoot, ClearsSetIdBitsEvenWithoutIds) {
  MakeFile("f");
  for (const User& user : {kAlice, kRoot}) {
    TRACE(user.uid);
    Give("f", kAlice);
    ASSERT_EQ(chmod("f", 06755), 0);
    EXPECT_EQ(As(user, [] { return ErrnoOf(chown("f", kSameUser, kSameGroup)); }), 0);
    EXPECT_EQ(Permissions("f"), mode_t{0755});
    ASSERT_EQ(chmod("f", 06755), 0);
    EXPECT_EQ(As(user, [] { return ErrnoOf(chown("f", kAlice.uid, kAlice.gid)); }), 0);
    EXPECT_EQ(Permissions("f"), mode_t{0755});
  }
}

TEST_P(ChownAsRoot, KeepsSetIdBitsOfDirectories) {
  MakeDirectory("d");
  Give("d", kAlice);
  for (const User& user : {kAlice, kRoot}) {
    ASSERT_EQ(chmod("d", 07755), 0);
    EXPECT_EQ(As(user, [] { return ErrnoOf(chown("d", kSameUser, kShared)); }), 0);
    EXPECT_EQ(Permissions("d"), mode_t{07755});
  }
}

TEST_P(ChownAsRoot, AFailureKeepsSetIdBits) {
  MakeFile("f");
  Give("f", kAlice);
  ASSERT_EQ(chmod("f", 06755), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(chown("f", kBob.uid, kSameGroup)); }), EPERM);
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(chown("f", kBob.uid, kBob.gid)); }), EPERM);
  EXPECT_EQ(Permissions("f"), mode_t{06755});
}

TEST_P(ChownAsRoot, SetgidWithoutGroupExecuteIsKeptForMembersOnly) {
  MakeFile("f");
  const struct {
    gid_t gid;
    mode_t expected;
  } cases[] = {{kAlice.gid, 02745}, {kShared, 02745}, {4000, 0745}};
  for (const auto& c : cases) {
    TRACE(c.gid);
    ASSERT_EQ(chown("f", kAlice.uid, c.gid), 0);
    ASSERT_EQ(chmod("f", 02745), 0);
    EXPECT_EQ(As(kAlice, [] { return ErrnoOf(chown("f", kAlice.uid, kSameGroup)); }), 0);
    EXPECT_EQ(Permissions("f"), c.expected);
  }
}

TEST_P(ChownAsRoot, TakesEffectAtOnce) {
  MakeFile("f", "", 0600);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(access("f", R_OK)); }), EACCES);
  Give("f", kAlice);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(access("f", R_OK)); }), 0);
  Give("f", kBob);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(access("f", R_OK)); }), EACCES);
}

}  // namespace
}  // namespace memfuse::conformance
