// xattr(7): permissions for each namespace, and the types of objects that support it.

#include <linux/capability.h>
#include <sys/xattr.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(XattrAccess);
ROOT_CONFORMANCE_SUITE(XattrAsRoot);

int Set(const char* path, const char* name) { return ErrnoOf(lsetxattr(path, name, "v", 1, 0)); }
int GetErrno(const char* path, const char* name) {
  char value[10];
  return ErrnoOf(lgetxattr(path, name, value, sizeof(value)));
}
int Remove(const char* path, const char* name) { return ErrnoOf(lremovexattr(path, name)); }
std::string ListOf(const char* path) {
  std::string list(1000, '\0');
  const ssize_t size = llistxattr(path, list.data(), list.size());
  list.resize(size < 0 ? 0 : static_cast<size_t>(size));
  return list;
}
bool Lists(const char* path, const std::string& name) {
  return ListOf(path).find(name) != std::string::npos;
}

TEST_P(XattrAccess, UserAttributesAreForFilesAndDirectories) {
  NEEDS_USER_ATTRIBUTES();
  for (const Type type : TypesWithoutPrivilege()) {
    SCOPED_TRACE(ToString(type));
    MakeObject(type, "o");
    const bool allowed = type == Type::kFile || type == Type::kDirectory;
    EXPECT_EQ(Set("o", "user.a"), allowed ? 0 : EPERM);
    EXPECT_EQ(GetErrno("o", "user.a"), allowed ? 0 : ENODATA);
    EXPECT_EQ(Remove("o", "user.a"), allowed ? 0 : EPERM);
    ASSERT_EQ(remove("o"), 0);
  }
}

TEST_P(XattrAsRoot, TrustedAndSecurityAttributesWorkOnEveryType) {
  for (const Type type : AllTypes()) {
    for (const char* name : {"trusted.a", "security.a"}) {
      SCOPED_TRACE(ToString(type) + " " + name);
      MakeObject(type, "o");
      EXPECT_EQ(GetErrno("o", name), ENODATA);
      EXPECT_EQ(Set("o", name), 0);
      EXPECT_EQ(GetErrno("o", name), 0);
      EXPECT_TRUE(Lists("o", name));
      EXPECT_EQ(Remove("o", name), 0);
      EXPECT_EQ(GetErrno("o", name), ENODATA);
      EXPECT_FALSE(Lists("o", name));
      ASSERT_EQ(remove("o"), 0);
    }
  }
  MakeFile("f");
  EXPECT_EQ(Set("f", "trusted."), EINVAL);
  EXPECT_EQ(Set("f", "security."), EINVAL);
}

TEST_P(XattrAsRoot, UserAttributesOfDevicesAreRefused) {
  for (const Type type : {Type::kCharDevice, Type::kBlockDevice}) {
    MakeObject(type, "o");
    EXPECT_EQ(Set("o", "user.a"), EPERM);
    EXPECT_EQ(GetErrno("o", "user.a"), ENODATA);
    ASSERT_EQ(remove("o"), 0);
  }
}

TEST_P(XattrAsRoot, TrustedAttributesAreInvisibleToUsers) {
  NEEDS_USER_ATTRIBUTES();
  MakeFile("f", "", 0666);
  ASSERT_EQ(chown("f", kAlice.uid, kAlice.gid), 0);
  ASSERT_EQ(Set("f", "trusted.a"), 0);
  ASSERT_EQ(Set("f", "user.a"), 0);
  EXPECT_EQ(As(kAlice, [] { return GetErrno("f", "trusted.a"); }), ENODATA);
  EXPECT_EQ(As(kAlice, [] { return Set("f", "trusted.a"); }), EPERM);
  EXPECT_EQ(As(kAlice, [] { return Remove("f", "trusted.a"); }), EPERM);
  EXPECT_EQ(As(kAlice, [] { return int{Lists("f", "trusted.a")}; }), 0);
  EXPECT_EQ(As(kAlice, [] { return int{Lists("f", "user.a")}; }), 1);
  EXPECT_TRUE(Lists("f", "trusted.a"));
  // The capability counts, not the user ID.
  const auto lists = [] { return int{Lists("f", "trusted.a")}; };
  EXPECT_EQ(WithCapabilities(kAlice, CapabilityBit(CAP_SYS_ADMIN), lists), 1);
  EXPECT_EQ(WithCapabilities(kRoot, CapabilityBit(CAP_DAC_OVERRIDE), lists), 0);
  EXPECT_EQ(WithCapabilities(kRoot, 0, lists), 0);
}

