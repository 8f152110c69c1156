#include "src/protocol/opcodes.h"

#include <array>
#include <type_traits>

#include "src/protocol/wire.h"
#include "src/protocol/wire_init.h"

namespace memfuse::protocol {
namespace {

template <typename Arguments>
constexpr uint32_t FixedSize() {
  if constexpr (std::is_void_v<Arguments>) {
    return 0;
  } else {
    return sizeof(Arguments);
  }
}

constexpr OpcodeInfo kTable[] = {
#define MEMFUSE_OPCODE(enumerator, number, name, disposition, arguments, decoder, why) \
  {Opcode::enumerator, name, Disposition::disposition, FixedSize<arguments>(), why},
#define MEMFUSE_REFUSED_OPCODE(enumerator, number, name, disposition, arguments, why) \
  {Opcode::enumerator, name, Disposition::disposition, FixedSize<arguments>(), why},
#include "src/protocol/opcodes.inc"
#undef MEMFUSE_OPCODE
#undef MEMFUSE_REFUSED_OPCODE
};

constexpr uint8_t kAbsent = 0xff;

constexpr std::array<uint8_t, kOpcodeLimit> MakeIndex() {
  std::array<uint8_t, kOpcodeLimit> index{};
  for (uint8_t& slot : index) slot = kAbsent;
  for (size_t i = 0; i < std::size(kTable); ++i) {
    index[static_cast<size_t>(kTable[i].opcode)] = static_cast<uint8_t>(i);
  }
  return index;
}

constexpr std::array<uint8_t, kOpcodeLimit> kIndex = MakeIndex();

}  // namespace

absl::Span<const OpcodeInfo> AllOpcodes() { return kTable; }

const OpcodeInfo* FindOpcode(uint32_t opcode) {
  if (opcode >= kOpcodeLimit || kIndex[opcode] == kAbsent) return nullptr;
  return &kTable[kIndex[opcode]];
}

}  // namespace memfuse::protocol
