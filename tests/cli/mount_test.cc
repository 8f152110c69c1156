// The life of a mount: start, use, and every way to end it.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "src/mount/stale_mount.h"
#include "tests/cli/mounted_program.h"

namespace memfuse::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

class MountTest : public testing::Test {
 protected:
  // Mounts in the background; expects success without output.
  void MountWell(const std::vector<std::string>& flags = {}) {
    const ProgramResult result = program_.Mount(flags);
    ASSERT_EQ(result.exit_status, 0) << result.err;
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, IsEmpty());
    ASSERT_TRUE(IsMounted(program_.mount_point()));
    daemon_ = program_.DaemonPid();
    ASSERT_GT(daemon_, 0);
  }
  void ExpectUsable() {
    const ProgramResult result = program_.Shell("echo hello > $M/f && cat $M/f && rm $M/f");
    EXPECT_EQ(result.out, "hello\n") << result.err;
  }
  void ExpectCleanEnd() {
    EXPECT_EQ(MountedProgram::WaitForExit(daemon_), 0);
    EXPECT_FALSE(IsMounted(program_.mount_point()));
  }
  std::string Output(const std::string& script) { return program_.Shell(script).out; }

  MountedProgram program_;
  pid_t daemon_ = -1;
};

TEST_F(MountTest, IsUsableWhenTheCommandReturns) {
  MountWell();
  ExpectUsable();
}

TEST_F(MountTest, RootDirectoryAndLimitsAreThoseOfTheFlags) {
  MountWell({"--size=64m", "--nr_inodes=1k", "--mode=0751", "--uid=12", "--gid=34"});
  EXPECT_EQ(Output("stat -c '%a %u %g' $M"), "751 12 34\n");
  EXPECT_EQ(Output("echo $(($(stat -f -c '%b * %S' $M)))"), "67108864\n");
  EXPECT_EQ(Output("stat -f -c %c $M"), "1024\n");
}

TEST_F(MountTest, RootDirectoryByDefaultIsLikeTmp) {
  MountWell();
  EXPECT_EQ(Output("stat -c '%a %u' $M"), "1777 0\n");
}

TEST_F(MountTest, ShowsItsOptionsInTheMountTable) {
  MountWell({"--fsname=scratch", "-o", "nosuid,nodev,noexec,noatime"});
  EXPECT_THAT(Output("grep \" $M \" /proc/mounts"),
              AllOf(testing::StartsWith("scratch "), HasSubstr("nosuid"), HasSubstr("nodev"),
                    HasSubstr("noexec"), HasSubstr("noatime"), HasSubstr("allow_other")));
}

TEST_F(MountTest, RootAloneExcludesOthersAndKeepsPermissions) {
  MountWell({"--noallow_other"});
  EXPECT_EQ(Output("grep \" $M \" /proc/mounts | grep -c 'default_permissions\\|allow_other'"),
            "0\n");
  EXPECT_NE(program_.Shell("setpriv --reuid=65534 --regid=65534 --clear-groups ls $M").exit_status,
            0);
  ExpectUsable();
  // In this mode the kernel leaves the permission checks to the daemon. Root may read and write
  // every file, but may execute only files with an execute bit.
  EXPECT_EQ(Output("cd $M && printf '#!/bin/sh\\necho ran\\n' > p && chmod 000 p && cat p | wc -l; "
                   "test -x p && echo executable; test -r p && test -w p && echo mine; ./p; "
                   "chmod 100 p; test -x p && ./p; cd / && rm $M/p"),
            "2\nmine\nran\n");
  // The daemon implements the umask, set-group-ID and inherited ACLs itself.
  EXPECT_EQ(Output("umask 027; mkdir $M/g && chgrp 12 $M/g && chmod 2770 $M/g && "
                   "touch $M/g/f && mkdir $M/g/e && stat -c '%a %g' $M/g/f $M/g/e; "
                   "setfacl -d -m u:13:rwx $M/g && touch $M/g/a && getfacl -cn $M/g/a | sed -n "
                   "'s/^user:13:/&/p' | cut -f1"),
            "640 12\n2750 12\nuser:13:rwx\n");
}

