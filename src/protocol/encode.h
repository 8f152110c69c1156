// Typed results -> bytes of a reply. Pure, and without allocation: each function writes into the
// buffer it is given and returns how many bytes it wrote.
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
// No fixed-size body is larger: a buffer of this size takes any of the Encode functions below.
inline constexpr size_t kMaxFixedBody = 512;

// `error` is 0 or a positive errno. Writes kReplyHeaderSize bytes.
void EncodeReplyHeader(RequestId id, int error, size_t body_size, absl::Span<char> out);

// Precondition of all: out.size() >= kMaxFixedBody. They return the size of the body.
size_t EncodeEntry(const Entry& entry, absl::Span<char> out);
// LOOKUP of a name that is not there: the kernel may remember that for `valid` seconds.
size_t EncodeNegativeEntry(CacheSeconds valid, absl::Span<char> out);
size_t EncodeAttributes(const AttributesResult& result, absl::Span<char> out);
size_t EncodeStatx(const StatxResult& result, absl::Span<char> out);
size_t EncodeOpen(const OpenResult& result, absl::Span<char> out);
size_t EncodeCreate(const CreateResult& result, absl::Span<char> out);
size_t EncodeWrite(uint32_t written, absl::Span<char> out);
size_t EncodeStatfs(const FileSystemStatistics& statistics, absl::Span<char> out);
// GETXATTR and LISTXATTR with size 0.
size_t EncodeXattrSize(uint32_t size, absl::Span<char> out);
size_t EncodeLseek(uint64_t offset, absl::Span<char> out);
size_t EncodeCopyFileRange(uint64_t copied, bool wide_result, absl::Span<char> out);
// The fixed part; the output bytes follow it.
size_t EncodeIoctl(const IoctlResult& result, absl::Span<char> out);

// A whole message: the kernel is to drop the attributes of an inode that it has cached, and not the
// data. Precondition: out.size() >= kMaxFixedBody. Returns its size.
size_t EncodeAttributesChanged(InodeNumber ino, absl::Span<char> out);

// Fills a buffer with READDIR or READDIRPLUS records. Names are 1 to 255 bytes.
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
