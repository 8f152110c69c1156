// Idmapped mounts: set-id bits, file capabilities and ACLs.

#include <linux/capability.h>
#include <sys/xattr.h>

#include <cstdlib>
#include <cstring>

#include "tests/conformance/acl.h"
#include "tests/conformance/idmapped_mount.h"

namespace memfuse::conformance {
namespace {

IDMAPPED_MOUNT_SUITE(IdmappedPrivileges);

TEST_P(IdmappedPrivileges, AWriteClearsSetIdBits) {
  const auto mode_after = [](mode_t mode, const std::function<int()>& write_it) {
    MakeFile("d/f", "content");
    EXPECT_EQ(chown("d/f", kAlice.uid, kShared), 0);
    EXPECT_EQ(chmod("d/f", mode), 0);
    EXPECT_EQ(write_it(), 0);
    const mode_t after = Permissions("d/f");
    EXPECT_EQ(Permissions("m/f"), after);
    EXPECT_EQ(unlink("d/f"), 0);
    return after;
  };
  const auto write_one = [] {
    const UniqueFd fd(open("m/f", O_WRONLY | O_CLOEXEC));
    return ErrnoOf(write(fd.get(), "x", 1));
  };
  const auto cut = [] { return ErrnoOf(truncate("m/f", 1)); };
  for (const bool cuts : {false, true}) {
    const std::function<int()> change = cuts ? std::function<int()>(cut) : write_one;
    for (const User& user : {kAlice, kBob, kStranger}) {
      TRACE(user.uid);
      EXPECT_EQ(mode_after(06777, [&] { return As(Mapped(user), change); }), 0777u);
      EXPECT_EQ(mode_after(04666, [&] { return As(Mapped(user), change); }), 0666u);
      EXPECT_EQ(mode_after(06777, [&] { return Inside(user, change); }), 0777u);
    }
    EXPECT_EQ(mode_after(06777, [&] { return As(kRoot, change); }), 06777u);
    EXPECT_EQ(mode_after(06777, [&] { return Inside(kRoot, change); }), 0777u);
    // Without group execute permission, the bit depends on the membership in the group. The kernel
    // sends a FUSE server neither the mapping nor its own decision about the group, so the server
    // clears the bit for a member, too. With passthrough the kernel requests the change only for a
    // caller outside the group.
    const mode_t for_members = daemon_serves_data() || (on_memfuse() && cuts) ? 0766 : 02766;
    EXPECT_EQ(mode_after(02766, [&] { return As(Mapped(kStranger), change); }), 0766u);
    EXPECT_EQ(mode_after(02766, [&] { return Inside(kStranger, change); }), 0766u);
    EXPECT_EQ(mode_after(02766, [&] { return As(Mapped(kBob), change); }), for_members);
    EXPECT_EQ(mode_after(02766, [&] { return Inside(kBob, change); }), for_members);
  }
}

TEST_P(IdmappedPrivileges, AChangeOfOwnerClearsSetIdBits) {
  const auto mode_after = [](mode_t mode, const std::function<int()>& change) {
    MakeFile("d/f");
    EXPECT_EQ(chown("d/f", kAlice.uid, kShared), 0);
    EXPECT_EQ(chmod("d/f", mode), 0);
    EXPECT_EQ(change(), 0);
    const mode_t after = Permissions("d/f");
    EXPECT_EQ(unlink("d/f"), 0);
    return after;
  };
  const auto give = [&](mode_t mode, uid_t uid) {
    return mode_after(mode, [=] { return ErrnoOf(chown("m/f", uid, uid)); });
  };
  EXPECT_EQ(give(06755, kShift + kBob.uid), 0755u);
  EXPECT_EQ(give(06745, kShift + kBob.uid), 02745u);
  EXPECT_EQ(give(02745, kShift + kAlice.uid), 02745u);
  const auto give_inside = [&](mode_t mode, uid_t uid) {
    return mode_after(
        mode, [=] { return Inside(kRoot, [=] { return ErrnoOf(chown("m/f", uid, uid)); }); });
  };
  EXPECT_EQ(give_inside(06755, kBob.uid), 0755u);
  EXPECT_EQ(give_inside(06745, kBob.uid), 02745u);
  EXPECT_EQ(give_inside(02745, kAlice.uid), 02745u);
}

TEST_P(IdmappedPrivileges, ASetUserIdProgramRunsAsTheMappedOwner) {
  MakeFile("d/id", ReadFile("/usr/bin/id"), 0755);
  Give("d/id", kAlice);
  ASSERT_EQ(chmod("d/id", 06755), 0);
  const auto shows = [](const std::string& option, uid_t id) {
    return OutputOf({"m/id", option}) == std::to_string(id) + "\n" ? 0 : 1;
  };
  EXPECT_EQ(As(Mapped(kBob), [&] { return shows("-u", kAlice.uid + kShift); }), 0);
  EXPECT_EQ(As(Mapped(kBob), [&] { return shows("-g", kAlice.gid + kShift); }), 0);
  EXPECT_EQ(As(kRoot, [&] { return shows("-u", kAlice.uid + kShift); }), 0);
  EXPECT_EQ(Inside(kBob, [&] { return shows("-u", kAlice.uid); }), 0);
  EXPECT_EQ(Inside(kBob, [&] { return shows("-g", kAlice.gid); }), 0);
  // If the owner has no mapping, no user has the owner's rights.
  ASSERT_EQ(chown("d/id", kIds, kIds), 0);
  ASSERT_EQ(chmod("d/id", 06755), 0);
  EXPECT_EQ(As(Mapped(kBob), [&] { return shows("-u", kBob.uid + kShift); }), 0);
}

std::string Capability(const std::string& path) {
  char bytes[64];
  const ssize_t size = getxattr(path.c_str(), "security.capability", bytes, sizeof(bytes));
  return size < 0 ? strerror(errno) : std::string(bytes, static_cast<size_t>(size));
}

// VFS_CAP_REVISION_2, or _3 with the root user of the namespace in which it is valid.
std::string CapabilityBytes(uint32_t capability, const uint32_t* root = nullptr) {
  uint32_t words[6] = {root == nullptr ? 0x02000001u : 0x03000001u,
                       uint32_t{1} << capability,
                       0,
                       0,
                       0,
                       root == nullptr ? 0u : *root};
  return std::string(reinterpret_cast<const char*>(words), root == nullptr ? 20 : 24);
}

TEST_P(IdmappedPrivileges, FileCapabilitiesCountInTheMappedNamespace) {
  MakeFile("d/cat", ReadFile("/bin/cat"), 0755);
  const auto set = [] {
    const std::string bytes = CapabilityBytes(CAP_NET_RAW);
    return ErrnoOf(setxattr("m/cat", "security.capability", bytes.data(), bytes.size(), 0));
  };
  const auto is_effective = [] {
    const std::string status = OutputOf({"m/cat", "/proc/self/status"});
    const size_t at = status.find("CapEff:");
    const uint64_t effective = std::strtoull(status.c_str() + at + 7, nullptr, 16);
    return (effective & CapabilityBit(CAP_NET_RAW)) != 0 ? 0 : 1;
  };
  // The root of the namespace sets it: it belongs to user 0 of "d", which is kShift at "m".
  EXPECT_EQ(Inside(kAlice, set), EPERM);
  EXPECT_EQ(Inside(kRoot, set), 0);
  const uint32_t mapped_root = kShift;
  EXPECT_EQ(Capability("m/cat"), CapabilityBytes(CAP_NET_RAW, &mapped_root));
  EXPECT_EQ(Capability("d/cat"), CapabilityBytes(CAP_NET_RAW));
  EXPECT_EQ(
      Inside(kAlice, [&] { return Capability("m/cat") == CapabilityBytes(CAP_NET_RAW) ? 0 : 1; }),
      0);
  EXPECT_EQ(Inside(kAlice, is_effective), 0);
  EXPECT_EQ(As(kStranger, is_effective), 1) << "not outside of the namespace";
  // A write removes it.
  ASSERT_EQ(chmod("d/cat", 0777), 0);
  EXPECT_EQ(Inside(kAlice,
                   [] {
                     const UniqueFd fd(open("m/cat", O_WRONLY | O_APPEND | O_CLOEXEC));
                     return ErrnoOf(write(fd.get(), "x", 1));
                   }),
            0);
  EXPECT_EQ(Capability("d/cat"), strerror(ENODATA));
}

AclEntries WithNamed(uint16_t tag, uint32_t id) {
  return {{kUserObj, 6}, {tag, 6, id}, {kGroupObj, 0}, {kMaskTag, 6}, {kOther, 0}};
}
AclEntries WithNamedGroup(uint32_t id) {
  return {{kUserObj, 6}, {kGroupObj, 0}, {kNamedGroup, 6, id}, {kMaskTag, 6}, {kOther, 0}};
}

TEST_P(IdmappedPrivileges, AccessAclsAreMapped) {
  MakeFile("d/f", "", 0600);
  ASSERT_EQ(SetAcl("m/f", kAccess, WithNamed(kNamedUser, kBob.uid + kShift)), 0);
  EXPECT_EQ(GetAcl("d/f", kAccess), WithNamed(kNamedUser, kBob.uid));
  EXPECT_EQ(GetAcl("m/f", kAccess), WithNamed(kNamedUser, kBob.uid + kShift));
  EXPECT_EQ(As(Mapped(kBob), [] { return OpenToRead("m/f"); }), 0);
  EXPECT_EQ(As(kBob, [] { return OpenToRead("m/f"); }), EACCES);
  EXPECT_EQ(As(kBob, [] { return OpenToRead("d/f"); }), 0);
  EXPECT_EQ(Inside(kBob, [] { return OpenToRead("m/f"); }), 0);
  ASSERT_EQ(SetAcl("d/f", kAccess, WithNamedGroup(kShared)), 0);
  EXPECT_EQ(GetAcl("m/f", kAccess), WithNamedGroup(kShared + kShift));
  EXPECT_EQ(As(Mapped(kAlice), [] { return OpenToRead("m/f"); }), 0);
  EXPECT_EQ(As(Mapped(kStranger), [] { return OpenToRead("m/f"); }), EACCES);
  // By the owner, with the IDs of the namespace.
  Give("d/f", kAlice);
  EXPECT_EQ(Inside(kAlice, [] { return SetAcl("m/f", kAccess, WithNamed(kNamedUser, kBob.uid)); }),
            0);
  EXPECT_EQ(GetAcl("d/f", kAccess), WithNamed(kNamedUser, kBob.uid));
  EXPECT_EQ(Inside(kStranger, [] { return SetAcl("m/f", kAccess, WithNamed(kNamedUser, 5)); }),
            EPERM);
}

TEST_P(IdmappedPrivileges, DefaultAclsAreInheritedMapped) {
  MakeDirectory("d/s", 0777);
  ASSERT_EQ(SetAcl("m/s", kDefault,
                   {{kUserObj, 7},
                    {kNamedUser, 6, kBob.uid + kShift},
                    {kGroupObj, 5},
                    {kMaskTag, 7},
                    {kOther, 0}}),
            0);
  EXPECT_EQ(As(Mapped(kAlice), [] { return ErrnoOf(open("m/s/f", O_CREAT | O_WRONLY, 0660)); }), 0);
  EXPECT_EQ(As(Mapped(kAlice), [] { return ErrnoOf(mkdir("m/s/e", 0770)); }), 0);
  EXPECT_EQ(Owner("d/s/f"), IdsOf(kAlice));
  EXPECT_EQ(
      GetAcl("d/s/f", kAccess),
      (AclEntries{
          {kUserObj, 6}, {kNamedUser, 6, kBob.uid}, {kGroupObj, 5}, {kMaskTag, 6}, {kOther, 0}}));
  EXPECT_EQ(GetAcl("m/s/e", kDefault), (AclEntries{{kUserObj, 7},
                                                   {kNamedUser, 6, kBob.uid + kShift},
                                                   {kGroupObj, 5},
                                                   {kMaskTag, 7},
                                                   {kOther, 0}}));
  EXPECT_EQ(As(Mapped(kBob), [] { return OpenToRead("m/s/f"); }), 0);
  EXPECT_EQ(As(Mapped(kStranger), [] { return OpenToRead("m/s/f"); }), EACCES);
}

// setfacl -m and -b by an owner outside the group, by the root of the namespace, and by real root.
TEST_P(IdmappedPrivileges, AclsAndTheSetGroupBit) {
  const auto mode_after = [](const std::function<int()>& change) {
    MakeFile("d/f", "", 0600);
    EXPECT_EQ(chown("d/f", kStranger.uid, kShared), 0);
    EXPECT_EQ(chmod("d/f", 02770), 0);
    EXPECT_EQ(change(), 0);
    const mode_t after = Permissions("d/f");
    EXPECT_EQ(unlink("d/f"), 0);
    return after & S_ISGID;
  };
  const auto set = [] {
    return SetAcl("m/f", kAccess, {{kUserObj, 7}, {kGroupObj, 7}, {kOther, 0}});
  };
  const auto remove = [] { return ErrnoOf(removexattr("m/f", kAccess)); };
  for (const std::function<int()>& change : std::vector<std::function<int()>>{set, remove}) {
    EXPECT_EQ(mode_after([&] { return As(Mapped(kStranger), change); }), 0u);
    EXPECT_EQ(mode_after([&] { return Inside(kStranger, change); }), 0u);
    EXPECT_EQ(mode_after([&] { return Inside(kRoot, change); }), mode_t{S_ISGID});
    EXPECT_EQ(mode_after([&] { return As(kRoot, change); }), mode_t{S_ISGID});
  }
}

}  // namespace
}  // namespace memfuse::conformance
