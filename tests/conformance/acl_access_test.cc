// acl(5): the access that a list grants, and permission to set one.

#include "tests/conformance/acl.h"
#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

ROOT_CONFORMANCE_SUITE(AclAccess);

// The access that access(2) grants to `user` for `path`: a subset of "r", "w", "x".
std::string Rights(const User& user, const std::string& path) {
  const int rights = As(user, [&] {
    return (access(path.c_str(), R_OK) == 0 ? 4 : 0) | (access(path.c_str(), W_OK) == 0 ? 2 : 0) |
           (access(path.c_str(), X_OK) == 0 ? 1 : 0);
  });
  std::string text;
  if ((rights & 4) != 0) text += "r";
  if ((rights & 2) != 0) text += "w";
  if ((rights & 1) != 0) text += "x";
  return text;
}

TEST_P(AclAccess, ANamedUserHasItsEntryUnderTheMask) {
  MakeFile("f", "", 0600);
  ASSERT_EQ(
      SetAcl(
          "f", kAccess,
          {{kUserObj, 6}, {kNamedUser, 7, kAlice.uid}, {kGroupObj, 0}, {kMaskTag, 5}, {kOther, 4}}),
      0);
  EXPECT_EQ(Rights(kAlice, "f"), "rx");
  EXPECT_EQ(Rights(kBob, "f"), "r");
  ASSERT_EQ(chmod("f", 0674), 0);
  EXPECT_EQ(Rights(kAlice, "f"), "rwx");
  ASSERT_EQ(chmod("f", 0600), 0);
  EXPECT_EQ(Rights(kAlice, "f"), "");
}

TEST_P(AclAccess, ANamedUserCanBeDenied) {
  MakeFile("f", "", 0666);
  ASSERT_EQ(
      SetAcl(
          "f", kAccess,
          {{kUserObj, 6}, {kNamedUser, 0, kAlice.uid}, {kGroupObj, 6}, {kMaskTag, 6}, {kOther, 6}}),
      0);
  EXPECT_EQ(Rights(kAlice, "f"), "");
  EXPECT_EQ(Rights(kBob, "f"), "rw");
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(open("f", O_RDONLY)); }), EACCES);
}

TEST_P(AclAccess, TheOwnerIsNotUnderTheMask) {
  MakeFile("f", "", 0600);
  ASSERT_EQ(chown("f", kAlice.uid, 0), 0);
  ASSERT_EQ(
      SetAcl(
          "f", kAccess,
          {{kUserObj, 6}, {kNamedUser, 1, kAlice.uid}, {kGroupObj, 7}, {kMaskTag, 0}, {kOther, 1}}),
      0);
  EXPECT_EQ(Rights(kAlice, "f"), "rw");
  EXPECT_EQ(Rights(kBob, "f"), "x");
}

TEST_P(AclAccess, AnyGroupEntryThatGrantsIsEnoughAndOthersDoNotCountForMembers) {
  MakeFile("f", "", 0600);
  ASSERT_EQ(SetAcl("f", kAccess,
                   {{kUserObj, 6},
                    {kGroupObj, 0},
                    {kNamedGroup, 4, kBob.gid},
                    {kNamedGroup, 2, kShared},
                    {kMaskTag, 7},
                    {kOther, 7}}),
            0);
  // One entry alone must grant all requested bits. The check with access(2) requests one bit at a
  // time.
  EXPECT_EQ(Rights(kBob, "f"), "rw");
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(open("f", O_RDWR)); }), EACCES);
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(open("f", O_RDONLY)); }), 0);
  EXPECT_EQ(Rights(kAlice, "f"), "w");
  EXPECT_EQ(Rights(kStranger, "f"), "rwx");
}

TEST_P(AclAccess, TheFilesGroupIsUnderTheMask) {
  MakeFile("f", "", 0600);
  ASSERT_EQ(chown("f", 0, kShared), 0);
  ASSERT_EQ(SetAcl("f", kAccess, {{kUserObj, 6}, {kGroupObj, 7}, {kMaskTag, 4}, {kOther, 0}}), 0);
  EXPECT_EQ(Rights(kBob, "f"), "r");
}

