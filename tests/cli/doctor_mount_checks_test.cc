// The checks of a mount point and of a mount, and the report.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "src/cli/doctor_checks.h"
#include "src/cli/doctor_report.h"
#include "tests/cli/doctor_facts.h"

namespace memfuse::cli {
namespace {

using Life = MountState::Life;
using Socket = MountState::Socket;
using testing::HasSubstr;
using testing::SizeIs;

void ExpectOne(const Findings& findings, Verdict verdict, const std::string& found,
               const std::string& advice) {
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].verdict, verdict) << findings[0].found;
  EXPECT_THAT(findings[0].found, HasSubstr(found));
  EXPECT_THAT(findings[0].advice, HasSubstr(advice));
}

class DoctorMountPointTest : public testing::Test {
 protected:
  DoctorMountPointTest() {
    place_.path = "/home/a/m";
    place_.below = MountEntry{"8:1", "/", "rw", "ext4", "/dev/sda1", "rw"};
  }

  Findings MountPoint() const {
    Findings findings;
    CheckMountPoint(machine_, place_, &findings);
    return findings;
  }
  Findings Stacking() const {
    Findings findings;
    CheckStacking(machine_, place_, &findings);
    return findings;
  }

  MachineFacts machine_ = GoodUser();
  MountPointFacts place_;
};

TEST_F(DoctorMountPointTest, AnEmptyDirectoryIsGood) {
  ExpectOne(MountPoint(), Verdict::kOk, "/home/a/m is an empty directory.", "");
  ExpectOne(Stacking(), Verdict::kOk, "no overlay and no FUSE mount", "");
  EXPECT_EQ(StatusOf(ExamineMountPoint(machine_, place_, {})), 0);
}

TEST_F(DoctorMountPointTest, Errors) {
  place_.error = ENOENT;
  ExpectOne(MountPoint(), Verdict::kProblem, "does not exist", "mkdir -p /home/a/m");
  place_.error = ENOTDIR;
  ExpectOne(MountPoint(), Verdict::kProblem, "is not in a directory", "path of a directory");
  place_.error = ENOTCONN;
  ExpectOne(MountPoint(), Verdict::kProblem, "daemon has died", "fusermount3 -uz /home/a/m");
  place_.error = EACCES;
  ExpectOne(MountPoint(), Verdict::kProblem, "may not reach", "directory of your own");
  place_.error = ELOOP;
  ExpectOne(MountPoint(), Verdict::kProblem, "symbolic links", "another directory");
  place_.silent = true;
  ExpectOne(MountPoint(), Verdict::kProblem, "does not answer", "findmnt");
  EXPECT_EQ(StatusOf(ExamineMountPoint(machine_, place_, {})), 2);
}

TEST_F(DoctorMountPointTest, DirectoriesThatDoNotSuit) {
  place_.is_empty = false;
  ExpectOne(MountPoint(), Verdict::kWarning, "hides what is in it", "empty directory");
  place_.on_it = MountEntry{"0:9", "/home/a/m", "rw", "tmpfs", "tmpfs", "rw"};
  ExpectOne(MountPoint(), Verdict::kNote, "of type tmpfs is mounted", "another directory");
  place_.owner = 5;
  place_.foreign_sticky = true;
  ExpectOne(MountPoint(), Verdict::kProblem, "sticky directory of user 5", "below /home/a/m");
  place_.writable = false;
  ExpectOne(MountPoint(), Verdict::kProblem, "may not write", "directory of your own");
  place_.is_directory = false;
  ExpectOne(MountPoint(), Verdict::kProblem, "is not a directory", "path of a directory");
}

TEST_F(DoctorMountPointTest, RootMountsOnDirectoriesOfOthers) {
  machine_ = GoodRoot();
  place_.owner = 5;
  place_.foreign_sticky = true;
  place_.writable = false;
  ExpectOne(MountPoint(), Verdict::kOk, "empty directory", "");
}

TEST_F(DoctorMountPointTest, Stacking) {
  place_.below->type = "overlay";
  ExpectOne(Stacking(), Verdict::kNote, "lies on an overlay", "--data=daemon");
  place_.below->type = "fuse.memfuse";
  ExpectOne(Stacking(), Verdict::kProblem, "fusermount3 has no access", "--allow_other");
  place_.below->super_options = "rw,user_id=1000,allow_other";
  ExpectOne(Stacking(), Verdict::kNote, "requests to that daemon", "another file system");
}

class DoctorMountTest : public testing::Test {
 protected:
  MountState& state() { return *place_.state; }
  void BecomeUser() {
    machine_ = GoodUser();
    place_ = GoodMount(1000);
  }
  template <typename Check>
  Findings Of(Check check) const {
    Findings findings;
    check(place_, &findings);
    return findings;
  }
  template <typename Check>
  Findings WithMachine(Check check) const {
    Findings findings;
    check(machine_, place_, asked_, &findings);
    return findings;
  }

  MachineFacts machine_ = GoodRoot();
  MountPointFacts place_ = GoodMount(0);
  Asked asked_;
};

