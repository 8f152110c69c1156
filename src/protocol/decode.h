// Bytes of a request from the kernel -> a typed request. Pure: no descriptor, lock, clock or
// allocation (BATCH_FORGET entries and strings are views into the message).
//
// The kernel is trusted to be the kernel, but not to be well: every length is checked against what
// is there, every string must end with its NUL inside the message, and what does not hold is
// EINVAL. Integers are in host byte order. The message need not be aligned.

#ifndef MEMFUSE_SRC_PROTOCOL_DECODE_H_
#define MEMFUSE_SRC_PROTOCOL_DECODE_H_

#include <cstdint>
#include <optional>
#include <variant>

#include "absl/types/span.h"
#include "memfuse/errno.h"
#include "memfuse/filesystem.h"
#include "memfuse/session.h"
#include "src/protocol/opcodes.h"

namespace memfuse::protocol {

// Bytes of struct fuse_in_header.
inline constexpr size_t kRequestHeaderSize = 40;
// Bytes in front of the data of a WRITE: header and struct fuse_write_in. A transport that places
// them so that they end on a page boundary gets the data page-aligned.
inline constexpr size_t kWritePrefixSize = 80;

struct RequestHeader {
  uint32_t length = 0;  // of the whole message
  uint32_t opcode = 0;
  RequestId id{};
  InodeNumber node = kNoInode;
  std::optional<uint32_t> uid = 0, gid = 0;  // nullopt: the kernel leaves it out
  uint32_t pid = 0;
  uint32_t extensions_size = 0;  // bytes at the end of the message

  RequestContext context() const { return {id, uid, gid, pid}; }
};

struct InitRequest {
  uint32_t major = 0, minor = 0;
  uint32_t max_readahead = 0;
  uint64_t flags = 0;  // both halves
};

struct DestroyRequest {};

// FORGET of many inodes. `entries` are pairs in wire form; At(i) decodes one.
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

// READ and READDIR carry how much the caller takes; the buffer is the transport's.
struct SizedReadRequest {
  ReadRequest read;
  uint32_t size = 0;
};
struct SizedReaddirRequest {
  ReaddirRequest readdir;
  uint32_t size = 0;
};
// COPY_FILE_RANGE answers 32 bits, COPY_FILE_RANGE_64 answers 64.
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

// The header of a whole message, of which the last `apart` bytes are not in `message`. EINVAL:
// shorter than a header, or its length field is not message.size() + apart.
Result<RequestHeader> DecodeHeader(absl::Span<const char> message, size_t apart = 0);

// The arguments. `fixed` holds the operation's fixed struct (at least OpcodeInfo::fixed_size bytes
// of it, or all that there is), `rest` what follows: the two halves in which io_uring delivers
// them. `parameters` are those in force (all zero before INIT). ENOSYS: unknown opcode, or one that
// is refused or ignored (the latter must not be answered: opcodes.h); EINVAL: malformed, which
// includes a name with a '/'. Sizes that a caller asks for (READ, READDIR, IOCTL, GETXATTR) are
// passed on as they came: bounding them is the transport's.
Result<Request> DecodeArguments(const RequestHeader& header, absl::Span<const char> fixed,
                                absl::Span<const char> rest,
                                const ConnectionParameters& parameters);

// The same for a contiguous message, as /dev/fuse delivers it: `body` is all that follows the
// header.
Result<Request> DecodeBody(const RequestHeader& header, absl::Span<const char> body,
                           const ConnectionParameters& parameters);

// The same for a WRITE whose data is kept apart: `body` is the fixed struct alone. EINVAL also for
// every other opcode, and where extensions follow the data.
Result<Request> DecodeWrite(const RequestHeader& header, absl::Span<const char> body,
                            const Payload& data);

// What can be told of a message by its first kWritePrefixSize bytes.
struct MessagePrefix {
  bool is_write = false;   // the rest is the data of a WRITE, which may be kept apart
  bool is_direct = false;  // a WRITE of an O_DIRECT file: from the caller's memory
};
// `prefix` may be shorter or longer; nothing is told of one that is shorter.
MessagePrefix ParsePrefix(absl::Span<const char> prefix);

}  // namespace memfuse::protocol

#endif  // MEMFUSE_SRC_PROTOCOL_DECODE_H_