TEST_F(MountTest, ReadOnly) {
  MountWell({"-o", "ro"});
  const ProgramResult result = program_.Shell("echo x > $M/f");
  EXPECT_NE(result.exit_status, 0);
  EXPECT_THAT(result.err, HasSubstr("Read-only file system"));
}

TEST_F(MountTest, SigtermUnmounts) {
  MountWell();
  kill(daemon_, SIGTERM);
  ExpectCleanEnd();
}

TEST_F(MountTest, SigintUnmounts) {
  MountWell();
  kill(daemon_, SIGINT);
  ExpectCleanEnd();
}

TEST_F(MountTest, RepeatedSignalsCountOnce) {
  MountWell();
  for (int i = 0; i < 50; ++i) kill(daemon_, i % 2 == 0 ? SIGTERM : SIGINT);
  ExpectCleanEnd();
}

TEST_F(MountTest, SighupIsIgnored) {
  MountWell();
  kill(daemon_, SIGHUP);
  kill(daemon_, SIGPIPE);
  ExpectUsable();
  EXPECT_EQ(program_.DaemonPid(), daemon_);
}

TEST_F(MountTest, ABusyMountIsDetached) {
  MountWell();
  // Holds a file open until the test closes its end of the pipe. The working directory of a shell
  // would keep the mount busy in the same way.
  const std::string file = program_.mount_point() + "/held";
  program_.Shell("echo data > $M/held");
  const int held = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(held, 0);
  kill(daemon_, SIGTERM);
  ExpectCleanEnd();
  close(held);
}

TEST_F(MountTest, EndsAfterUmount) {
  MountWell();
  EXPECT_EQ(program_.Shell("umount $M").exit_status, 0);
  ExpectCleanEnd();
}

TEST_F(MountTest, EndsAfterFusermountUnmounts) {
  MountWell();
  EXPECT_EQ(program_.Shell("fusermount3 -u $M").exit_status, 0);
  ExpectCleanEnd();
}

TEST_F(MountTest, AForeignMountOnTopIsNotUnmounted) {
  MountWell();
  EXPECT_EQ(program_.Shell("umount $M && mount -t tmpfs other $M").exit_status, 0);
  EXPECT_EQ(MountedProgram::WaitForExit(daemon_), 0);
  EXPECT_THAT(Output("grep \" $M \" /proc/mounts"), testing::StartsWith("other "));
}

TEST_F(MountTest, AStaleMountIsRefusedUntilItIsUnmounted) {
  MountWell();
  kill(daemon_, SIGKILL);
  MountedProgram::WaitForExit(daemon_);
  const ProgramResult again = program_.Mount();
  EXPECT_EQ(again.exit_status, 1);
  EXPECT_THAT(again.err, AllOf(testing::StartsWith("memfuse: "), HasSubstr("daemon that is dead"),
                               HasSubstr("umount -l")));
  EXPECT_EQ(again.err.find('\n'), again.err.size() - 1) << again.err;
  EXPECT_EQ(program_.Shell("umount -l $M").exit_status, 0);
  MountWell();
  ExpectUsable();
}

TEST_F(MountTest, OnlyADeadMountIsStale) {
  MountWell();
  mount::DetachStaleMount(program_.mount_point());
  EXPECT_TRUE(IsMounted(program_.mount_point())) << "the daemon serves it";
  kill(daemon_, SIGKILL);
  MountedProgram::WaitForExit(daemon_);
  mount::DetachStaleMount(program_.mount_point());
  EXPECT_FALSE(IsMounted(program_.mount_point()));
}

TEST_F(MountTest, ClosedStandardStreamsDoNotMatter) {
  const std::string command = absl::StrCat("'", MEMFUSE_PROGRAM, "' \"$M\" <&- >&- 2>&-");
  EXPECT_EQ(program_.Shell(command).exit_status, 0);
  ExpectUsable();
}

TEST_F(MountTest, DescriptorsOfTheCallerAreClosed) {
  // An inherited pipe would keep `cat` waiting for the lifetime of the daemon.
  const std::string command = absl::StrCat("('", MEMFUSE_PROGRAM, "' \"$M\" 7>&1) | cat");
  const ProgramResult result = program_.Shell(command);
  EXPECT_EQ(result.exit_status, 0) << "did not end";
  ExpectUsable();
}

