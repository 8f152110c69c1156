// Safe access to the parts of a message, for the decoders of all families of operations.

#ifndef MEMFUSE_SRC_PROTOCOL_DECODE_INTERNAL_H_
#define MEMFUSE_SRC_PROTOCOL_DECODE_INTERNAL_H_

#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/types/span.h"
#include "memfuse/errno.h"
#include "src/protocol/decode.h"

namespace memfuse::protocol::internal {

inline constexpr uint32_t kNanosecondsPerSecond = 1'000'000'000;

// The arguments of one request. Each Take function consumes bytes from the front: first the fixed
// struct, then strings or data.
class Arguments {
 public:
  // `bytes` are the body without extensions. `header`, `bytes` and `parameters` outlive the object.
  Arguments(const RequestHeader& header, absl::Span<const char> bytes,
            const ConnectionParameters& parameters)
      : header_(header), parameters_(parameters), bytes_(bytes) {}

  Opcode opcode() const { return static_cast<Opcode>(header_.opcode); }
  InodeNumber node() const { return header_.node; }
  const ConnectionParameters& parameters() const { return parameters_; }

  // Takes a fixed struct, as a copy, because the message may be unaligned. Errors: EINVAL (fewer
  // bytes than the struct).
  template <typename T>
  Result<T> Take() {
    static_assert(std::is_trivially_copyable_v<T>);
    if (bytes_.size() < sizeof(T)) return Errno(EINVAL);
    T value;
    std::memcpy(&value, bytes_.data(), sizeof(T));
    bytes_.remove_prefix(sizeof(T));
    return value;
  }

  // Takes the next NUL-terminated string. Errors: EINVAL (no NUL inside the message).
  Result<std::string_view> TakeString() {
    const void* end = bytes_.empty() ? nullptr : std::memchr(bytes_.data(), '\0', bytes_.size());
    if (end == nullptr) return Errno(EINVAL);
    const size_t size = static_cast<const char*>(end) - bytes_.data();
    const std::string_view string(bytes_.data(), size);
    bytes_.remove_prefix(size + 1);
    return string;
  }

  // Takes the next name of a directory entry. Errors: EINVAL, also for a '/'. The file system
  // relies on names without a '/'.
  Result<std::string_view> TakeName() {
    MEMFUSE_ASSIGN_OR_RETURN(const std::string_view name, TakeString());
    if (name.find('/') != std::string_view::npos) return Errno(EINVAL);
    return name;
  }

  // Takes all bytes that are left. Errors: EINVAL (they are not `size` bytes).
  Result<absl::Span<const char>> TakeData(uint64_t size) {
    if (bytes_.size() != size) return Errno(EINVAL);
    return std::exchange(bytes_, {});
  }

 private:
  const RequestHeader& header_;
  const ConnectionParameters& parameters_;
  absl::Span<const char> bytes_;
};

// The decoders that the rows of opcodes.inc name. They are defined in decode_namespace.cc,
// decode_attributes.cc, decode_io.cc and decode_connection.cc.
#define MEMFUSE_OPCODE(enumerator, number, name, disposition, arguments, decoder, why) \
  Result<Request> decoder(Arguments& arguments_of_request);
#define MEMFUSE_REFUSED_OPCODE(enumerator, number, name, disposition, arguments, why)
#include "src/protocol/opcodes.inc"
#undef MEMFUSE_OPCODE
#undef MEMFUSE_REFUSED_OPCODE

}  // namespace memfuse::protocol::internal

#endif  // MEMFUSE_SRC_PROTOCOL_DECODE_INTERNAL_H_
