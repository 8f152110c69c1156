#include "src/transport/reply.h"

#include <cerrno>
#include <cstring>

#include "src/protocol/encode.h"

namespace memfuse::transport {
namespace {

// For a second piece of memory the kernel pins a second page, which costs more than copying this
// many bytes.
constexpr size_t kCopiedTail = 4096;

}  // namespace

absl::Span<char> Reply::body() { return buffer_.subspan(protocol::kReplyHeaderSize); }

SendStatus Reply::Success(size_t body_size, std::string_view tail) {
  if (answered_) return delivery_;
  if (tail.size() <= kCopiedTail && tail.size() <= body().size() - body_size) {
    if (!tail.empty()) std::memcpy(body().data() + body_size, tail.data(), tail.size());
    return Send(0, body_size + tail.size(), {});
  }
  const ReadSink::Piece piece(tail.data(), tail.size());
  return Send(0, body_size, absl::MakeConstSpan(&piece, 1));
}

SendStatus Reply::SuccessFrom(absl::Span<const ReadSink::Piece> tail) {
  if (answered_) return delivery_;
  return Send(0, 0, tail);
}

SendStatus Reply::Error(Errno error) {
  if (answered_) return delivery_;
  return Send(error.value(), 0, {});
}

SendStatus Reply::Send(int error, size_t body_size, absl::Span<const ReadSink::Piece> tail) {
  answered_ = true;
  if (error != 0) error_ = error;
  size_t size = body_size;
  for (const ReadSink::Piece piece : tail) size += piece.size();
  protocol::EncodeReplyHeader(id_, error, size, buffer_);
  delivery_ = sink_->Send(buffer_.first(protocol::kReplyHeaderSize + body_size), tail);
  if (delivery_ == SendStatus::kRefused) {
    // The caller must not wait forever, with any error of that message. The outcome stays
    // kRefused, because the kernel did not receive the contents of the reply.
    error_ = EIO;
    protocol::EncodeReplyHeader(id_, EIO, 0, buffer_);
    sink_->Send(buffer_.first(protocol::kReplyHeaderSize), {});
  }
  return delivery_;
}

}  // namespace memfuse::transport
