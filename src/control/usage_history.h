// The use of the file system over the last day, for the page of the metrics port.

#ifndef MEMFUSE_SRC_CONTROL_USAGE_HISTORY_H_
#define MEMFUSE_SRC_CONTROL_USAGE_HISTORY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "src/base/mutex.h"

namespace memfuse::control {

// One sample a minute, for 24 hours: 34 KiB, which are allocated with the object. Thread-safe.
// Offer allocates nothing, so that it also works while memory is short.
//
// Samples are numbered from 0. A reader asks for those that it does not have yet. Numbers do not
// jump when the clock of the machine is set, as times do.
class UsageHistory {
 public:
  static constexpr size_t kCapacity = size_t{24} * 60;
  static constexpr absl::Duration kInterval = absl::Minutes(1);

  struct Sample {
    int64_t time = 0;  // seconds since 1970
    uint64_t bytes = 0;
    uint64_t inodes = 0;
  };
  struct Part {
    std::vector<Sample> samples;  // the oldest first
    uint64_t next = 0;            // the number of the first sample that is not made yet
  };

  // Keeps the sample if it is the first, or if kInterval has passed since the last one was due. To
  // be called more often than that; `now` is of a monotonic clock. The oldest sample makes
  // room if there are kCapacity.
  void Offer(absl::Time now, const Sample& sample) ABSL_LOCKS_EXCLUDED(mu_);
  // Returns the samples from number `first` on, of those that are still kept: none if `first` is
  // Part::next or more. Throws std::bad_alloc.
  Part From(uint64_t first) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  mutable base::Mutex<50> mu_;  // no other lock is taken under it
  absl::Time due_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  uint64_t next_ ABSL_GUARDED_BY(mu_) = 0;
  // Sample n is entry n % kCapacity.
  std::array<Sample, kCapacity> samples_ ABSL_GUARDED_BY(mu_);
};

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_USAGE_HISTORY_H_
