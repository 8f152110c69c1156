// One file of the passthrough store: a backing file on the private tmpfs.
//
// While the file is open, the kernel may change its size, blocks and times at any time. A mapping
// may do this after the last close(2). backing_times.h describes when the daemon has to look at the
// backing file.
//
// An open with O_APPEND is answered with the backing file and FOPEN_DIRECT_IO: mmap(2) is still
// passed through, but reads and writes are requests. The reason is that the kernel opens the
// backing file with the flags of open(2) and does not apply F_SETFL to it: passed-through writes
// would still append after a program removed O_APPEND. The kernel must not cache what it reads for
// such an open (splice(2) and sendfile(2) read through the page cache), because passed-through
// writes do not invalidate that cache.
//
// Charges. The data is not in the budget, because the size of the private tmpfs limits it. It
// counts in the usage of the owner's account: SyncFromBackingFile charges what it finds, unless a
// write that charges by itself is in progress. If the account has a limit on bytes, opens for
// writing are answered as those with O_APPEND are, and every write reserves the pages that it may
// take before it is made. Three kinds of writes can exceed the limit, and count in the usage from
// the next look on: stores through a mapping into a hole; writes to a file that was opened before
// the account had a limit; and a huge page in place of a page.

#ifndef MEMFUSE_SRC_MEMFS_DATA_PASSTHROUGH_FILE_H_
#define MEMFUSE_SRC_MEMFS_DATA_PASSTHROUGH_FILE_H_

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <optional>

#include "src/base/unique_fd.h"
#include "src/memfs/data/backing_times.h"
#include "src/memfs/data/passthrough_store.h"
#include "src/memfs/space/lock_order.h"
#include "src/memfs/tree/file_data.h"
#include "src/memfs/tree/tree_records.h"

namespace memfuse::memfs {

class PassthroughFile final : public FileData {
 public:
  // `record` and the store must outlive the file, and so must the account, or SetAccount must
  // replace it.
  PassthroughFile(Account* account, InodeRecord* record, PassthroughStore* store)
      : store_(store), record_(record), account_(account) {}
  ~PassthroughFile() override;

  uint64_t size() const override { return size_.load(std::memory_order_acquire); }
  uint64_t blocks() const override { return blocks_.load(std::memory_order_acquire); }
  Result<void> WithFixedCharges(absl::FunctionRef<Result<void>()> body) override;
  uint64_t ChargedBytes() const override { return charged_.load(); }
  uint64_t CurrentCharge() const override { return charged_.load(); }
  void SetAccount(Account* account) override;
  // Takes over a backing file that another process has left, with the opens in the record, and
  // charges its blocks. The times of the inode move as BackingTimes::Adopt says, but atime does not
  // if the inode has the flag of chattr(1) +A. `records` has the record. Returns the number under
  // which the kernel knows the backing file, 0 if the file is not open. Requires: no other thread
  // uses the file.
  int32_t AdoptBackingFile(RecordFile* records, const BackingState& found);
  Result<void> Open(uint32_t flags, FileOpen* open) override;
  void Close(uint32_t flags) override;
  // Guarantees that size(), blocks() and `times` include everything that the kernel had recorded in
  // the backing file when the call began (BackingTimes). The result is how long the kernel may
  // cache the attributes; it is 0 if the backing file cannot be looked at, and `times` is unchanged
  // then. The call ends: it makes at most three system calls on the private tmpfs to find out
  // whether there are writers, and one statx(2) call. It contains no loop, takes no lock, and does
  // not wait for the programs that use the file.
  CacheSeconds SyncFromBackingFile(Times* times) override;
  CacheSeconds Validity() const override { return state_.Validity(); }
  void SetBackingTimes(const Times& times, bool chosen) override;
  Result<size_t> Read(uint64_t offset, absl::Span<char> out) override;
  Result<size_t> ReadTo(uint64_t offset, ReadSink* sink, bool to_page_cache,
                        absl::FunctionRef<void()> attributes_stale) override;
  Result<size_t> WriteAndStamp(uint64_t offset, absl::Span<const char> data,
                               std::optional<Timestamp>* time) override;
  Result<uint64_t> CopyFrom(FileData* source, uint64_t offset_in, uint64_t offset_out,
                            uint64_t length) override;
  Result<Resized> Truncate(uint64_t size) override;
  Result<void> Allocate(uint64_t offset, uint64_t length, bool keep_size) override;
  Result<void> PunchHole(uint64_t offset, uint64_t length) override;
  Result<void> ZeroRange(uint64_t offset, uint64_t length, bool keep_size) override;
  Result<uint64_t> SeekData(uint64_t offset) override { return Seek(offset, SEEK_DATA); }
  Result<uint64_t> SeekHole(uint64_t offset) override { return Seek(offset, SEEK_HOLE); }

