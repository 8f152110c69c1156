#include "src/protocol/decode.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "src/protocol/decode_internal.h"
#include "src/protocol/wire.h"
#include "src/protocol/wire_init.h"

namespace memfuse::protocol {
namespace {

using internal::Arguments;

static_assert(kRequestHeaderSize == sizeof(wire::InHeader));
static_assert(kWritePrefixSize == sizeof(wire::InHeader) + sizeof(wire::WriteIn));

bool HasSetxattrExt(const ConnectionParameters& parameters) {
  return (parameters.flags & wire::kInitSetxattrExt) != 0;
}

std::optional<uint32_t> IdOrNothing(uint32_t id) {
  return id == wire::kInvalidId ? std::nullopt : std::optional<uint32_t>(id);
}

Result<Request> DecodeForget(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Fixed<wire::ForgetIn>());
  return Request(ForgetRequest{arguments.node(), in.nlookup});
}

Result<Request> DecodeBatchForget(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Fixed<wire::BatchForgetIn>());
  const uint64_t size = uint64_t{in.count} * sizeof(wire::ForgetOne);
  MEMFUSE_ASSIGN_OR_RETURN(const auto entries, arguments.TakeData(size));
  return Request(BatchForgetRequest{in.count, entries});
}

Result<Request> DecodeInit(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Fixed<wire::InitShortIn>());
  InitRequest request{in.major, in.minor, in.max_readahead, in.flags};
  // kInitInitExt says that the kernel sent the long struct. Bytes that an older kernel sends behind
  // the short struct have no meaning.
  if ((in.flags & wire::kInitInitExt) != 0) {
    MEMFUSE_ASSIGN_OR_RETURN(const auto extended, arguments.Fixed<wire::InitIn>());
    request.flags |= uint64_t{extended.flags2} << 32;
  }
  return Request(request);
}

// Returns the number of bytes of a contiguous body that belong to the fixed struct.
size_t FixedSize(const OpcodeInfo& info, const ConnectionParameters& parameters) {
  if (info.opcode == Opcode::kInit) return sizeof(wire::InitIn);
  if (info.opcode == Opcode::kSetxattr && HasSetxattrExt(parameters)) {
    return sizeof(wire::SetxattrIn);
  }
  return info.fixed_size;
}

