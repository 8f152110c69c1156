// The checks of the machine: each is shown facts that it must object to.

#include "src/cli/doctor_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "tests/cli/doctor_facts.h"

namespace memfuse::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

// The only finding of a check.
template <typename Check, typename... Arguments>
Finding OnlyOf(Check check, const Arguments&... arguments) {
  Findings findings;
  check(arguments..., &findings);
  EXPECT_THAT(findings, SizeIs(1));
  return findings.at(0);
}

void ExpectFinding(const Finding& finding, Verdict verdict, const std::string& found,
                   const std::string& advice) {
  EXPECT_EQ(finding.verdict, verdict) << finding.found;
  EXPECT_THAT(finding.found, HasSubstr(found));
  EXPECT_THAT(finding.advice, HasSubstr(advice));
}

TEST(DoctorMachineTest, NothingIsWrongWithAGoodMachine) {
  for (const MachineFacts& machine : {GoodRoot(), GoodUser()}) {
    const Findings findings = ExamineMachine(machine, {});
    EXPECT_EQ(StatusOf(findings), 0);
    for (const Finding& finding : findings) {
      EXPECT_TRUE(absl::EndsWith(finding.found, ".")) << finding.found;
      EXPECT_EQ(finding.advice.empty(), finding.verdict == Verdict::kOk) << finding.check;
    }
  }
  for (const Finding& finding : ExamineMachine(GoodRoot(), {})) {
    EXPECT_EQ(finding.verdict, Verdict::kOk) << finding.found;
  }
}

TEST(DoctorMachineTest, TheWorstFindingDecidesTheStatus) {
  EXPECT_EQ(StatusOf({}), 0);
  EXPECT_EQ(StatusOf({{"a", Verdict::kNote, "", ""}}), 0);
  EXPECT_EQ(StatusOf({{"a", Verdict::kWarning, "", ""}, {"b", Verdict::kOk, "", ""}}), 1);
  EXPECT_EQ(StatusOf({{"a", Verdict::kProblem, "", ""}, {"b", Verdict::kWarning, "", ""}}), 2);
}

TEST(DoctorMachineTest, Device) {
  MachineFacts machine = GoodUser();
  machine.device = {ENOENT, false, false, 0, false};
  ExpectFinding(OnlyOf(CheckDevice, machine), Verdict::kProblem, "the module fuse is not loaded",
                "modprobe fuse");
  machine.device.in_kernel = true;
  ExpectFinding(OnlyOf(CheckDevice, machine), Verdict::kProblem, "although the kernel has FUSE",
                "--device /dev/fuse");
  machine.device = {0, true, false, 0666, true};
  ExpectFinding(OnlyOf(CheckDevice, machine), Verdict::kProblem, "not the device of FUSE", "mknod");
  machine.device = {EACCES, true, true, 0600, true};
  ExpectFinding(OnlyOf(CheckDevice, machine), Verdict::kProblem, "has mode 0600", "chmod 0666");
  machine.device.mode = 0666;
  ExpectFinding(OnlyOf(CheckDevice, machine), Verdict::kProblem, "although its mode permits it",
                "--device /dev/fuse");
  machine.device.open_error = ENODEV;
  ExpectFinding(OnlyOf(CheckDevice, machine), Verdict::kProblem, "module fuse is not loaded",
                "modprobe fuse");
  machine.device.open_error = EMFILE;
  ExpectFinding(OnlyOf(CheckDevice, machine), Verdict::kProblem, "Too many open files", "dmesg");
}

TEST(DoctorMachineTest, Fusermount) {
  MachineFacts machine = GoodUser();
  machine.fusermount.nosuid = true;
  ExpectFinding(OnlyOf(CheckFusermount, machine), Verdict::kProblem, "on a mount with nosuid",
                "the option suid");
  machine.fusermount.privileged = false;
  ExpectFinding(OnlyOf(CheckFusermount, machine), Verdict::kProblem, "not a set-user-id program",
                "chmod 4755");
  machine.fusermount.executable = false;
  ExpectFinding(OnlyOf(CheckFusermount, machine), Verdict::kProblem, "may not run", "chmod 4755");
  machine.fusermount.path = "";
  ExpectFinding(OnlyOf(CheckFusermount, machine), Verdict::kProblem, "not installed",
                "package fuse3");
  machine.may_mount = true;
  ExpectFinding(OnlyOf(CheckFusermount, machine), Verdict::kOk, "not needed", "");
  machine = GoodUser();
  machine.no_new_privileges = true;
  ExpectFinding(OnlyOf(CheckFusermount, machine), Verdict::kProblem, "no_new_privs",
                "no-new-privileges");
}

