#include "src/transport/device_channel.h"

#include <glog/logging.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
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

// A shared buffer has one more page, for VerdictIn. Channels do not receive into it.
constexpr size_t kVerdictPage = 4096;

// An adopted descriptor may be in non-blocking mode, on which other processes may rely.
void WaitFor(int descriptor, int16_t events) {
  pollfd wait = {descriptor, events, 0};
  poll(&wait, 1, -1);
}

// Makes the pages of the pieces present (PageBuffer::MakeResident says why), by reading from each.
void MakePresent(absl::Span<const ReadSink::Piece> pieces) {
  constexpr size_t kPage = 4096;
  for (const ReadSink::Piece piece : pieces) {
    const volatile char* const data = piece.data();
    for (size_t i = 0; i < piece.size(); i += kPage) (void)data[i];
    if (!piece.empty()) (void)data[piece.size() - 1];
  }
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

absl::StatusOr<PageBuffer> DeviceChannel::MakeInputBuffer(size_t max_transfer,
                                                          base::UniqueFd file) {
  return PageBuffer::MakeShared(protocol::kWritePrefixSize,
                                std::max(max_transfer, kMinPayload) + kVerdictPage,
                                std::move(file));
}

absl::Span<const char> DeviceChannel::MessageIn(PageBuffer* input) {
  uint32_t length;
  std::memcpy(&length, input->whole().data(), sizeof(length));
  return input->whole().first(std::min<size_t>(length, input->whole().size()));
}

LookupMemory DeviceChannel::LookupMemoryIn(PageBuffer* input) {
  // The payload begins on a page boundary, behind the fixed part of any request.
  constexpr size_t kMessage = 4096;
  const absl::Span<char> memory = input->payload().subspan(kMessage);
  return {
      reinterpret_cast<uint64_t*>(memory.data()),
      {reinterpret_cast<InodeNumber*>(memory.data()) + 1, memory.size() / sizeof(InodeNumber) - 1}};
}

DeviceChannel::Verdict* DeviceChannel::VerdictIn(PageBuffer* input) {
  const absl::Span<char> page = input->payload().last(kVerdictPage);
  return reinterpret_cast<Verdict*>(page.data());
}

void DeviceChannel::ClearMessageIn(PageBuffer* input) {
  // The length. The fences are for a successor, which sees the stores in the order of the program.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  std::memset(input->whole().data(), 0, sizeof(uint32_t));
  // Data of a WRITE may be there, which must not be taken for a list.
  *LookupMemoryIn(input).request = 0;
  VerdictIn(input)->old = false;
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

absl::Status DeviceChannel::PrepareForSuccessor(PageBuffer input) {
  has_successor_ = true;
  input_ = std::move(input);
  // The thread writes to the output buffer before the kernel reads it. The lock in memory keeps the
  // pages there.
  return output_.MakeResident();
}

ReceiveStatus DeviceChannel::Receive() {
  absl::Span<char> buffer = input_.whole();
  if (has_successor_) {
    buffer.remove_suffix(kVerdictPage);
    ClearMessageIn(&input_);
  }
  for (;;) {
    // Set before the flag is read: a thread that sets the flag after this check sees interruptible_
    // set, and sends its signal.
    set_interruptible(true);
    if (stopping()) return ReceiveStatus::kStopped;
    const ssize_t size = read(descriptor_.get(), buffer.data(), buffer.size());
    if (size > 0) {
      set_interruptible(false);
      retry_.Reset();
      message_ = buffer.first(static_cast<size_t>(size));
      return ReceiveStatus::kMessage;
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
        if (const int error = errno; MayPass(error)) {
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
  if (has_successor_) MakePresent(tail);
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
