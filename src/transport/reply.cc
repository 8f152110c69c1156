#include "src/transport/reply.h"

#include <cerrno>
#include <cstring>

#include "src/protocol/encode.h"

namespace memfuse::transport {
namespace {

// A second piece of memory costs the kernel a second page to pin, which is more than a copy of this
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

void Reply::ForgetAttributes(InodeNumber ino) {
  // Without data to drop the kernel takes no lock that the caller of this request may hold. What
  // becomes of it does not matter: an inode that the kernel does not know has nothing cached.
  const size_t size = protocol::EncodeAttributesChanged(ino, buffer_);
  sink_->Send(buffer_.first(size), {});
}

SendStatus Reply::Send(int error, size_t body_size, absl::Span<const ReadSink::Piece> tail) {
  answered_ = true;
  size_t size = body_size;
  for (const ReadSink::Piece piece : tail) size += piece.size();
  protocol::EncodeReplyHeader(id_, error, size, buffer_);
  delivery_ = sink_->Send(buffer_.first(protocol::kReplyHeaderSize + body_size), tail);
  if (delivery_ == SendStatus::kRefused) {
    // Whatever was wrong with that message, the caller must not wait for ever. The outcome stays
    // kRefused: the kernel did not learn what was to be said.
    protocol::EncodeReplyHeader(id_, EIO, 0, buffer_);
    sink_->Send(buffer_.first(protocol::kReplyHeaderSize), {});
  }
  return delivery_;
}

}  // namespace memfuse::transport
