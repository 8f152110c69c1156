// Something that happens once, and can be waited for with a time limit.
//
// An eventfd, because a wait must not need a lock of the session, and because ThreadSanitizer does
// not see through the condition variables of an uninstrumented Abseil.

#ifndef MEMFUSE_SRC_TRANSPORT_EVENT_H_
#define MEMFUSE_SRC_TRANSPORT_EVENT_H_

#include <atomic>

#include "absl/time/time.h"
#include "src/base/unique_fd.h"

namespace memfuse::transport {

// All methods from any thread. What a thread did before Set is visible to whoever saw it happen.
class Event {
 public:
  Event();

  // Whether it could be made. If not, waits do not wake up when it happens.
  bool valid() const { return descriptor_.valid(); }

  void Set();
  // Readable once it happened.
  int descriptor() const { return descriptor_.get(); }
  bool happened() const { return happened_.load(std::memory_order_acquire); }
  // Waits until it happened (true) or `deadline` passed.
  bool WaitUntil(absl::Time deadline) const;

 private:
  const base::UniqueFd descriptor_;
  std::atomic<bool> happened_{false};
};

// The timeout of poll(2) that ends at `deadline`: 0 if it passed, never more than a minute (so that
// it fits; callers poll again).
int PollTimeout(absl::Time deadline);

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_EVENT_H_
