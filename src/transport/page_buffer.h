// Memory for messages: a page-aligned payload with a few bytes directly in front of it.
//
// A request is received so that its fixed part ends where the payload begins, and a reply is built
// so that its header does: the data of a WRITE or a READ is page-aligned, the message is contiguous
// all the same, and nothing is copied to make it so.

#ifndef MEMFUSE_SRC_TRANSPORT_PAGE_BUFFER_H_
#define MEMFUSE_SRC_TRANSPORT_PAGE_BUFFER_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace memfuse::transport {

// Owns a mapping of zeroed pages, which take memory only once they are touched. Not synchronised.
class PageBuffer {
 public:
  // `prefix` is at most a page; `payload` is rounded up to whole pages. ResourceExhausted.
  static absl::StatusOr<PageBuffer> Make(size_t prefix, size_t payload);

  PageBuffer(PageBuffer&& other) noexcept;
  PageBuffer& operator=(PageBuffer&& other) noexcept;
  ~PageBuffer();

  // The prefix and the payload, in one piece.
  absl::Span<char> whole() { return {begin_, prefix_ + payload_}; }
  absl::Span<char> payload() { return {begin_ + prefix_, payload_}; }

  // Gives the memory back, and what was in it up; it takes some again when it is touched.
  void Release();

 private:
  PageBuffer() = default;

  void* mapping_ = nullptr;
  size_t mapping_size_ = 0;
  char* begin_ = nullptr;
  size_t prefix_ = 0;
  size_t payload_ = 0;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_PAGE_BUFFER_H_
