// Where requests come from and replies go to: one at a time, for one worker at a time.
//
// A reply must go where its request came from, so a channel belongs to one worker at a time.
// Channels are made and closed by the session alone, and only lent to workers: closing a
// cloned descriptor aborts what was read through it, so it happens when every worker has ended, and
// a server process that takes over needs descriptors and buffers that no worker made for itself.

#ifndef MEMFUSE_SRC_TRANSPORT_CHANNEL_H_
#define MEMFUSE_SRC_TRANSPORT_CHANNEL_H_

#include <atomic>
#include <cstddef>

#include "absl/types/span.h"
#include "memfuse/payload.h"
#include "src/transport/reply.h"

namespace memfuse::transport {

// What Receive came back with.
enum class ReceiveStatus {
  kMessage,
  kStopped,    // the stop flag is set
  kUnmounted,  // the normal end
  kAborted,    // somebody ended the connection by force
  kClosed,     // the other side of a socket pair is gone
  kFailed,     // requests can no longer be had, though the connection lives; it was logged
};

class Channel : public ReplySink {
 public:
  // What the worker's thread does first.
  virtual void Enter() {}

  // Blocks until there is a request; message() is it, as /dev/fuse delivers it, but for the data of
  // a WRITE that is kept apart: payload() is that, and empty otherwise. Data within message()
  // begins on a page.
  virtual ReceiveStatus Receive() = 0;
  // Both are valid until the next Receive, as far as the reply is not begun: its body may lie where
  // the request's data did.
  absl::Span<const char> message() const { return message_; }
  const Payload& payload() const { return payload_; }

  // Nobody will use the channel for a while: between a reply and the next Receive.
  virtual void ReleaseBuffers() {}

  // From any thread, now and then: true where the channel holds something that it did not use since
  // the last call. It gives it up at the next Receive, or in one that is interrupted now.
  virtual bool ReleaseIdle() { return false; }

  // For the reply to message(): header and body. The body is page-aligned and takes the largest
  // transfer.
  virtual absl::Span<char> reply_buffer() = 0;

  // Whether the thread that uses the channel is in a system call on it, or about to be: whoever
  // stops it sends its signal only then, so that system calls of the file system see none of them.
  bool interruptible() const { return interruptible_.load(std::memory_order_relaxed); }

 protected:
  explicit Channel(const std::atomic<bool>* stop) : stop_(stop) {}

  bool stopping() const { return stop_->load(std::memory_order_relaxed); }
  void set_interruptible(bool value) { interruptible_.store(value, std::memory_order_relaxed); }

  absl::Span<const char> message_;
  Payload payload_;

 private:
  const std::atomic<bool>* const stop_;
  std::atomic<bool> interruptible_{false};
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_CHANNEL_H_
