// One received message -> the call of the file system -> the reply.
//
// A dispatcher knows no descriptor: it is given a message and a sink. It takes no lock and
// allocates nothing; results that the file system allocates (link targets, attribute values) are
// sent from where they are.
//
// Every request that expects an answer gets exactly one, also
//   EINVAL  malformed,
//   ENOSYS  unknown or refused opcode,
//   ENOMEM  the file system threw std::bad_alloc,
//   EIO     the file system threw anything else, or delivered more than was asked for.
//
// A reply that hands out lookups or an open, and does not reach the kernel, is taken back with
// Forget and Release: nobody else ever will.

#ifndef MEMFUSE_SRC_TRANSPORT_DISPATCHER_H_
#define MEMFUSE_SRC_TRANSPORT_DISPATCHER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "memfuse/blocking_observer.h"
#include "memfuse/errno.h"
#include "memfuse/filesystem.h"
#include "memfuse/session.h"
#include "src/protocol/decode.h"
#include "src/transport/counters.h"
#include "src/transport/reply.h"

namespace memfuse::transport {

// Whether the kernel waits for an answer to `opcode`; it does for one that is not known.
bool ExpectsReply(uint32_t opcode);

// Used by one thread at a time. Everything it is given outlives it.
class Dispatcher {
 public:
  // `reply_buffer` holds a reply header and the largest body. READ never asks for more: a reply
  // that is cut short would mean the end of the file. `seat` is the thread's, or null.
  Dispatcher(FileSystem* fs, const ConnectionParameters& parameters, absl::Span<char> reply_buffer,
             BlockingObserver* blocking_observer = nullptr);

  // Replies are made there from now on; as the one that it was made with, and as large.
  void UseReplyBuffer(absl::Span<char> reply_buffer) { reply_buffer_ = reply_buffer; }

  // Serves one message as /dev/fuse delivers it. Never throws. What is not even a header cannot be
  // answered and is dropped.
  void Serve(absl::Span<const char> message, ReplySink* sink) { Serve(message, Payload(), sink); }
  // The same where `payload`, unless it is empty, holds the data of a WRITE that is not in
  // `message`.
  void Serve(absl::Span<const char> message, const Payload& payload, ReplySink* sink);

  const RequestCounters& counters() const { return counters_; }

 private:
  void Execute(const protocol::RequestHeader& header, const Result<protocol::Request>& request,
               ReplySink* sink);

  FileSystem* const fs_;
  const ConnectionParameters parameters_;
  BlockingObserver* const blocking_observer_;
  absl::Span<char> reply_buffer_;
  // Lookups that the READDIRPLUS reply in the making hands out. Reserved for the fullest reply.
  std::vector<InodeNumber> listed_;
  RequestCounters counters_;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_DISPATCHER_H_
