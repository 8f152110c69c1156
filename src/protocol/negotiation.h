// INIT: what the kernel offers, what this server wants, what both do.
//
// The table in negotiation.cc has one line per flag, with the reason. A flag is never set whose
// duties are not done: some (io_uring) hang the mount.

#ifndef MEMFUSE_SRC_PROTOCOL_NEGOTIATION_H_
#define MEMFUSE_SRC_PROTOCOL_NEGOTIATION_H_

#include <cstdint>
#include <string_view>

#include "absl/types/span.h"
#include "memfuse/errno.h"
#include "memfuse/session.h"
#include "src/protocol/decode.h"

namespace memfuse::protocol {

inline constexpr uint32_t kProtocolMajor = 7;
inline constexpr uint32_t kProtocolMinor = 45;
// The oldest kernel that is served: 5.4's protocol (max_pages, RENAME2, copy_file_range,
// cached directories).
inline constexpr uint32_t kOldestMinor = 31;

// What the server would like.
struct RequestedCapabilities {
  // Bytes of data in the largest READ; and in the largest WRITE, which is bounded by piped_write
  // too where data can come through pipes (CanSplice).
  uint32_t max_read = 1 << 20;
  uint32_t max_write = 1 << 20;
  uint32_t piped_write = 1 << 20;
  bool writeback_cache = false;
  bool passthrough = false;  // excludes writeback_cache
  bool io_uring = false;     // there are queues to register
  bool posix_acl = true;     // the kernel then checks all permissions, whatever the mount says
};

enum class CapabilityPolicy : uint8_t {
  kYes,
  kNo,
  kWriteback,       // if RequestedCapabilities::writeback_cache
  kPassthrough,     // if RequestedCapabilities::passthrough
  kNotPassthrough,  // unless RequestedCapabilities::passthrough
  kIoUring,         // if RequestedCapabilities::io_uring
  kPosixAcl,        // if RequestedCapabilities::posix_acl
};

struct InitFlag {
  uint64_t bit;
  std::string_view name;
  CapabilityPolicy want;
  std::string_view why;
};

// Every flag of 7.45, by increasing bit.
absl::Span<const InitFlag> AllInitFlags();

struct InitReply {
  ConnectionParameters parameters;
  uint32_t max_readahead = 0;
  uint16_t max_background = 0;
  uint16_t congestion_threshold = 0;
  uint32_t max_stack_depth = 0;  // passthrough: how many file systems a backing file's may lie on
};

// EPROTO: another major version, or a kernel older than kOldestMinor. A kernel with a larger major
// is to be answered with ours and asks again (EncodeInitMajor).
Result<InitReply> Negotiate(const InitRequest& request, const RequestedCapabilities& requested);

// Whether opens may be answered with backing files (FUSE_PASSTHROUGH).
bool PassesThrough(const ConnectionParameters& parameters);

// Whether requests come through io_uring once every queue is registered, and wait until then.
bool UsesIoUring(const ConnectionParameters& parameters);

// Whether the data of a WRITE may be taken by splice(2): it comes by /dev/fuse, and from a kernel
// that puts no more pieces into a pipe than the data has pages (Linux 5.17).
bool CanSplice(const ConnectionParameters& parameters);

// Whether mounts of this file system can be idmapped (FUSE_ALLOW_IDMAP, Linux 6.12).
bool AllowsIdmappedMounts(const ConnectionParameters& parameters);

// Writes struct fuse_init_out, in the size that the agreed minor has; returns it.
// Precondition: out.size() >= kMaxFixedBody (encode.h).
size_t EncodeInit(const InitReply& reply, absl::Span<char> out);

// The answer to a larger major version: only our own version counts.
size_t EncodeInitMajor(absl::Span<char> out);

}  // namespace memfuse::protocol

#endif  // MEMFUSE_SRC_PROTOCOL_NEGOTIATION_H_
