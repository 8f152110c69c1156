// The interface to the data of one regular file. The store (data_store.h) decides where the bytes
// are.
//
// There are two kinds of implementations. With the first kind, the kernel sends a request for each
// read and write, and may cache the data. With the second kind (passthrough), the kernel reads and
// writes an open file directly in a *backing file*. The size, blocks and times then change without
// a request, and SyncFromBackingFile() finds out about the changes.
//
// Thread-safe: an implementation has its own locks of rank data or leaf (lock_order.h), or relies
// on the kernel's locks.

#ifndef MEMFUSE_SRC_MEMFS_TREE_FILE_DATA_H_
#define MEMFUSE_SRC_MEMFS_TREE_FILE_DATA_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "memfuse/errno.h"
#include "memfuse/read_sink.h"
#include "memfuse/requests.h"
#include "memfuse/types.h"
#include "src/memfs/records/layout.h"
#include "src/memfs/space/account.h"
#include "src/memfs/tree/times.h"

namespace memfuse::memfs {

// The largest file size that off_t can represent.
inline constexpr uint64_t kMaxFileSize = (uint64_t{1} << 63) - 1;

// Whether a range ends beyond kMaxFileSize.
inline bool EndsTooFar(uint64_t offset, uint64_t length) {
  return offset > kMaxFileSize || length > kMaxFileSize - offset;
}

struct Resized {
  bool changed = false;   // the size is different now
  bool had_data = false;  // blocks were allocated before
};

// How the kernel is to treat an open file, and what the open changes.
struct FileOpen : OpenResult {
  // Set by the caller: the account of the file has a limit on bytes.
  bool byte_limit = false;
  // The attributes that the kernel has cached are not valid any more: it received them with
  // permission to cache them, and from now on the file changes without a request.
  bool attributes_stale = false;
};

class FileData {
 public:
  virtual ~FileData() = default;

  // Exact when no call is in progress. For a file that the kernel writes itself, the size is that
  // of the last SyncFromBackingFile or of the last change by the daemon.
  virtual uint64_t size() const = 0;
  // The number of allocated units of 512 bytes.
  virtual uint64_t blocks() const = 0;

  // Calls `body` under the lock that guards the charges, and returns its result. `body` takes the
  // attribute lock of the inode. It may then call ChargedBytes, which returns what the account is
  // charged for the data, and SetAccount. No charge changes during the call.
  virtual Result<void> WithFixedCharges(absl::FunctionRef<Result<void>()> body) = 0;
  virtual uint64_t ChargedBytes() const = 0;
  virtual void SetAccount(Account* account) = 0;
  // The result of ChargedBytes at some time during the call, for statistics. It is called without
  // the locks of the data and of the attributes. It may wait until another thread has changed the
  // data: for seconds if that allocates gigabytes.
  virtual uint64_t CurrentCharge() const = 0;

  // A successor calls these two for the files that it finds (tree/rebuild.h), before it serves
  // requests. Adopt takes over a block that belongs to the file, and charges the account. It
  // returns false if the block is damaged, and throws std::bad_alloc. Repair removes what a killed
  // thread has left, after DataStore::FinishAdoption. It returns ENOSPC, ENOMEM or EIO.
  [[nodiscard]] virtual bool Adopt(BlockHeader* /*block*/) { return false; }
  virtual Result<void> Repair() { return {}; }

  // Handles open(2) with `flags` and sets in `open` how the kernel has to treat the file. Each
  // successful call is followed by a Close with the same flags. Returns ENOMEM, ENOSPC, EMFILE,
  // ENFILE or EIO.
  virtual Result<void> Open(uint32_t flags, FileOpen* open) = 0;
  virtual void Close(uint32_t flags) = 0;

