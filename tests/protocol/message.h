// Builds requests as a kernel would, byte by byte, from the system's <linux/fuse.h>. It does not
// depend on src/protocol/wire.h.

#ifndef MEMFUSE_TESTS_PROTOCOL_MESSAGE_H_
#define MEMFUSE_TESTS_PROTOCOL_MESSAGE_H_

#include <linux/fuse.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include "absl/types/span.h"

namespace memfuse::protocol {

// The header fields of every request. All bytes differ, so that no two fields can be confused.
inline constexpr uint64_t kUnique = 0x8182838485868788;
inline constexpr uint64_t kNode = 0x1112131415161718;
inline constexpr uint32_t kUid = 0x21222324;
inline constexpr uint32_t kGid = 0x31323334;
inline constexpr uint32_t kPid = 0x41424344;
// The file handle in arguments that contain one.
inline constexpr uint64_t kHandle = 0x6162636465666768;

template <typename T>
std::string BytesOf(const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

// The bytes of a request: a header with the right length, and `body`. The last `extensions` units
// of 8 bytes of the body are extensions.
inline std::string MakeMessage(uint32_t opcode, std::string_view body, uint16_t extensions = 0,
                               uint32_t uid = kUid, uint32_t gid = kGid) {
  fuse_in_header header{};
  header.len = static_cast<uint32_t>(sizeof(header) + body.size());
  header.opcode = opcode;
  header.unique = kUnique;
  header.nodeid = kNode;
  header.uid = uid;
  header.gid = gid;
  header.pid = kPid;
  std::string message = BytesOf(header);
  // Older headers call this field padding.
  std::memcpy(&message[36], &extensions, sizeof(extensions));
  message += body;
  return message;
}

// A string as it is sent.
inline std::string Terminated(std::string_view string) { return std::string(string) + '\0'; }

// A copy of some bytes that ends at the end of its allocation, so that an address sanitizer detects
// every read beyond it. It begins `misalignment` bytes after the address from the allocator.
class ExactBuffer {
 public:
  explicit ExactBuffer(std::string_view bytes, size_t misalignment = 0)
      : memory_(new char[bytes.size() + misalignment]),
        view_(memory_.get() + misalignment, bytes.size()) {
    if (!bytes.empty()) std::memcpy(memory_.get() + misalignment, bytes.data(), bytes.size());
  }

  absl::Span<const char> span() const { return view_; }

 private:
  std::unique_ptr<char[]> memory_;
  absl::Span<const char> view_;
};

// `message` cut to `size` bytes, with that size in its header.
inline std::string Truncated(std::string_view message, size_t size) {
  std::string result(message.substr(0, size));
  const auto length = static_cast<uint32_t>(size);
  if (size >= sizeof(length)) std::memcpy(result.data(), &length, sizeof(length));
  return result;
}

}  // namespace memfuse::protocol

#endif  // MEMFUSE_TESTS_PROTOCOL_MESSAGE_H_
