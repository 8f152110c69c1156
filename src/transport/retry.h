// Handling of system calls that fail for lack of a resource, mostly memory.

#ifndef MEMFUSE_SRC_TRANSPORT_RETRY_H_
#define MEMFUSE_SRC_TRANSPORT_RETRY_H_

#include <cstdint>

namespace memfuse::transport {

// Returns whether the same call may succeed later. False for errors of the descriptor or the
// arguments.
bool MayPass(int error);

// Consecutive failures of one thread. Only that thread calls the methods.
class Retry {
 public:
  // To be called after a failure that may pass. Waits 1 ms to 1 s, doubling with each consecutive
  // failure. A signal ends the wait. Logs `what` and the error for the first of consecutive
  // failures, at most once a minute.
  void Wait(const char* what, int error);
  // To be called after a success.
  void Reset() { wait_ms_ = 0; }

 private:
  int wait_ms_ = 0;         // after the last failure; 0: there was none
  int64_t next_log_s_ = 0;  // in CLOCK_MONOTONIC
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_RETRY_H_
