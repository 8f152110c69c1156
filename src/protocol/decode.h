// Decodes the bytes of a request from the kernel into a typed request. The functions are pure: they
// use no descriptor, lock, clock or allocation. Strings and the entries of BATCH_FORGET are views
// into the message.
//
// The sender is trusted to be the kernel, but its messages may be malformed. Every length is
// checked against the size of the message, and every string must end with its NUL inside the
// message. A violation is EINVAL. Integers are in host byte order. The message need not be aligned.

#ifndef MEMFUSE_SRC_PROTOCOL_DECODE_H_
#define MEMFUSE_SRC_PROTOCOL_DECODE_H_

#include <cstdint>
#include <optional>
#include <variant>

#include "absl/types/span.h"
#include "memfuse/connection.h"
#include "memfuse/errno.h"
#include "memfuse/requests.h"
#include "src/protocol/opcodes.h"

namespace memfuse::protocol {

// Bytes of struct fuse_in_header.
inline constexpr size_t kRequestHeaderSize = 40;
// Bytes in front of the data of a WRITE: header and struct fuse_write_in. If a transport places
// them so that they end on a page boundary, the data is page-aligned.
inline constexpr size_t kWritePrefixSize = 80;

struct RequestHeader {
  uint32_t length = 0;  // of the whole message
  uint32_t opcode = 0;
  RequestId id{};  // as received: a reply has the same number
  InodeNumber node = kNoInode;
  std::optional<uint32_t> uid = 0, gid = 0;  // nullopt: the kernel omits it
  uint32_t pid = 0;
  uint32_t extensions_size = 0;  // bytes of extensions at the end of the message

  // Linux 6.9 marks a request that it sends again (FUSE_NOTIFY_RESEND) in the highest bit of the
  // number.
  static constexpr uint64_t kResentBit = uint64_t{1} << 63;
  RequestContext context() const {
    const uint64_t number = ToInt(id);
    return {RequestId{number & ~kResentBit}, uid, gid, pid, (number & kResentBit) != 0};
  }
};

struct InitRequest {
  uint32_t major = 0, minor = 0;
  uint32_t max_readahead = 0;
  uint64_t flags = 0;  // flags, and flags2 as the upper 32 bits
};

struct DestroyRequest {};

// FORGET of many inodes. `entries` are pairs in wire format; At(i) decodes one.
struct BatchForgetRequest {
  uint32_t count = 0;
  absl::Span<const char> entries;  // count * 16 bytes
  ForgetRequest At(uint32_t i) const;
};

struct TmpfileRequest {
  CreateRequest create;
};

struct OpendirRequest {
  OpenRequest open;
};
struct ReleasedirRequest {
  ReleaseRequest release;
};
struct FsyncdirRequest {
  FsyncRequest fsync;
};

// READ and READDIR contain the size that the caller accepts. The transport owns the buffer.
struct SizedReadRequest {
  ReadRequest read;
  uint32_t size = 0;
};
struct SizedReaddirRequest {
  ReaddirRequest readdir;
  uint32_t size = 0;
};
// COPY_FILE_RANGE has a 32-bit result, COPY_FILE_RANGE_64 a 64-bit one.
struct SizedCopyFileRangeRequest {
  CopyFileRangeRequest copy;
  bool wide_result = false;
};

using Request =
    std::variant<LookupRequest, ForgetRequest, BatchForgetRequest, GetattrRequest, SetattrRequest,
                 StatxRequest, ReadlinkRequest, SymlinkRequest, MknodRequest, MkdirRequest,
                 UnlinkRequest, RmdirRequest, RenameRequest, LinkRequest, OpenRequest,
                 CreateRequest, TmpfileRequest, SizedReadRequest, WriteRequest, ReleaseRequest,
                 FlushRequest, FsyncRequest, FallocateRequest, LseekRequest,
                 SizedCopyFileRangeRequest, OpendirRequest, SizedReaddirRequest, ReleasedirRequest,
                 FsyncdirRequest, StatfsRequest, SetxattrRequest, GetxattrRequest, ListxattrRequest,
                 RemovexattrRequest, AccessRequest, IoctlRequest, InitRequest, DestroyRequest>;

// Decodes the header of a complete message. Errors: EINVAL (shorter than a header, or the length
// field is not message.size()).
Result<RequestHeader> DecodeHeader(absl::Span<const char> message);

// Decodes the arguments of a message: `body` is everything that follows the header.
// `parameters` are those in force (all zero before INIT). Errors: ENOSYS (unknown opcode, or one
// that is refused or ignored; a request with an ignored opcode must not be answered, see
// opcodes.h), EINVAL (malformed, which includes a name with a '/'). Sizes that a caller requests
// (READ, READDIR, IOCTL, GETXATTR) are returned unchanged; the transport bounds them.
Result<Request> DecodeBody(const RequestHeader& header, absl::Span<const char> body,
                           const ConnectionParameters& parameters);

}  // namespace memfuse::protocol

#endif  // MEMFUSE_SRC_PROTOCOL_DECODE_H_