Result<Request> Dispatch(Opcode opcode, Arguments& arguments,
                         const ConnectionParameters& parameters) {
  using namespace internal;  // NOLINT(google-build-using-namespace): the table below, readable
  switch (opcode) {
    case Opcode::kLookup:
      return DecodeLookup(arguments);
    case Opcode::kForget:
      return DecodeForget(arguments);
    case Opcode::kGetattr:
      return DecodeGetattr(arguments);
    case Opcode::kSetattr:
      return DecodeSetattr(arguments);
    case Opcode::kReadlink:
      return Request(ReadlinkRequest{arguments.node()});
    case Opcode::kSymlink:
      return DecodeSymlink(arguments);
    case Opcode::kMknod:
      return DecodeMknod(arguments);
    case Opcode::kMkdir:
      return DecodeMkdir(arguments);
    case Opcode::kUnlink:
      return DecodeUnlink(arguments);
    case Opcode::kRmdir:
      return DecodeRmdir(arguments);
    case Opcode::kRename:
      return DecodeRename(arguments);
    case Opcode::kLink:
      return DecodeLink(arguments);
    case Opcode::kOpen:
      return DecodeOpen(arguments);
    case Opcode::kRead:
      return DecodeRead(arguments);
    case Opcode::kWrite:
      return DecodeWrite(arguments);
    case Opcode::kStatfs:
      return Request(StatfsRequest{arguments.node()});
    case Opcode::kRelease:
      return DecodeRelease(arguments);
    case Opcode::kFsync:
      return DecodeFsync(arguments);
    case Opcode::kSetxattr:
      return DecodeSetxattr(arguments, HasSetxattrExt(parameters));
    case Opcode::kGetxattr:
      return DecodeGetxattr(arguments);
    case Opcode::kListxattr:
      return DecodeListxattr(arguments);
    case Opcode::kRemovexattr:
      return DecodeRemovexattr(arguments);
    case Opcode::kFlush:
      return DecodeFlush(arguments);
    case Opcode::kInit:
      return DecodeInit(arguments);
    case Opcode::kOpendir:
      return DecodeOpendir(arguments);
    case Opcode::kReaddir:
      return DecodeReaddir(arguments, /*plus=*/false);
    case Opcode::kReleasedir:
      return DecodeReleasedir(arguments);
    case Opcode::kFsyncdir:
      return DecodeFsyncdir(arguments);
    case Opcode::kAccess:
      return DecodeAccess(arguments);
    case Opcode::kCreate:
      return DecodeCreate(arguments);
    case Opcode::kDestroy:
      return Request(DestroyRequest{});
    case Opcode::kIoctl:
      return DecodeIoctl(arguments);
    case Opcode::kBatchForget:
      return DecodeBatchForget(arguments);
    case Opcode::kFallocate:
      return DecodeFallocate(arguments);
    case Opcode::kReaddirplus:
      return DecodeReaddir(arguments, /*plus=*/true);
    case Opcode::kRename2:
      return DecodeRename2(arguments);
    case Opcode::kLseek:
      return DecodeLseek(arguments);
    case Opcode::kCopyFileRange:
      return DecodeCopyFileRange(arguments, /*wide_result=*/false);
    case Opcode::kTmpfile:
      return DecodeTmpfile(arguments);
    case Opcode::kStatx:
      return DecodeStatx(arguments);
    case Opcode::kCopyFileRange64:
      return DecodeCopyFileRange(arguments, /*wide_result=*/true);
    // Listed so that the compiler reports an opcode that is missing here.
    case Opcode::kGetlk:
    case Opcode::kSetlk:
    case Opcode::kSetlkw:
    case Opcode::kInterrupt:
    case Opcode::kBmap:
    case Opcode::kPoll:
    case Opcode::kNotifyReply:
    case Opcode::kSetupmapping:
    case Opcode::kRemovemapping:
    case Opcode::kSyncfs:
      break;
  }
  return Errno(ENOSYS);
}

}  // namespace

ForgetRequest BatchForgetRequest::At(uint32_t i) const {
  wire::ForgetOne one;
  const auto bytes = entries.subspan(size_t{i} * sizeof(one), sizeof(one));
  std::memcpy(&one, bytes.data(), sizeof(one));
  return {InodeNumber{one.nodeid}, one.nlookup};
}

Result<RequestHeader> DecodeHeader(absl::Span<const char> message, size_t apart) {
  wire::InHeader in;
  if (message.size() < sizeof(in)) return Errno(EINVAL);
  std::memcpy(&in, message.data(), sizeof(in));
  if (in.len != message.size() + apart) return Errno(EINVAL);
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

Result<Request> DecodeArguments(const RequestHeader& header, absl::Span<const char> fixed,
                                absl::Span<const char> rest,
                                const ConnectionParameters& parameters) {
  const OpcodeInfo* info = FindOpcode(header.opcode);
  if (info == nullptr || info->disposition == Disposition::kRefuse ||
      info->disposition == Disposition::kIgnore) {
    return Errno(ENOSYS);
  }
  if (header.extensions_size > rest.size()) return Errno(EINVAL);
  rest.remove_suffix(header.extensions_size);
  Arguments arguments(header, fixed, rest);
  return Dispatch(info->opcode, arguments, parameters);
}

Result<Request> DecodeBody(const RequestHeader& header, absl::Span<const char> body,
                           const ConnectionParameters& parameters) {
  const OpcodeInfo* info = FindOpcode(header.opcode);
  const size_t arguments_size = body.size() - std::min<size_t>(header.extensions_size, body.size());
  const size_t fixed_size =
      info == nullptr ? 0 : std::min(FixedSize(*info, parameters), arguments_size);
  return DecodeArguments(header, body.first(fixed_size), body.subspan(fixed_size), parameters);
}

}  // namespace memfuse::protocol
