#include "src/cli/process_limits.h"

#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace memfuse::cli {
namespace {

// The kernel's default, in nanoseconds.
constexpr unsigned long kTimerSlack = 50'000;  // NOLINT: prctl(2)'s type

// The stack of a thread. It is small, so that many fit within a limit on the address space.
constexpr size_t kThreadStack = 2 << 20;
// The stack of the main thread, and of the arguments of a helper program.
constexpr rlim_t kMainStack = 8 << 20;

// Raises the soft limit to `most`, or to the hard limit if that is lower. A higher soft limit
// stays.
void RaiseSoftLimit(__rlimit_resource_t resource, rlim_t most) {
  rlimit limit;
  if (getrlimit(resource, &limit) != 0) return;
  const rlim_t wanted = std::min(most, limit.rlim_max);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  setrlimit(resource, &limit);
}

// Lifts the hard limit, or raises the soft limit to it. Returns the limit that remains.
rlim_t RemoveLimit(__rlimit_resource_t resource) {
  const rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(resource, &unlimited) == 0) return RLIM_INFINITY;
  RaiseSoftLimit(resource, RLIM_INFINITY);
  rlimit limit;
  return getrlimit(resource, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

}  // namespace

std::vector<std::string> RaiseResourceLimits() {
  std::vector<std::string> left;
  if (const rlim_t seconds = RemoveLimit(RLIMIT_CPU); seconds != RLIM_INFINITY) {
    left.push_back(absl::StrCat("a hard limit on CPU time stays (ulimit -H -t): after ", seconds,
                                " seconds of CPU time the kernel kills this process, and all "
                                "files are lost"));
  }
  if (const rlim_t bytes = RemoveLimit(RLIMIT_FSIZE); bytes != RLIM_INFINITY) {
    left.push_back(
        absl::StrCat("a hard limit on the size of files stays (ulimit -H -f): file data "
                     "that is kept in this process can take no more than ",
                     bytes, " bytes in all"));
  }
  // It applies to real-time policies only, and ends the process as the limit on CPU time does.
  if (const rlim_t microseconds = RemoveLimit(RLIMIT_RTTIME);
      microseconds != RLIM_INFINITY && sched_getscheduler(0) != SCHED_OTHER) {
    left.push_back(absl::StrCat("a hard limit on real-time CPU time stays: after ", microseconds,
                                " microseconds without a pause the kernel kills this process, and "
                                "all files are lost"));
  }
  for (const __rlimit_resource_t resource :
       {RLIMIT_AS, RLIMIT_DATA, RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_MEMLOCK, RLIMIT_SIGPENDING}) {
    RaiseSoftLimit(resource, RLIM_INFINITY);
  }
  RaiseSoftLimit(RLIMIT_STACK, kMainStack);
  for (const auto& [resource, name] : {std::pair<__rlimit_resource_t, absl::string_view>{
                                           RLIMIT_AS, "the address space (ulimit -H -v)"},
                                       {RLIMIT_DATA, "data memory (ulimit -H -d)"}}) {
    rlimit limit;
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) continue;
    left.push_back(absl::StrCat("a hard limit on ", name, " stays: at ", limit.rlim_cur,
                                " bytes operations fail with ENOMEM or ENOSPC"));
  }
  return left;
}

void ResetInheritedState(bool background) {
  // Signals that end the daemon must not be blocked; the main loop blocks the signals that it
  // reads.
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) std::signal(signal, SIG_DFL);
  // The default is needed by fork(2) and waitpid(2).
  std::signal(SIGCHLD, SIG_DFL);
  // SIGXFSZ: if a limit on file sizes cannot be lifted, running into it is an error of one request.
  // SIGXCPU: the soft limit comes before the hard limit, which no signal handler delays. SIGIO: the
  // daemon checks with a lease whether a file is still mapped, and another process may break the
  // lease.
  for (const int signal : {SIGHUP, SIGPIPE, SIGXFSZ, SIGXCPU, SIGIO}) {
    std::signal(signal, SIG_IGN);
  }

  prctl(PR_SET_TIMERSLACK, kTimerSlack, 0, 0, 0);
#ifdef __GLIBC__
  // By default the size is the value of RLIMIT_STACK at the start of the program.
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) == 0) {
    pthread_attr_setstacksize(&attributes, kThreadStack);
    pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
  }
#endif

  if (!background) return;
  // With a real-time policy that the caller chose for itself, the daemon could keep other processes
  // from running. With SCHED_IDLE and SCHED_BATCH, other processes could keep the daemon from
  // running.
  const sched_param ordinary = {};
  if (sched_getscheduler(0) != SCHED_OTHER) sched_setscheduler(0, SCHED_OTHER, &ordinary);
  if (getpriority(PRIO_PROCESS, 0) > 0) setpriority(PRIO_PROCESS, 0, 0);
}

}  // namespace memfuse::cli