TEST_P(AclAccess, DirectoriesAndTheirEntries) {
  ASSERT_EQ(mkdir("d", 0700), 0);
  MakeFile("d/f", "", 0666);
  const auto create = [] { return ErrnoOf(mknod("d/new", S_IFREG | 0644, 0)); };
  EXPECT_EQ(As(kAlice, create), EACCES);
  ASSERT_EQ(
      SetAcl(
          "d", kAccess,
          {{kUserObj, 7}, {kNamedUser, 1, kAlice.uid}, {kGroupObj, 0}, {kMaskTag, 7}, {kOther, 0}}),
      0);
  EXPECT_EQ(As(kAlice, create), EACCES);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(open("d/f", O_RDWR)); }), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(open("d", O_RDONLY)); }), EACCES);
  ASSERT_EQ(
      SetAcl(
          "d", kAccess,
          {{kUserObj, 7}, {kNamedUser, 3, kAlice.uid}, {kGroupObj, 0}, {kMaskTag, 7}, {kOther, 0}}),
      0);
  EXPECT_EQ(As(kAlice, create), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(unlink("d/new")); }), 0);
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(open("d/f", O_RDWR)); }), EACCES);
  ASSERT_EQ(removexattr("d", kAccess), 0);
  ASSERT_EQ(chmod("d", 0700), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(open("d/f", O_RDWR)); }), EACCES);
}

TEST_P(AclAccess, RootBypassesTheList) {
  MakeFile("f", "", 0600);
  ASSERT_EQ(SetAcl("f", kAccess,
                   {{kUserObj, 0}, {kNamedUser, 0, 0}, {kGroupObj, 0}, {kMaskTag, 0}, {kOther, 0}}),
            0);
  EXPECT_EQ(Rights(kRoot, "f"), "rw");
  ASSERT_EQ(chmod("f", 0010), 0);
  EXPECT_EQ(Rights(kRoot, "f"), "rwx");
}

TEST_P(AclAccess, ListsAreSetByTheOwner) {
  MakeFile("f", "", 0666);
  ASSERT_EQ(mkdir("d", 0777), 0);
  ASSERT_EQ(chown("f", kAlice.uid, kAlice.gid), 0);
  const AclEntries entries = {
      {kUserObj, 6}, {kNamedUser, 6, kBob.uid}, {kGroupObj, 4}, {kMaskTag, 6}, {kOther, 0}};
  EXPECT_EQ(As(kBob, [&] { return SetAcl("f", kAccess, entries); }), EPERM);
  EXPECT_EQ(As(kBob, [&] { return SetAcl("d", kDefault, entries); }), EPERM);
  EXPECT_EQ(As(kBob, [&] { return ErrnoOf(removexattr("f", kAccess)); }), EPERM);
  EXPECT_EQ(As(kAlice, [&] { return SetAcl("f", kAccess, entries); }), 0);
  EXPECT_EQ(As(kBob, [&] { return static_cast<int>(GetAcl("f", kAccess).size()); }), 5);
  EXPECT_EQ(As(kBob, [&] { return ErrnoOf(chmod("f", 0777)); }), EPERM);
  EXPECT_EQ(As(kBob, [&] { return ErrnoOf(removexattr("f", kAccess)); }), EPERM);
  EXPECT_EQ(As(kAlice, [&] { return ErrnoOf(removexattr("f", kAccess)); }), 0);
}

