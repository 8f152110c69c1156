// Directories: the operations that read, write and search permission each allow, for owner, group
// and others; and the effect of the caller's groups. open_permission_test.cc tests files.

#include <dirent.h>
#include <linux/capability.h>
#include <sys/syscall.h>

#include <cstdio>

#include "tests/conformance/conformance.h"
#include "tests/conformance/path_calls.h"

namespace memfuse::conformance {
namespace {

ROOT_CONFORMANCE_SUITE(Permission);

struct Role {
  const char* name;
  User user;
  int shift;
};
const Role kRoles[] = {
    {"owner", kAlice, 6},
    {"member by supplementary group", kBob, 3},
    {"member by primary group", {1004, kShared, {}}, 3},
    {"other", kStranger, 0},
};

TEST_P(Permission, EveryCallNeedsSearchPermission) {
  MakeDirectory("d");
  ASSERT_EQ(chown("d", kAlice.uid, kShared), 0);
  for (const PathCall& call : PathCalls()) {
    for (const Role& role : kRoles) {
      for (mode_t bits = 0; bits < 8; ++bits) {
        TRACE(call.name << " by " << role.name << " with " << bits);
        ASSERT_EQ(chmod("d", bits << role.shift), 0);
        MakeWanted(call, "d/x");
        if (call.wants != PathCall::Wants::kNothing) Give("d/x", role.user);
        const mode_t needed = call.writes_parent ? 3 : 1;
        EXPECT_EQ(As(role.user, [&] { return call.call("d/x"); }),
                  (bits & needed) == needed ? 0 : EACCES);
        if (unlink("d/x") != 0) rmdir("d/x");
      }
    }
  }
}

TEST_P(Permission, EveryDirectoryOnThePathIsChecked) {
  for (const char* path : {"a", "a/b", "a/b/c"}) MakeDirectory(path, 0777);
  for (const PathCall& call : PathCalls()) {
    for (const char* locked : {"a", "a/b", "a/b/c"}) {
      TRACE(call.name << " behind " << locked);
      MakeWanted(call, "a/b/c/x");
      ASSERT_EQ(chmod(locked, 0776), 0);
      EXPECT_EQ(As(kStranger, [&] { return call.call("a/b/c/x"); }), EACCES);
      EXPECT_EQ(As(kStranger, [&] { return call.call("a/b/c/missing"); }), EACCES);
      EXPECT_EQ(As(kStranger, [&] { return call.call("a/b/c/../c/x"); }), EACCES);
      ASSERT_EQ(chmod(locked, 0777), 0);
      if (unlink("a/b/c/x") != 0) rmdir("a/b/c/x");
    }
  }
}

TEST_P(Permission, ReadingListsAndSearchingFinds) {
  MakeDirectory("d");
  ASSERT_EQ(chown("d", kAlice.uid, kShared), 0);
  MakeFile("d/f", "", 0666);
  for (const Role& role : kRoles) {
    for (mode_t bits = 0; bits < 8; ++bits) {
      TRACE(role.name << " with " << bits);
      ASSERT_EQ(chmod("d", bits << role.shift), 0);
      const int listing = (bits & 4) != 0 ? 0 : EACCES;
      const int searching = (bits & 1) != 0 ? 0 : EACCES;
      EXPECT_EQ(As(role.user,
                   [] {
                     DIR* const dir = opendir("d");
                     if (dir == nullptr) return errno;
                     int entries = 0;
                     while (readdir(dir) != nullptr) ++entries;
                     closedir(dir);
                     return entries == 3 ? 0 : EIO;
                   }),
                listing);
      EXPECT_EQ(As(role.user, [] { return ErrnoOf(access("d/f", F_OK)); }), searching);
      EXPECT_EQ(As(role.user, [] { return ErrnoOf(access("d/.", F_OK)); }), searching);
      EXPECT_EQ(As(role.user, [] { return ErrnoOf(access("d/..", F_OK)); }), searching);
      EXPECT_EQ(As(role.user, [] { return ErrnoOf(chdir("d")); }), searching);
      // Access to the directory itself depends on its parent.
      EXPECT_EQ(As(role.user, [] { return ErrnoOf(access("d", F_OK)); }), 0);
    }
  }
}

TEST_P(Permission, IsCheckedAgainForADescriptor) {
  MakeDirectory("d", 0777);
  MakeFile("d/f", "", 0666);
  const UniqueFd fd = Open("d", O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(chmod("d", 0700), 0);
  EXPECT_EQ(As(kAlice, [&] { return ErrnoOf(openat(fd.get(), "f", O_RDONLY)); }), EACCES);
  EXPECT_EQ(As(kAlice, [&] { return ErrnoOf(unlinkat(fd.get(), "f", 0)); }), EACCES);
  EXPECT_EQ(As(kAlice, [&] { return ErrnoOf(fchdir(fd.get())); }), EACCES);
  ASSERT_EQ(chmod("d", 0711), 0);
  EXPECT_EQ(As(kAlice, [&] { return ErrnoOf(openat(fd.get(), "f", O_RDONLY)); }), 0);
}

TEST_P(Permission, IsCheckedAgainInTheWorkingDirectory) {
  MakeDirectory("d", 0755);
  MakeFile("d/f", "", 0644);
  ASSERT_EQ(chdir("d"), 0);
  ASSERT_EQ(chmod("../d", 0700), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(access("f", R_OK)); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(access("..", R_OK)); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(access(".", F_OK)); }), EACCES);
  ASSERT_EQ(chdir(".."), 0);
}

TEST_P(Permission, OfTheOwnerUsesTheOwnersBitsOnly) {
  MakeDirectory("d", 0077);
  ASSERT_EQ(chown("d", kAlice.uid, kShared), 0);
  MakeFile("d/f");
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(access("d/f", F_OK)); }), EACCES);
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(access("d/f", F_OK)); }), 0);
  ASSERT_EQ(chmod("d", 0707), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(access("d/f", F_OK)); }), 0);
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(access("d/f", F_OK)); }), EACCES);
  EXPECT_EQ(As(kStranger, [] { return ErrnoOf(access("d/f", F_OK)); }), 0);
}

