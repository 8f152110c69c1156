// acl(5): lists as attributes, their effect on modes, and inheritance by new objects.
// acl_access_test.cc tests the access that they grant.

#include "tests/conformance/acl.h"

#include "tests/conformance/conformance.h"
#include "tests/conformance/mounts.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(AclLists);
CONFORMANCE_SUITE(AclInheritance);

const AclEntries kNamed = {
    {kUserObj, 6}, {kNamedUser, 7, 1001}, {kGroupObj, 4}, {kMaskTag, 5}, {kOther, 0}};

int GetErrno(const char* path, const char* name) {
  return lgetxattr(path, name, nullptr, 0) < 0 ? errno : 0;
}

TEST_P(AclLists, ASetListIsReadBackAndRewritesTheMode) {
  for (const Type type : TypesWithoutPrivilege()) {
    if (type == Type::kSymlink) continue;
    SCOPED_TRACE(ToString(type));
    MakeObject(type, "o");
    EXPECT_EQ(GetErrno("o", kAccess), ENODATA);
    const TimeWatch object("o");
    EXPECT_EQ(SetAcl("o", kAccess, kNamed), 0);
    EXPECT_EQ(object.Moved(), "c");
    EXPECT_EQ(GetAcl("o", kAccess), kNamed);
    // The group bits of the mode show the mask.
    EXPECT_EQ(Permissions("o"), 0650u);
    EXPECT_EQ(GetErrno("o", kDefault), ENODATA);
    ASSERT_EQ(remove("o"), 0);
  }
}

TEST_P(AclLists, AMinimalListSetsTheModeAndIsNotStored) {
  MakeFile("f", "", 0600);
  EXPECT_EQ(SetAcl("f", kAccess, {{kUserObj, 7}, {kGroupObj, 5}, {kOther, 4}}), 0);
  EXPECT_EQ(Permissions("f"), 0754u);
  EXPECT_EQ(GetErrno("f", kAccess), ENODATA);
  // A minimal list also replaces a larger one.
  ASSERT_EQ(SetAcl("f", kAccess, kNamed), 0);
  EXPECT_EQ(SetAcl("f", kAccess, {{kUserObj, 6}, {kGroupObj, 4}, {kOther, 4}}), 0);
  EXPECT_EQ(GetErrno("f", kAccess), ENODATA);
  EXPECT_EQ(Permissions("f"), 0644u);
}

TEST_P(AclLists, AListWithAMaskOnlyIsKept) {
  MakeFile("f");
  const AclEntries entries = {{kUserObj, 6}, {kGroupObj, 6}, {kMaskTag, 4}, {kOther, 4}};
  EXPECT_EQ(SetAcl("f", kAccess, entries), 0);
  EXPECT_EQ(GetAcl("f", kAccess), entries);
  EXPECT_EQ(Permissions("f"), 0644u);
}

TEST_P(AclLists, ChmodChangesTheMask) {
  MakeFile("f");
  ASSERT_EQ(SetAcl("f", kAccess, kNamed), 0);
  ASSERT_EQ(chmod("f", 0764), 0);
  EXPECT_EQ(GetAcl("f", kAccess),
            (AclEntries{
                {kUserObj, 7}, {kNamedUser, 7, 1001}, {kGroupObj, 4}, {kMaskTag, 6}, {kOther, 4}}));
  ASSERT_EQ(fchmod(Open("f", O_RDONLY).get(), 0000), 0);
  EXPECT_EQ(GetAcl("f", kAccess),
            (AclEntries{
                {kUserObj, 0}, {kNamedUser, 7, 1001}, {kGroupObj, 4}, {kMaskTag, 0}, {kOther, 0}}));
  EXPECT_EQ(Permissions("f"), 0u);
}