TEST_P(AclAccess, AnOwnerOutsideTheGroupLosesSetgid) {
  const AclEntries entries = {
      {kUserObj, 7}, {kNamedUser, 6, kBob.uid}, {kGroupObj, 5}, {kMaskTag, 7}, {kOther, 0}};
  MakeFile("f");
  ASSERT_EQ(chown("f", kAlice.uid, kBob.gid), 0);
  ASSERT_EQ(chmod("f", 02755), 0);
  EXPECT_EQ(As(kAlice, [&] { return SetAcl("f", kAccess, entries); }), 0);
  EXPECT_EQ(Permissions("f"), 0770u);
  // For members of the group, and for root, chmod keeps it.
  MakeFile("g");
  ASSERT_EQ(chown("g", kAlice.uid, kShared), 0);
  ASSERT_EQ(chmod("g", 02755), 0);
  EXPECT_EQ(As(kAlice, [&] { return SetAcl("g", kAccess, entries); }), 0);
  EXPECT_EQ(Permissions("g"), 02770u);
  ASSERT_EQ(chown("g", kAlice.uid, kBob.gid), 0);
  ASSERT_EQ(chmod("g", 02755), 0);
  EXPECT_EQ(SetAcl("g", kAccess, entries), 0);
  EXPECT_EQ(Permissions("g"), 02770u);
  // A default list does not change modes.
  ASSERT_EQ(mkdir("d", 0755), 0);
  ASSERT_EQ(chown("d", kAlice.uid, kBob.gid), 0);
  ASSERT_EQ(chmod("d", 02755), 0);
  EXPECT_EQ(As(kAlice, [&] { return SetAcl("d", kDefault, entries); }), 0);
  EXPECT_EQ(Permissions("d"), 02755u);
}

TEST_P(AclAccess, RemovingTheListClearsSetgidToo) {
  const AclEntries entries = {
      {kUserObj, 7}, {kNamedUser, 6, kBob.uid}, {kGroupObj, 5}, {kMaskTag, 7}, {kOther, 0}};
  for (const bool member : {false, true}) {
    const char* const name = member ? "member" : "stranger";
    MakeFile(name);
    ASSERT_EQ(SetAcl(name, kAccess, entries), 0);
    ASSERT_EQ(chown(name, kAlice.uid, member ? kShared : kBob.gid), 0);
    ASSERT_EQ(chmod(name, 02755), 0);
    EXPECT_EQ(As(kAlice, [&] { return ErrnoOf(removexattr(name, "system.posix_acl_access")); }), 0);
    EXPECT_EQ(Permissions(name) & 07000u, member ? 02000u : 0u) << name;
  }
}

TEST_P(AclAccess, NewFilesOfOthersAreUnderTheDefault) {
  ASSERT_EQ(mkdir("d", 0777), 0);
  ASSERT_EQ(
      SetAcl(
          "d", kDefault,
          {{kUserObj, 6}, {kNamedUser, 6, kBob.uid}, {kGroupObj, 0}, {kMaskTag, 6}, {kOther, 0}}),
      0);
  EXPECT_EQ(As(kAlice,
               [] {
                 umask(0077);
                 return ErrnoOf(open("d/f", O_CREAT | O_RDWR, 0666));
               }),
            0);
  EXPECT_EQ(Rights(kBob, "d/f"), "rw");
  EXPECT_EQ(Rights(kStranger, "d/f"), "");
  EXPECT_EQ(Stat("d/f").st_uid, kAlice.uid);
}

TEST_P(AclAccess, SetgidDirectoriesAndDefaultsGoTogether) {
  ASSERT_EQ(mkdir("d", 0777), 0);
  ASSERT_EQ(chown("d", 0, kShared), 0);
  ASSERT_EQ(chmod("d", 02777), 0);
  ASSERT_EQ(
      SetAcl(
          "d", kDefault,
          {{kUserObj, 7}, {kNamedUser, 7, kBob.uid}, {kGroupObj, 7}, {kMaskTag, 7}, {kOther, 0}}),
      0);
  EXPECT_EQ(As(kStranger, [] { return ErrnoOf(mkdir("d/e", 0777)); }), 0);
  EXPECT_EQ(Stat("d/e").st_gid, kShared);
  EXPECT_EQ(Permissions("d/e"), 02770u);
  EXPECT_EQ(As(kStranger, [] { return ErrnoOf(open("d/f", O_CREAT | O_RDWR, 02777)); }), 0);
  EXPECT_EQ(Permissions("d/f"), 0770u);
}

}  // namespace
}  // namespace memfuse::conformance
