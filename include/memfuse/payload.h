// The data of a WRITE: bytes in memory, or bytes that wait in a pipe and were never in the daemon's
// memory at all.
//
// It is taken once, from its beginning to its end, by CopyTo and MoveTo in any mixture. What is not
// taken is lost with the request. A copy of a payload in memory is independent; all copies of one
// in a pipe are the same payload.

#ifndef MEMFUSE_PAYLOAD_H_
#define MEMFUSE_PAYLOAD_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "absl/types/span.h"
#include "memfuse/errno.h"

namespace memfuse {

// A view: what it is made of outlives it. Not synchronised.
class Payload {
 public:
  // The next `size` bytes that come out of a pipe. The owner of the pipe learns from `size` what
  // was left.
  struct Pipe {
    int descriptor = -1;
    size_t size = 0;
  };

  Payload() = default;
  // Implicit on purpose: strings and buffers of bytes are payloads.
  template <typename T,
            typename = std::enable_if_t<std::is_convertible_v<const T&, absl::Span<const char>>>>
  Payload(const T& bytes) : bytes_(bytes) {}  // NOLINT
  explicit Payload(Pipe* pipe) : pipe_(pipe) {}

  // Bytes that are left.
  size_t size() const { return pipe_ != nullptr ? pipe_->size : bytes_.size(); }
  bool empty() const { return size() == 0; }

  bool in_memory() const { return pipe_ == nullptr; }
  // What is left, without taking it. Empty where it is not in memory.
  absl::Span<const char> bytes() const { return bytes_; }

  // Takes the next out.size() bytes. EIO: there are not so many, or the pipe failed.
  Result<void> CopyTo(absl::Span<char> out);

  // Takes the next `length` bytes and writes them to `file`, an open descriptor, from `offset` on:
  // with one copy less where they are in a pipe. EIO as CopyTo; then what pwrite(2) has to say:
  // ENOSPC, ENOMEM, ... After an error, what was taken (size() tells) is what was written.
  Result<void> MoveTo(int file, uint64_t offset, size_t length);

 private:
  absl::Span<const char> bytes_;
  Pipe* pipe_ = nullptr;
};

}  // namespace memfuse

#endif  // MEMFUSE_PAYLOAD_H_