TEST_P(AclLists, RemovalLeavesTheMode) {
  MakeFile("f");
  ASSERT_EQ(SetAcl("f", kAccess, kNamed), 0);
  EXPECT_EQ(ErrnoOf(removexattr("f", kAccess)), 0);
  EXPECT_EQ(GetErrno("f", kAccess), ENODATA);
  EXPECT_EQ(Permissions("f"), 0650u);
  EXPECT_EQ(ErrnoOf(removexattr("f", kAccess)), 0) << "taking away what is not there succeeds";
  ASSERT_EQ(SetAcl("f", kAccess, kNamed), 0);
  EXPECT_EQ(SetAclBytes("f", kAccess, AclBytes({})), 0) << "as an empty list does";
  EXPECT_EQ(GetErrno("f", kAccess), ENODATA);
}

TEST_P(AclLists, DefaultListsAreForDirectories) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  EXPECT_EQ(SetAcl("d", kDefault, kNamed), 0);
  EXPECT_EQ(GetAcl("d", kDefault), kNamed);
  EXPECT_EQ(Permissions("d"), 0755u);
  EXPECT_EQ(GetErrno("d", kAccess), ENODATA);
  // A minimal default list is stored, because it overrides the umask.
  const AclEntries minimal = {{kUserObj, 7}, {kGroupObj, 5}, {kOther, 5}};
  EXPECT_EQ(SetAcl("d", kDefault, minimal), 0);
  EXPECT_EQ(GetAcl("d", kDefault), minimal);
  EXPECT_EQ(ErrnoOf(removexattr("d", kDefault)), 0);
  EXPECT_EQ(GetErrno("d", kDefault), ENODATA);
  for (const Type type : {Type::kFile, Type::kFifo, Type::kSocket}) {
    SCOPED_TRACE(ToString(type));
    MakeObject(type, "o");
    EXPECT_EQ(SetAcl("o", kDefault, kNamed), EACCES);
    EXPECT_EQ(GetErrno("o", kDefault), ENODATA);
    ASSERT_EQ(remove("o"), 0);
  }
}

TEST_P(AclLists, SymbolicLinksHaveNone) {
  ASSERT_EQ(symlink("f", "l"), 0);
  EXPECT_EQ(SetAcl("l", kAccess, kNamed), EOPNOTSUPP);
  EXPECT_EQ(SetAcl("l", kDefault, kNamed), EOPNOTSUPP);
  EXPECT_EQ(GetErrno("l", kAccess), EOPNOTSUPP);
  EXPECT_EQ(ErrnoOf(lremovexattr("l", kAccess)), EOPNOTSUPP);
}

TEST_P(AclLists, MalformedOnesAreRefused) {
  MakeFile("f");
  ASSERT_EQ(mkdir("d", 0755), 0);
  const AclEntry user = {kUserObj, 6}, group = {kGroupObj, 4}, other = {kOther, 4};
  const AclEntry mask = {kMaskTag, 7}, alice = {kNamedUser, 6, 1001};
  const struct {
    const char* name;
    std::string bytes;
    int error;
  } lists[] = {
      {"no owner", AclBytes({group, other}), EINVAL},
      {"no group", AclBytes({user, other}), EINVAL},
      {"no others", AclBytes({user, group}), EINVAL},
      {"a named user without a mask", AclBytes({user, alice, group, other}), EINVAL},
      {"two owners", AclBytes({user, user, group, other}), EINVAL},
      {"two masks", AclBytes({user, group, mask, mask, other}), EINVAL},
      {"out of order", AclBytes({group, user, other}), EINVAL},
      {"others before the mask", AclBytes({user, alice, group, other, mask}), EINVAL},
      {"an unknown tag", AclBytes({user, group, other, {0x40, 4}}), EINVAL},
      {"unknown permissions", AclBytes({{kUserObj, 8}, group, other}), EINVAL},
      {"a named user without an id", AclBytes({user, {kNamedUser, 6}, group, mask, other}), EINVAL},
      {"half an entry", AclBytes({user, group, other}) + "half", EINVAL},
      {"half a header", "ab", EINVAL},
      {"another version", AclBytes({user, group, other}, 1), EOPNOTSUPP},
  };
  for (const auto& list : lists) {
    SCOPED_TRACE(list.name);
    EXPECT_EQ(SetAclBytes("f", kAccess, list.bytes), list.error);
    EXPECT_EQ(SetAclBytes("d", kDefault, list.bytes), list.error);
  }
  EXPECT_EQ(Permissions("f"), 0644u);
  EXPECT_EQ(GetErrno("f", kAccess), ENODATA);
  EXPECT_EQ(GetErrno("d", kDefault), ENODATA);
}