  // Updates size(), blocks() and `times`, the times of the inode, with what the kernel changed by
  // itself. Returns how long they stay valid if no request changes them. It is called before any of
  // these values is read or changed, with the attribute lock of the inode held.
  virtual CacheSeconds SyncFromBackingFile(Times* /*times*/) { return kCacheForever; }
  // How long the attributes stay valid, judged without looking at the backing file.
  virtual CacheSeconds Validity() const { return kCacheForever; }
  // Informs the file that the times of the inode are `times` now; a backing file gets them too.
  // `chosen` is true if utimensat(2) set the times, and false if another change of the inode moved
  // them. It is called with the attribute lock of the inode held.
  virtual void SetBackingTimes(const Times& /*times*/, bool /*chosen*/) {}

  // Reads up to out.size() bytes from `offset` on: fewer at the end of the file. Holes read as
  // zeros.
  virtual Result<size_t> Read(uint64_t offset, absl::Span<char> out) = 0;
  // The same, with a sink. Data that is not copied is sent under the lock of the file.
  // `to_page_cache` means that the kernel keeps the data in its page cache. Calls
  // `attributes_stale`, without a lock and before the answer, if the attributes that the kernel has
  // cached are not valid any more. Returns EINVAL if the kernel must not keep the data.
  virtual Result<size_t> ReadTo(uint64_t offset, ReadSink* sink, bool /*to_page_cache*/,
                                absl::FunctionRef<void()> /*attributes_stale*/) {
    return Read(offset, sink->buffer());
  }

  // Writes all of `data`, or the part from its beginning for which there is space. Returns the
  // number of bytes, or EFBIG, EDQUOT or ENOSPC (no byte was written), ENOMEM or EIO.
  Result<size_t> Write(uint64_t offset, absl::Span<const char> data) {
    std::optional<Timestamp> time;
    return WriteAndStamp(offset, data, &time);
  }
  // The same. Sets `time` to the time of the write, ordered with all other stamps as base::Now()
  // is, if the store gets that time from the kernel at a lower cost than a call of base::Now().
  // Otherwise `time` is not set.
  virtual Result<size_t> WriteAndStamp(uint64_t offset, absl::Span<const char> data,
                                       std::optional<Timestamp>* time) = 0;

  // Copies from a file of the same store. If it is the same file, the ranges do not overlap. Both
  // ranges end before kMaxFileSize. Returns the number of bytes, which is smaller than `length` if
  // the source ends or there is no more space; or EDQUOT or ENOSPC (no byte was copied), or ENOMEM.
  virtual Result<uint64_t> CopyFrom(FileData* source, uint64_t offset_in, uint64_t offset_out,
                                    uint64_t length) = 0;

  // Truncates the file, or extends it with a hole. Returns EFBIG, ENOSPC or ENOMEM. ENOSPC can
  // occur where the new end lies in a page that is shared with another file, since the page must be
  // copied.
  virtual Result<Resized> Truncate(uint64_t size) = 0;

  // Reserves space, so that later writes into the range do not fail for lack of space. Extends the
  // file unless `keep_size` is set. length > 0. Returns EFBIG, EDQUOT, ENOSPC or ENOMEM; a call
  // that fails keeps no space reserved.
  virtual Result<void> Allocate(uint64_t offset, uint64_t length, bool keep_size) = 0;

  // Makes the range read as zeros and returns whole pages to the system. The size does not change.
  // length > 0. Returns ENOSPC or ENOMEM where a part of a shared page must be copied.
  virtual Result<void> PunchHole(uint64_t offset, uint64_t length) = 0;

  // Makes the range read as zeros and reserves space for it. Extends the file unless `keep_size` is
  // set. Returns the errors of Allocate.
  virtual Result<void> ZeroRange(uint64_t offset, uint64_t length, bool keep_size) = 0;

  // lseek(2) with SEEK_DATA and SEEK_HOLE: returns the offset of the next data, or hole, at or
  // after `offset`. The end of the file is a hole. Returns ENXIO if `offset` is at or beyond the
  // end, or (SeekData) if only a hole follows; EINVAL if the position of data is not known.
  virtual Result<uint64_t> SeekData(uint64_t offset) = 0;
  virtual Result<uint64_t> SeekHole(uint64_t offset) = 0;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_TREE_FILE_DATA_H_