TEST_P(Permission, OneOfManyGroupsIsEnough) {
  User many{1005, 1005, {}};
  for (gid_t gid = 5000; gid < 5100; ++gid) many.groups.push_back(gid);
  MakeFile("f", "", 0060);
  for (const gid_t gid : {5000, 5050, 5099}) {
    ASSERT_EQ(chown("f", 0, gid), 0);
    EXPECT_EQ(As(many, [] { return ErrnoOf(access("f", R_OK | W_OK)); }), 0);
  }
  ASSERT_EQ(chown("f", 0, 5100), 0);
  EXPECT_EQ(As(many, [] { return ErrnoOf(access("f", R_OK)); }), EACCES);
}

TEST_P(Permission, UsesTheFileSystemIds) {
  MakeFile("f", "", 0600);
  Give("f", kAlice);
  const auto with_fsuid = [](uid_t uid) {
    return InChild([uid] {
      syscall(SYS_setfsuid, uid);
      return ErrnoOf(open("f", O_RDONLY | O_CLOEXEC));
    });
  };
  EXPECT_EQ(with_fsuid(kAlice.uid), 0);
  EXPECT_EQ(with_fsuid(kBob.uid), EACCES);
}

// Root without capabilities has the permissions of an unprivileged user.
TEST_P(Permission, OfRootDependsOnCapabilities) {
  MakeFile("f", "", 0);
  Give("f", kAlice);
  MakeDirectory("d", 0700);
  Give("d", kAlice);
  const auto read_it = [] { return ErrnoOf(open("f", O_RDONLY | O_CLOEXEC)); };
  const auto write_it = [] { return ErrnoOf(open("f", O_WRONLY | O_CLOEXEC)); };
  const auto make_it = [] { return ErrnoOf(mkdir("d/n", 0755)); };
  const auto chmod_it = [] { return ErrnoOf(chmod("f", 0)); };
  const auto chown_it = [] { return ErrnoOf(chown("f", kBob.uid, -1)); };
  const auto device = [] { return ErrnoOf(mknod("n", S_IFCHR | 0600, 0x103)); };
  const auto noatime = [] { return ErrnoOf(open("d", O_RDONLY | O_NOATIME | O_CLOEXEC)); };
  EXPECT_EQ(WithCapabilities(kRoot, 0, read_it), EACCES);
  EXPECT_EQ(WithCapabilities(kRoot, 0, make_it), EACCES);
  EXPECT_EQ(WithCapabilities(kRoot, 0, chmod_it), EPERM);
  EXPECT_EQ(WithCapabilities(kRoot, 0, chown_it), EPERM);
  EXPECT_EQ(WithCapabilities(kRoot, 0, device), EPERM);
  for (const User& user : {kRoot, kStranger}) {
    TRACE(user.uid);
    const auto with = [&user](int capability, const std::function<int()>& call) {
      return WithCapabilities(user, CapabilityBit(capability), call);
    };
    EXPECT_EQ(with(CAP_DAC_READ_SEARCH, read_it), 0);
    EXPECT_EQ(with(CAP_DAC_READ_SEARCH, write_it), EACCES);
    EXPECT_EQ(with(CAP_DAC_READ_SEARCH, make_it), EACCES);
    EXPECT_EQ(with(CAP_DAC_READ_SEARCH, noatime), EPERM);
    EXPECT_EQ(with(CAP_DAC_OVERRIDE, write_it), 0);
    EXPECT_EQ(with(CAP_DAC_OVERRIDE, make_it), 0);
    EXPECT_EQ(with(CAP_DAC_OVERRIDE, chmod_it), EPERM);
    EXPECT_EQ(with(CAP_FOWNER, chmod_it), 0);
    EXPECT_EQ(with(CAP_FOWNER, chown_it), EPERM);
    EXPECT_EQ(with(CAP_MKNOD, device), 0);
    EXPECT_EQ(with(CAP_CHOWN, chown_it), 0);
    EXPECT_EQ(LStat("f").st_uid, kBob.uid);
    Give("f", kAlice);
    ASSERT_EQ(unlink("n"), 0);
    ASSERT_EQ(rmdir("d/n"), 0);
  }
}