TEST(DoctorMachineTest, AllowOther) {
  MachineFacts machine = GoodUser();
  Asked asked;
  ExpectFinding(OnlyOf(CheckAllowOther, machine, asked), Verdict::kNote,
                "no line 'user_allow_other'", "add the line");
  asked.allow_other = true;
  ExpectFinding(OnlyOf(CheckAllowOther, machine, asked), Verdict::kProblem, "refuses --allow_other",
                "add the line");
  machine.user_allow_other = true;
  ExpectFinding(OnlyOf(CheckAllowOther, machine, asked), Verdict::kOk, "permits", "");
}

TEST(DoctorMachineTest, Kernel) {
  MachineFacts machine = GoodRoot();
  machine.kernel = {6, 12};
  ExpectFinding(OnlyOf(CheckKernel, machine), Verdict::kNote, "io_uring (6.14)", "newer kernel");
  EXPECT_THAT(OnlyOf(CheckKernel, machine).found, Not(HasSubstr("passthrough")));
  machine.kernel = {6, 8};
  ExpectFinding(OnlyOf(CheckKernel, machine), Verdict::kNote, "passthrough of file data (6.9)",
                "newer kernel");
  machine.kernel = {6, 1};
  ExpectFinding(OnlyOf(CheckKernel, machine), Verdict::kNote, "--noswap (6.4)", "newer kernel");
  machine.kernel = {5, 3};
  ExpectFinding(OnlyOf(CheckKernel, machine), Verdict::kProblem, "protocol 7.31", "Linux 5.4");
}

TEST(DoctorMachineTest, Passthrough) {
  Asked asked;
  ExpectFinding(OnlyOf(CheckPassthrough, GoodUser(), asked), Verdict::kNote, "needs CAP_SYS_ADMIN",
                "Mount as root");
  asked.data = "passthrough";
  ExpectFinding(OnlyOf(CheckPassthrough, GoodUser(), asked), Verdict::kProblem,
                "--data=passthrough is refused", "or mount with --data=auto");
  MachineFacts machine = GoodRoot();
  machine.initial_namespace = false;
  ExpectFinding(OnlyOf(CheckPassthrough, machine, asked), Verdict::kProblem,
                "initial user namespace", "Mount as root");
  machine.has_passthrough = false;
  ExpectFinding(OnlyOf(CheckPassthrough, machine, asked), Verdict::kProblem,
                "CONFIG_FUSE_PASSTHROUGH", "CONFIG_FUSE_PASSTHROUGH=y");
  machine.kernel = {6, 8};
  ExpectFinding(OnlyOf(CheckPassthrough, machine, asked), Verdict::kProblem, "no FUSE passthrough",
                "Linux 6.9");
  asked.data = "daemon";
  ExpectFinding(OnlyOf(CheckPassthrough, machine, asked), Verdict::kOk, "not needed", "");
}

TEST(DoctorMachineTest, Uring) {
  Asked asked;
  MachineFacts machine = GoodRoot();
  machine.uring_switch = false;
  ExpectFinding(OnlyOf(CheckUring, machine, asked), Verdict::kNote, "switched off", "echo Y >");
  asked.transport = "uring";
  ExpectFinding(OnlyOf(CheckUring, machine, asked), Verdict::kProblem,
                "--transport=uring is refused",
                "echo Y > /sys/module/fuse/parameters/enable_uring' as root, or mount");
  machine.uring_switch = true;
  machine.uring_forbidden = true;
  ExpectFinding(OnlyOf(CheckUring, machine, asked), Verdict::kProblem, "kernel.io_uring_disabled",
                "sysctl kernel.io_uring_disabled=0");
  machine.uring_switch = std::nullopt;
  ExpectFinding(OnlyOf(CheckUring, machine, asked), Verdict::kProblem,
                "without CONFIG_FUSE_IO_URING", "CONFIG_FUSE_IO_URING=y");
  machine.device.in_kernel = false;
  ExpectFinding(OnlyOf(CheckUring, machine, asked), Verdict::kProblem, "module fuse is not loaded",
                "modprobe fuse");
  machine.kernel = {6, 13};
  ExpectFinding(OnlyOf(CheckUring, machine, asked), Verdict::kProblem, "no FUSE over io_uring",
                "Linux 6.14");
  asked.transport = "dev";
  ExpectFinding(OnlyOf(CheckUring, machine, asked), Verdict::kOk, "not needed", "");
}

