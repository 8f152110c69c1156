#include "src/base/caller.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <vector>

#include "tests/testing/child_process.h"

namespace memfuse::base {
namespace {

using test::ForkIntoPidNamespace;
using test::ForkIntoUserNamespace;
using test::SetCapabilities;
using test::WithChild;

constexpr uint32_t kNobodysGroup = 0xfffffff0;

uint32_t Self() { return static_cast<uint32_t>(getpid()); }

TEST(Caller, KnowsTheUserAndTheGroupsOfThisThread) {
  std::vector<gid_t> groups(static_cast<size_t>(getgroups(0, nullptr)));
  ASSERT_GE(getgroups(static_cast<int>(groups.size()), groups.data()), 0);
  groups.push_back(getegid());
  const std::optional<Caller> self = Caller::Find(Self());
  ASSERT_TRUE(self.has_value());
  EXPECT_EQ(self->uid(), geteuid());
  for (const gid_t group : groups) EXPECT_TRUE(self->InGroup(group)) << group;
  EXPECT_FALSE(self->InGroup(kNobodysGroup));
}

TEST(Caller, UsesTheFileSystemIds) {
  if (geteuid() != 0) return;  // only root can become another user
  WithChild(
      [] {
        const gid_t group = 77;
        return setgroups(1, &group) == 0 && setfsgid(1002) >= 0 && setfsuid(1001) >= 0;
      },
      [](uint32_t child) {
        const std::optional<Caller> caller = Caller::Find(child);
        ASSERT_TRUE(caller.has_value());
        EXPECT_EQ(caller->uid(), 1001u);
        EXPECT_TRUE(caller->InGroup(1002));
        EXPECT_TRUE(caller->InGroup(77));
        EXPECT_FALSE(caller->InGroup(0));
      });
}

TEST(Caller, KnowsWhichCapabilitiesAreInEffect) {
  const bool root = geteuid() == 0;
  const uint32_t kept = root ? uint32_t{1} << CAP_FSETID : 0;
  WithChild([kept] { return SetCapabilities(kept); },
            [root](uint32_t child) {
              const std::optional<Caller> caller = Caller::Find(child);
              ASSERT_TRUE(caller.has_value());
              EXPECT_EQ(caller->HasCapability(CAP_FSETID), root);
              EXPECT_EQ(caller->HasCapabilityAtHome(CAP_FSETID), root);
              EXPECT_FALSE(caller->HasCapability(CAP_CHOWN));
              EXPECT_FALSE(caller->HasCapabilityAtHome(CAP_CHOWN));
            });
}

TEST(Caller, HasNoCapabilityHereFromAnotherUserNamespace) {
  WithChild([] { return true; },
            [](uint32_t child) {
              const std::optional<Caller> caller = Caller::Find(child);
              ASSERT_TRUE(caller.has_value());
              EXPECT_FALSE(caller->HasCapability(CAP_FSETID));
              EXPECT_TRUE(caller->HasCapabilityAtHome(CAP_FSETID));
            },
            ForkIntoUserNamespace);
}

// The kernel does not show the user namespace of root's thread to an unprivileged daemon.
TEST(Caller, IsFoundByADaemonThatMayNotPtraceIt) {
  if (geteuid() != 0) return;  // only root can become another user
  const uint32_t root = Self();
  WithChild(
      [root] {
        if (setresuid(1001, 1001, 1001) != 0) return false;
        const std::optional<Caller> caller = Caller::Find(root);
        return caller.has_value() && caller->HasCapability(CAP_SYS_ADMIN);
      },
      [](uint32_t) {});
}

TEST(Caller, IsNotFoundWithoutAPidOrAProcess) {
  EXPECT_FALSE(Caller::Find(0).has_value());
  const pid_t child = fork();
  if (child == 0) _exit(0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(Caller::Find(static_cast<uint32_t>(child)).has_value());
}

// PID 1 is the child in its own namespace, and another process in the /proc that the child sees.
TEST(Caller, IsNotLookedForInAnotherPidNamespace) {
  if (geteuid() != 0) return;  // only root makes PID namespaces
  WithChild([] { return getpid() == 1 && !Caller::Find(1).has_value(); }, [](uint32_t) {},
            ForkIntoPidNamespace);
}

}  // namespace
}  // namespace memfuse::base
