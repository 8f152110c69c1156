#include "src/base/event.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "absl/time/clock.h"

namespace memfuse::base {

Event::Event() : descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void Event::Set() {
  happened_.store(true, std::memory_order_release);
  const uint64_t one = 1;
  // write(2) fails only if the counter is at its maximum. The descriptor is readable in that case.
  [[maybe_unused]] const ssize_t written = write(descriptor_.get(), &one, sizeof(one));
}

bool Event::WaitUntil(absl::Time deadline) const {
  for (;;) {
    if (happened()) return true;
    const int timeout = PollTimeout(deadline);
    if (timeout == 0) return false;
    pollfd wait = {descriptor_.get(), POLLIN, 0};
    poll(&wait, 1, timeout);
  }
}

int PollTimeout(absl::Time deadline) {
  const absl::Duration left = deadline - absl::Now();
  if (left <= absl::ZeroDuration()) return 0;
  // Rounded up, so that a wait of less than a millisecond does not become a busy loop.
  return static_cast<int>(absl::ToInt64Milliseconds(
      absl::Ceil(std::min(left, absl::Minutes(1)), absl::Milliseconds(1))));
}

}  // namespace memfuse::base
