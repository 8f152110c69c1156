// Limits and inherited settings are state of a process, so each case runs in its own process.

#include "src/cli/process_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "src/cli/oom_score.h"
#include "tests/cli/temporary_directory.h"

namespace memfuse::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr uid_t kNobody = 65534;

// Runs `f` in a child process. Failed expectations in the child count.
void InChild(const std::function<void()>& f) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    f();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

rlimit Limit(__rlimit_resource_t resource) {
  rlimit limit = {};
  EXPECT_EQ(getrlimit(resource, &limit), 0);
  return limit;
}
void SetLimit(__rlimit_resource_t resource, rlim_t soft, rlim_t hard) {
  const rlimit limit = {soft, hard};
  EXPECT_EQ(setrlimit(resource, &limit), 0);
}

TEST(RaiseResourceLimitsTest, SoftLimitsGoUpToTheHardOnes) {
  InChild([] {
    const struct {
      __rlimit_resource_t resource;
      rlim_t soft;
    } kLimits[] = {{RLIMIT_CPU, 100},         {RLIMIT_FSIZE, 1 << 20}, {RLIMIT_AS, 1 << 30},
                   {RLIMIT_DATA, 1 << 30},    {RLIMIT_NOFILE, 64},     {RLIMIT_NPROC, 1000},
                   {RLIMIT_MEMLOCK, 1 << 16}, {RLIMIT_SIGPENDING, 3},  {RLIMIT_RTTIME, 100'000}};
    for (const auto& [resource, soft] : kLimits) {
      SetLimit(resource, soft, Limit(resource).rlim_max);
    }
    const bool lifted = Limit(RLIMIT_CPU).rlim_max == RLIM_INFINITY &&
                        Limit(RLIMIT_FSIZE).rlim_max == RLIM_INFINITY &&
                        Limit(RLIMIT_AS).rlim_max == RLIM_INFINITY &&
                        Limit(RLIMIT_DATA).rlim_max == RLIM_INFINITY;
    const std::vector<std::string> left = RaiseResourceLimits();
    for (const auto& [resource, soft] : kLimits) {
      const rlimit limit = Limit(resource);
      EXPECT_EQ(limit.rlim_cur, limit.rlim_max) << resource;
      EXPECT_GT(limit.rlim_cur, soft) << resource;
    }
    if (lifted) {
      EXPECT_THAT(left, IsEmpty());
    }
  });
}

TEST(RaiseResourceLimitsTest, LowHardLimitsAreReported) {
  InChild([] {
    SetLimit(RLIMIT_CPU, 1, 1000);
    SetLimit(RLIMIT_FSIZE, 1 << 20, 1 << 21);
    // Any finite limit is reported. A low one would take the memory from the sanitizers.
    constexpr rlim_t kFinite = rlim_t{1} << 60;
    SetLimit(RLIMIT_AS, kFinite, kFinite);
    SetLimit(RLIMIT_DATA, kFinite, kFinite);
    ASSERT_EQ(setresuid(kNobody, kNobody, kNobody), 0);  // without capabilities
    const std::vector<std::string> left = RaiseResourceLimits();
    EXPECT_EQ(Limit(RLIMIT_CPU).rlim_cur, 1000u);
    EXPECT_EQ(Limit(RLIMIT_FSIZE).rlim_cur, 1u << 21);
    ASSERT_EQ(left.size(), 4u);
    EXPECT_THAT(left[0], HasSubstr("after 1000 seconds of CPU time"));
    EXPECT_THAT(left[1], HasSubstr("no more than 2097152 bytes"));
    EXPECT_THAT(left[2], HasSubstr("ulimit -H -v"));
    EXPECT_THAT(left[3], HasSubstr("ulimit -H -d"));
  });
}

TEST(RaiseResourceLimitsTest, TheStackOfTheMainThreadIsNotSmall) {
  InChild([] {
    SetLimit(RLIMIT_STACK, 64 << 10, RLIM_INFINITY);
    RaiseResourceLimits();
    EXPECT_EQ(Limit(RLIMIT_STACK).rlim_cur, 8u << 20);
    SetLimit(RLIMIT_STACK, 64 << 20, RLIM_INFINITY);
    RaiseResourceLimits();
    EXPECT_EQ(Limit(RLIMIT_STACK).rlim_cur, 64u << 20) << "it is no upper bound";
  });
}

TEST(RaiseResourceLimitsTest, CoreFileLimitsAreKept) {
  InChild([] {
    SetLimit(RLIMIT_CORE, 0, Limit(RLIMIT_CORE).rlim_max);
    RaiseResourceLimits();
    EXPECT_EQ(Limit(RLIMIT_CORE).rlim_cur, 0u);
  });
}

TEST(ResetInheritedStateTest, SignalsAreAsInAFreshProcess) {
  InChild([] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGCHLD}) std::signal(signal, SIG_IGN);
    ResetInheritedState(/*background=*/false);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    for (int signal = 1; signal < 32; ++signal) EXPECT_FALSE(sigismember(&mask, signal)) << signal;
    for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGCHLD}) {
      EXPECT_EQ(std::signal(signal, SIG_DFL), SIG_DFL) << signal;
    }
    for (const int signal : {SIGXCPU, SIGXFSZ, SIGHUP, SIGPIPE, SIGIO}) std::raise(signal);
  });
}

