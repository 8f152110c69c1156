#include "src/protocol/decode.h"

#include <array>
#include <cstring>
#include <optional>

#include "src/protocol/decode_internal.h"
#include "src/protocol/wire.h"

namespace memfuse::protocol {
namespace {

using internal::Arguments;

static_assert(kRequestHeaderSize == sizeof(wire::InHeader));
static_assert(kWritePrefixSize == sizeof(wire::InHeader) + sizeof(wire::WriteIn));

std::optional<uint32_t> IdOrNothing(uint32_t id) {
  return id == wire::kInvalidId ? std::nullopt : std::optional<uint32_t>(id);
}

using Decoder = Result<Request> (*)(Arguments&);

constexpr std::array<Decoder, kOpcodeLimit> MakeDecoders() {
  std::array<Decoder, kOpcodeLimit> decoders{};
#define MEMFUSE_OPCODE(enumerator, number, name, disposition, arguments, decoder, why) \
  decoders[number] = &internal::decoder;
#define MEMFUSE_REFUSED_OPCODE(enumerator, number, name, disposition, arguments, why)
#include "src/protocol/opcodes.inc"
#undef MEMFUSE_OPCODE
#undef MEMFUSE_REFUSED_OPCODE
  return decoders;
}

// Null for an opcode that is unknown, refused or ignored.
constexpr std::array<Decoder, kOpcodeLimit> kDecoders = MakeDecoders();

}  // namespace

Result<RequestHeader> DecodeHeader(absl::Span<const char> message) {
  wire::InHeader in;
  if (message.size() < sizeof(in)) return Errno(EINVAL);
  std::memcpy(&in, message.data(), sizeof(in));
  if (in.len != message.size()) return Errno(EINVAL);
  RequestHeader header;
  header.length = in.len;
  header.opcode = in.opcode;
  header.id = RequestId{in.unique};
  header.node = InodeNumber{in.nodeid};
  header.uid = IdOrNothing(in.uid);
  header.gid = IdOrNothing(in.gid);
  header.pid = in.pid;
  header.extensions_size = in.total_extlen * wire::kExtensionUnit;
  return header;
}

Result<Request> DecodeBody(const RequestHeader& header, absl::Span<const char> body,
                           const ConnectionParameters& parameters) {
  if (header.opcode >= kOpcodeLimit || kDecoders[header.opcode] == nullptr) return Errno(ENOSYS);
  if (header.extensions_size > body.size()) return Errno(EINVAL);
  body.remove_suffix(header.extensions_size);
  Arguments arguments(header, body, parameters);
  return kDecoders[header.opcode](arguments);
}

}  // namespace memfuse::protocol
