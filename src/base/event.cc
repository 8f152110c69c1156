#include "src/base/event.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace memfuse::base {

Event::Event() : descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void Event::Set() {
  happened_.store(true, std::memory_order_release);
  const uint64_t one = 1;
  // write(2) fails only if the counter is at its maximum. The descriptor is readable in that case.
  [[maybe_unused]] const ssize_t written = write(descriptor_.get(), &one, sizeof(one));
}

bool Event::WaitUntil(Deadline deadline) const {
  for (;;) {
    if (happened()) return true;
    const int timeout = deadline.PollTimeout();
    if (timeout == 0) return false;
    pollfd wait = {descriptor_.get(), POLLIN, 0};
    poll(&wait, 1, timeout);
  }
}

}  // namespace memfuse::base
