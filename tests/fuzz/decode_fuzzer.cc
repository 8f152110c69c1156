// Decodes arbitrary bytes under arbitrary negotiated flags.
//
// Input: 8 bytes of flags, 1 byte that is ignored, then a message. The fuzzer corrects the
// message's length field, because decoding stops early at a wrong length.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "src/protocol/decode.h"
#include "tests/protocol/request_invariants.h"

namespace memfuse::protocol {
namespace {

// The copy ends at the end of its allocation, so that the address sanitizer detects reads beyond
// it.
class Copy {
 public:
  explicit Copy(absl::Span<const char> bytes)
      : memory_(new char[bytes.size()]), size_(bytes.size()) {
    if (size_ > 0) std::memcpy(memory_.get(), bytes.data(), size_);
  }
  absl::Span<char> span() { return {memory_.get(), size_}; }

 private:
  std::unique_ptr<char[]> memory_;
  size_t size_;
};

void Check(const RequestHeader& header, const Result<Request>& request,
           absl::Span<const char> message) {
  if (!request.ok()) {
    if (request.error() == EINVAL || request.error() == ENOSYS) return;
    std::fprintf(stderr, "errno %d\n", request.error().value());
    std::abort();
  }
  const std::string broken = BrokenInvariant(header, *request, message);
  if (broken.empty()) return;
  std::fprintf(stderr, "opcode %u: %s\n", header.opcode, broken.c_str());
  std::abort();
}

void Run(absl::Span<const char> input) {
  ConnectionParameters parameters;
  constexpr size_t kPrefix = sizeof(parameters.flags) + 1;
  if (input.size() < kPrefix) return;
  std::memcpy(&parameters.flags, input.data(), sizeof(parameters.flags));

  Copy message(input.subspan(kPrefix));
  const auto length = static_cast<uint32_t>(message.span().size());
  if (length >= sizeof(length)) std::memcpy(message.span().data(), &length, sizeof(length));
  const Result<RequestHeader> header = DecodeHeader(message.span());
  if (!header.ok()) return;
  const absl::Span<const char> body = message.span().subspan(kRequestHeaderSize);
  Check(*header, DecodeBody(*header, body, parameters), message.span());
}

}  // namespace
}  // namespace memfuse::protocol

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  memfuse::protocol::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
