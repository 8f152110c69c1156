// user_namespaces(7): the file system as seen and used from a user namespace whose root is an
// unprivileged user outside.

#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "tests/conformance/acl.h"
#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(FromANamespace);
ROOT_CONFORMANCE_SUITE(FromANamespaceAsRoot);

constexpr uid_t kOverflow = 65534;

int WriteText(const char* path, const std::string& text) {
  const UniqueFd fd(open(path, O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return errno;
  return ErrnoOf(write(fd.get(), text.data(), text.size()));
}

// Becomes root of a new user namespace that maps only the caller. 0 or an errno.
int BecomeRootInside() {
  const uid_t uid = geteuid();
  const gid_t gid = getegid();
  if (unshare(CLONE_NEWUSER) != 0) return errno;
  // A process that changed its user does not own its files in /proc, unless it sets
  // PR_SET_DUMPABLE.
  if (prctl(PR_SET_DUMPABLE, 1) != 0) return errno;
  if (const int error = WriteText("/proc/self/setgroups", "deny")) return error;
  if (const int error = WriteText("/proc/self/uid_map", "0 " + std::to_string(uid) + " 1")) {
    return error;
  }
  return WriteText("/proc/self/gid_map", "0 " + std::to_string(gid) + " 1");
}

// Runs `call` as the root of such a namespace; a failure to make one is returned as 10000 + errno.
int Inside(const std::function<int()>& call) {
  return InChild([&] {
    const int error = BecomeRootInside();
    return error != 0 ? 10000 + error : call();
  });
}
int Inside(const User& user, const std::function<int()>& call) {
  return As(user, [&] {
    const int error = BecomeRootInside();
    return error != 0 ? 10000 + error : call();
  });
}

TEST_P(FromANamespace, FilesOfTheMappedUserBelongToRootInside) {
  MakeFile("f", "content", 0600);
  EXPECT_EQ(Inside([] { return static_cast<int>(Stat("f").st_uid); }), 0);
  EXPECT_EQ(Inside([] { return static_cast<int>(Stat("f").st_gid); }), 0);
  EXPECT_EQ(Inside([] { return ReadFile("f") == "content" ? 0 : -1; }), 0);
  EXPECT_EQ(Inside([] { return ErrnoOf(mkdir("made", 0700)); }), 0);
  EXPECT_EQ(Stat("made").st_uid, geteuid());
  EXPECT_EQ(Stat("made").st_gid, getegid());
}

TEST_P(FromANamespace, UnmappedIdsCannotBeSet) {
  MakeFile("f");
  EXPECT_EQ(Inside([] { return ErrnoOf(chown("f", 0, 0)); }), 0);
  EXPECT_EQ(Inside([] { return ErrnoOf(chown("f", 5, -1)); }), EINVAL);
  EXPECT_EQ(Inside([] { return ErrnoOf(chown("f", -1, 5)); }), EINVAL);
  EXPECT_EQ(Stat("f").st_uid, geteuid());
}

TEST_P(FromANamespace, UserAttributesWork) {
  NEEDS_USER_ATTRIBUTES();
  MakeFile("f");
  EXPECT_EQ(Inside([] { return ErrnoOf(setxattr("f", "user.a", "1", 1, 0)); }), 0);
  EXPECT_EQ(getxattr("f", "user.a", nullptr, 0), 1);
}

TEST_P(FromANamespaceAsRoot, UnmappedOwnersAreShownAsOverflowIds) {
  MakeFile("root", "", 0644);
  MakeFile("bob", "", 0600);
  ASSERT_EQ(chown("bob", kBob.uid, kBob.gid), 0);
  EXPECT_EQ(Inside(kAlice, [] { return static_cast<int>(Stat("root").st_uid); }),
            static_cast<int>(kOverflow));
  EXPECT_EQ(Inside(kAlice, [] { return static_cast<int>(Stat("bob").st_gid); }),
            static_cast<int>(kOverflow));
  EXPECT_EQ(Inside(kAlice, [] { return ErrnoOf(open("bob", O_RDONLY)); }), EACCES);
  EXPECT_EQ(Inside(kAlice, [] { return ErrnoOf(open("root", O_WRONLY)); }), EACCES);
  EXPECT_EQ(Inside(kAlice, [] { return ErrnoOf(chmod("root", 0666)); }), EPERM);
  EXPECT_EQ(Inside(kAlice, [] { return ErrnoOf(chown("root", 0, 0)); }), EPERM);
  EXPECT_EQ(Inside(kAlice, [] { return ErrnoOf(utimensat(AT_FDCWD, "root", nullptr, 0)); }),
            EACCES);
}

TEST_P(FromANamespaceAsRoot, IsRootOverItsOwnFilesOnly) {
  MakeFile("f", "content", 0000);
  ASSERT_EQ(chown("f", kAlice.uid, kAlice.gid), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(open("f", O_RDWR)); }), EACCES);
  EXPECT_EQ(Inside(kAlice, [] { return ErrnoOf(open("f", O_RDWR)); }), 0);
  // The group has no mapping inside, so the inode is not accessible to capabilities of the
  // namespace.
  ASSERT_EQ(chown("f", kAlice.uid, kBob.gid), 0);
  EXPECT_EQ(Inside(kAlice, [] { return ErrnoOf(open("f", O_RDWR)); }), EACCES);
  EXPECT_EQ(Inside(kAlice, [] { return ErrnoOf(chmod("f", 0600)); }), 0) << "the owner";
  ASSERT_EQ(mkdir("s", 01777), 0);
  MakeFile("s/bob", "", 0666);
  ASSERT_EQ(chown("s/bob", kBob.uid, kBob.gid), 0);
  EXPECT_EQ(Inside(kAlice, [] { return ErrnoOf(unlink("s/bob")); }), EPERM);
}

