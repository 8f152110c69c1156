// What a thread does about a system call that fails for want of something: memory, mostly.

#ifndef MEMFUSE_SRC_TRANSPORT_RETRY_H_
#define MEMFUSE_SRC_TRANSPORT_RETRY_H_

#include <cstdint>

namespace memfuse::transport {

// Whether the same call may succeed later. What is wrong with the descriptor or the arguments stays
// wrong.
bool MayPass(int error);

// The failures in a row of one thread, which makes every call.
class Retry {
 public:
  // After a failure that may pass: waits a while, the longer the more failures there were in a row
  // (1 ms to 1 s). A signal ends the wait. `what` and the error are logged for the first failure of
  // a row, at most once a minute.
  void Wait(const char* what, int error);
  // After a success.
  void Reset() { wait_ms_ = 0; }

 private:
  int wait_ms_ = 0;         // of the last failure; 0: there was none
  int64_t next_log_s_ = 0;  // of CLOCK_MONOTONIC
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_RETRY_H_
