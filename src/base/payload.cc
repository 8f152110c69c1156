#include "memfuse/payload.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace memfuse {

Result<void> Payload::CopyTo(absl::Span<char> out) {
  if (out.size() > size()) return Errno(EIO);
  if (pipe_ == nullptr) {
    if (!out.empty()) std::memcpy(out.data(), bytes_.data(), out.size());
    bytes_.remove_prefix(out.size());
    return {};
  }
  while (!out.empty()) {
    const ssize_t n = read(pipe_->descriptor, out.data(), out.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Errno(EIO);
    pipe_->size -= static_cast<size_t>(n);
    out.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<void> Payload::MoveTo(int file, uint64_t offset, size_t length) {
  if (length > size()) return Errno(EIO);
  auto at = static_cast<loff_t>(offset);
  while (length > 0) {
    ssize_t n;
    if (pipe_ == nullptr) {
      n = pwrite(file, bytes_.data(), length, at);
      if (n > 0) at += n;
    } else {
      n = splice(pipe_->descriptor, nullptr, file, &at, length, 0);
    }
    if (n < 0 && errno == EINTR) continue;
    // EAGAIN: the pipe is empty, although its recorded size is not 0.
    if (n <= 0) return Errno(n < 0 && errno != EAGAIN ? errno : EIO);
    const auto moved = static_cast<size_t>(n);
    length -= moved;
    if (pipe_ == nullptr) {
      bytes_.remove_prefix(moved);
    } else {
      pipe_->size -= moved;
    }
  }
  return {};
}

}  // namespace memfuse