TEST_P(AclLists, ManyEntries) {
  MakeFile("f");
  AclEntries entries = {{kUserObj, 6}};
  for (uint32_t i = 0; i < 400; ++i) entries.push_back({kNamedUser, 6, 5000 + i});
  entries.insert(entries.end(), {{kGroupObj, 4}, {kMaskTag, 7}, {kOther, 0}});
  EXPECT_EQ(SetAcl("f", kAccess, entries), 0);
  EXPECT_EQ(GetAcl("f", kAccess), entries);
  AclEntries more = entries;
  more.insert(more.begin() + 401, 200, {kNamedUser, 6, 9000});
  for (uint32_t i = 0; i < 200; ++i) more[401 + i].id = 9000 + i;
  // FUSE transfers ACLs in one page.
  EXPECT_EQ(SetAcl("f", kAccess, more), on_memfuse() ? E2BIG : 0);
}

TEST_P(AclLists, AreNotCopiedByRenameOrLink) {
  MakeFile("f");
  ASSERT_EQ(SetAcl("f", kAccess, kNamed), 0);
  ASSERT_EQ(link("f", "g"), 0);
  ASSERT_EQ(rename("f", "h"), 0);
  EXPECT_EQ(GetAcl("g", kAccess), kNamed);
  EXPECT_EQ(GetAcl("h", kAccess), kNamed);
  ASSERT_EQ(SetAcl("g", kAccess, {{kUserObj, 6}, {kGroupObj, 4}, {kOther, 4}}), 0);
  EXPECT_EQ(GetErrno("h", kAccess), ENODATA);
}

TEST_P(AclInheritance, FilesTakeTheDefaultCutToTheirMode) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  ASSERT_EQ(
      SetAcl("d", kDefault,
             {{kUserObj, 7}, {kNamedUser, 7, 1001}, {kGroupObj, 7}, {kMaskTag, 7}, {kOther, 5}}),
      0);
  umask(0077);
  const auto expect = [](const char* path) {
    SCOPED_TRACE(path);
    EXPECT_EQ(Permissions(path), 0664u) << "the umask does not count";
    EXPECT_EQ(
        GetAcl(path, kAccess),
        (AclEntries{
            {kUserObj, 6}, {kNamedUser, 7, 1001}, {kGroupObj, 7}, {kMaskTag, 6}, {kOther, 4}}));
    EXPECT_EQ(GetErrno(path, kDefault), ENODATA);
  };
  Open("d/open", O_CREAT | O_RDWR, 0666);
  expect("d/open");
  ASSERT_EQ(mknod("d/mknod", S_IFREG | 0666, 0), 0);
  expect("d/mknod");
  ASSERT_EQ(mkfifo("d/fifo", 0666), 0);
  expect("d/fifo");
  ASSERT_EQ(mknod("d/socket", S_IFSOCK | 0666, 0), 0);
  expect("d/socket");
  const UniqueFd unnamed = Open("d", O_TMPFILE | O_RDWR, 0666);
  ASSERT_EQ(linkat(AT_FDCWD, ("/proc/self/fd/" + std::to_string(unnamed.get())).c_str(), AT_FDCWD,
                   "d/tmpfile", AT_SYMLINK_FOLLOW),
            0);
  expect("d/tmpfile");
  ASSERT_EQ(symlink("x", "d/symlink"), 0);
  EXPECT_EQ(LStat("d/symlink").st_mode & 07777, 0777u);
}

