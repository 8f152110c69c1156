// Encodes typed results into the bytes of a reply. The functions are pure and allocate nothing.
// Each one writes into the buffer of its caller; all except EncodeReplyHeader return the number of
// bytes that they wrote.
//
// A reply is a header (16 bytes: length, negative errno, request id) and a body. An error has no
// body.

#ifndef MEMFUSE_SRC_PROTOCOL_ENCODE_H_
#define MEMFUSE_SRC_PROTOCOL_ENCODE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/types/span.h"
#include "memfuse/directory_sink.h"
#include "memfuse/host.h"
#include "memfuse/requests.h"

namespace memfuse::protocol {

// Bytes of struct fuse_out_header.
inline constexpr size_t kReplyHeaderSize = 16;
// Upper bound of all fixed-size bodies: a buffer of this size is sufficient for each of the Encode
// functions below.
inline constexpr size_t kMaxFixedBody = 512;

// Requires: `error` is 0 or a positive errno, and body_size is 0 if it is an errno. Writes
// kReplyHeaderSize bytes.
void EncodeReplyHeader(RequestId id, int error, size_t body_size, absl::Span<char> out);

// Results that have no type in memfuse/requests.h.
struct WriteReply {
  uint32_t written;
};
// For GETXATTR and LISTXATTR with size 0.
struct XattrSizeReply {
  uint32_t size;
};
struct LseekReply {
  uint64_t offset;
};
// COPY_FILE_RANGE has a 32-bit result, COPY_FILE_RANGE_64 a 64-bit one. Requires: `copied` fits.
struct CopyFileRangeReply {
  uint64_t copied;
  bool wide_result;
};
// For LOOKUP of a name that does not exist: the kernel may cache the absence for `valid` seconds.
struct NegativeEntry {
  CacheSeconds valid;
};

// Each encodes the body of a reply. Requires: out.size() >= kMaxFixedBody. Returns: the size of the
// body. The output bytes of an ioctl follow the body.
size_t Encode(const Entry& entry, absl::Span<char> out);
size_t Encode(NegativeEntry entry, absl::Span<char> out);
size_t Encode(const AttributesResult& result, absl::Span<char> out);
size_t Encode(const StatxResult& result, absl::Span<char> out);
size_t Encode(const OpenResult& result, absl::Span<char> out);
size_t Encode(const CreateResult& result, absl::Span<char> out);
size_t Encode(WriteReply reply, absl::Span<char> out);
size_t Encode(const FileSystemStatistics& statistics, absl::Span<char> out);
size_t Encode(XattrSizeReply reply, absl::Span<char> out);
size_t Encode(LseekReply reply, absl::Span<char> out);
size_t Encode(CopyFileRangeReply reply, absl::Span<char> out);
size_t Encode(const IoctlResult& result, absl::Span<char> out);

// Notifications (memfuse/host.h): complete messages that the server sends without a request. Each
// function returns the size of the message. Requires: out.size() >= kMaxNotification.
// The fixed struct of a notification has at most 32 bytes.
inline constexpr size_t kMaxNotification =
    kReplyHeaderSize + 32 + std::max<size_t>(256, 8 * Notifier::kMaxPrune);
size_t EncodeInvalidateAttributes(InodeNumber ino, absl::Span<char> out);
// `length` 0: to the end of the file.
size_t EncodeInvalidateData(InodeNumber ino, uint64_t offset, uint64_t length,
                            absl::Span<char> out);
// Requires, for the next two: `name` has 1 to 255 bytes.
size_t EncodeInvalidateEntry(InodeNumber parent, std::string_view name, absl::Span<char> out);
size_t EncodeDeleteEntry(InodeNumber parent, InodeNumber child, std::string_view name,
                         absl::Span<char> out);
// Requires: at most Notifier::kMaxPrune inodes.
size_t EncodePrune(absl::Span<const InodeNumber> inodes, absl::Span<char> out);
// Asks the kernel to send the requests again that were read and not answered.
size_t EncodeResend(absl::Span<char> out);

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
