// The negotiation in INIT: the flags that the kernel offers, those that this server supports, and
// those on which both agree.
//
// The table in negotiation.cc has one line per flag, with the reason. A flag must not be set unless
// the server does what it requires: some flags (io_uring) otherwise hang the mount.

#ifndef MEMFUSE_SRC_PROTOCOL_NEGOTIATION_H_
#define MEMFUSE_SRC_PROTOCOL_NEGOTIATION_H_

#include <cstdint>
#include <string_view>

#include "absl/types/span.h"
#include "memfuse/connection.h"
#include "memfuse/errno.h"
#include "src/protocol/decode.h"

namespace memfuse::protocol {

inline constexpr uint32_t kProtocolMajor = 7;
inline constexpr uint32_t kProtocolMinor = 45;
// The oldest protocol that is served, that of Linux 5.4 (max_pages, RENAME2, copy_file_range,
// cached directories).
inline constexpr uint32_t kMinMinor = 31;

// The capabilities that the server requests.
struct RequestedCapabilities {
  // Bytes of data in the largest READ and in the largest WRITE.
  uint32_t max_read = 1 << 20;
  uint32_t max_write = 1 << 20;
  bool writeback_cache = false;
  bool passthrough = false;  // excludes writeback_cache
  bool io_uring = false;     // the queues to register were made
  bool posix_acl = true;     // the kernel then checks all permissions, with all mount options
};

enum class CapabilityPolicy : uint8_t {
  kYes,
  kNo,
  kWriteback,       // if RequestedCapabilities::writeback_cache
  kPassthrough,     // if RequestedCapabilities::passthrough
  kNotPassthrough,  // unless PASSTHROUGH is agreed on
  kIoUring,         // if RequestedCapabilities::io_uring
  kPosixAcl,        // if RequestedCapabilities::posix_acl
};

struct InitFlag {
  uint64_t bit;
  std::string_view name;
  CapabilityPolicy policy;
  std::string_view why;
};

// Every flag of 7.45, in increasing order of bit.
absl::Span<const InitFlag> AllInitFlags();

struct InitReply {
  ConnectionParameters parameters;
  uint32_t max_readahead = 0;
  uint16_t max_background = 0;
  uint16_t congestion_threshold = 0;
  // passthrough: the maximum stacking depth of a backing file's file system
  uint32_t max_stack_depth = 0;
};

// Errors: EPROTO (another major version, or a kernel older than kMinMinor). A kernel with a
// larger major version is to be answered with EncodeInitMajor; it then sends INIT again.
Result<InitReply> Negotiate(const InitRequest& request, const RequestedCapabilities& requested);

// Returns whether opens may be answered with backing files (FUSE_PASSTHROUGH).
bool PassesThrough(const ConnectionParameters& parameters);

// Returns whether requests come through io_uring. They wait until every queue is registered.
bool UsesIoUring(const ConnectionParameters& parameters);

// Returns whether mounts of this file system can be idmapped (FUSE_ALLOW_IDMAP, Linux 6.12).
bool AllowsIdmappedMounts(const ConnectionParameters& parameters);

// Writes struct fuse_init_out and returns its size, 64 bytes, which is the same for every minor
// version from kMinMinor on. Requires: out.size() >= kMaxFixedBody (encode.h).
size_t EncodeInit(const InitReply& reply, absl::Span<char> out);

// Writes the answer to a larger major version, in which only our version is significant. Requires
// and returns the same as EncodeInit.
size_t EncodeInitMajor(absl::Span<char> out);

}  // namespace memfuse::protocol

#endif  // MEMFUSE_SRC_PROTOCOL_NEGOTIATION_H_
