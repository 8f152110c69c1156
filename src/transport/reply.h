// The answer to one request.
//
// The kernel keeps the caller waiting until the request is answered, and takes a second answer for
// an error, so a Reply sends exactly one, whatever happens to the code that holds it.

#ifndef MEMFUSE_SRC_TRANSPORT_REPLY_H_
#define MEMFUSE_SRC_TRANSPORT_REPLY_H_

#include <cstddef>
#include <string_view>

#include "absl/types/span.h"
#include "memfuse/errno.h"
#include "memfuse/read_sink.h"
#include "memfuse/types.h"

namespace memfuse::transport {

// What became of a reply.
enum class SendStatus {
  kDelivered,
  // Nobody waits for it any more: the request was interrupted, or the connection is ending. The
  // kernel did not learn what the reply said.
  kAbandoned,
  // It was not accepted, and nothing was sent.
  kRefused,
};

// Takes replies: a channel, or a test.
class ReplySink {
 public:
  virtual ~ReplySink() = default;
  // Sends `head` and the pieces of `tail` as one message. `head` is never empty, `tail` mostly is;
  // it has at most ReadSink::kMaxPieces pieces.
  virtual SendStatus Send(absl::Span<const char> head, absl::Span<const ReadSink::Piece> tail) = 0;
  // Whether pieces are sent from where they are. Otherwise they are copied behind the head, and
  // whoever made them might have put them there.
  virtual bool gathers() const { return true; }
};

// One thread at a time uses a Reply, and its buffer.
class Reply {
 public:
  // `buffer` has room for a reply header and at least protocol::kMaxFixedBody bytes behind it. It
  // and `sink` outlive the reply.
  Reply(RequestId id, absl::Span<char> buffer, ReplySink* sink)
      : id_(id), buffer_(buffer), sink_(sink) {}
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;
  // Answers EIO if nothing else did.
  ~Reply() {
    if (!answered_) Error(Errno(EIO));
  }

  // Where the body is built, directly behind the header.
  absl::Span<char> body();

  // Each of these answers; once one did, they do nothing and say again what became of it.
  // Success, with the first `body_size` bytes of body(), and `tail` behind them.
  SendStatus Success(size_t body_size = 0, std::string_view tail = {});
  // With `tail` for a body, in one message of at most ReadSink::kMaxPieces pieces; they are not
  // copied first.
  SendStatus SuccessFrom(absl::Span<const ReadSink::Piece> tail);
  SendStatus Error(Errno error);

  // Tells the kernel, before the answer, that the attributes that it has cached of an inode are
  // wrong now. The buffer is built anew afterwards.
  void ForgetAttributes(InodeNumber ino);

  bool answered() const { return answered_; }
  // As ReplySink::gathers.
  bool gathers() const { return sink_->gathers(); }

 private:
  SendStatus Send(int error, size_t body_size, absl::Span<const ReadSink::Piece> tail);

  const RequestId id_;
  const absl::Span<char> buffer_;
  ReplySink* const sink_;
  bool answered_ = false;
  SendStatus delivery_ = SendStatus::kRefused;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_REPLY_H_
