// capabilities(7): the file capabilities in security.capability, and the changes that remove them.

#include <linux/capability.h>
#include <sys/xattr.h>

#include "tests/conformance/conformance.h"
#include "tests/conformance/mounts.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Capability);
ROOT_CONFORMANCE_SUITE(CapabilityAsRoot);

constexpr char kName[] = "security.capability";

vfs_cap_data Grant(int capability) {
  vfs_cap_data data = {};
  data.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE;
  data.data[capability / 32].permitted = 1u << (capability % 32);
  return data;
}

void SetCapability(const char* path, int capability = CAP_NET_RAW) {
  const vfs_cap_data data = Grant(capability);
  ASSERT_EQ(setxattr(path, kName, &data, XATTR_CAPS_SZ_2, 0), 0) << strerror(errno);
}

bool HasCapability(const char* path) { return getxattr(path, kName, nullptr, 0) > 0; }

// Also for a file whose attribute the kernel does not let the caller read.
bool IsListed(const char* path) {
  char names[1024];
  const ssize_t size = listxattr(path, names, sizeof(names));
  return size > 0 && std::string(names, static_cast<size_t>(size)).find(kName) != std::string::npos;
}

TEST_P(Capability, AFreshFileHasNone) {
  MakeFile("f");
  EXPECT_EQ(ErrnoOf(getxattr("f", kName, nullptr, 0)), ENODATA);
}

TEST_P(CapabilityAsRoot, IsKeptAsItWasSet) {
  MakeFile("f", "content", 0755);
  SetCapability("f");
  vfs_cap_data read = {};
  ASSERT_EQ(getxattr("f", kName, &read, sizeof(read)), XATTR_CAPS_SZ_2);
  const vfs_cap_data set = Grant(CAP_NET_RAW);
  EXPECT_EQ(memcmp(&read, &set, XATTR_CAPS_SZ_2), 0);
  EXPECT_EQ(removexattr("f", kName), 0);
  EXPECT_FALSE(HasCapability("f"));
}

TEST_P(CapabilityAsRoot, OnlyWellFormedOnesAreTaken) {
  MakeFile("f");
  EXPECT_EQ(ErrnoOf(setxattr("f", kName, "garbage", 7, 0)), EINVAL);
  vfs_cap_data data = Grant(CAP_NET_RAW);
  data.magic_etc = 0x7f000000;
  EXPECT_EQ(ErrnoOf(setxattr("f", kName, &data, XATTR_CAPS_SZ_2, 0)), EINVAL);
}

TEST_P(CapabilityAsRoot, IsForThePrivileged) {
  MakeFile("f", "", 0777);
  ASSERT_EQ(chown("f", kAlice.uid, kAlice.gid), 0);
  const vfs_cap_data data = Grant(CAP_NET_RAW);
  EXPECT_EQ(As(kAlice, [&] { return ErrnoOf(setxattr("f", kName, &data, XATTR_CAPS_SZ_2, 0)); }),
            EPERM);
  SetCapability("f");
  // Before that version, a kernel with the BPF security module omits its own check.
  if (!KernelAtLeast(6, 10)) return;
  EXPECT_EQ(As(kAlice, [&] { return ErrnoOf(removexattr("f", kName)); }), EPERM);
  EXPECT_EQ(As(kBob, [&] { return int{HasCapability("f")}; }), 1);
}

TEST_P(CapabilityAsRoot, ChangesOfTheDataOrOfTheOwnerRemoveIt) {
  MakeFile("f", "content", 0777);
  const struct {
    const char* name;
    std::function<int()> call;
  } changes[] = {
      {"write", [] { return ErrnoOf(write(open("f", O_WRONLY | O_CLOEXEC), "x", 1)); }},
      {"append", [] { return ErrnoOf(write(open("f", O_WRONLY | O_APPEND), "x", 1)); }},
      {"truncate", [] { return ErrnoOf(truncate("f", 3)); }},
      {"truncate longer", [] { return ErrnoOf(truncate("f", 9000)); }},
      {"ftruncate", [] { return ErrnoOf(ftruncate(open("f", O_WRONLY), 5)); }},
      {"O_TRUNC", [] { return ErrnoOf(open("f", O_WRONLY | O_TRUNC)); }},
      {"fallocate", [] { return ErrnoOf(fallocate(open("f", O_WRONLY), 0, 0, 9000)); }},
      {"chown", [] { return ErrnoOf(chown("f", 5, 5)); }},
      {"chgrp", [] { return ErrnoOf(chown("f", -1, 6)); }},
  };
  for (const bool as_root : {true, false}) {
    for (const auto& change : changes) {
      const bool owner = strncmp(change.name, "ch", 2) == 0;
      if (!as_root && owner) continue;
      SCOPED_TRACE(std::string(change.name) + (as_root ? " as root" : " as a user"));
      SetCapability("f");
      EXPECT_EQ(As(as_root ? kRoot : kAlice, change.call), 0);
      EXPECT_FALSE(HasCapability("f"));
    }
  }
}

TEST_P(CapabilityAsRoot, OtherChangesKeepIt) {
  NEEDS_USER_ATTRIBUTES();
  MakeFile("f", "content", 0777);
  SetCapability("f");
  ASSERT_EQ(chmod("f", 0755), 0);
  ASSERT_EQ(utimensat(AT_FDCWD, "f", nullptr, 0), 0);
  ASSERT_EQ(link("f", "g"), 0);
  ASSERT_EQ(rename("f", "h"), 0);
  ASSERT_EQ(setxattr("h", "user.a", "", 0, 0), 0);
  ReadFile("h");
  EXPECT_TRUE(HasCapability("h"));
  EXPECT_TRUE(HasCapability("g"));
}

// An empty capability grants nothing, so changes do not remove it.
TEST_P(CapabilityAsRoot, AnEmptyOneStays) {
  MakeFile("f", "content", 0755);
  ASSERT_EQ(setxattr("f", kName, "", 0, 0), 0);
  ASSERT_EQ(truncate("f", 3), 0);
  EXPECT_TRUE(IsListed("f"));
  ASSERT_EQ(write(Open("f", O_WRONLY).get(), "x", 1), 1);
  EXPECT_TRUE(IsListed("f"));
  ASSERT_EQ(chown("f", kAlice.uid, kAlice.gid), 0);
  EXPECT_TRUE(IsListed("f"));
}

TEST_P(CapabilityAsRoot, WritingALotAndLittleByLittle) {
  MakeFile("f", "", 0777);
  const UniqueFd fd = Open("f", O_WRONLY);
  for (int i = 0; i < 20; ++i) {
    SetCapability("f");
    ASSERT_EQ(write(fd.get(), "x", 1), 1);
    EXPECT_FALSE(HasCapability("f"));
  }
}

TEST_P(CapabilityAsRoot, IsGrantedOnExecution) {
  ASSERT_EQ(Spawn({"/bin/cp", "/usr/bin/chown", "chown"}), 0);
  MakeFile("f");
  ASSERT_EQ(chmod("chown", 0755), 0);
  EXPECT_EQ(As(kAlice, [] { return Spawn({"./chown", "1001", "f"}) == 0 ? 0 : EPERM; }), EPERM);
  SetCapability("chown", CAP_CHOWN);
  EXPECT_EQ(As(kAlice, [] { return Spawn({"./chown", "1001", "f"}); }), 0);
  EXPECT_EQ(Stat("f").st_uid, kAlice.uid);
}

}  // namespace
}  // namespace memfuse::conformance
