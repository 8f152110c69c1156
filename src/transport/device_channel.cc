#include "src/transport/device_channel.h"

#include <glog/logging.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "src/protocol/decode.h"
#include "src/protocol/encode.h"

namespace memfuse::transport {
namespace {

// The kernel refuses requests that do not fit the buffer. A small max_write must not make the
// largest extended attribute (64 KiB, with a name and a header) one of them; and a kernel without
// FUSE_MAX_PAGES reads 32 pages at once, however little it writes.
constexpr size_t kSmallestPayload = 128 << 10;

// The descriptor that was adopted may be in non-blocking mode, which others may rely on.
void WaitFor(int descriptor, int16_t events) {
  pollfd wait = {descriptor, events, 0};
  poll(&wait, 1, -1);
}

}  // namespace

absl::StatusOr<std::unique_ptr<DeviceChannel>> DeviceChannel::Make(base::UniqueFd descriptor,
                                                                   size_t max_transfer,
                                                                   const std::atomic<bool>* stop) {
  // read(2) gets the whole of the input buffer, which is more than the least that the kernel takes:
  // 8192 bytes, and 40 + 40 + max_write.
  const size_t payload = std::max(max_transfer, kSmallestPayload);
  absl::StatusOr<PageBuffer> input = PageBuffer::Make(protocol::kWritePrefixSize, payload);
  if (!input.ok()) return input.status();
  absl::StatusOr<PageBuffer> output = PageBuffer::Make(protocol::kReplyHeaderSize, payload);
  if (!output.ok()) return output.status();
  return std::unique_ptr<DeviceChannel>(
      new DeviceChannel(std::move(descriptor), *std::move(input), *std::move(output), stop));
}

DeviceChannel::DeviceChannel(base::UniqueFd descriptor, PageBuffer input, PageBuffer output,
                             const std::atomic<bool>* stop)
    : Channel(stop),
      descriptor_(std::move(descriptor)),
      input_(std::move(input)),
      output_(std::move(output)) {}

Reception DeviceChannel::Receive() {
  const absl::Span<char> buffer = input_.whole();
  for (;;) {
    // Set before the flag is looked at: a stop that is missed here finds it set, and signals.
    set_interruptible(true);
    if (stopping()) return Reception::kStopped;
    const ssize_t size = read(descriptor_.get(), buffer.data(), buffer.size());
    if (size > 0) {
      set_interruptible(false);
      message_ = buffer.first(static_cast<size_t>(size));
      return Reception::kMessage;
    }
    if (size == 0) return Reception::kClosed;
    switch (errno) {
      case ENOENT:  // the request was interrupted while it was being read
      case EINTR:
        continue;
      case EAGAIN:
        WaitFor(descriptor_.get(), POLLIN);
        continue;
      case ENODEV:
        return Reception::kUnmounted;
      case ECONNABORTED:
        return Reception::kAborted;
      case ECONNRESET:
        return Reception::kClosed;
      default:
        PLOG(ERROR) << "cannot read requests";
        return Reception::kFailed;
    }
  }
}

Delivery DeviceChannel::Send(absl::Span<const char> head, absl::Span<const char> tail) {
  // writev(2) does not write to it.
  iovec parts[2] = {{const_cast<char*>(head.data()), head.size()},
                    {const_cast<char*>(tail.data()), tail.size()}};
  for (;;) {
    set_interruptible(true);
    const ssize_t sent = tail.empty() ? write(descriptor_.get(), head.data(), head.size())
                                      : writev(descriptor_.get(), parts, 2);
    const int error = errno;
    set_interruptible(false);
    if (sent >= 0) return Delivery::kDelivered;  // messages are taken whole or not at all
    switch (error) {
      case EINTR:
        if (stopping()) return Delivery::kAbandoned;
        continue;
      case EAGAIN:
        if (stopping()) return Delivery::kAbandoned;
        set_interruptible(true);
        WaitFor(descriptor_.get(), POLLOUT);
        continue;
      case ENOENT:  // the request was interrupted, or the mount is going away
      case ENODEV:
      case ECONNABORTED:
      case ECONNRESET:
      case ENOTCONN:
      case EPIPE:
        return Delivery::kAbandoned;
      default:
        if (!std::exchange(send_failure_logged_, true)) {
          errno = error;
          PLOG(ERROR) << "the kernel refused a reply (said once)";
        }
        return Delivery::kRefused;
    }
  }
}

}  // namespace memfuse::transport
