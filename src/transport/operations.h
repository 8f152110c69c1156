// One function per operation, which calls the file system and sends its result.

#ifndef MEMFUSE_SRC_TRANSPORT_OPERATIONS_H_
#define MEMFUSE_SRC_TRANSPORT_OPERATIONS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "memfuse/errno.h"
#include "memfuse/filesystem.h"
#include "src/protocol/decode.h"
#include "src/transport/reply.h"

namespace memfuse::transport {

// The smallest READDIRPLUS entry: two fixed structs of 128 and 24 bytes, and a name. A reply of n
// bytes gives at most n / kMinPlusEntry lookups.
inline constexpr size_t kMinPlusEntry = 128 + 24 + 8;

// A visitor of protocol::Request. It is made on the stack for one request. Exceptions of the file
// system pass through it.
class Operation {
 public:
  // `reply` is null for a request that expects no answer. `listed` is empty, with reserved
  // capacity.
  Operation(FileSystem* fs, const RequestContext& context, Reply* reply,
            std::vector<InodeNumber>* listed)
      : fs_(*fs), context_(context), reply_(reply), listed_(listed) {}

  // Names.
  void operator()(const LookupRequest& request);
  void operator()(const ForgetRequest& request);
  void operator()(const protocol::BatchForgetRequest& request);
  void operator()(const SymlinkRequest& request);
  void operator()(const MknodRequest& request);
  void operator()(const MkdirRequest& request);
  void operator()(const LinkRequest& request);
  void operator()(const CreateRequest& request);
  void operator()(const protocol::TmpfileRequest& request);
  void operator()(const UnlinkRequest& request);
  void operator()(const RmdirRequest& request);
  void operator()(const RenameRequest& request);

  // Attributes.
  void operator()(const GetattrRequest& request);
  void operator()(const SetattrRequest& request);
  void operator()(const StatxRequest& request);
  void operator()(const ReadlinkRequest& request);
  void operator()(const AccessRequest& request);
  void operator()(const StatfsRequest& request);
  void operator()(const SetxattrRequest& request);
  // Size 0 asks for the size only. A value that does not fit is ERANGE.
  void operator()(const GetxattrRequest& request);
  // Size 0 asks for the size only. A list that does not fit is ERANGE, or E2BIG if the caller's
  // buffer has the largest size (64 KiB).
  void operator()(const ListxattrRequest& request);
  void operator()(const RemovexattrRequest& request);

  // Open files and directories.
  void operator()(const OpenRequest& request);
  void operator()(const protocol::SizedReadRequest& request);
  void operator()(const WriteRequest& request);
  void operator()(const ReleaseRequest& request);
  void operator()(const FlushRequest& request);
  void operator()(const FsyncRequest& request);
  void operator()(const FallocateRequest& request);
  void operator()(const LseekRequest& request);
  void operator()(const protocol::SizedCopyFileRangeRequest& request);
  void operator()(const IoctlRequest& request);
  void operator()(const protocol::OpendirRequest& request);
  void operator()(const protocol::SizedReaddirRequest& request);
  void operator()(const protocol::ReleasedirRequest& request);
  void operator()(const protocol::FsyncdirRequest& request);

  // The connection.
  void operator()(const protocol::InitRequest& request);
  void operator()(const protocol::DestroyRequest& request);

 private:
  void Answer(const Result<void>& result);
  void AnswerEntry(const Result<Entry>& result);
  void AnswerCreate(const Result<CreateResult>& result, uint32_t flags);
  void AnswerAttributes(const Result<AttributesResult>& result);
  void AnswerXattr(const Result<std::string>& result, uint32_t room, Errno too_long);
  // Returns the part of the reply buffer that may be filled for a caller that accepts `size` bytes.
  absl::Span<char> Output(uint32_t size);

  FileSystem& fs_;
  const RequestContext context_;
  Reply* const reply_;
  std::vector<InodeNumber>* const listed_;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_OPERATIONS_H_
