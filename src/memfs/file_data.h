// The bytes of one regular file, behind an interface: where they lie is the store's business.
//
// Thread-safe: an implementation has a reader/writer lock of rank data (lock_order.h) of its own.
// size() and blocks() are exact whenever no call is under way, and never go through a value that
// was not between the two while one is.

#ifndef MEMFUSE_SRC_MEMFS_FILE_DATA_H_
#define MEMFUSE_SRC_MEMFS_FILE_DATA_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/types/span.h"
#include "memfuse/errno.h"

namespace memfuse::memfs {

// The largest file size: what off_t can say.
inline constexpr uint64_t kMaxFileSize = (uint64_t{1} << 63) - 1;

class FileData {
 public:
  virtual ~FileData() = default;

  virtual uint64_t size() const = 0;
  // Units of 512 bytes that are allocated.
  virtual uint64_t blocks() const = 0;

  // Up to out.size() bytes from `offset`; fewer at the end of the file, holes as zeros.
  virtual Result<size_t> Read(uint64_t offset, absl::Span<char> out) = 0;

  // All of `data`, or as much from its beginning as space was found for. EFBIG, ENOSPC (not one
  // byte), ENOMEM.
  virtual Result<size_t> Write(uint64_t offset, absl::Span<const char> data) = 0;

  // Cuts, or extends with a hole. Returns whether the size is another one now. EFBIG, ENOMEM.
  virtual Result<bool> Truncate(uint64_t size) = 0;

  // Makes sure that writes into the range find space; extends the file unless `keep_size`.
  // length > 0. EFBIG, ENOSPC, ENOMEM; nothing is kept of a call that fails.
  virtual Result<void> Allocate(uint64_t offset, uint64_t length, bool keep_size) = 0;

  // The range reads as zeros; whole pages go back to the system. The size stays. length > 0.
  virtual Result<void> PunchHole(uint64_t offset, uint64_t length) = 0;

  // The range reads as zeros and has space; extends the file unless `keep_size`. As Allocate.
  virtual Result<void> ZeroRange(uint64_t offset, uint64_t length, bool keep_size) = 0;

  // lseek(2): the next data, or hole, at or after `offset`. The end of the file is a hole.
  // ENXIO: offset is at or beyond the end, or (data) only a hole follows.
  virtual Result<uint64_t> SeekData(uint64_t offset) = 0;
  virtual Result<uint64_t> SeekHole(uint64_t offset) = 0;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_FILE_DATA_H_