TEST(DoctorMachineTest, Memory) {
  constexpr uint64_t kMib = 1 << 20;
  MemoryFacts memory;
  ExpectFinding(OnlyOf(CheckMemory, memory, 100 * kMib, 50 * kMib), Verdict::kOk, "fits into", "");
  ExpectFinding(OnlyOf(CheckMemory, memory, 100 * kMib, 101 * kMib), Verdict::kWarning,
                "more than the memory of the machine", "--size=100m");
  memory.cgroup_limit = 64 * kMib;
  ExpectFinding(OnlyOf(CheckMemory, memory, 100 * kMib, 56 * kMib), Verdict::kOk, "control group",
                "");
  ExpectFinding(OnlyOf(CheckMemory, memory, 100 * kMib, 57 * kMib), Verdict::kWarning,
                "more than the 56.0 MiB that the control group leaves", "--size=56m");
  memory.room = MemoryCgroup::Room{64 * kMib, 20 * kMib};
  ExpectFinding(OnlyOf(CheckMemory, memory, 100 * kMib, 50 * kMib), Verdict::kNote,
                "only 12.0 MiB left", "what else uses memory");
}

TEST(DoctorMachineTest, AppArmor) {
  MachineFacts machine = GoodUser();
  machine.fusermount.has_profile = true;
  ExpectFinding(OnlyOf(CheckAppArmor, machine), Verdict::kNote, "restricts fusermount3",
                "/etc/apparmor.d/local/fusermount3");
  machine.fusermount.has_profile = false;
  machine.userns_restricted = true;
  ExpectFinding(OnlyOf(CheckAppArmor, machine), Verdict::kNote, "no huge pages",
                "apparmor_restrict_unprivileged_userns");
  machine.may_mount = true;
  ExpectFinding(OnlyOf(CheckAppArmor, machine), Verdict::kOk, "No rule", "");
}

Finding LimitsOf(const HardLimits& limits, bool may_lift = false, bool in_daemon = true) {
  return OnlyOf(CheckLimits, limits, may_lift, in_daemon, 4, uint64_t{64} << 20);
}

TEST(DoctorMachineTest, ResourceLimits) {
  HardLimits limits;
  EXPECT_EQ(LimitsOf(limits).verdict, Verdict::kOk);
  limits.cpu_seconds = 1000;
  ExpectFinding(LimitsOf(limits), Verdict::kWarning, "1000 seconds", "ulimit -t unlimited");
  EXPECT_EQ(LimitsOf(limits, /*may_lift=*/true).verdict, Verdict::kOk);
  limits = {};
  limits.file_bytes = 1 << 20;
  ExpectFinding(LimitsOf(limits), Verdict::kWarning, "1048576 bytes", "ulimit -f unlimited");
  EXPECT_EQ(LimitsOf(limits, false, /*in_daemon=*/false).verdict, Verdict::kOk);
  limits.file_bytes = uint64_t{64} << 20;
  EXPECT_EQ(LimitsOf(limits).verdict, Verdict::kOk);
  limits = {};
  limits.address_bytes = uint64_t{300} << 20;
  ExpectFinding(LimitsOf(limits), Verdict::kWarning, "the address space", "ulimit -v unlimited");
  limits = {};
  limits.data_bytes = uint64_t{300} << 20;
  ExpectFinding(LimitsOf(limits), Verdict::kWarning, "data memory", "ulimit -d unlimited");
  limits.data_bytes = uint64_t{400} << 20;
  EXPECT_EQ(LimitsOf(limits).verdict, Verdict::kOk);
  limits = {};
  limits.descriptors = 15;
  ExpectFinding(LimitsOf(limits, true), Verdict::kProblem, "too few to mount with 4 threads",
                "Raise it to 68");
  limits.descriptors = 67;
  ExpectFinding(LimitsOf(limits, true), Verdict::kWarning, "few for a mount", "Raise it to 68");
  limits.descriptors = 68;
  EXPECT_EQ(LimitsOf(limits).verdict, Verdict::kOk);
}

// The machine's check of memory uses the size that is asked for.
TEST(DoctorMachineTest, TheSizeThatIsAskedFor) {
  Asked asked;
  asked.size = uint64_t{2} << 40;
  EXPECT_EQ(StatusOf(ExamineMachine(GoodRoot(), asked)), 1);
}

}  // namespace
}  // namespace memfuse::cli
