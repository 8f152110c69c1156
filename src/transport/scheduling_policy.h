// Keeps callers on the CPU on which they are served, by means of SCHED_IDLE.
//
// A worker that answers on the CPU of the caller still runs when the caller wakes up. The scheduler
// therefore considers that CPU busy and moves the caller to an idle CPU, whose wake-up costs more
// than the request did. On the new CPU the next request is served by another worker, and so on. A
// CPU that runs only SCHED_IDLE threads counts as idle. If the worker is a SCHED_IDLE thread, the
// caller preempts it, and the worker continues when the caller waits again.
//
// If other threads run on the same CPU, a SCHED_IDLE thread waits for milliseconds. A thread
// therefore measures how long it had to wait for the CPU. If the wait is long, it uses SCHED_OTHER
// for some time.

#ifndef MEMFUSE_SRC_TRANSPORT_SCHEDULING_POLICY_H_
#define MEMFUSE_SRC_TRANSPORT_SCHEDULING_POLICY_H_

#include <cstdint>

#include "src/base/unique_fd.h"

namespace memfuse::transport {

// The policy of one thread. Only that thread calls the methods.
class SchedulingPolicy {
 public:
  // The scheduler's counters for a thread, since the start of the thread.
  struct Waits {
    uint64_t nanoseconds = 0;  // runnable, and waiting for the CPU
    uint64_t times = 0;
  };

  // Makes the calling thread a SCHED_IDLE thread. It does nothing if the thread could not return to
  // SCHED_OTHER (no CAP_SYS_NICE and no RLIMIT_NICE), if its policy is not SCHED_OTHER, or if the
  // system does not count waits.
  void Start();
  // To be called once per request.
  void Update();

 private:
  bool ReadWaits(Waits* waits) const;
  void SetIdle(bool idle);

  base::UniqueFd schedstat_;  // of the thread; invalid: the policy is not changed
  bool idle_ = false;
  Waits last_waits_;
  int64_t next_update_ = 0;  // in nanoseconds of CLOCK_MONOTONIC
  int64_t pause_ = 0;        // how long the next use of SCHED_OTHER lasts
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_SCHEDULING_POLICY_H_
