// The data of a WRITE: bytes in memory, or bytes that wait in a pipe and were never in the daemon's
// memory.
//
// The data can be consumed once, from its beginning to its end, by any sequence of CopyTo and
// MoveTo. Data that is not consumed is lost when the request ends. A copy of a payload in memory is
// independent. All copies of a payload in a pipe are the same payload.

#ifndef MEMFUSE_PAYLOAD_H_
#define MEMFUSE_PAYLOAD_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "absl/types/span.h"
#include "memfuse/errno.h"

namespace memfuse {

// A view: the bytes, or the pipe, must outlive it. Not synchronised.
class Payload {
 public:
  // The next `size` bytes that can be read from a pipe. The owner of the pipe reads from `size` how
  // many bytes were not consumed.
  struct Pipe {
    int descriptor = -1;
    size_t size = 0;
  };

  Payload() = default;
  // The constructor is implicit so that strings and buffers of bytes can be passed as payloads.
  template <typename T,
            typename = std::enable_if_t<std::is_convertible_v<const T&, absl::Span<const char>>>>
  Payload(const T& bytes) : bytes_(bytes) {}  // NOLINT
  explicit Payload(Pipe* pipe) : pipe_(pipe) {}

  // Returns: the number of bytes that are left.
  size_t size() const { return pipe_ != nullptr ? pipe_->size : bytes_.size(); }
  bool empty() const { return size() == 0; }

  bool in_memory() const { return pipe_ == nullptr; }
  // Returns: the bytes that are left, without consuming them. Empty if the payload is not in
  // memory.
  absl::Span<const char> bytes() const { return bytes_; }

  // Consumes the next out.size() bytes. Errors: EIO (fewer bytes are left, or the pipe failed).
  Result<void> CopyTo(absl::Span<char> out);

  // Consumes the next `length` bytes and writes them to `file`, an open descriptor, from `offset`
  // on. For data in a pipe this saves one copy. Errors: EIO as for CopyTo, then those of pwrite(2):
  // ENOSPC, ENOMEM, ... After an error, the consumed bytes (see size()) are exactly the bytes that
  // were written.
  Result<void> MoveTo(int file, uint64_t offset, size_t length);

 private:
  absl::Span<const char> bytes_;
  Pipe* pipe_ = nullptr;
};

}  // namespace memfuse

#endif  // MEMFUSE_PAYLOAD_H_