TEST_P(AclInheritance, DirectoriesInheritTheDefault) {
  const AclEntries inherited = {
      {kUserObj, 7}, {kGroupObj, 7}, {kNamedGroup, 5, 2000}, {kMaskTag, 7}, {kOther, 5}};
  ASSERT_EQ(mkdir("d", 0755), 0);
  ASSERT_EQ(SetAcl("d", kDefault, inherited), 0);
  umask(0077);
  ASSERT_EQ(mkdir("d/e", 0750), 0);
  EXPECT_EQ(Permissions("d/e"), 0750u);
  EXPECT_EQ(GetAcl("d/e", kDefault), inherited);
  EXPECT_EQ(
      GetAcl("d/e", kAccess),
      (AclEntries{
          {kUserObj, 7}, {kGroupObj, 7}, {kNamedGroup, 5, 2000}, {kMaskTag, 5}, {kOther, 0}}));
  ASSERT_EQ(mkdir("d/e/f", 0777), 0);
  EXPECT_EQ(GetAcl("d/e/f", kDefault), inherited);
  EXPECT_EQ(Permissions("d/e/f"), 0775u);
}

TEST_P(AclInheritance, AMinimalDefaultSetsModesOnly) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  ASSERT_EQ(SetAcl("d", kDefault, {{kUserObj, 6}, {kGroupObj, 6}, {kOther, 2}}), 0);
  umask(0777);
  MakeFile("d/made");  // by open with 0600, then chmod
  Open("d/f", O_CREAT | O_RDWR, 0677);
  EXPECT_EQ(Permissions("d/f"), 0662u);
  EXPECT_EQ(GetErrno("d/f", kAccess), ENODATA);
  ASSERT_EQ(mkdir("d/e", 01777), 0);
  EXPECT_EQ(Permissions("d/e"), 01662u);
  EXPECT_EQ(GetAcl("d/e", kDefault).size(), 3u);
}

TEST_P(AclInheritance, AnAccessListIsNotInherited) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  ASSERT_EQ(
      SetAcl("d", kAccess,
             {{kUserObj, 7}, {kNamedUser, 7, 1001}, {kGroupObj, 7}, {kMaskTag, 7}, {kOther, 5}}),
      0);
  umask(0022);
  Open("d/f", O_CREAT | O_RDWR, 0666);
  EXPECT_EQ(Permissions("d/f"), 0644u);
  EXPECT_EQ(GetErrno("d/f", kAccess), ENODATA);
}

TEST_P(AclInheritance, TheUmaskAppliesAgainWithoutADefault) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  ASSERT_EQ(SetAcl("d", kDefault, kNamed), 0);
  ASSERT_EQ(removexattr("d", kDefault), 0);
  umask(0027);
  Open("d/f", O_CREAT | O_RDWR, 0666);
  EXPECT_EQ(Permissions("d/f"), 0640u);
  ASSERT_EQ(mkdir("d/e", 0777), 0);
  EXPECT_EQ(Permissions("d/e"), 0750u);
}

TEST_P(AclLists, SetfaclAndGetfaclWork) {
  ASSERT_EQ(mkdir("d", 0750), 0);
  OutputOf({"setfacl", "-m", "u:1001:rwx,g:2000:r-x,m::rwx", "d"});
  OutputOf({"setfacl", "-d", "-m", "u:1001:rw-", "d"});
  EXPECT_EQ(OutputOf({"getfacl", "-cn", "d"}),
            "user::rwx\nuser:1001:rwx\ngroup::r-x\ngroup:2000:r-x\nmask::rwx\nother::---\n"
            "default:user::rwx\ndefault:user:1001:rw-\ndefault:group::r-x\ndefault:mask::rwx\n"
            "default:other::---\n\n");
  MakeFile("d/f");
  EXPECT_EQ(OutputOf({"getfacl", "-cnE", "d/f"}),
            "user::rw-\nuser:1001:rw-\ngroup::r-x\nmask::r--\nother::r--\n\n");
  OutputOf({"setfacl", "-b", "d"});
  EXPECT_EQ(OutputOf({"getfacl", "-cn", "d"}), "user::rwx\ngroup::r-x\nother::---\n\n");
}

}  // namespace
}  // namespace memfuse::conformance
