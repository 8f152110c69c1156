// Lookup counts, and the begin and end of the connection.

#include <cstring>

#include "src/protocol/decode_internal.h"
#include "src/protocol/wire.h"
#include "src/protocol/wire_init.h"

namespace memfuse::protocol {

ForgetRequest BatchForgetRequest::At(uint32_t i) const {
  wire::ForgetOne one;
  const auto bytes = entries.subspan(size_t{i} * sizeof(one), sizeof(one));
  std::memcpy(&one, bytes.data(), sizeof(one));
  return {InodeNumber{one.nodeid}, one.nlookup};
}

namespace internal {

Result<Request> DecodeForget(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::ForgetIn>());
  return Request(ForgetRequest{arguments.node(), in.nlookup});
}

Result<Request> DecodeBatchForget(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::BatchForgetIn>());
  const uint64_t size = uint64_t{in.count} * sizeof(wire::ForgetOne);
  MEMFUSE_ASSIGN_OR_RETURN(const auto entries, arguments.TakeData(size));
  return Request(BatchForgetRequest{in.count, entries});
}

Result<Request> DecodeInit(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::InitShortIn>());
  InitRequest request{in.major, in.minor, in.max_readahead, in.flags};
  // kInitInitExt says that the rest of InitIn follows. Bytes that an older kernel sends behind the
  // short struct have no meaning.
  if ((in.flags & wire::kInitInitExt) != 0) {
    MEMFUSE_ASSIGN_OR_RETURN(const auto extension, arguments.Take<wire::InitExtensionIn>());
    request.flags |= uint64_t{extension.flags2} << 32;
  }
  return Request(request);
}

Result<Request> DecodeDestroy(Arguments&) { return Request(DestroyRequest{}); }

}  // namespace internal
}  // namespace memfuse::protocol
