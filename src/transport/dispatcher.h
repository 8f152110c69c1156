// Decodes one received message, calls the file system, and sends the reply.
//
// A dispatcher has no descriptor: its caller passes a message and a sink. It takes no lock and
// allocates nothing. Results that the file system allocates (link targets, attribute values) are
// sent from the memory in which they are.
//
// Every request that expects an answer receives exactly one. The errors that the dispatcher adds:
//   EINVAL  malformed,
//   ENOSYS  unknown or refused opcode,
//   ENOMEM  the file system threw std::bad_alloc,
//   EIO     the file system threw another exception, or delivered more than was requested; or two
//           servers have crashed while they served the request (inheritance.h),
//   EROFS   the request would change a file system whose servers have crashed again and again.
//
// A reply may give lookups or an open to the kernel. If it does not reach the kernel, the
// dispatcher returns them with Forget and Release, because the kernel never will.

#ifndef MEMFUSE_SRC_TRANSPORT_DISPATCHER_H_
#define MEMFUSE_SRC_TRANSPORT_DISPATCHER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "memfuse/connection.h"
#include "memfuse/errno.h"
#include "memfuse/filesystem.h"
#include "src/protocol/decode.h"
#include "src/transport/inheritance.h"
#include "src/transport/lookup_list.h"
#include "src/transport/reply.h"
#include "src/transport/request_statistics.h"

namespace memfuse::transport {

// Returns whether the kernel waits for an answer to `opcode`. True for an unknown opcode.
bool ExpectsReply(uint32_t opcode);

// Used by one thread at a time. All constructor arguments outlive it.
class Dispatcher {
 public:
  // `reply_buffer` has room for a reply header and the largest body. No READ requests more: a reply
  // that is cut short would mean the end of the file. Requests are counted in `statistics`, unless
  // it is null.
  Dispatcher(FileSystem* fs, const ConnectionParameters& parameters, absl::Span<char> reply_buffer,
             RequestStatistics* statistics);

  // Replaces the buffer for replies. The new buffer has the same size as the constructor's.
  void UseReplyBuffer(absl::Span<char> reply_buffer) { reply_buffer_ = reply_buffer; }

  // READDIRPLUS notes its lookups in `memory` from now on, which has room for those of the largest
  // reply.
  void UseLookupMemory(const LookupMemory& memory) { listed_.Use(memory); }
  // What processes that have died have left. It outlives the dispatcher.
  void UseInheritance(const Inheritance* inheritance) { inheritance_ = inheritance; }

  // Serves one message as /dev/fuse delivers it. Never throws. A message without a complete header
  // cannot be answered and is dropped.
  void Serve(absl::Span<const char> message, ReplySink* sink);

  // Carries out a message that a process that has died had received, if it expects no reply: the
  // kernel does not send such a message again. What the process has done of it is not done again.
  // Never throws.
  void ServeAgain(absl::Span<const char> message, ReplySink* sink);

 private:
  // What the statistics have to know of a served request.
  struct Outcome {
    int error = 0;
    uint64_t bytes = 0;
  };
  Outcome Execute(const protocol::RequestHeader& header, const Result<protocol::Request>& request,
                  ReplySink* sink);
  // The error with which the request is answered without being carried out, or 0.
  int RefusalOf(const RequestContext& context, const protocol::Request& request) const;
  // Execute, for a request that expects no answer.
  void ExecuteWithoutReply(const RequestContext& context, const Result<protocol::Request>& request,
                           ReplySink* sink);

  const LeftLookupsByRequest* left_lookups() const {
    return inheritance_ == nullptr ? nullptr : &inheritance_->lookups;
  }

  FileSystem* const fs_;
  const ConnectionParameters parameters_;
  RequestStatistics* const statistics_;
  absl::Span<char> reply_buffer_;
  // The lookups that the present READDIRPLUS reply gives, and memory for them.
  LookupList listed_;
  std::vector<InodeNumber> lookup_memory_;
  uint64_t lookup_request_ = 0;
  const Inheritance* inheritance_ = nullptr;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_DISPATCHER_H_
