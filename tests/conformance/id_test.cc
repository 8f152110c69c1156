// User and group IDs of 32 bits: credentials(7). 2^32-1 is not an ID.

#include "tests/conformance/acl.h"
#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

ROOT_CONFORMANCE_SUITE(Ids);

constexpr uint32_t kLast = 0xfffffffe;

TEST_P(Ids, EveryNumberIsKept) {
  for (const Type type : AllTypes()) {
    SCOPED_TRACE(ToString(type));
    MakeObject(type, "o");
    for (const uint32_t id : {0u, 1u, 65534u, 65535u, 65536u, 0x7fffffffu, 0x80000000u, kLast}) {
      EXPECT_EQ(ErrnoOf(lchown("o", id, kLast - id)), 0);
      EXPECT_EQ(LStat("o").st_uid, id);
      EXPECT_EQ(LStat("o").st_gid, kLast - id);
    }
    EXPECT_EQ(ErrnoOf(lchown("o", -1, -1)), 0);
    EXPECT_EQ(LStat("o").st_uid, kLast);
    EXPECT_EQ(LStat("o").st_gid, 0u);
    ASSERT_EQ(remove("o"), 0);
  }
}

TEST_P(Ids, NewObjectsBelongToTheirCreator) {
  const User last = {kLast, kLast - 1, {kLast - 2}};
  EXPECT_EQ(As(last, [] { return ErrnoOf(open("file", O_CREAT | O_RDWR, 0600)); }), 0);
  EXPECT_EQ(As(last, [] { return ErrnoOf(mkdir("directory", 0700)); }), 0);
  EXPECT_EQ(As(last, [] { return ErrnoOf(symlink("x", "symlink")); }), 0);
  EXPECT_EQ(As(last, [] { return ErrnoOf(mkfifo("fifo", 0600)); }), 0);
  for (const char* name : {"file", "directory", "symlink", "fifo"}) {
    EXPECT_EQ(LStat(name).st_uid, kLast) << name;
    EXPECT_EQ(LStat(name).st_gid, kLast - 1) << name;
  }
  EXPECT_EQ(As(last, [] { return ErrnoOf(open("file", O_RDWR)); }), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(open("file", O_RDWR)); }), EACCES);
  // The owner may set a group that it is in.
  EXPECT_EQ(As(last, [] { return ErrnoOf(chown("file", -1, kLast - 2)); }), 0);
  EXPECT_EQ(As(last, [] { return ErrnoOf(chown("file", -1, kLast - 3)); }), EPERM);
  EXPECT_EQ(LStat("file").st_gid, kLast - 2);
}

TEST_P(Ids, ObjectsInheritLargeGroupsOfSetgidDirectories) {
  ASSERT_EQ(mkdir("d", 0777), 0);
  ASSERT_EQ(chown("d", 0, kLast), 0);
  ASSERT_EQ(chmod("d", 02777), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(mkdir("d/e", 0755)); }), 0);
  EXPECT_EQ(LStat("d/e").st_gid, kLast);
}

TEST_P(Ids, AclsNameLargeIds) {
  MakeFile("f", "", 0600);
  const AclEntries entries = {{kUserObj, 6},           {kNamedUser, 4, kLast}, {kGroupObj, 0},
                              {kNamedGroup, 6, kLast}, {kMaskTag, 6},          {kOther, 0}};
  ASSERT_EQ(SetAcl("f", kAccess, entries), 0);
  EXPECT_EQ(GetAcl("f", kAccess), entries);
  EXPECT_EQ(As({kLast, 1, {}}, [] { return ErrnoOf(open("f", O_RDONLY)); }), 0);
  EXPECT_EQ(As({kLast, 1, {}}, [] { return ErrnoOf(open("f", O_RDWR)); }), EACCES);
  EXPECT_EQ(As({5, kLast, {}}, [] { return ErrnoOf(open("f", O_RDWR)); }), 0);
}

}  // namespace
}  // namespace memfuse::conformance
