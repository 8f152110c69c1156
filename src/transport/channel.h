// One descriptor of a connection, with the buffers that are used on it.
//
// A reply must go to the descriptor that read the request, so a channel belongs to one worker at a
// time. Channels are made and closed by the session alone, and only lent to workers: closing a
// cloned descriptor aborts what was read through it, so it happens when every worker has ended, and
// a server process that takes over needs descriptors and buffers that no worker made for itself.

#ifndef MEMFUSE_SRC_TRANSPORT_CHANNEL_H_
#define MEMFUSE_SRC_TRANSPORT_CHANNEL_H_

#include <atomic>
#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "src/base/unique_fd.h"
#include "src/transport/page_buffer.h"
#include "src/transport/reply.h"

namespace memfuse::transport {

// What Receive came back with.
enum class Reception {
  kMessage,
  kStopped,    // the stop flag is set
  kUnmounted,  // ENODEV: the normal end
  kAborted,    // ECONNABORTED: somebody ended the connection by force
  kClosed,     // the other side of a socket pair is gone
  kFailed,     // anything else; it was logged
};

class Channel final : public ReplySink {
 public:
  // `max_transfer`: bytes of data in the largest WRITE or READ. `stop` outlives the channel.
  // ResourceExhausted.
  static absl::StatusOr<std::unique_ptr<Channel>> Make(base::UniqueFd descriptor,
                                                       size_t max_transfer,
                                                       const std::atomic<bool>* stop);

  // Blocks until there is a request; message() is it. The data of a WRITE begins on a page.
  Reception Receive();
  // Valid until the next Receive.
  absl::Span<const char> message() const { return message_; }

  // kAbandoned on ENOENT and where the connection ended, kRefused on everything else.
  Delivery Send(absl::Span<const char> head, absl::Span<const char> tail) override;

  // Header and body of replies; the body is page-aligned and takes max_transfer bytes.
  absl::Span<char> reply_buffer() { return output_.whole(); }

  int descriptor() const { return descriptor_.get(); }

  // Whether the thread that uses the channel is in a system call on it, or about to be: whoever
  // stops it sends its signal only then, so that system calls of the file system see none of them.
  bool interruptible() const { return interruptible_.load(std::memory_order_relaxed); }

 private:
  Channel(base::UniqueFd descriptor, PageBuffer input, PageBuffer output,
          const std::atomic<bool>* stop);

  bool stopping() const { return stop_->load(std::memory_order_relaxed); }

  const base::UniqueFd descriptor_;
  PageBuffer input_;
  PageBuffer output_;
  const std::atomic<bool>* const stop_;
  absl::Span<const char> message_;
  bool send_failure_logged_ = false;
  std::atomic<bool> interruptible_{false};
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_CHANNEL_H_
