#include "src/transport/scheduling_policy.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace memfuse::transport {
namespace {

constexpr int64_t kMillisecond = 1'000'000;
// The time between two measurements. It is also the delay until other load on the CPU is noticed,
// in addition to the wait itself.
constexpr int64_t kInterval = 2 * kMillisecond;
// A caller makes its next request after about 10 us. A caller that computes for much longer is not
// slowed down by a SCHED_OTHER worker either.
constexpr uint64_t kLongWait = 200'000;
constexpr int64_t kShortestPause = 500 * kMillisecond;
constexpr int64_t kLongestPause = 8000 * kMillisecond;

int64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Returns whether a SCHED_IDLE thread of this process may return to SCHED_OTHER; see
// sched_setscheduler(2).
bool MayReturn() {
  rlimit nice = {};
  constexpr rlim_t kOrdinary = 20;  // nice 0, in the units of RLIMIT_NICE
  if (getrlimit(RLIMIT_NICE, &nice) == 0 && nice.rlim_cur >= kOrdinary) return true;
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {};
  if (syscall(SYS_capget, &header, sets) != 0) return false;
  return (sets[0].effective & (1u << CAP_SYS_NICE)) != 0;
}

}  // namespace

void SchedulingPolicy::Start() {
  // A policy that was chosen for the daemon is not changed.
  if (sched_getscheduler(0) != SCHED_OTHER || !MayReturn()) return;
  schedstat_.reset(open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC));
  Waits waits;
  // If the counters are zero, the kernel was built or started without schedstats.
  if (!schedstat_.valid() || !ReadWaits(&waits) || waits.times == 0) {
    schedstat_.reset();
    return;
  }
  pause_ = kShortestPause;
  SetIdle(true);
}

bool SchedulingPolicy::ReadWaits(Waits* waits) const {
  char text[100];
  const ssize_t size = pread(schedstat_.get(), text, sizeof(text) - 1, 0);
  if (size <= 0) return false;
  text[size] = '\0';
  unsigned long long ran = 0;
  unsigned long long waited = 0;
  unsigned long long times = 0;
  if (std::sscanf(text, "%llu %llu %llu", &ran, &waited, &times) != 3) return false;
  *waits = {waited, times};
  return true;
}

void SchedulingPolicy::SetIdle(bool idle) {
  const sched_param none = {};
  if (sched_setscheduler(0, idle ? SCHED_IDLE : SCHED_OTHER, &none) == 0) idle_ = idle;
  next_update_ = Now() + (idle_ ? kInterval : pause_);
  if (ReadWaits(&last_waits_)) return;
  // Without a measurement the thread must not stay SCHED_IDLE.
  schedstat_.reset();
  sched_setscheduler(0, SCHED_OTHER, &none);
}

void SchedulingPolicy::Update() {
  if (!schedstat_.valid()) return;
  const int64_t now = Now();
  if (now < next_update_) return;
  if (!idle_) {
    SetIdle(true);
    return;
  }
  const Waits before = last_waits_;
  const bool seen = ReadWaits(&last_waits_);
  const uint64_t times = std::max<uint64_t>(last_waits_.times - before.times, 1);
  if (!seen || (last_waits_.nanoseconds - before.nanoseconds) / times > kLongWait) {
    SetIdle(false);
    pause_ = std::min(2 * pause_, kLongestPause);
    return;
  }
  // A period without long waits shortens the next use of SCHED_OTHER.
  pause_ = std::max(pause_ - kInterval, kShortestPause);
  next_update_ = now + kInterval;
}

}  // namespace memfuse::transport