TEST_F(MountTest, ADescriptorThatIsNotMountedIsRefused) {
  const int fd = open("/dev/fuse", O_RDWR);
  ASSERT_GE(fd, 0);
  const ProgramResult result = program_.Mount({absl::StrCat("--fuse_fd=", fd)});
  close(fd);
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.err, HasSubstr("ended before it was initialised"));
}

TEST_F(MountTest, TheDaemonKeepsNothingOfItsCaller) {
  MountWell();
  const std::string proc = absl::StrCat("/proc/", daemon_);
  EXPECT_EQ(Output("readlink " + proc + "/cwd"), "/\n");
  EXPECT_EQ(Output("readlink " + proc + "/fd/0 " + proc + "/fd/1 " + proc + "/fd/2"),
            "/dev/null\n/dev/null\n/dev/null\n");
  EXPECT_THAT(Output("grep Umask " + proc + "/status"), HasSubstr("0000"));
}

TEST_F(MountTest, LogsToFilesOnRequest) {
  const std::string logs = program_.directory().MakeDirectory("logs");
  MountWell({"--log_dir=" + logs});
  EXPECT_THAT(program_.Shell("cat " + logs + "/memfuse.INFO").out,
              HasSubstr("serving " + program_.mount_point()));
}

TEST_F(MountTest, LeavesNoTemporaryFilesOtherwise) {
  // The directory in which glog would make the files. /tmp has files of other processes, which
  // change during the test.
  const std::string temporary = program_.directory().MakeDirectory("tmp");
  setenv("TMPDIR", temporary.c_str(), /*overwrite=*/1);
  MountWell();
  unsetenv("TMPDIR");
  kill(daemon_, SIGTERM);
  ExpectCleanEnd();
  EXPECT_TRUE(std::filesystem::is_empty(temporary));
}

TEST_F(MountTest, ForegroundStaysAndLogsToStderr) {
  // The shell ends the daemon after its use, and returns the daemon's exit status.
  const ProgramResult result =
      program_.Shell(absl::StrCat("'", MEMFUSE_PROGRAM, "' --foreground \"$M\" &\n",
                                  "n=0; until grep -q \" $M \" /proc/mounts; do n=$((n+1)); "
                                  "[ $n -gt 3000 ] && exit 99; sleep 0.01; done\n"
                                  "echo hello > $M/f; cat $M/f\n"
                                  "kill -TERM $!; wait $!"));
  EXPECT_EQ(result.exit_status, 0) << result.err;
  EXPECT_EQ(result.out, "hello\n");
  EXPECT_THAT(result.err, HasSubstr("serving " + program_.mount_point()));
  EXPECT_FALSE(IsMounted(program_.mount_point()));
}

// Mounts in the foreground, and ends with the daemon. `script` has the daemon as $D, its log as $L,
// and `log_requests`, which makes the daemon log its counts and waits for the line. The shell has
// no event for a mount or for a line of a log, so it looks repeatedly, for at least 30 seconds.
std::string InForeground(const std::string& script, const std::string& flags = "") {
  return absl::StrCat("L=$M.log; '", MEMFUSE_PROGRAM, "' --foreground ", flags,
                      " \"$M\" 2>$L & D=$!\n",
                      "n=0; until grep -q \" $M \" /proc/mounts; do n=$((n+1)); "
                      "[ $n -gt 3000 ] && exit 99; sleep 0.01; done\n"
                      "lines() { grep -c 'requests: total' $L; }\n"
                      "log_requests() { b=$(lines); kill -USR1 $D; n=0; while [ $(lines) = $b ]; "
                      "do n=$((n+1)); [ $n -gt 3000 ] && exit 98; sleep 0.01; done; }\n",
                      script, "\nkill -TERM $D; wait $D");
}