TEST_P(XattrAsRoot, SecurityAttributesAreSetByRootAndReadByAll) {
  MakeFile("f", "", 0000);
  ASSERT_EQ(chown("f", kAlice.uid, kAlice.gid), 0);
  // Before that version, a kernel with the BPF security module omits its own check.
  const bool checked = KernelAtLeast(6, 10);
  if (checked) {
    EXPECT_EQ(As(kAlice, [] { return Set("f", "security.a"); }), EPERM);
  }
  ASSERT_EQ(Set("f", "security.a"), 0);
  EXPECT_EQ(As(kBob, [] { return GetErrno("f", "security.a"); }), 0);
  if (checked) {
    EXPECT_EQ(As(kAlice, [] { return Remove("f", "security.a"); }), EPERM);
  }
  EXPECT_EQ(As(kBob, [] { return int{Lists("f", "security.a")}; }), 1);
}

TEST_P(XattrAsRoot, UserAttributesNeedThePermissionsOfTheData) {
  NEEDS_USER_ATTRIBUTES();
  for (const Type type : {Type::kFile, Type::kDirectory}) {
    SCOPED_TRACE(ToString(type));
    MakeObject(type, "o");
    ASSERT_EQ(Set("o", "user.a"), 0);
    ASSERT_EQ(chown("o", kAlice.uid, kShared), 0);
    const auto set = [] { return Set("o", "user.a"); };
    const auto get = [] { return GetErrno("o", "user.a"); };
    const auto remove_other = [] { return Remove("o", "user.b"); };
    ASSERT_EQ(chmod("o", 0640), 0);
    EXPECT_EQ(As(kAlice, set), 0);
    EXPECT_EQ(As(kBob, get), 0);
    EXPECT_EQ(As(kBob, set), EACCES);
    EXPECT_EQ(As(kBob, remove_other), EACCES);
    EXPECT_EQ(As(kStranger, get), EACCES);
    ASSERT_EQ(chmod("o", 0266), 0);
    EXPECT_EQ(As(kAlice, get), EACCES);
    EXPECT_EQ(As(kAlice, set), 0);
    EXPECT_EQ(As(kBob, set), 0);
    EXPECT_EQ(As(kStranger, remove_other), ENODATA);
    // listxattr(2) needs only search permission on the path.
    ASSERT_EQ(chmod("o", 0000), 0);
    EXPECT_EQ(As(kStranger, [] { return int{Lists("o", "user.a")}; }), 1);
    EXPECT_EQ(As(kAlice, get), EACCES);
    EXPECT_EQ(As(kRoot, set), 0);
    ASSERT_EQ(::remove("o"), 0);
  }
}

TEST_P(XattrAsRoot, InStickyDirectoriesUserAttributesAreForTheOwner) {
  NEEDS_USER_ATTRIBUTES();
  ASSERT_EQ(mkdir("s", 01777), 0);
  ASSERT_EQ(chown("s", kAlice.uid, kAlice.gid), 0);
  EXPECT_EQ(As(kBob, [] { return Set("s", "user.a"); }), EPERM);
  EXPECT_EQ(As(kAlice, [] { return Set("s", "user.a"); }), 0);
  EXPECT_EQ(As(kBob, [] { return GetErrno("s", "user.a"); }), 0);
  EXPECT_EQ(As(kBob, [] { return Remove("s", "user.a"); }), EPERM);
  ASSERT_EQ(chmod("s", 0777), 0);
  EXPECT_EQ(As(kBob, [] { return Set("s", "user.b"); }), 0);
  EXPECT_EQ(As(kBob, [] { return Remove("s", "user.a"); }), 0);
}

TEST_P(XattrAsRoot, NeedSearchOfThePath) {
  ASSERT_EQ(mkdir("d", 0700), 0);
  MakeFile("d/f", "", 0666);
  EXPECT_EQ(As(kAlice, [] { return Set("d/f", "user.a"); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return GetErrno("d/f", "user.a"); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(llistxattr("d/f", nullptr, 0)); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return Remove("d/f", "user.a"); }), EACCES);
}

TEST_P(XattrAsRoot, ADescriptorGrantsNoPermission) {
  MakeFile("f", "", 0644);
  const UniqueFd fd = Open("f", O_RDWR);
  EXPECT_EQ(As(kAlice, [&] { return ErrnoOf(fsetxattr(fd.get(), "user.a", "", 0, 0)); }), EACCES);
}

}  // namespace
}  // namespace memfuse::conformance
