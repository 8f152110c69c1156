// Safe access to the parts of a message, for the decoders of all families of operations.

#ifndef MEMFUSE_SRC_PROTOCOL_DECODE_INTERNAL_H_
#define MEMFUSE_SRC_PROTOCOL_DECODE_INTERNAL_H_

#include <cstring>
#include <string_view>
#include <type_traits>

#include "absl/types/span.h"
#include "memfuse/errno.h"
#include "src/protocol/decode.h"

namespace memfuse::protocol::internal {

inline constexpr uint32_t kNanosecondsPerSecond = 1'000'000'000;

// The arguments of one request. Strings are taken from the front of the bytes that follow the fixed
// struct.
class Arguments {
 public:
  // `rest` does not include extensions.
  Arguments(const RequestHeader& header, absl::Span<const char> fixed, absl::Span<const char> rest)
      : header_(header), fixed_(fixed), rest_(rest) {}

  const RequestHeader& header() const { return header_; }
  InodeNumber node() const { return header_.node; }

  absl::Span<const char> fixed() const { return fixed_; }

  // Returns a copy of the fixed struct, because the message may be unaligned. Errors: EINVAL (fewer
  // bytes than the struct).
  template <typename T>
  Result<T> Fixed() const {
    static_assert(std::is_trivially_copyable_v<T>);
    if (fixed_.size() < sizeof(T)) return Errno(EINVAL);
    T value;
    std::memcpy(&value, fixed_.data(), sizeof(T));
    return value;
  }

  // Takes the next NUL-terminated string. Errors: EINVAL (no NUL inside the message).
  Result<std::string_view> TakeString() {
    const void* end = rest_.empty() ? nullptr : std::memchr(rest_.data(), '\0', rest_.size());
    if (end == nullptr) return Errno(EINVAL);
    const size_t size = static_cast<const char*>(end) - rest_.data();
    const std::string_view string(rest_.data(), size);
    rest_.remove_prefix(size + 1);
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
    if (rest_.size() != size) return Errno(EINVAL);
    return rest_;
  }

  absl::Span<const char> rest() const { return rest_; }

 private:
  const RequestHeader& header_;
  const absl::Span<const char> fixed_;
  absl::Span<const char> rest_;
};

// Each function decodes the arguments of the operation in its name.

// decode_namespace.cc
Result<Request> DecodeLookup(Arguments& arguments);
Result<Request> DecodeSymlink(Arguments& arguments);
Result<Request> DecodeMknod(Arguments& arguments);
Result<Request> DecodeMkdir(Arguments& arguments);
Result<Request> DecodeUnlink(Arguments& arguments);
Result<Request> DecodeRmdir(Arguments& arguments);
Result<Request> DecodeRename(Arguments& arguments);
Result<Request> DecodeRename2(Arguments& arguments);
Result<Request> DecodeLink(Arguments& arguments);
Result<Request> DecodeCreate(Arguments& arguments);
Result<Request> DecodeTmpfile(Arguments& arguments);

// decode_attributes.cc
Result<Request> DecodeGetattr(Arguments& arguments);
Result<Request> DecodeSetattr(Arguments& arguments);
Result<Request> DecodeStatx(Arguments& arguments);
Result<Request> DecodeAccess(Arguments& arguments);
// `extended`: SETXATTR_EXT is in force.
Result<Request> DecodeSetxattr(Arguments& arguments, bool extended);
Result<Request> DecodeGetxattr(Arguments& arguments);
Result<Request> DecodeListxattr(Arguments& arguments);
Result<Request> DecodeRemovexattr(Arguments& arguments);

// decode_io.cc
Result<Request> DecodeOpen(Arguments& arguments);
Result<Request> DecodeRead(Arguments& arguments);
Result<Request> DecodeWrite(Arguments& arguments);
Result<Request> DecodeRelease(Arguments& arguments);
Result<Request> DecodeFlush(Arguments& arguments);
Result<Request> DecodeFsync(Arguments& arguments);
Result<Request> DecodeFallocate(Arguments& arguments);
Result<Request> DecodeLseek(Arguments& arguments);
Result<Request> DecodeCopyFileRange(Arguments& arguments, bool wide_result);
Result<Request> DecodeOpendir(Arguments& arguments);
Result<Request> DecodeReaddir(Arguments& arguments, bool plus);
Result<Request> DecodeReleasedir(Arguments& arguments);
Result<Request> DecodeFsyncdir(Arguments& arguments);
Result<Request> DecodeIoctl(Arguments& arguments);

}  // namespace memfuse::protocol::internal

#endif  // MEMFUSE_SRC_PROTOCOL_DECODE_INTERNAL_H_
