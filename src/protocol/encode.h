// Encodes typed results into the bytes of a reply. The functions are pure and allocate nothing.
// Each one writes into the buffer of its caller; all except EncodeReplyHeader return the number of
// bytes that they wrote.
//
// A reply is a header (16 bytes: length, negative errno, request id) and a body. An error has no
// body.

#ifndef MEMFUSE_SRC_PROTOCOL_ENCODE_H_
#define MEMFUSE_SRC_PROTOCOL_ENCODE_H_

#include <cstdint>

#include "absl/types/span.h"
#include "memfuse/errno.h"
#include "memfuse/filesystem.h"
#include "memfuse/session.h"

namespace memfuse::protocol {

// Bytes of struct fuse_out_header.
inline constexpr size_t kReplyHeaderSize = 16;
// Upper bound of all fixed-size bodies: a buffer of this size is sufficient for each of the Encode
// functions below.
inline constexpr size_t kMaxFixedBody = 512;

// Requires: `error` is 0 or a positive errno, and body_size is 0 if it is an errno. Writes
// kReplyHeaderSize bytes.
void EncodeReplyHeader(RequestId id, int error, size_t body_size, absl::Span<char> out);

// Requires, for all functions below: out.size() >= kMaxFixedBody. They return the size of the body.
size_t EncodeEntry(const Entry& entry, absl::Span<char> out);
// For LOOKUP of a name that does not exist: the kernel may cache the absence for `valid` seconds.
size_t EncodeNegativeEntry(CacheSeconds valid, absl::Span<char> out);
size_t EncodeAttributes(const AttributesResult& result, absl::Span<char> out);
size_t EncodeStatx(const StatxResult& result, absl::Span<char> out);
size_t EncodeOpen(const OpenResult& result, absl::Span<char> out);
size_t EncodeCreate(const CreateResult& result, absl::Span<char> out);
size_t EncodeWrite(uint32_t written, absl::Span<char> out);
size_t EncodeStatfs(const FileSystemStatistics& statistics, absl::Span<char> out);
// For GETXATTR and LISTXATTR with size 0.
size_t EncodeXattrSize(uint32_t size, absl::Span<char> out);
size_t EncodeLseek(uint64_t offset, absl::Span<char> out);
size_t EncodeCopyFileRange(uint64_t copied, bool wide_result, absl::Span<char> out);
// Encodes the fixed part; the output bytes follow it.
size_t EncodeIoctl(const IoctlResult& result, absl::Span<char> out);

// Encodes a complete message that tells the kernel to drop the attributes that it has cached for an
// inode, but not the data. Requires: out.size() >= kMaxFixedBody. Returns the size of the message.
size_t EncodeAttributesChanged(InodeNumber ino, absl::Span<char> out);

// Fills a buffer with READDIR or READDIRPLUS records. Names have 1 to 255 bytes.
class DirectoryBuffer final : public DirectorySink {
 public:
  DirectoryBuffer(absl::Span<char> out, bool plus) : out_(out), plus_(plus) {}

  bool HasRoomFor(std::string_view name) const override;
  void Add(const DirectoryEntry& entry) override;

  size_t size() const { return used_; }

 private:
  absl::Span<char> out_;
  const bool plus_;
  size_t used_ = 0;
};

}  // namespace memfuse::protocol

#endif  // MEMFUSE_SRC_PROTOCOL_ENCODE_H_