TEST_F(MountTest, SignalUser1LogsTheRequests) {
  // The first `stat` of each missing name causes a LOOKUP. Afterwards the kernel caches the result.
  const ProgramResult result =
      program_.Shell(InForeground("stat $M/1 $M/2 $M/3 $M/1 2>/dev/null\nlog_requests\n"
                                  "mkdir $M/d && mkdir $M/d/e && rmdir $M/d/e\nlog_requests\n"
                                  "sed -n 's/.* requests: total/total/p' $L"));
  ASSERT_EQ(result.exit_status, 0) << result.err;
  const std::vector<std::string> lines = absl::StrSplit(result.out, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 2u) << result.out;
  // The counts are in the order of the opcodes, so LOOKUP is the first.
  EXPECT_THAT(lines[0], testing::MatchesRegex("total=[0-9]+ LOOKUP=3( [A-Z_0-9]+=[0-9]+)*"));
  EXPECT_THAT(lines[0], testing::Not(HasSubstr("MKDIR")));
  EXPECT_THAT(lines[1], testing::ContainsRegex(" LOOKUP=[0-9]+ .*MKDIR=2 RMDIR=1"));
  for (const std::string& line : lines) {
    int64_t sum = 0;
    for (const absl::string_view field : absl::StrSplit(line, ' ')) {
      const std::pair<std::string, std::string> pair = absl::StrSplit(field, '=');
      int64_t count;
      ASSERT_TRUE(absl::SimpleAtoi(pair.second, &count)) << line;
      EXPECT_GT(count, 0) << line;
      sum += pair.first == "total" ? -count : count;
    }
    EXPECT_EQ(sum, 0) << "the total is not the sum: " << line;
  }
}

TEST_F(MountTest, WithoutExtendedAttributesTheKernelSendsOneGetxattr) {
  const std::string script =
      "for f in 1 2 3 4 5 6; do echo data > $M/$f; chown 1:1 $M/$f; done\n"
      "setfattr -n user.a -v b $M/1 2>&1; getfattr --only-values -n user.a $M/1 2>/dev/null\n"
      "log_requests; sed -n 's/.* requests: total/total/p' $L";
  const ProgramResult with = program_.Shell(InForeground(script));
  EXPECT_THAT(with.out, testing::StartsWith("b"));
  EXPECT_THAT(with.out, testing::ContainsRegex("GETXATTR=[1-9][0-9]"));
  const ProgramResult without = program_.Shell(InForeground(script, "--noxattr"));
  EXPECT_THAT(without.out, HasSubstr("Operation not supported"));
  EXPECT_THAT(without.out, testing::ContainsRegex(" GETXATTR=1( |$)"));
}

TEST_F(MountTest, RootAloneSendsFewerRequests) {
  // For a caller without CAP_DAC_OVERRIDE, each new name costs an ACCESS of the directory before
  // the next one.
  const std::string make_ten =
      "mkdir $M/d; for i in 0 1 2 3 4 5 6 7 8 9; do mkdir $M/d/$i; done\nlog_requests\n"
      "sed -n 's/.* GETATTR=\\([0-9]*\\).*/\\1/p' $L";
  const auto asked = [&](const char* flag) {
    const ProgramResult result = program_.Shell(InForeground(make_ten, flag));
    EXPECT_EQ(result.exit_status, 0) << result.err;
    int64_t count = 0;
    // There is no line, so the count is 0.
    EXPECT_TRUE(result.out.empty() || absl::SimpleAtoi(result.out, &count)) << result.out;
    return count;
  };
  EXPECT_GE(asked("--allow_other"), 9);
  EXPECT_LE(asked("--noallow_other"), 2);
}

TEST_F(MountTest, SignalUser1DoesNoHarmInTheBackground) {
  MountWell();
  for (int i = 0; i < 50; ++i) kill(daemon_, SIGUSR1);
  ExpectUsable();
  kill(daemon_, SIGTERM);
  ExpectCleanEnd();
}

TEST_F(MountTest, ServesADescriptorMountedByAnotherProcess) {
  const int fd = open("/dev/fuse", O_RDWR);  // to be inherited
  ASSERT_GE(fd, 0);
  const std::string data = absl::StrCat(
      "fd=", fd, ",rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions");
  ASSERT_EQ(::mount("given", program_.mount_point().c_str(), "fuse.memfuse", MS_NOSUID | MS_NODEV,
                    data.c_str()),
            0);
  MountWell({absl::StrCat("--fuse_fd=", fd)});
  close(fd);
  ExpectUsable();
  kill(daemon_, SIGTERM);
  ExpectCleanEnd();
}

}  // namespace
}  // namespace memfuse::cli
