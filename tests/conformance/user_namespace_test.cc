// Callers in their own user namespace. Root there is unprivileged for files whose owner the
// namespace does not map, and privileged for the others.

#include <sched.h>
#include <sys/prctl.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

ROOT_CONFORMANCE_SUITE(UserNamespace);

constexpr uid_t kOverflow = 65534;

bool WriteTo(const char* path, const std::string& text) {
  const UniqueFd fd(open(path, O_WRONLY | O_CLOEXEC));
  return fd.valid() &&
         write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Runs `call` as root of a namespace that maps root to Alice, with her primary group.
int AsAliceInANamespace(const std::function<int()>& call) {
  const User alice{kAlice.uid, kAlice.gid, {}};
  return As(alice, [&] {
    // Otherwise a process that changed its user does not own its files in /proc.
    prctl(PR_SET_DUMPABLE, 1);
    if (unshare(CLONE_NEWUSER) != 0 || !WriteTo("/proc/self/setgroups", "deny") ||
        !WriteTo("/proc/self/uid_map", "0 " + std::to_string(alice.uid) + " 1") ||
        !WriteTo("/proc/self/gid_map", "0 " + std::to_string(alice.gid) + " 1")) {
      return -1;
    }
    return call();
  });
}

TEST_P(UserNamespace, IdsAreTranslated) {
  MakeFile("root's");
  MakeFile("alice's");
  Give("alice's", kAlice);
  EXPECT_EQ(AsAliceInANamespace([] {
              struct stat s;
              if (stat("alice's", &s) != 0 || s.st_uid != 0 || s.st_gid != 0) return 1;
              if (stat("root's", &s) != 0 || s.st_uid != kOverflow || s.st_gid != kOverflow) {
                return 2;
              }
              if (mkdir("d", 0755) != 0 || stat("d", &s) != 0 || s.st_uid != 0) return 3;
              return ErrnoOf(open("f", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644)) == 0 ? 0 : 4;
            }),
            0);
  for (const char* path : {"d", "f"}) {
    EXPECT_EQ(LStat(path).st_uid, kAlice.uid);
    EXPECT_EQ(LStat(path).st_gid, kAlice.gid);
  }
}

TEST_P(UserNamespace, ItsRootIsPrivilegedForMappedFilesOnly) {
  MakeFile("root's", "", 0600);
  MakeFile("alice's", "", 0);
  Give("alice's", kAlice);
  MakeFile("group's", "", 0);  // her file, of a group that the namespace does not know
  ASSERT_EQ(chown("group's", kAlice.uid, kBob.gid), 0);
  EXPECT_EQ(AsAliceInANamespace([] { return ErrnoOf(open("alice's", O_RDWR | O_CLOEXEC)); }), 0);
  EXPECT_EQ(AsAliceInANamespace([] { return ErrnoOf(open("root's", O_RDONLY | O_CLOEXEC)); }),
            EACCES);
  EXPECT_EQ(AsAliceInANamespace([] { return ErrnoOf(open("group's", O_RDONLY | O_CLOEXEC)); }),
            EACCES);
  EXPECT_EQ(AsAliceInANamespace([] { return ErrnoOf(chmod("root's", 0666)); }), EPERM);
  EXPECT_EQ(AsAliceInANamespace([] { return ErrnoOf(chmod("group's", 0600)); }), 0);
  EXPECT_EQ(AsAliceInANamespace([] { return ErrnoOf(mknod("n", S_IFCHR | 0600, 0x103)); }), EPERM);
  EXPECT_EQ(AsAliceInANamespace([] { return ErrnoOf(mknod("w", S_IFCHR | 0600, 0)); }), 0);
}

TEST_P(UserNamespace, UnmappedIdsAreInvalid) {
  MakeFile("f");
  Give("f", kAlice);
  EXPECT_EQ(AsAliceInANamespace([] { return ErrnoOf(chown("f", 5, -1)); }), EINVAL);
  EXPECT_EQ(AsAliceInANamespace([] { return ErrnoOf(chown("f", -1, 5)); }), EINVAL);
  EXPECT_EQ(AsAliceInANamespace([] { return ErrnoOf(chown("f", 0, 0)); }), 0);
  MakeFile("root's");
  EXPECT_EQ(AsAliceInANamespace([] { return ErrnoOf(chown("root's", 0, 0)); }), EPERM);
  EXPECT_EQ(LStat("root's").st_uid, 0u);
}

TEST_P(UserNamespace, ItsCapabilitiesKeepNoSetIdBits) {
  const auto write_it = [] {
    const UniqueFd fd(open("f", O_WRONLY | O_CLOEXEC));
    return ErrnoOf(write(fd.get(), "x", 1));
  };
  MakeFile("f", "", 0666);
  ASSERT_EQ(chmod("f", 06777), 0);
  EXPECT_EQ(AsAliceInANamespace(write_it), 0);
  EXPECT_EQ(Permissions("f"), mode_t{0777});
  ASSERT_EQ(chown("f", kAlice.uid, kBob.gid), 0);
  ASSERT_EQ(chmod("f", 02766), 0);
  EXPECT_EQ(AsAliceInANamespace([] { return ErrnoOf(chown("f", -1, -1)); }), 0);
  EXPECT_EQ(Permissions("f"), mode_t{0766});
}

TEST_P(UserNamespace, StickyDirectoriesRestrictItsRoot) {
  MakeDirectory("s", 01777);
  MakeFile("s/root's");
  MakeFile("s/alice's");
  Give("s/alice's", kAlice);
  EXPECT_EQ(AsAliceInANamespace([] { return ErrnoOf(unlink("s/root's")); }), EPERM);
  EXPECT_EQ(AsAliceInANamespace([] { return ErrnoOf(unlink("s/alice's")); }), 0);
}

}  // namespace
}  // namespace memfuse::conformance
