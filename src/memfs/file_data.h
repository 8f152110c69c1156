// The bytes of one regular file, behind an interface: where they lie is the store's business
// (data_store.h).
//
// Two kinds. Either the kernel asks for each read and write (and may cache them), or it serves an
// open file from a *backing file* by itself (passthrough): then size, blocks and times change
// without a call, and SyncFromBackingFile() finds out.
//
// Thread-safe: an implementation has locks of rank data or leaf (lock_order.h) of its own, or
// leaves locking to the kernel.

#ifndef MEMFUSE_SRC_MEMFS_FILE_DATA_H_
#define MEMFUSE_SRC_MEMFS_FILE_DATA_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "memfuse/errno.h"
#include "memfuse/filesystem.h"
#include "memfuse/types.h"
#include "src/memfs/times.h"

namespace memfuse::memfs {

// The largest file size: what off_t can say.
inline constexpr uint64_t kMaxFileSize = (uint64_t{1} << 63) - 1;

// Whether a range ends beyond it.
inline bool EndsTooFar(uint64_t offset, uint64_t length) {
  return offset > kMaxFileSize || length > kMaxFileSize - offset;
}

struct Resized {
  bool changed = false;   // the size is another one now
  bool had_data = false;  // something was allocated before
};

class FileData {
 public:
  virtual ~FileData() = default;

  // Exact whenever no call is under way, and, of a file that the kernel writes by itself, as of the
  // last SyncFromBackingFile.
  virtual uint64_t size() const = 0;
  // Units of 512 bytes that are allocated.
  virtual uint64_t blocks() const = 0;

  // open(2) with `flags`: says how the kernel is to treat the file. Each one that succeeds is
  // followed by a Close with the same flags. ENOMEM, ENOSPC, ENFILE.
  virtual Result<void> Open(uint32_t flags, OpenResult* open) = 0;
  virtual void Close(uint32_t flags) = 0;

  // Brings size(), blocks() and the inode's times up to date with what the kernel did by itself,
  // and returns how long they stay right unless somebody calls. Called before any of them is looked
  // at or changed, with the inode's attribute lock held.
  virtual CacheSeconds SyncFromBackingFile(Times* /*times*/) { return kCacheForever; }
  // How long the attributes stay right, as far as it is known without a look.
  virtual CacheSeconds Validity() const { return kCacheForever; }
  // The inode's times are to be these now; a backing file is given them, too. `chosen`:
  // utimensat(2) set them; otherwise another change of the inode moved them. Called with the
  // inode's attribute lock held.
  virtual void SetBackingTimes(const Times& /*times*/, bool /*chosen*/) {}

  // Up to out.size() bytes from `offset`; fewer at the end of the file, holes as zeros.
  virtual Result<size_t> Read(uint64_t offset, absl::Span<char> out) = 0;
  // The same, by way of a sink; what is not copied is sent under the file's lock. `to_page_cache`:
  // the kernel keeps it. EINVAL: it must not.
  virtual Result<size_t> ReadTo(uint64_t offset, ReadSink* sink, bool /*to_page_cache*/) {
    return Read(offset, sink->buffer());
  }

  // All of `data`, or as much from its beginning as space was found for. EFBIG, ENOSPC (not one
  // byte), ENOMEM, EIO (the data could not be had).
  Result<size_t> Write(uint64_t offset, Payload data) {
    std::optional<Timestamp> time;
    return WriteAndStamp(offset, data, &time);
  }
  // The same. Sets `time` to the time of the write, in order with all other stamps as base::Now(),
  // where the store learns that from the kernel for less.
  virtual Result<size_t> WriteAndStamp(uint64_t offset, Payload data,
                                       std::optional<Timestamp>* time) = 0;

  // Copies from a file of the same store; the ranges do not overlap, where it is the same file, and
  // end before kMaxFileSize. Returns how many bytes: fewer where the source ends or space ran out.
  // ENOSPC (not one byte), ENOMEM.
  virtual Result<uint64_t> CopyFrom(FileData* source, uint64_t offset_in, uint64_t offset_out,
                                    uint64_t length) = 0;

  // Cuts, or extends with a hole. EFBIG, ENOMEM.
  virtual Result<Resized> Truncate(uint64_t size) = 0;

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
