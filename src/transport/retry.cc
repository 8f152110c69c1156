#include "src/transport/retry.h"

#include <glog/logging.h>
#include <poll.h>
#include <time.h>

#include <algorithm>
#include <cerrno>

#include "src/base/error_text.h"
#include "src/base/memory_guard.h"

namespace memfuse::transport {
namespace {

constexpr int kLongestWait = 1000;    // ms
constexpr int64_t kLogInterval = 60;  // s

}  // namespace

bool MayPass(int error) {
  switch (error) {
    case EBADF:
    case EBADFD:
    case EINVAL:
    case EISDIR:
    case EPERM:
    case EACCES:
    case ENOSYS:
    case EOPNOTSUPP:
    case ENOTCONN:
    case ENXIO:
    case ENOTTY:
      return false;
    default:
      return true;
  }
}

void Retry::Wait(const char* what, int error) {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (wait_ms_ == 0 && now.tv_sec >= next_log_s_) {
    next_log_s_ = now.tv_sec + kLogInterval;
    base::WithMemory(
        [&] { LOG(WARNING) << what << ": " << base::ErrorText(error) << "; trying again"; });
  }
  wait_ms_ = std::min(std::max(2 * wait_ms_, 1), kLongestWait);
  poll(nullptr, 0, wait_ms_);
}

}  // namespace memfuse::transport
