// An event that happens once and for which threads can wait with a deadline.
//
// It uses an eventfd, because a wait must not need a lock of the session, and because
// ThreadSanitizer cannot analyse the condition variables of an uninstrumented Abseil.

#ifndef MEMFUSE_SRC_BASE_EVENT_H_
#define MEMFUSE_SRC_BASE_EVENT_H_

#include <atomic>

#include "src/base/deadline.h"
#include "src/base/unique_fd.h"

namespace memfuse::base {

// All methods may be called from any thread. A thread that sees that the event happened also sees
// what the thread that called Set did before.
class Event {
 public:
  Event();

  // Returns whether the eventfd was made. If not, waits do not end early when the event happens.
  bool valid() const { return descriptor_.valid(); }

  void Set();
  // The descriptor becomes readable when the event happens.
  int descriptor() const { return descriptor_.get(); }
  bool happened() const { return happened_.load(std::memory_order_acquire); }
  // Waits until the event happens (true) or `deadline` passes (false).
  bool WaitUntil(Deadline deadline) const;

 private:
  const UniqueFd descriptor_;
  std::atomic<bool> happened_{false};
};

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_EVENT_H_