TEST_F(DoctorMountTest, NothingIsWrongWithAGoodMount) {
  for (const Finding& finding : ExamineMountPoint(machine_, place_, {})) {
    EXPECT_EQ(finding.verdict, Verdict::kOk) << finding.found;
  }
  BecomeUser();
  EXPECT_EQ(StatusOf(ExamineMountPoint(machine_, place_, {})), 0);
}

TEST_F(DoctorMountTest, Daemon) {
  ExpectOne(Of(CheckDaemon), Verdict::kOk, "Process 77 serves /mnt/scratch.", "");
  state().read_only = true;
  ExpectOne(Of(CheckDaemon), Verdict::kProblem, "process 77 only lets programs read",
            "Copy the files");
  state().read_only = false;
  state().socket = Socket::kUnknown;
  state().life = Life::kDied;
  ExpectOne(Of(CheckDaemon), Verdict::kProblem, "'Transport endpoint is not connected'",
            "umount -l /mnt/scratch");
  EXPECT_THAT(ExamineMountPoint(machine_, place_, {}), SizeIs(1));
  state().life = Life::kSilent;
  ExpectOne(Of(CheckDaemon), Verdict::kProblem, "does not answer", "kill -CONT");
  EXPECT_THAT(ExamineMountPoint(machine_, place_, {}), SizeIs(1));
  // The thread of the control socket may answer where the workers do not.
  state().socket = Socket::kAnswers;
  EXPECT_THAT(ExamineMountPoint(machine_, place_, {}), SizeIs(testing::Gt(5)));
  state().life = Life::kNoAccess;
  ExpectOne(Of(CheckDaemon), Verdict::kProblem, "may not look at the mount of user 0",
            "--allow_other");
  state().life = Life::kCovered;
  ExpectOne(Of(CheckDaemon), Verdict::kWarning, "covers the memfuse", "Unmount that mount");
}

TEST_F(DoctorMountTest, ControlSocket) {
  ExpectOne(Of(CheckControlSocket), Verdict::kOk, "/run/memfuse/0:52.sock answers", "");
  state().socket = Socket::kNotMade;
  ExpectOne(Of(CheckControlSocket), Verdict::kNote, "no control socket", "without --nocontrol");
  state().socket = Socket::kRefused;
  ExpectOne(Of(CheckControlSocket), Verdict::kWarning, "Nothing answers", "mount namespace");
  state().socket = Socket::kDenied;
  ExpectOne(Of(CheckControlSocket), Verdict::kNote, "may not reach", "as user 0");
  state().socket = Socket::kSilent;
  ExpectOne(Of(CheckControlSocket), Verdict::kWarning, "no answer that this program understands",
            "same version");
  state().socket = Socket::kUnknown;
  ExpectOne(Of(CheckControlSocket), Verdict::kNote, "No control socket of this mount", "daemon");
}

TEST_F(DoctorMountTest, FileData) {
  ExpectOne(WithMachine(CheckStore), Verdict::kOk, "passthrough", "");
  asked_.data = "daemon";
  ExpectOne(WithMachine(CheckStore), Verdict::kWarning, "although --data=daemon is asked for",
            "with --data=daemon");
  asked_.data = "auto";
  state().store = "daemon, huge=never; no passthrough: the kernel offers none";
  ExpectOne(WithMachine(CheckStore), Verdict::kWarning,
            "(the kernel offers none), although passthrough is possible here", "mount again");
  state().asked_data = std::nullopt;
  ExpectOne(WithMachine(CheckStore), Verdict::kNote, "although passthrough is possible here",
            "mount again");
  state().asked_data = "daemon";
  ExpectOne(WithMachine(CheckStore), Verdict::kOk, "as asked for", "");
  state().store = "none: writes vanish";
  state().asked_data = "null";
  ExpectOne(WithMachine(CheckStore), Verdict::kOk, "not stored", "");
  state().store = std::nullopt;
  ExpectOne(WithMachine(CheckStore), Verdict::kNote, "not known", "daemon");
}

TEST_F(DoctorMountTest, FileDataWhereNoPassthroughIsPossible) {
  BecomeUser();
  ExpectOne(WithMachine(CheckStore), Verdict::kNote, "(why), so small writes are slower",
            "as root");
  // root looks at the mount of a user.
  machine_ = GoodRoot();
  ExpectOne(WithMachine(CheckStore), Verdict::kNote, "small writes are slower", "as root");
  asked_.data = "passthrough";
  ExpectOne(WithMachine(CheckStore), Verdict::kWarning, "small writes are slower", "as root");
  place_ = GoodMount(0);
  state().store = "daemon, huge=never";
  machine_.kernel = {6, 1};
  ExpectOne(WithMachine(CheckStore), Verdict::kWarning, "slower", "Linux 6.9");
}