 private:
  // Returns a descriptor for the backing file, which is created if it does not exist yet. Returns
  // the errors of PassthroughStore::CreateFile.
  Result<base::UniqueFd> Descriptor(int flags);
  Result<base::UniqueFd> DescriptorLocked(int flags) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Unregisters a backing ID. Does nothing for 0.
  void Unregister(int32_t id);
  // Called after the daemon changed the backing file: updates size() and blocks(), and makes the
  // next SyncFromBackingFile look at the file.
  void Changed(int descriptor);
  Result<uint64_t> Seek(uint64_t offset, int whence);

  // Calls `change`, which may allocate pages in the `length` bytes from `offset` on of the backing
  // file that `descriptor` refers to. If the account has a limit on bytes, reserves the pages
  // first, and charges afterwards what was allocated. Returns EDQUOT, and `change` is not called
  // then; or the result of `change`.
  Result<void> Charged(int descriptor, uint64_t offset, uint64_t length,
                       absl::FunctionRef<Result<void>()> change);
  // The same for a change that can be made in part. Calls `change(done, piece)` for consecutive
  // pieces of the range; it returns how much of the piece it changed, or an error. Ends at the
  // first piece that is not changed completely, or at the first page for which the account has no
  // room. Returns how many bytes were changed, or an error if none was.
  Result<uint64_t> ChargedInPieces(
      int descriptor, uint64_t offset, uint64_t length,
      absl::FunctionRef<Result<uint64_t>(uint64_t done, uint64_t piece)> change);
  // Makes the charge `bytes`, if it is `before` now. Returns false if it is not.
  bool SetCharge(Account* account, uint64_t before, uint64_t bytes);

  InodeNumber ino() const { return InodeNumber{record_->ino}; }

  PassthroughStore* const store_;
  InodeRecord* const record_;

  std::atomic<uint64_t> size_{0};
  std::atomic<uint64_t> blocks_{0};
  BackingTimes state_;  // opens and closes are recorded under mu_; otherwise see its class
  // What account_ is charged for the data. A write that reserves pages changes it under charge_mu_,
  // and SyncFromBackingFile only if no such write began before it looked at the backing file.
  std::atomic<uint64_t> charged_{0};
  std::atomic<uint32_t> charged_writes_{0};  // in progress
  // Held for the duration of a charged write. It is not the lock of opens and closes, which must
  // not wait for a long fallocate(2). No thread holds both.
  DataMutex charge_mu_;
  // It changes under charge_mu_ and the attribute lock of the inode; each of them suffices to read
  // it.
  Account* account_;
  DataMutex mu_;
  int32_t backing_id_ ABSL_GUARDED_BY(mu_) = 0;
  std::atomic<bool> exists_{false};  // set once, under mu_
  // Blocks may lie beyond the end of the file; set once, by fallocate(2) with FALLOC_FL_KEEP_SIZE.
  std::atomic<bool> reserved_beyond_end_{false};
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_DATA_PASSTHROUGH_FILE_H_