TEST_P(FromANamespaceAsRoot, OperationsOfRealRootAlone) {
  MakeFile("f");
  ASSERT_EQ(chown("f", kAlice.uid, kAlice.gid), 0);
  ASSERT_EQ(setxattr("f", "trusted.a", "1", 1, 0), 0);
  EXPECT_EQ(Inside(kAlice, [] { return ErrnoOf(mknod("d", S_IFCHR | 0600, makedev(1, 3))); }),
            EPERM);
  EXPECT_EQ(Inside(kAlice, [] { return ErrnoOf(mknod("w", S_IFCHR, makedev(0, 0))); }), 0);
  EXPECT_EQ(Inside(kAlice, [] { return ErrnoOf(setxattr("f", "trusted.b", "1", 1, 0)); }), EPERM);
  EXPECT_EQ(Inside(kAlice, [] { return ErrnoOf(getxattr("f", "trusted.a", nullptr, 0)); }),
            ENODATA);
  EXPECT_EQ(Inside(kAlice,
                   [] {
                     std::string list(1000, '\0');
                     const ssize_t size = listxattr("f", list.data(), list.size());
                     list.resize(size < 0 ? 0 : static_cast<size_t>(size));
                     return list.find("trusted.") == std::string::npos ? 0 : 1;
                   }),
            0);
  // Before that version, a kernel with the BPF security module omits its own check.
  if (!KernelAtLeast(6, 10)) return;
  EXPECT_EQ(Inside(kAlice, [] { return ErrnoOf(setxattr("f", "security.a", "1", 1, 0)); }), EPERM);
}

TEST_P(FromANamespaceAsRoot, FileCapabilitiesBelongToTheNamespace) {
  MakeFile("f", "", 0755);
  ASSERT_EQ(chown("f", kAlice.uid, kAlice.gid), 0);
  vfs_cap_data data = {};
  data.magic_etc = VFS_CAP_REVISION_2;
  data.data[0].permitted = 1u << CAP_NET_RAW;
  EXPECT_EQ(
      Inside(kAlice,
             [&] {
               if (setxattr("f", "security.capability", &data, XATTR_CAPS_SZ_2, 0) != 0) {
                 return errno;
               }
               return getxattr("f", "security.capability", nullptr, 0) == XATTR_CAPS_SZ_2 ? 0 : -1;
             }),
      0);
  vfs_ns_cap_data outside = {};
  ASSERT_EQ(getxattr("f", "security.capability", &outside, sizeof(outside)), XATTR_CAPS_SZ_3);
  EXPECT_EQ(outside.magic_etc & VFS_CAP_REVISION_MASK, static_cast<uint32_t>(VFS_CAP_REVISION_3));
  EXPECT_EQ(outside.rootid, kAlice.uid);
}

TEST_P(FromANamespaceAsRoot, AclsAreTranslated) {
  MakeFile("f");
  ASSERT_EQ(chown("f", kAlice.uid, kAlice.gid), 0);
  EXPECT_EQ(
      Inside(kAlice,
             [] {
               return SetAcl(
                   "f", kAccess,
                   {{kUserObj, 6}, {kNamedUser, 6, 0}, {kGroupObj, 4}, {kMaskTag, 6}, {kOther, 0}});
             }),
      0);
  const AclEntries outside = GetAcl("f", kAccess);
  ASSERT_EQ(outside.size(), 5u);
  EXPECT_EQ(outside[1].id, kAlice.uid);
  EXPECT_EQ(Inside(kAlice,
                   [] {
                     const AclEntries entries = GetAcl("f", kAccess);
                     return entries.size() == 5 ? static_cast<int>(entries[1].id) : -1;
                   }),
            0);
  EXPECT_EQ(
      Inside(
          kAlice,
          [] {
            return SetAcl(
                "f", kAccess,
                {{kUserObj, 6}, {kNamedUser, 6, 77}, {kGroupObj, 4}, {kMaskTag, 6}, {kOther, 0}});
          }),
      EINVAL);
}

TEST_P(FromANamespaceAsRoot, OverlaysWithoutPrivilege) {
  NEEDS_USER_ATTRIBUTES();
  ASSERT_EQ(mkdir("o", 0755), 0);
  ASSERT_EQ(chown("o", kAlice.uid, kAlice.gid), 0);
  ASSERT_EQ(chdir("o"), 0);
  EXPECT_EQ(Inside(kAlice,
                   [] {
                     if (unshare(CLONE_NEWNS) != 0) return errno;
                     for (const char* name : {"lower", "lower/d", "upper", "work", "merged"}) {
                       if (mkdir(name, 0755) != 0) return errno;
                     }
                     MakeFile("lower/f", "low");
                     if (mount("overlay", "merged", "overlay", 0,
                               "lowerdir=lower,upperdir=upper,workdir=work,userxattr") != 0) {
                       return errno;
                     }
                     if (unlink("merged/f") != 0 || rmdir("merged/d") != 0) return errno;
                     if (mkdir("merged/d", 0755) != 0) return errno;
                     return getxattr("upper/d", "user.overlay.opaque", nullptr, 0) == 1 ? 0 : -1;
                   }),
            0);
  EXPECT_TRUE(S_ISCHR(LStat("upper/f").st_mode));
  EXPECT_EQ(LStat("upper/f").st_uid, kAlice.uid);
}

}  // namespace
}  // namespace memfuse::conformance
