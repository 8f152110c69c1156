// Messages to a service manager during the life of a mount.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "tests/cli/mounted_program.h"
#include "tests/cli/notify_socket.h"

namespace memfuse::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class ServiceMountTest : public testing::Test {
 protected:
  // Starts the program as a service manager does, without waiting for it. The log goes to a file.
  void Start(const std::string& environment = "") {
    const ProgramResult result = RunProgram(
        {"sh", "-c",
         environment + " \"$0\" --foreground --size=64m --nr_inodes=1k \"$1\" >\"$2\" 2>&1 &",
         MEMFUSE_PROGRAM, program_.mount_point(), Log()});
    ASSERT_EQ(result.exit_status, 0) << result.err;
  }
  std::string Log() const { return program_.directory().path() + "/log"; }

  MountedProgram program_;
  NotifySocket manager_;
};

TEST_F(ServiceMountTest, IsReadyWhenServingAndStoppingAfterASignal) {
  Start();
  EXPECT_EQ(manager_.Receive(),
            "READY=1\nSTATUS=Serving " + program_.mount_point() + ": 64.0 MiB, 1024 inodes");
  EXPECT_EQ(program_.Shell("echo hello > $M/f && cat $M/f").out, "hello\n");
  EXPECT_THAT(manager_.Receive(absl::ZeroDuration()), IsEmpty());

  const pid_t daemon = program_.DaemonPid();
  ASSERT_GT(daemon, 0);
  kill(daemon, SIGTERM);
  EXPECT_EQ(manager_.Receive(),
            "STOPPING=1\nSTATUS=signal 15, unmounting " + program_.mount_point());
  EXPECT_EQ(MountedProgram::WaitForExit(daemon), 0);
  EXPECT_THAT(manager_.Receive(absl::ZeroDuration()), IsEmpty());
}

TEST_F(ServiceMountTest, IsStoppingAfterAnotherProcessUnmounts) {
  Start();
  EXPECT_THAT(manager_.Receive(), StartsWith("READY=1\n"));
  const pid_t daemon = program_.DaemonPid();
  EXPECT_EQ(program_.Shell("umount $M").exit_status, 0);
  EXPECT_EQ(manager_.Receive(), "STOPPING=1\nSTATUS=" + program_.mount_point() + " was unmounted");
  EXPECT_EQ(MountedProgram::WaitForExit(daemon), 0);
}

TEST_F(ServiceMountTest, ServesOtherLimitsAfterARemount) {
  Start();
  EXPECT_THAT(manager_.Receive(), StartsWith("READY=1\n"));
  EXPECT_EQ(RunMemfuse({program_.mount_point(), "-o", "remount,size=32m"}).exit_status, 0);
  EXPECT_EQ(manager_.Receive(),
            "STATUS=Serving " + program_.mount_point() + ": 32.0 MiB, 1024 inodes");
}

TEST_F(ServiceMountTest, InTheBackgroundItSendsNothing) {
  ASSERT_EQ(program_.Mount().exit_status, 0);
  const pid_t daemon = program_.DaemonPid();
  EXPECT_EQ(program_.Shell("umount $M").exit_status, 0);
  EXPECT_EQ(MountedProgram::WaitForExit(daemon), 0);
  EXPECT_THAT(manager_.Receive(absl::ZeroDuration()), IsEmpty());
}

TEST_F(ServiceMountTest, TheJournalGetsPrioritiesAndNoTimes) {
  Start("JOURNAL_STREAM=$(touch \"$2\" && stat -c %d:%i \"$2\")");
  EXPECT_THAT(manager_.Receive(), StartsWith("READY=1\n"));
  EXPECT_THAT(program_.Shell("cat $M/../log").out,
              AllOf(StartsWith("<6>serving " + program_.mount_point() + ": 67108864 bytes"),
                    HasSubstr(" [server.cc:")));
}

}  // namespace
}  // namespace memfuse::cli
