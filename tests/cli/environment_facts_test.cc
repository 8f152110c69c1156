// The facts that doctor judges, read from text and from a made-up root.

#include "src/cli/environment_facts.h"

#include <gtest/gtest.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "tests/cli/temporary_directory.h"

namespace memfuse::cli {
namespace {

TEST(EnvironmentFactsTest, KernelVersion) {
  EXPECT_EQ(ParseKernelVersion("6.18.44-fc").major, 6);
  EXPECT_EQ(ParseKernelVersion("6.18.44-fc").minor, 18);
  EXPECT_EQ(ParseKernelVersion("6.1-rc2").minor, 1);
  EXPECT_EQ(ParseKernelVersion("none").major, 0);
  EXPECT_TRUE((KernelVersion{6, 9} < KernelVersion{6, 14}));
  EXPECT_FALSE((KernelVersion{7, 0} < KernelVersion{6, 14}));
}

TEST(EnvironmentFactsTest, HardLimitsAreTheSecondColumn) {
  const HardLimits limits = ParseHardLimits(
      "Limit                     Soft Limit           Hard Limit           Units\n"
      "Max cpu time              100                  1000                 seconds\n"
      "Max file size             unlimited            unlimited            bytes\n"
      "Max data size             1                    2                    bytes\n"
      "Max open files            1024                 4096                 files\n"
      "Max address space         3                    unlimited            bytes\n");
  EXPECT_EQ(limits.cpu_seconds, 1000u);
  EXPECT_EQ(limits.file_bytes, std::nullopt);
  EXPECT_EQ(limits.data_bytes, 2u);
  EXPECT_EQ(limits.descriptors, 4096u);
  EXPECT_EQ(limits.address_bytes, std::nullopt);
}

TEST(EnvironmentFactsTest, UserAllowOtherMustBeALineOfItsOwn) {
  EXPECT_TRUE(HasUserAllowOther("mount_max = 5\n  user_allow_other\n"));
  EXPECT_FALSE(HasUserAllowOther("#user_allow_other\n# user_allow_other - text\n"));
  EXPECT_FALSE(HasUserAllowOther(""));
}

TEST(EnvironmentFactsTest, EnforcedProfiles) {
  EXPECT_TRUE(EnforcesFusermount("a (enforce)\nfusermount3 (enforce)\n"));
  EXPECT_TRUE(EnforcesFusermount("/usr/bin/fusermount3 (enforce)"));
  EXPECT_FALSE(EnforcesFusermount("fusermount3 (complain)\nfusermount3-x (enforce)\n"));
}

class GatherTest : public testing::Test {
 protected:
  MachineFacts Gather() { return GatherMachineFacts(root_.path()); }

  TemporaryDirectory root_;
};

TEST_F(GatherTest, AnEmptyRootIsAMachineWithoutFeatures) {
  const MachineFacts facts = Gather();
  EXPECT_EQ(facts.uid, geteuid());
  EXPECT_FALSE(facts.device.in_kernel);
  EXPECT_FALSE(facts.user_allow_other);
  EXPECT_EQ(facts.has_passthrough, std::nullopt);
  EXPECT_EQ(facts.uring_switch, std::nullopt);
  EXPECT_FALSE(facts.uring_forbidden);
  EXPECT_FALSE(facts.userns_restricted);
  EXPECT_FALSE(facts.fusermount.has_profile);
  EXPECT_EQ(facts.memory.cgroup_limit, std::nullopt);
}

TEST_F(GatherTest, ReadsTheFilesOfTheKernelAndOfTheAdministrator) {
  utsname names = {};
  ASSERT_EQ(uname(&names), 0);
  root_.WriteFile("proc/filesystems", "nodev\ttmpfs\nnodev\tfuse\n");
  root_.WriteFile("etc/fuse.conf", "user_allow_other\n");
  root_.WriteFile(std::string("boot/config-") + names.release,
                  "CONFIG_FUSE_PASSTHROUGH=y\n# CONFIG_FUSE_IO_URING is not set\n");
  root_.WriteFile("sys/module/fuse/parameters/enable_uring", "Y\n");
  root_.WriteFile("proc/sys/kernel/io_uring_disabled", "2\n");
  root_.WriteFile("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
  root_.WriteFile("sys/kernel/security/apparmor/profiles", "fusermount3 (enforce)\n");
  root_.WriteFile("proc/self/limits", "Max cpu time  unlimited  7  seconds\n");
  root_.WriteFile("proc/self/cgroup", "0::/a\n");
  root_.WriteFile("proc/self/mountinfo", "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  root_.WriteFile("sys/fs/cgroup/a/memory.max", "8000000\n");
  const MachineFacts facts = Gather();
  EXPECT_TRUE(facts.device.in_kernel);
  EXPECT_TRUE(facts.user_allow_other);
  EXPECT_EQ(facts.has_passthrough, true);
  EXPECT_EQ(facts.has_uring, false);
  EXPECT_EQ(facts.uring_switch, true);
  EXPECT_TRUE(facts.uring_forbidden);
  EXPECT_TRUE(facts.userns_restricted);
  EXPECT_TRUE(facts.fusermount.has_profile);
  EXPECT_EQ(facts.limits.cpu_seconds, 7u);
  EXPECT_EQ(facts.memory.cgroup_limit, 8'000'000u);
}

TEST_F(GatherTest, UringForUnprivilegedProcesses) {
  const bool privileged = Gather().may_mount;
  root_.WriteFile("proc/sys/kernel/io_uring_disabled", "1\n");
  root_.WriteFile("proc/sys/kernel/io_uring_group", "-1\n");
  EXPECT_EQ(Gather().uring_forbidden, !privileged);
  root_.WriteFile("proc/sys/kernel/io_uring_group", std::to_string(getegid()) + "\n");
  EXPECT_FALSE(Gather().uring_forbidden);
}

// Installed, and the kernel's list of loaded profiles cannot be read.
TEST_F(GatherTest, AProfileThatIsInstalledAndNotDisabled) {
  root_.WriteFile("sys/module/apparmor/parameters/enabled", "Y\n");
  EXPECT_FALSE(Gather().fusermount.has_profile);
  root_.WriteFile("etc/apparmor.d/fusermount3", "");
  EXPECT_TRUE(Gather().fusermount.has_profile);
  root_.WriteFile("etc/apparmor.d/disable/fusermount3", "");
  EXPECT_FALSE(Gather().fusermount.has_profile);
}

TEST(MountPointFactsTest, DirectoriesAndWhatIsNone) {
  const TemporaryDirectory directory;
  const std::string empty = directory.MakeDirectory("empty");
  const std::string file = directory.WriteFile("full/file", "");
  EXPECT_TRUE(GatherMountPointFacts(empty).is_empty);
  EXPECT_EQ(GatherMountPointFacts(empty).error, 0);
  EXPECT_TRUE(GatherMountPointFacts(empty).below.has_value());
  EXPECT_FALSE(GatherMountPointFacts(empty).on_it.has_value());
  EXPECT_FALSE(GatherMountPointFacts(directory.path() + "/full").is_empty);
  EXPECT_FALSE(GatherMountPointFacts(file).is_directory);
  EXPECT_EQ(GatherMountPointFacts(directory.path() + "/none").error, ENOENT);
  EXPECT_EQ(GatherMountPointFacts(file + "/none").error, ENOTDIR);
  ASSERT_EQ(symlink(empty.c_str(), (directory.path() + "/link").c_str()), 0);
  EXPECT_EQ(GatherMountPointFacts(directory.path() + "/link").path, empty);
}

}  // namespace
}  // namespace memfuse::cli
