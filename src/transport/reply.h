// The answer to one request.
//
// The kernel lets the caller wait until the request is answered, and treats a second answer as an
// error. A Reply therefore sends exactly one answer on every path of the code that holds it.

#ifndef MEMFUSE_SRC_TRANSPORT_REPLY_H_
#define MEMFUSE_SRC_TRANSPORT_REPLY_H_

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/types/span.h"
#include "memfuse/errno.h"
#include "memfuse/read_sink.h"
#include "memfuse/types.h"

namespace memfuse::transport {

// The outcome of sending a reply.
enum class SendStatus {
  kDelivered,
  // The request was interrupted, or the connection is ending, so the kernel does not wait for the
  // reply any more. The kernel did not receive its contents.
  kAbandoned,
  // The kernel did not accept the reply, and nothing was sent.
  kRefused,
};

// The destination of replies: a channel, or a test.
class ReplySink {
 public:
  virtual ~ReplySink() = default;
  // Sends `head` and the pieces of `tail` as one message. `head` is never empty. `tail` is usually
  // empty and has at most ReadSink::kMaxPieces pieces.
  virtual SendStatus Send(absl::Span<const char> head, absl::Span<const ReadSink::Piece> tail) = 0;
  // Returns whether pieces are sent from the memory in which they are. Otherwise they are copied
  // behind the head, so the code that makes them can write them there itself.
  virtual bool gathers() const { return true; }
  // The message that was received last, which expects no reply, was carried out. A successor must
  // not carry it out.
  virtual void NoteCarriedOut() {}
};

// One thread at a time uses a Reply and its buffer.
class Reply {
 public:
  // `buffer` has room for a reply header followed by at least protocol::kMaxFixedBody bytes.
  // `buffer` and `sink` outlive the reply.
  Reply(RequestId id, absl::Span<char> buffer, ReplySink* sink)
      : id_(id), buffer_(buffer), sink_(sink) {}
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;
  // Answers EIO if the request was not answered.
  ~Reply() { Finish(); }

  // Answers EIO if the request was not answered.
  void Finish() {
    if (!answered_) Error(Errno(EIO));
  }

  // The memory in which the body is built, directly behind the header.
  absl::Span<char> body();

  // Each of the next three functions answers. After the first answer they do nothing and return its
  // outcome. Success sends the first `body_size` bytes of body(), followed by `tail`.
  SendStatus Success(size_t body_size = 0, std::string_view tail = {});
  // Sends `tail` as the body, in one message of at most ReadSink::kMaxPieces pieces, without
  // copying them first.
  SendStatus SuccessFrom(absl::Span<const ReadSink::Piece> tail);
  SendStatus Error(Errno error);

  // For the statistics, before the answer: the amount of file data that a successful answer
  // confirms; and an error for which the answer is a success, because it tells the absence of a
  // name as an entry. No effect after the answer.
  void NoteBytes(uint64_t bytes) {
    if (!answered_) bytes_ = bytes;
  }
  void NoteError(Errno error) {
    if (!answered_) error_ = error.value();
  }
  // After the answer: its error, or that of NoteError; 0 for a success. EIO if the kernel refused
  // the answer.
  int error() const { return error_; }
  // After the answer: the bytes of NoteBytes; 0 with an error.
  uint64_t bytes() const { return error_ == 0 ? bytes_ : 0; }

  bool answered() const { return answered_; }
  // See ReplySink::gathers.
  bool gathers() const { return sink_->gathers(); }

 private:
  SendStatus Send(int error, size_t body_size, absl::Span<const ReadSink::Piece> tail);

  const RequestId id_;
  const absl::Span<char> buffer_;
  ReplySink* const sink_;
  bool answered_ = false;
  int error_ = 0;
  uint64_t bytes_ = 0;
  SendStatus delivery_ = SendStatus::kRefused;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_REPLY_H_
