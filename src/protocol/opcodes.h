// Every opcode of the FUSE protocol up to 7.45, with the server's treatment of each. The rows are
// in opcodes.inc.

#ifndef MEMFUSE_SRC_PROTOCOL_OPCODES_H_
#define MEMFUSE_SRC_PROTOCOL_OPCODES_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/types/span.h"

namespace memfuse::protocol {

// NOLINTBEGIN(bugprone-macro-parentheses): enumerators take no parentheses
enum class Opcode : uint32_t {
#define MEMFUSE_OPCODE(enumerator, number, name, disposition, arguments, decoder, why) \
  enumerator = number,
#define MEMFUSE_REFUSED_OPCODE(enumerator, number, name, disposition, arguments, why) \
  enumerator = number,
#include "src/protocol/opcodes.inc"
#undef MEMFUSE_OPCODE
#undef MEMFUSE_REFUSED_OPCODE
};
// NOLINTEND(bugprone-macro-parentheses)

// Upper bound of the opcodes. Counters are arrays of this size.
inline constexpr size_t kOpcodeLimit = 64;

enum class Disposition : uint8_t {
  kServe,    // decoded and executed by the file system (INIT, DESTROY: by the session)
  kNoReply,  // decoded and executed; the kernel expects no answer
  kRefuse,   // answered with ENOSYS without decoding; `why` gives the kernel's reaction
  kIgnore,   // neither decoded nor answered
};

struct OpcodeInfo {
  Opcode opcode;
  std::string_view name;  // the protocol's spelling: "LOOKUP"
  Disposition disposition;
  // Bytes of the fixed argument struct; strings, data and extensions follow it. SETXATTR and INIT
  // have a longer struct if flags say so; this is the size of the shorter one.
  uint32_t fixed_size;
  std::string_view why;  // the reason for the treatment, or its effect
};

// In increasing order of opcode.
absl::Span<const OpcodeInfo> AllOpcodes();

// Returns nullptr for an opcode that is not in the table.
const OpcodeInfo* FindOpcode(uint32_t opcode);

}  // namespace memfuse::protocol

#endif  // MEMFUSE_SRC_PROTOCOL_OPCODES_H_
