#include "src/transport/device_channel.h"

#include <glog/logging.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "src/base/error_text.h"
#include "src/base/memory_guard.h"
#include "src/protocol/decode.h"
#include "src/protocol/encode.h"

namespace memfuse::transport {
namespace {

// The kernel refuses requests that do not fit the buffer. A small max_write must not cause this for
// the largest extended attribute (64 KiB, with a name and a header). A kernel without
// FUSE_MAX_PAGES also reads 32 pages at once, however small its writes are.
constexpr size_t kMinPayload = 128 << 10;

// Measured: a smaller write gains nothing from a pipe, because reading the header is one more
// system call.
constexpr size_t kMinSpliced = 32 << 10;

// Requests that a worker receives through the pipe after the last one that was large enough.
constexpr int kReadsBeforeRetry = 4;

// An adopted descriptor may be in non-blocking mode, on which other processes may rely.
void WaitFor(int descriptor, int16_t events) {
  pollfd wait = {descriptor, events, 0};
  poll(&wait, 1, -1);
}

}  // namespace

absl::StatusOr<std::unique_ptr<DeviceChannel>> DeviceChannel::Make(base::UniqueFd descriptor,
                                                                   size_t max_transfer,
                                                                   const std::atomic<bool>* stop) {
  // read(2) gets the whole input buffer, which is larger than the minimum that the kernel accepts:
  // 8192 bytes, and 40 + 40 + max_write.
  const size_t payload = std::max(max_transfer, kMinPayload);
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

DeviceChannel::Acceptance DeviceChannel::Accept(size_t size, bool piped) {
  const absl::Span<char> buffer = input_.whole();
  const size_t prefix = std::min(size, protocol::kWritePrefixSize);
  size_t data = size - prefix;
  Payload contents;
  if (piped) {
    contents = Payload(pipe_->contents());
    if (!contents.CopyTo(buffer.first(prefix)).ok()) return Acceptance::kLost;
  }
  protocol::MessagePrefix ahead;
  if (data >= kMinSpliced) ahead = protocol::ParsePrefix(buffer.first(prefix));
  const bool large = ahead.is_write;
  if (large) {
    // Data of a direct write is copied from the caller's memory, into a pipe as into a buffer, so a
    // pipe has no advantage.
    expecting_data_ = ahead.is_direct ? 0 : kReadsBeforeRetry;
  } else if (expecting_data_ > 0) {
    --expecting_data_;
  }
  payload_ = Payload();
  if (piped && large) {
    payload_ = contents;
    data = 0;
  } else if (piped && !contents.CopyTo(buffer.subspan(prefix, data)).ok()) {
    return Acceptance::kDataLost;
  }
  message_ = buffer.first(prefix + data);
  return Acceptance::kWhole;
}

void DeviceChannel::RefuseRequest() {
  base::WithMemory(
      [] { LOG_FIRST_N(ERROR, 1) << "the data of a request was lost in a pipe (said once)"; });
  ReturnPipe();
  uint64_t id;
  std::memcpy(&id, input_.whole().data() + 8, sizeof(id));
  char reply[protocol::kReplyHeaderSize];
  protocol::EncodeReplyHeader(RequestId(id), EIO, 0, absl::MakeSpan(reply));
  Send(absl::MakeConstSpan(reply), {});
}

bool DeviceChannel::TakePipe() {
  if (pipe_recalled_.exchange(false, std::memory_order_relaxed)) expecting_data_ = 0;
  if (expecting_data_ == 0 || pipes_ == nullptr) {
    ReturnPipe();
    return false;
  }
  if (pipe_ == nullptr) pipe_ = pipes_->Take();
  holds_pipe_.store(pipe_ != nullptr, std::memory_order_relaxed);
  return pipe_ != nullptr;
}

void DeviceChannel::ReturnPipe() {
  if (pipe_ == nullptr) return;
  holds_pipe_.store(false, std::memory_order_relaxed);
  pipes_->Return(std::move(pipe_));
}

bool DeviceChannel::ReleaseIdle() {
  if (!holds_pipe_.load(std::memory_order_relaxed)) return false;
  if (pipe_used_.exchange(false, std::memory_order_relaxed)) return false;
  pipe_recalled_.store(true, std::memory_order_relaxed);
  return true;
}

ReceiveStatus DeviceChannel::Receive() {
  const absl::Span<char> buffer = input_.whole();
  // A pipe that cannot be emptied is closed when it is returned, and another one replaces it.
  if (pipe_ != nullptr && !pipe_->Drain(buffer)) ReturnPipe();
  for (;;) {
    // Set before the flag is read: a thread that sets the flag after this check sees interruptible_
    // set, and sends its signal.
    set_interruptible(true);
    if (stopping()) return ReceiveStatus::kStopped;
    const bool piped = TakePipe();
    const ssize_t size = piped ? pipe_->Receive(descriptor_.get(), buffer.size())
                               : read(descriptor_.get(), buffer.data(), buffer.size());
    if (size > 0) {
      set_interruptible(false);
      retry_.Reset();
      if (piped) pipe_used_.store(true, std::memory_order_relaxed);
      switch (Accept(static_cast<size_t>(size), piped)) {
        case Acceptance::kWhole:
          return ReceiveStatus::kMessage;
        case Acceptance::kDataLost:
          RefuseRequest();
          continue;
        case Acceptance::kLost:
          // The caller of this request waits forever, unless the connection ends.
          base::WithMemory([] { LOG(ERROR) << "a request was lost in a pipe"; });
          return ReceiveStatus::kFailed;
      }
    }
    if (size == 0) return ReceiveStatus::kClosed;
    switch (errno) {
      case ENOENT:  // the request was interrupted while it was being read
      case EINTR:
        continue;
      case EAGAIN:
        WaitFor(descriptor_.get(), POLLIN);
        continue;
      case ENODEV:
        return ReceiveStatus::kUnmounted;
      case ECONNABORTED:
        return ReceiveStatus::kAborted;
      case ECONNRESET:
        return ReceiveStatus::kClosed;
      default:
        if (const int error = errno; piped) {
          // An error of the descriptor itself will occur again when it is read.
          if (!MayPass(error)) pipes_->GiveUp();
          expecting_data_ = 0;
        } else if (MayPass(error)) {
          retry_.Wait("cannot read requests", error);
        } else {
          base::WithMemory(
              [error] { LOG(ERROR) << "cannot read requests: " << base::ErrorText(error); });
          return ReceiveStatus::kFailed;
        }
        continue;
    }
  }
}

SendStatus DeviceChannel::Send(absl::Span<const char> head,
                               absl::Span<const ReadSink::Piece> tail) {
  if (tail.size() > ReadSink::kMaxPieces) return SendStatus::kRefused;
  // writev(2) does not write to this memory.
  parts_[0] = {const_cast<char*>(head.data()), head.size()};
  for (size_t i = 0; i < tail.size(); ++i) {
    parts_[i + 1] = {const_cast<char*>(tail[i].data()), tail[i].size()};
  }
  for (;;) {
    set_interruptible(true);
    const ssize_t sent = tail.empty()
                             ? write(descriptor_.get(), head.data(), head.size())
                             : writev(descriptor_.get(), parts_, static_cast<int>(tail.size() + 1));
    const int error = errno;
    set_interruptible(false);
    if (sent >= 0) return SendStatus::kDelivered;  // a message is accepted as a whole or not at all
    switch (error) {
      case EINTR:
        if (stopping()) return SendStatus::kAbandoned;
        continue;
      case EAGAIN:
        if (stopping()) return SendStatus::kAbandoned;
        set_interruptible(true);
        WaitFor(descriptor_.get(), POLLOUT);
        continue;
      case ENOENT:  // the request was interrupted, or the mount is ending
      case ENODEV:
      case ECONNABORTED:
      case ECONNRESET:
      case ENOTCONN:
      case EPIPE:
        return SendStatus::kAbandoned;
      default:
        if (!std::exchange(send_failure_logged_, true)) {
          errno = error;
          base::WithMemory([] { PLOG(ERROR) << "the kernel refused a reply (said once)"; });
        }
        return SendStatus::kRefused;
    }
  }
}

}  // namespace memfuse::transport
