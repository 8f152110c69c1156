// Lets callers stay on the CPU on which they are served.
//
// A worker that answers on the CPU of the caller still runs when the caller wakes up. So the
// scheduler takes that CPU for busy and moves the caller to an idle one, whose awakening costs more
// than the request did; there the next request finds another worker, and so on. A CPU that runs
// nothing but SCHED_IDLE threads counts as idle: such a worker steps aside, and goes on when the
// caller waits again.
//
// Beside other work on the same CPU, SCHED_IDLE means to wait for milliseconds. So a thread looks
// how long it had to wait for the CPU, and where that is long, it is an ordinary thread for a
// while.

#ifndef MEMFUSE_SRC_TRANSPORT_SCHEDULING_POLICY_H_
#define MEMFUSE_SRC_TRANSPORT_SCHEDULING_POLICY_H_

#include <cstdint>

#include "src/base/unique_fd.h"

namespace memfuse::transport {

// Of one thread, which makes every call.
class SchedulingPolicy {
 public:
  // What the scheduler has counted for a thread since it began.
  struct Waits {
    uint64_t nanoseconds = 0;  // ready to run, and waiting for the CPU
    uint64_t times = 0;
  };

  // From now on, the calling thread steps aside; not where it could not take that back
  // (CAP_SYS_NICE, or RLIMIT_NICE), has a policy that somebody chose, or the system counts no
  // waits.
  void Start();
  // Once per request.
  void Update();

 private:
  bool ReadWaits(Waits* waits) const;
  void SetIdle(bool idle);

  base::UniqueFd schedstat_;  // of the thread; none: nothing is done
  bool idle_ = false;
  Waits last_waits_;
  int64_t next_update_ = 0;  // nanoseconds of CLOCK_MONOTONIC
  int64_t pause_ = 0;        // how long it is an ordinary thread the next time
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_SCHEDULING_POLICY_H_
