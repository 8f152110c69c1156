// The end of a wait.
//
// It is in monotonic time: a wait becomes neither longer nor shorter when the system clock is set.

#ifndef MEMFUSE_SRC_BASE_DEADLINE_H_
#define MEMFUSE_SRC_BASE_DEADLINE_H_

#include <algorithm>

#include "absl/time/time.h"
#include "src/base/clock.h"

namespace memfuse::base {

class Deadline {
 public:
  // A deadline after a timeout that is not positive has passed.
  static Deadline After(absl::Duration timeout) { return Deadline(Now() + timeout); }
  static Deadline Never() { return Deadline(absl::InfiniteDuration()); }

  // What is left until the deadline; never negative.
  absl::Duration Left() const { return std::max(at_ - Now(), absl::ZeroDuration()); }
  bool passed() const { return Now() >= at_; }

  // Returns the timeout for a poll(2) that ends at the deadline: 0 if it has passed, and at most
  // one minute, so that the value fits; callers poll again.
  int PollTimeout() const {
    // Rounded up, so that a wait of less than a millisecond does not become a busy loop.
    return static_cast<int>(absl::ToInt64Milliseconds(
        absl::Ceil(std::min(Left(), absl::Minutes(1)), absl::Milliseconds(1))));
  }

  friend bool operator==(Deadline a, Deadline b) { return a.at_ == b.at_; }
  friend bool operator<(Deadline a, Deadline b) { return a.at_ < b.at_; }

 private:
  explicit Deadline(absl::Duration at) : at_(at) {}
  static absl::Duration Now() {
    return absl::Nanoseconds(static_cast<int64_t>(MonotonicNanoseconds()));
  }

  absl::Duration at_;  // since the epoch of CLOCK_MONOTONIC
};

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_DEADLINE_H_
