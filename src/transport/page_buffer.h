// Memory for messages: a page-aligned payload with a few bytes directly in front of it.
//
// A request is received so that its fixed part ends where the payload begins, and a reply is built
// so that its header ends there. The data of a WRITE or a READ is therefore page-aligned, the
// message is contiguous, and no copy is needed for either.

#ifndef MEMFUSE_SRC_TRANSPORT_PAGE_BUFFER_H_
#define MEMFUSE_SRC_TRANSPORT_PAGE_BUFFER_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "src/base/unique_fd.h"

namespace memfuse::transport {

// Owns a mapping of zeroed pages, which use memory only after the first access. Not synchronised.
// While a thread is killed, the kernel copies to and from pages that are present and no others, so
// a buffer whose message must reach a successor is made resident.
class PageBuffer {
 public:
  // `payload` is rounded up to whole pages. Errors: InvalidArgument (`prefix` is larger than a
  // page), ResourceExhausted.
  static absl::StatusOr<PageBuffer> Make(size_t prefix, size_t payload);

  // Makes a buffer in a memory file, which another process can map: in `file`, which such a call
  // has made, or in a new one. The content of `file` stays. The buffer is resident. Errors: as
  // Make, and InvalidArgument (`file` has another size).
  static absl::StatusOr<PageBuffer> MakeShared(size_t prefix, size_t payload, base::UniqueFd file);

  // Makes all pages present, and locks them in memory as far as RLIMIT_MEMLOCK permits; Release has
  // no effect afterwards. Errors: ResourceExhausted.
  absl::Status MakeResident();

  // The memory file, or -1. The buffer owns it.
  int descriptor() const { return file_.get(); }

  PageBuffer(PageBuffer&& other) noexcept;
  PageBuffer& operator=(PageBuffer&& other) noexcept;
  ~PageBuffer();

  // The prefix and the payload, as one contiguous range.
  absl::Span<char> whole() { return {begin_, prefix_ + payload_}; }
  absl::Span<char> payload() { return {begin_ + prefix_, payload_}; }

  // Returns the memory to the system and discards its contents. A later access allocates memory
  // again.
  void Release();

 private:
  PageBuffer() = default;
  // Maps a memory file, or memory without a file.
  static absl::StatusOr<PageBuffer> Map(size_t prefix, size_t payload, base::UniqueFd file);

  void* mapping_ = nullptr;
  size_t mapping_size_ = 0;
  char* begin_ = nullptr;
  size_t prefix_ = 0;
  size_t payload_ = 0;
  bool resident_ = false;
  base::UniqueFd file_;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_PAGE_BUFFER_H_
