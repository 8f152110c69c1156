// A directory seen through an idmapped mount: mount_setattr(2) with MOUNT_ATTR_IDMAP, as containers
// with a user namespace mount their volumes. For root.
//
// Each case has the directory "d" and, at "m", the same directory through a mount that maps user
// and group N of "d" to N + kShift, for N below kIds. Users of "d" from kIds on have no mapping at
// "m", and real users below kShift have no mapping in "d" when they access it through "m".

#ifndef MEMFUSE_TESTS_CONFORMANCE_IDMAPPED_MOUNT_H_
#define MEMFUSE_TESTS_CONFORMANCE_IDMAPPED_MOUNT_H_

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/conformance/mounts.h"

namespace memfuse::conformance {

inline constexpr uid_t kShift = 100000;
inline constexpr uid_t kIds = 65536;
inline constexpr uid_t kOverflowId = 65534;

// <linux/mount.h>, which does not go together with <sys/mount.h>, and <linux/capability.h>.
inline constexpr int kOpenTreeClone = 1;
inline constexpr int kMoveMountFromEmptyPath = 4;
struct MountAttributes {
  uint64_t set, clear, propagation, user_namespace;
};
inline constexpr uint64_t kMountAttributeIdmap = 0x00100000;

// The real user that the mount maps to this user of "d".
inline User Mapped(const User& user) {
  User mapped = {user.uid + kShift, user.gid + kShift, {}};
  for (const gid_t group : user.groups) mapped.groups.push_back(group + kShift);
  return mapped;
}

// A user namespace that maps its IDs 0 to kIds to those from kShift on outside.
inline UniqueFd MakeUserNamespace() {
  int ready[2];
  EXPECT_EQ(pipe2(ready, O_CLOEXEC), 0);
  const UniqueFd ready_end(ready[0]);
  const pid_t child = fork();
  if (child == 0) {
    const char result = unshare(CLONE_NEWUSER) == 0 ? 'y' : 'n';
    (void)!write(ready[1], &result, 1);
    for (;;) pause();
  }
  close(ready[1]);
  char result = 'n';
  EXPECT_EQ(read(ready_end.get(), &result, 1), 1);
  EXPECT_EQ(result, 'y') << "unshare(CLONE_NEWUSER)";
  const std::string process = "/proc/" + std::to_string(child);
  const std::string map = "0 " + std::to_string(kShift) + " " + std::to_string(kIds);
  for (const char* name : {"/uid_map", "/gid_map"}) {
    const UniqueFd fd = Open(process + name, O_WRONLY);
    EXPECT_EQ(write(fd.get(), map.data(), map.size()), static_cast<ssize_t>(map.size()));
  }
  UniqueFd user_namespace = Open(process + "/ns/user", O_RDONLY);
  kill(child, SIGKILL);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
  return user_namespace;
}

// Mounts `directory` at `place`, with the mapping of `user_namespace`. 0 or an errno.
inline int MountMapped(const std::string& directory, const std::string& place, int user_namespace) {
  const UniqueFd tree(static_cast<int>(
      syscall(SYS_open_tree, AT_FDCWD, directory.c_str(), kOpenTreeClone | O_CLOEXEC)));
  if (!tree.valid()) return errno;
  const MountAttributes attributes = {kMountAttributeIdmap, 0, 0,
                                      static_cast<uint64_t>(user_namespace)};
  if (syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) !=
      0) {
    return errno;
  }
  return ErrnoOf(
      syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, place.c_str(), kMoveMountFromEmptyPath));
}

class IdmappedMountTest : public Conformance {
 protected:
  void SetUp() override {
    Conformance::SetUp();
    MakeDirectory("d", 0777);
    MakeDirectory("m", 0777);
    mounts_ = std::make_unique<PrivateMounts>();
    user_namespace_ = MakeUserNamespace();
    // A bind mount of a directory, which the case enters through the mount: the working directory
    // is outside the mount.
    ASSERT_EQ(chdir(directory().c_str()), 0);
    ASSERT_EQ(MountMapped("d", "m", user_namespace_.get()), 0);
  }
  void TearDown() override {
    mounts_.reset();
    Conformance::TearDown();
  }

  // In the user namespace of the mapping, with all capabilities there for user 0.
  int Inside(const User& user, const std::function<int()>& call) const {
    return InChild([&] {
      if (setns(user_namespace_.get(), CLONE_NEWUSER) != 0) {
        std::perror("cannot enter the user namespace");
        std::abort();
      }
      // The change from user 0 of the namespace to another user clears the capabilities.
      if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0) return errno;
      return As(user, call);
    });
  }

 private:
  std::unique_ptr<PrivateMounts> mounts_;
  UniqueFd user_namespace_;
};

#define IDMAPPED_MOUNT_SUITE(Name)                                                         \
  class Name : public ::memfuse::conformance::IdmappedMountTest {};                        \
  GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Name);                                     \
  INSTANTIATE_TEST_SUITE_P(                                                                \
      On, Name,                                                                            \
      testing::ValuesIn(::memfuse::conformance::RunsAsRoot()                               \
                            ? ::memfuse::conformance::FileSystems()                        \
                            : std::vector<::memfuse::conformance::FileSystemUnderTest>()), \
      ::memfuse::conformance::NameOf)

struct OwnerIds {
  uid_t uid;
  gid_t gid;
  friend bool operator==(const OwnerIds& a, const OwnerIds& b) {
    return a.uid == b.uid && a.gid == b.gid;
  }
  friend std::ostream& operator<<(std::ostream& out, const OwnerIds& ids) {
    return out << ids.uid << ":" << ids.gid;
  }
};
inline OwnerIds Owner(const std::string& path) {
  const struct stat s = LStat(path);
  return {s.st_uid, s.st_gid};
}
inline OwnerIds IdsOf(const User& user) { return {user.uid, user.gid}; }

inline int OpenToRead(const char* path) { return ErrnoOf(open(path, O_RDONLY | O_CLOEXEC)); }

}  // namespace memfuse::conformance

#endif  // MEMFUSE_TESTS_CONFORMANCE_IDMAPPED_MOUNT_H_
