// A table of every opcode of the FUSE protocol up to 7.45, with the server's treatment of each.

#ifndef MEMFUSE_SRC_PROTOCOL_OPCODES_H_
#define MEMFUSE_SRC_PROTOCOL_OPCODES_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/types/span.h"

namespace memfuse::protocol {

enum class Opcode : uint32_t {
  kLookup = 1,
  kForget = 2,
  kGetattr = 3,
  kSetattr = 4,
  kReadlink = 5,
  kSymlink = 6,
  kMknod = 8,
  kMkdir = 9,
  kUnlink = 10,
  kRmdir = 11,
  kRename = 12,
  kLink = 13,
  kOpen = 14,
  kRead = 15,
  kWrite = 16,
  kStatfs = 17,
  kRelease = 18,
  kFsync = 20,
  kSetxattr = 21,
  kGetxattr = 22,
  kListxattr = 23,
  kRemovexattr = 24,
  kFlush = 25,
  kInit = 26,
  kOpendir = 27,
  kReaddir = 28,
  kReleasedir = 29,
  kFsyncdir = 30,
  kGetlk = 31,
  kSetlk = 32,
  kSetlkw = 33,
  kAccess = 34,
  kCreate = 35,
  kInterrupt = 36,
  kBmap = 37,
  kDestroy = 38,
  kIoctl = 39,
  kPoll = 40,
  kNotifyReply = 41,
  kBatchForget = 42,
  kFallocate = 43,
  kReaddirplus = 44,
  kRename2 = 45,
  kLseek = 46,
  kCopyFileRange = 47,
  kSetupmapping = 48,
  kRemovemapping = 49,
  kSyncfs = 50,
  kTmpfile = 51,
  kStatx = 52,
  kCopyFileRange64 = 53,
};

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
  // Bytes of the fixed argument struct; strings, data and extensions follow it. The size for
  // SETXATTR and for INIT depends on flags and is determined while decoding.
  uint32_t fixed_size;
  std::string_view why;  // the reason for the treatment, or its effect
};

// In increasing order of opcode.
absl::Span<const OpcodeInfo> AllOpcodes();

// Returns nullptr for an opcode that is not in the table.
const OpcodeInfo* FindOpcode(uint32_t opcode);

}  // namespace memfuse::protocol

#endif  // MEMFUSE_SRC_PROTOCOL_OPCODES_H_