TEST_P(Permission, CapFownerWorksInStickyDirectories) {
  MakeDirectory("s", 01777);
  MakeFile("s/f");
  Give("s/f", kAlice);
  const auto remove_it = [] { return ErrnoOf(unlink("s/f")); };
  EXPECT_EQ(WithCapabilities(kStranger, CapabilityBit(CAP_DAC_OVERRIDE), remove_it), EPERM);
  EXPECT_EQ(WithCapabilities(kStranger, CapabilityBit(CAP_FOWNER), remove_it), 0);
}

TEST_P(Permission, CapFsetidKeepsSetIdBits) {
  const auto write_it = [] {
    const UniqueFd fd(open("f", O_WRONLY | O_CLOEXEC));
    return ErrnoOf(write(fd.get(), "x", 1));
  };
  MakeFile("f", "content", 06777);
  EXPECT_EQ(WithCapabilities(kStranger, CapabilityBit(CAP_FSETID), write_it), 0);
  EXPECT_EQ(Permissions("f"), mode_t{06777});
  EXPECT_EQ(WithCapabilities(kRoot, CapabilityBit(CAP_DAC_OVERRIDE), write_it), 0);
  EXPECT_EQ(Permissions("f"), mode_t{0777});
  ASSERT_EQ(chown("f", 0, 4000), 0);
  const auto set_it = [] { return ErrnoOf(chmod("f", 02755)); };
  EXPECT_EQ(WithCapabilities(kRoot, 0, set_it), 0);
  EXPECT_EQ(Permissions("f"), mode_t{0755});
  EXPECT_EQ(WithCapabilities(kRoot, CapabilityBit(CAP_FSETID), set_it), 0);
  EXPECT_EQ(Permissions("f"), mode_t{02755});
}

TEST_P(Permission, CapFsetidKeepsSetgidAtAChangeOfOwner) {
  MakeFile("f");
  for (const User& user : {kRoot, kStranger}) {
    for (const bool fsetid : {false, true}) {
      for (const uid_t to : {static_cast<uid_t>(-1), uid_t{4000}}) {
        TRACE(user.uid << (fsetid ? " with" : " without") << " the capability, to " << to);
        ASSERT_EQ(chown("f", user.uid, 4000), 0);
        ASSERT_EQ(chmod("f", 06745), 0);
        const uint64_t capabilities =
            CapabilityBit(CAP_CHOWN) | (fsetid ? CapabilityBit(CAP_FSETID) : 0);
        EXPECT_EQ(WithCapabilities(user, capabilities, [&] { return ErrnoOf(chown("f", to, -1)); }),
                  0);
        EXPECT_EQ(Permissions("f"), fsetid ? mode_t{02745} : mode_t{0745});
      }
    }
  }
}

}  // namespace
}  // namespace memfuse::conformance