TEST_F(DoctorMountTest, Transport) {
  ExpectOne(WithMachine(CheckTransport), Verdict::kOk, "io_uring, as asked for", "");
  asked_.transport = "dev";
  ExpectOne(WithMachine(CheckTransport), Verdict::kWarning, "although --transport=dev is asked for",
            "with --transport=dev");
  state().transport = "/dev/fuse, 4 threads; no io_uring: it is off";
  ExpectOne(WithMachine(CheckTransport), Verdict::kOk, "/dev/fuse, as asked for", "");
  asked_.transport = "auto";
  ExpectOne(WithMachine(CheckTransport), Verdict::kWarning,
            "(it is off), although io_uring is possible now", "mount again");
  state().asked_transport = std::nullopt;
  ExpectOne(WithMachine(CheckTransport), Verdict::kNote, "although io_uring is possible now",
            "mount again");
  machine_.uring_switch = false;
  ExpectOne(WithMachine(CheckTransport), Verdict::kNote, "up to twice as fast",
            "enable_uring' as root, unmount");
  asked_.transport = "uring";
  ExpectOne(WithMachine(CheckTransport), Verdict::kWarning,
            "although --transport=uring is asked for", "enable_uring' as root, unmount");
  state().transport = std::nullopt;
  ExpectOne(WithMachine(CheckTransport), Verdict::kNote, "not known", "daemon");
}

TEST_F(DoctorMountTest, Space) {
  ExpectOne(Of(CheckSpace), Verdict::kOk, "1.0 MiB of 64.0 MiB and 2 of 1,000 inodes", "");
  state().refusals = 2;
  ExpectOne(Of(CheckSpace), Verdict::kNote, "2 limits have refused", "memfusectl status");
  state().inodes_used = 950;
  ExpectOne(Of(CheckSpace), Verdict::kWarning, "950 of 1,000 inodes", "--nr_inodes=COUNT");
  state().size_used = uint64_t{63} << 20;
  ExpectOne(Of(CheckSpace), Verdict::kWarning, "63.0 MiB of 64.0 MiB", "memfusectl resize");
  state().size_used = std::nullopt;
  ExpectOne(Of(CheckSpace), Verdict::kNote, "not known", "daemon");
}

TEST_F(DoctorMountTest, Access) {
  ExpectOne(Of(CheckAccess), Verdict::kOk, "Other users have access", "");
  place_.on_it->super_options = "rw,user_id=1000";
  ExpectOne(Of(CheckAccess), Verdict::kNote, "Only user 1000", "--allow_other");
}

TEST_F(DoctorMountTest, LimitsAndMemoryAreThoseOfTheDaemon) {
  BecomeUser();
  place_.daemon_limits.cpu_seconds = 5;
  place_.daemon_memory.cgroup_limit = 1 << 20;
  const Findings findings = ExamineMountPoint(machine_, place_, {});
  EXPECT_EQ(StatusOf(findings), 1);
  std::string text = DoctorText(findings, 1000, place_.path, {});
  EXPECT_THAT(text, HasSubstr("hard limit on CPU time is 5 seconds"));
  EXPECT_THAT(text, HasSubstr("that the control group leaves"));
}

TEST(DoctorReportTest, TextHasALineForEachFinding) {
  const Findings findings = {{"one", Verdict::kOk, "Good.", ""},
                             {"two", Verdict::kProblem, "Bad\nnews.", "Do this."}};
  EXPECT_EQ(DoctorText(findings, 7, "/m\n", {}),
            "/m?, for user 7:\n"
            "ok       one              Good.\n"
            "problem  two              Bad?news.\n"
            "                       -> Do this.\n"
            "\n"
            "1 problem, no warnings, no notes\n");
  EXPECT_THAT(DoctorText(findings, 7, "", {}), HasSubstr("This machine, for user 7:\n"));
}

TEST(DoctorReportTest, ColoursAndWidthAreForTerminals) {
  const Findings findings = {{"one", Verdict::kWarning, std::string(60, 'a') + " bb cc", ""}};
  EXPECT_EQ(DoctorText(findings, 7, "", {}).find('\033'), std::string::npos);
  EXPECT_THAT(DoctorText(findings, 7, "", {true, 0}), HasSubstr("\033[33mwarning  \033[0mone"));
  const std::string narrow = DoctorText(findings, 7, "", {false, 89});
  EXPECT_THAT(narrow, HasSubstr("a bb\n                          cc\n"));
}

TEST(DoctorReportTest, JsonHasTheSame) {
  const Findings findings = {{"two", Verdict::kProblem, "Bad.", "Do this."}};
  const auto report = nlohmann::json::parse(DoctorJson(findings, 7, "/m"));
  EXPECT_EQ(report["uid"], 7);
  EXPECT_EQ(report["mount_point"], "/m");
  EXPECT_EQ(report["status"], 2);
  EXPECT_EQ(report["findings"][0]["check"], "two");
  EXPECT_EQ(report["findings"][0]["result"], "problem");
  EXPECT_EQ(report["findings"][0]["found"], "Bad.");
  EXPECT_EQ(report["findings"][0]["advice"], "Do this.");
  EXPECT_TRUE(nlohmann::json::parse(DoctorJson({}, 7, ""))["mount_point"].is_null());
}

}  // namespace
}  // namespace memfuse::cli