TEST(ResetInheritedStateTest, StacksOfThreadsHaveTheirOwnSize) {
  InChild([] {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    pthread_setattr_default_np(&attributes);  // the effect of 'ulimit -s 64' before the start
    ResetInheritedState(/*background=*/false);
    pthread_getattr_default_np(&attributes);
    size_t size = 0;
    pthread_attr_getstacksize(&attributes, &size);
    EXPECT_EQ(size, 2u << 20);
  });
}

TEST(ResetInheritedStateTest, TimerSlackIsTheDefault) {
  InChild([] {
    prctl(PR_SET_TIMERSLACK, 5'000'000'000ul, 0, 0, 0);
    ResetInheritedState(/*background=*/false);
    EXPECT_EQ(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0), 50'000);
  });
}

TEST(ResetInheritedStateTest, OnlyABackgroundDaemonResetsThePriority) {
  InChild([] {
    const sched_param none = {};
    ASSERT_EQ(setpriority(PRIO_PROCESS, 0, 15), 0);
    ASSERT_EQ(sched_setscheduler(0, SCHED_BATCH, &none), 0);
    ResetInheritedState(/*background=*/false);
    EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 15);
    EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH);
    ResetInheritedState(/*background=*/true);
    EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 0);
    EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
    ASSERT_EQ(setpriority(PRIO_PROCESS, 0, -5), 0);
    ResetInheritedState(/*background=*/true);
    EXPECT_EQ(getpriority(PRIO_PROCESS, 0), -5) << "a privileged user wanted that";
  });
}

class OomScoreTest : public testing::Test {
 protected:
  std::string After(const std::string& before, bool background) {
    directory_.WriteFile("oom_score_adj", before);
    LowerOomScore(background, directory_.path());
    std::ifstream file(directory_.path() + "/oom_score_adj");
    std::string text;
    file >> text;
    return text;
  }
  TemporaryDirectory directory_;
};

TEST_F(OomScoreTest, IsLoweredUnlessAnAdministratorChoseIt) {
  EXPECT_EQ(After("0\n", true), "-900");
  EXPECT_EQ(After("0\n", false), "-900");
  EXPECT_EQ(After("200\n", true), "-900") << "of the session";
  EXPECT_EQ(After("200\n", false), "200") << "of the service";
  EXPECT_EQ(After("-1\n", true), "-1");
  EXPECT_EQ(After("-1000\n", true), "-1000");
  EXPECT_EQ(After("nonsense\n", true), "nonsense");
}

TEST(OomScoreOfAProcessTest, IsLoweredAsFarAsAllowedWithoutPrivileges) {
  const auto own = [] {
    int score = 0;
    std::ifstream("/proc/self/oom_score_adj") >> score;
    return score;
  };
  const int first = own();
  InChild([&] {
    ASSERT_EQ(setresuid(kNobody, kNobody, kNobody), 0);
    ASSERT_EQ(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);  // the process owns its files in /proc
    std::ofstream("/proc/self/oom_score_adj") << first + 75;
    ASSERT_EQ(own(), first + 75);
    LowerOomScore(/*background=*/true);
    EXPECT_LT(own(), first + 50);
    EXPECT_GT(own(), -1000);
  });
}

}  // namespace
}  // namespace memfuse::cli
