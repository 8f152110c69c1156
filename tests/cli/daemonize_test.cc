// The results of the waiting parent for each behaviour of its child. Each case runs in its own
// process, which becomes the parent. The code after Daemonize runs in the child.

#include "src/cli/daemonize.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <utility>

namespace memfuse::cli {
namespace {

StartupReport Background(int keep_fd = -1) {
  auto report = Daemonize(keep_fd, [] { std::fputs("cleared away\n", stderr); });
  return *std::move(report);
}

TEST(DaemonizeTest, SuccessIsStatusZero) {
  EXPECT_EXIT(
      {
        StartupReport report = Background();
        _exit(report.Succeed() ? 0 : 9);
      },
      testing::ExitedWithCode(0), "^$");
}

TEST(DaemonizeTest, TheParentDoesNotWaitForTheEndOfASuccessfulChild) {
  EXPECT_EXIT(
      {
        StartupReport report = Background();
        (void)report.Succeed();
        alarm(10);
        pause();
      },
      testing::ExitedWithCode(0), "^$");
}

TEST(DaemonizeTest, AFailureHasTheChildsErrorText) {
  EXPECT_EXIT(
      {
        StartupReport report = Background();
        _exit(report.Fail("the moon is full"));
      },
      testing::ExitedWithCode(1), "^memfuse: the moon is full\n$");
}

TEST(DaemonizeTest, AKilledChildIsReportedAndReaped) {
  EXPECT_EXIT(
      {
        StartupReport report = Background();
        std::raise(SIGKILL);
      },
      testing::ExitedWithCode(1),
      "^cleared away\nmemfuse: the daemon was killed by signal 9 .*\n$");
}

TEST(DaemonizeTest, AChildThatJustEndsIsNoSuccess) {
  EXPECT_EXIT(
      {
        StartupReport report = Background();
        _exit(0);
      },
      testing::ExitedWithCode(1), "memfuse: the daemon ended with status 0 before .*\n$");
}

TEST(DaemonizeTest, IgnoredSigchldOfTheCallerDoesNotMatter) {
  EXPECT_EXIT(
      {
        std::signal(SIGCHLD, SIG_IGN);
        StartupReport report = Background();
        std::raise(SIGKILL);
      },
      testing::ExitedWithCode(1), "signal 9");
}

TEST(DaemonizeTest, TheChildKeepsOnlyTheDescriptorItIsGiven) {
  EXPECT_EXIT(
      {
        const int kept = open("/dev/null", O_RDONLY);
        const int other = open("/dev/null", O_RDONLY);
        StartupReport report = Background(kept);
        if (fcntl(kept, F_GETFD) < 0) _exit(report.Fail("the descriptor is gone"));
        if (fcntl(other, F_GETFD) >= 0) _exit(report.Fail("another one is still open"));
        (void)report.Succeed();
        _exit(0);
      },
      testing::ExitedWithCode(0), "^$");
}

TEST(DaemonizeTest, TheChildIsInTheCallersProcessGroupUntilItSucceeds) {
  EXPECT_EXIT(
      {
        const pid_t group = getpgrp();
        StartupReport report = Background();
        if (getpgrp() != group) _exit(report.Fail("it is not"));
        (void)report.Succeed();
        _exit(0);
      },
      testing::ExitedWithCode(0), "^$");
}

TEST(DaemonizeTest, TheChildIsInASessionOfItsOwnOnceItSucceeded) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t caller = fork();
  if (caller == 0) {
    StartupReport report = Background(ends[1]);
    (void)report.Succeed();
    const char own = getsid(0) == getpid() ? 'y' : 'n';
    _exit(write(ends[1], &own, 1) == 1 ? 0 : 9);
  }
  close(ends[1]);
  char own = 0;
  EXPECT_EQ(read(ends[0], &own, 1), 1);
  EXPECT_EQ(own, 'y');
  close(ends[0]);
  EXPECT_EQ(waitpid(caller, nullptr, 0), caller);
}

TEST(StartupReportTest, ATerminatedParentIsDetected) {
  EXPECT_EXIT(
      {
        std::signal(SIGPIPE, SIG_IGN);
        int ends[2];
        if (pipe(ends) != 0) _exit(8);
        close(ends[0]);
        StartupReport report{base::UniqueFd(ends[1])};
        _exit(report.Succeed() ? 9 : 0);
      },
      testing::ExitedWithCode(0), "^$");
}

TEST(StartupReportTest, InTheForegroundNothingIsReported) {
  EXPECT_EXIT(
      {
        StartupReport report;
        if (!report.Succeed()) _exit(9);
        std::fputs("stderr is still there\n", stderr);
        _exit(report.Fail("late"));
      },
      testing::ExitedWithCode(1), "^stderr is still there\nmemfuse: late\n$");
}

}  // namespace
}  // namespace memfuse::cli
