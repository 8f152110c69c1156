// The source of requests and the destination of replies, for one worker at a time.
//
// A reply must go to the channel from which its request came, so a channel belongs to one worker at
// a time. Only the session makes and closes channels; workers use them. Closing a cloned descriptor
// aborts the requests that were read through it, so the session closes channels after every worker
// has ended. A server process that takes over also needs descriptors and buffers that do not belong
// to a worker.

#ifndef MEMFUSE_SRC_TRANSPORT_CHANNEL_H_
#define MEMFUSE_SRC_TRANSPORT_CHANNEL_H_

#include <atomic>
#include <cstddef>

#include "absl/types/span.h"
#include "src/transport/lookup_list.h"
#include "src/transport/reply.h"

namespace memfuse::transport {

// The result of Receive.
enum class ReceiveStatus {
  kMessage,
  kStopped,    // the stop flag is set
  kUnmounted,  // the connection ended normally
  kAborted,    // the connection was aborted
  kClosed,     // the peer of a socket pair closed its end
  // requests cannot be read any more, though the connection is alive; the error was logged
  kFailed,
};

class Channel : public ReplySink {
 public:
  // The worker's thread calls it before anything else.
  virtual void Enter() {}

  // Blocks until there is a request. message() is the request as /dev/fuse delivers it. The data of
  // a WRITE begins on a page boundary.
  virtual ReceiveStatus Receive() = 0;
  // Valid until the next Receive, but only until the reply is begun: the body of the reply may
  // overwrite the data of the request.
  absl::Span<const char> message() const { return message_; }

  // The channel will not be used for some time. Called between a reply and the next Receive.
  virtual void ReleaseBuffers() {}

  // The buffer for the reply to message(): header and body. The body is page-aligned and has room
  // for the largest transfer.
  virtual absl::Span<char> reply_buffer() = 0;

  // Memory for the lookups of a READDIRPLUS that a successor finds, or nothing.
  virtual LookupMemory lookup_memory() { return {}; }

  // Returns whether the thread that uses the channel is in a system call on it, or is about to make
  // one. A thread that stops or wakes that thread sends its signal only in this state, so that the
  // signal does not interrupt system calls of the file system.
  bool interruptible() const { return interruptible_.load(std::memory_order_relaxed); }

 protected:
  explicit Channel(const std::atomic<bool>* stop) : stop_(stop) {}

  bool stopping() const { return stop_->load(std::memory_order_relaxed); }
  void set_interruptible(bool value) { interruptible_.store(value, std::memory_order_relaxed); }

  absl::Span<const char> message_;

 private:
  const std::atomic<bool>* const stop_;
  std::atomic<bool> interruptible_{false};
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_CHANNEL_H_
