// File data of the daemon store: whole pages of the arena, identified by number. The data of a
// small file is stored in a record instead (inline data). A successor finds the size, the inline
// data and the page table in the records (data_records.h).

#ifndef MEMFUSE_SRC_MEMFS_DATA_DAEMON_FILE_H_
#define MEMFUSE_SRC_MEMFS_DATA_DAEMON_FILE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "src/memfs/data/arena.h"
#include "src/memfs/data/cached_holes.h"
#include "src/memfs/data/data_records.h"
#include "src/memfs/data/page_table.h"
#include "src/memfs/space/account.h"
#include "src/memfs/space/lock_order.h"
#include "src/memfs/tree/file_data.h"
#include "src/memfs/tree/tree_records.h"

namespace memfuse::memfs {

// What the files of a store share.
struct DaemonStorage {
  Arena* arena;
  RecordFile* records;
};

// Page 0 of the file is in one of three states: a hole; inline data (its first inline_size() bytes
// are in a record and the rest of it is zeros); or a page of the arena. A file gets inline data
// when a write into an empty page 0 ends within kMaxInlineSize. The inline data moves to a page
// when a write goes further or when fallocate(2) reserves page 0.
//
// The kernel caches what it reads and writes. SeekData and SeekHole treat pages as data if the
// kernel may hold them dirty without the daemon's knowledge:
//    - A store through a mapping makes a page dirty. The kernel has read the page before, and only
//      a file that is opened for reading and writing can be mapped for that. While there is such an
//      open (dirtying_opens_), holes that the kernel reads are recorded in `cached_holes`. Holes
//      that the kernel read earlier are dropped from its cache by the open (OpenResult::keep_cache
//      is false then).
//    - If the kernel collects writes (Arena::writeback_cache), any open for writing can make any
//      page dirty, also behind the end of the file as the daemon has it. SeekData and SeekHole then
//      return EINVAL, as a file system without this information does; cp(1) and tar(1) then read
//      the whole file.
//
// The kernel writes back all dirty pages, at the latest when the last such open is closed and its
// mappings are gone.
class DaemonFile final : public FileData {
 public:
  // Above this size, a page is cheaper than blocks that grow by copying.
  static constexpr uint32_t kMaxInlineSize = 2048;

  // The file of a new record, which is empty, or of one that another process has left: Adopt and
  // Repair follow then. `record` and `storage` must outlive the file, and so must the account, or
  // SetAccount must replace it. Throws std::bad_alloc.
  DaemonFile(Account* account, InodeRecord* record, const DaemonStorage* storage);
  ~DaemonFile() override;

  uint64_t size() const override { return __atomic_load_n(&record_->size, __ATOMIC_RELAXED); }
  uint64_t blocks() const override {
    const uint64_t counts = counts_.load(std::memory_order_acquire);
    return WithUnknownData((counts >> kPageCountShift) * kBlocksPerPage +
                           ((counts & kInlineSizeMask) + 511) / 512);
  }
  Result<void> WithFixedCharges(absl::FunctionRef<Result<void>()> body) override;
  uint64_t ChargedBytes() const override;
  void SetAccount(Account* account) override;
  uint64_t CurrentCharge() const override;
  bool Adopt(BlockHeader* block) override;
  Result<void> Repair() override;
  Result<void> Open(uint32_t flags, FileOpen* open) override;
  void Close(uint32_t flags) override;
  CacheSeconds SyncFromBackingFile(Times* /*times*/) override { return Validity(); }
  CacheSeconds Validity() const override {
    return unknown_data_.load(std::memory_order_relaxed) == UnknownData::kNone ? kCacheForever : 0;
  }
  Result<size_t> Read(uint64_t offset, absl::Span<char> out) override;
  // A large read is sent directly from the mapped pages, under the file's lock, if the arena uses
  // huge pages and the sink supports it.
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
  Result<uint64_t> SeekData(uint64_t offset) override;
  Result<uint64_t> SeekHole(uint64_t offset) override;

 private:
  // The number of pages that one step of a write or of a copy handles: 1 MiB, the largest request.
  static constexpr uint64_t kBatchPages = 256;
  static constexpr char kZeros[kPageSize] = {};
  static constexpr uint64_t PageOf(uint64_t offset) { return offset / kPageSize; }
  static constexpr uint64_t PageStart(uint64_t page) { return page * kPageSize; }

  // Pages that are removed from a file under its lock and are freed after the lock is released,
  // together with their charge. The object is declared before the lock is taken, so its destructor
  // runs after the release. If there is no memory for the list, pages are freed at
  // once.
  class DeferredFreeList {
   public:
    explicit DeferredFreeList(Arena* arena) : arena_(arena) {}
    ~DeferredFreeList() { Flush(); }
    DeferredFreeList(const DeferredFreeList&) = delete;
    DeferredFreeList& operator=(const DeferredFreeList&) = delete;
    // Sets the account of the pages. All pages of a list have the same account.
    void SetAccount(Account* account) {
      if (account_.get() != account) account_ = AccountRef(account);
    }
    void Add(PageNumber page) noexcept;

   private:
    void Flush();

    Arena* const arena_;
    AccountRef account_;  // the owner of the file may change before the pages are freed
    std::vector<PageNumber> pages_;
  };

  // What the data and the page table are charged now.
  uint64_t ChargeLocked() const ABSL_SHARED_LOCKS_REQUIRED(mu_);

  // What the inline data is charged now.
  uint64_t InlineCost() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return inline_record() == nullptr ? 0 : inline_record()->block_bytes;
  }

  // Changes the size of the inline data to `size` bytes; new bytes are zeros. Returns EDQUOT,
  // ENOSPC or ENOMEM. Making the inline data smaller cannot fail.
  Result<void> ResizeInline(uint32_t size) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Moves the inline data to a new block for `size` bytes, which are zeros behind the present data;
  // `block_bytes` is BlockBytes for it. Returns ENOMEM.
  Result<void> MoveInline(uint32_t size, uint16_t block_bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Copies a page of the arena. Returns ENOSPC, ENOMEM or EIO.
  Result<void> CopyPage(PageNumber from, PageNumber to);
  // Breaks copy-on-write sharing: makes page `index` of the file a page with the same content and
  // without other owners. Returns ENOSPC, ENOMEM or EIO.
  Result<void> BreakCow(uint64_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The same for the pages that the range covers only in part.
  Result<void> BreakCowAtEdges(uint64_t offset, uint64_t end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Adds an owner to the data pages from page `first` on, until `pages` is full or a page has no
  // memory behind it, and stores their numbers in `pages`. Returns how many. The last of `pages`
  // may contain the end of the file only if the file ends at or before `end`. Returns ENOMEM.
  Result<size_t> ShareRange(uint64_t first, uint64_t end, absl::Span<PageNumber> pages);
  // Replaces the pages from page `first` on by shared pages of another file, as far as there is
  // space. The size of the file becomes at least the smaller of `end` and the end of the last
  // inserted page. Returns how many pages were inserted; the caller still owns the others. Returns
  // EDQUOT or ENOSPC if no page could be inserted, and ENOMEM.
  Result<size_t> InsertShared(uint64_t first, uint64_t end, absl::Span<const PageNumber> pages);
  // The part of CopyFrom that can be done by sharing pages: at most kBatchPages pages, from
  // page-aligned offsets on. Returns the number of bytes, or 0 if the source has no data page
  // there.
  Result<uint64_t> Reflink(DaemonFile* source, uint64_t offset_in, uint64_t offset_out,
                           uint64_t length);

  // What a range of the file starts with: data in consecutive pages of the arena; or, if `page` is
  // 0, inline data; or, if `inline_data` is also null, zeros of at most one page.
  struct Run {
    size_t length = 0;
    PageNumber page = 0;
    const char* inline_data = nullptr;
  };
  // Returns the first run of the `length` bytes from `offset` on. length > 0.
  Run RunAt(uint64_t offset, size_t length) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Returns how many of the `length` bytes from `offset` on lie before the end of the file.
  size_t LengthWithin(uint64_t offset, size_t length) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Fills `out`. The range must lie before the end of the file. Returns EIO.
  Result<void> CopyOut(uint64_t offset, absl::Span<char> out) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Sends the `length` bytes from `offset` on directly from the mapped pages and the records. The
  // caller holds the lock, so that no page is written or freed before the kernel has copied it.
  // Returns false and sends nothing if a page is not mapped or there are too many pieces.
  bool SendMapped(uint64_t offset, size_t length, ReadSink* sink) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);

  // Writes `data` into at most kBatchPages pages, which contain the whole range. Returns as Write
  // does. If the arena fails in the middle, the data before is written, and no partial data stays
  // behind it.
  Result<size_t> WritePages(uint64_t offset, absl::Span<const char> data)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // While it exists, a successor expects what `change` describes.
  class ScopedDataChange {
   public:
    ScopedDataChange(InodeRecord* record, DataChange change) : record_(record) {
      SetDataChange(record_, change);
    }
    ~ScopedDataChange() { SetDataChange(record_, DataChange::kNone); }
    ScopedDataChange(const ScopedDataChange&) = delete;
    ScopedDataChange& operator=(const ScopedDataChange&) = delete;

   private:
    InodeRecord* const record_;
  };

  // Where the kernel may hold data that it has not written back.
  enum class UnknownData : uint8_t { kNone, kInCachedHoles, kAnywhere };

  static constexpr uint64_t kBlocksPerPage = kPageSize / 512;

  // Returns what blocks() reports for a file with `blocks` stored blocks. Programs assume that a
  // file of 0 blocks has no data (tar(1)) and that a file with fewer blocks than its size has holes
  // (cp(1)).
  uint64_t WithUnknownData(uint64_t blocks) const;
  // Whether an open with these flags lets the kernel hold dirty pages.
  bool MakesDirtyPages(uint32_t flags) const;
  // Whether the `length` bytes from `offset` on contain a hole that must be recorded before it is
  // sent to the kernel. length > 0, or the result is false.
  bool HasHoleToNote(uint64_t offset, size_t length) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Records that the kernel has read the holes in the range. Returns true if the attributes that
  // the kernel has cached are not valid any more. May throw std::bad_alloc, and nothing is changed
  // then.
  bool NoteHolesRead(uint64_t offset, size_t length) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Whether page 0 has no page of the arena.
  bool FirstPageIsHole() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return table() == nullptr || table()->Get(0).hole();
  }
  // Makes room in table() for the pages [first, last]. Returns EDQUOT, ENOSPC or ENOMEM.
  Result<void> PrepareTable(uint64_t first, uint64_t last) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Releases the memory that PrepareTable(first, last) allocated and that no page uses. Calls that
  // fail use it.
  void TrimTable(uint64_t first, uint64_t last) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Reserves pages for all holes in [first, last], or for none. Returns EDQUOT, ENOSPC or ENOMEM.
  Result<void> FillHoles(uint64_t first, uint64_t last) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Clears the pages that are not `written`: a killed write may have put data there. Returns
  // as Arena::Clear does.
  Result<void> ClearUnwritten() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Writes zeros to [from, to), which lies within one page, if the page has data there. Returns as
  // BreakCow and Arena::Write do.
  Result<void> ZeroWithinPage(uint64_t from, uint64_t to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Allocates a page for each written page in [first, end) that has other owners. Returns ENOSPC or
  // ENOMEM.
  Result<void> AllocateForShared(uint64_t first, uint64_t end, std::vector<PageNumber>* pages)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Makes the allocated pages in [first, end) read as zeros. Pages with other owners are exchanged
  // for pages of `fresh`, which AllocateForShared filled. Returns ENOSPC, ENOMEM or EIO.
  Result<void> ClearPages(uint64_t first, uint64_t end, absl::Span<PageNumber> fresh)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void RemovePages(uint64_t first, uint64_t last, DeferredFreeList* deferred)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // The content of a file that has, or had, a page table.
  struct Large {
    Large(RecordFile* records, BlockId owner) : table(records, owner) {}
    PageTable table;
    InlineDataRecord* inline_record = nullptr;
    std::unique_ptr<CachedHoles> cached_holes;  // only while dirtying_opens_ > 0; null: none
  };

  Large* large() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): flags and pointer share the word
    return (content_ & kLarge) != 0 ? reinterpret_cast<Large*>(content_ & ~kFlags) : nullptr;
  }
  // Null until a page is needed for the first time.
  PageTable* table() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    Large* const found = large();
    return found == nullptr ? nullptr : &found->table;
  }
  // Returns a hole if there is no table.
  PageSlot SlotAt(uint64_t index) const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return table() == nullptr ? PageSlot() : table()->Get(index);
  }
  // Returns false if there is no memory.
  bool MakeTable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Null if there is no inline data.
  InlineDataRecord* inline_record() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    Large* const found = large();
    if (found != nullptr) return found->inline_record;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): as above
    return reinterpret_cast<InlineDataRecord*>(content_ & ~kFlags);
  }
  char* inline_data() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    InlineDataRecord* const found = inline_record();
    return found == nullptr ? nullptr
                            : reinterpret_cast<char*>(found) + InlineDataRecord::kDataOffset;
  }
  void set_inline_record(InlineDataRecord* record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (Large* const found = large()) {
      found->inline_record = record;
    } else {
      content_ = reinterpret_cast<uintptr_t>(record) | (content_ & kFlags);
    }
  }
  const CachedHoles* cached_holes() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    Large* const found = large();
    return found == nullptr ? nullptr : found->cached_holes.get();
  }
  uint32_t inline_size() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return static_cast<uint32_t>(counts_.load(std::memory_order_relaxed) & kInlineSizeMask);
  }
  void set_inline_size(uint32_t size) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const uint64_t counts = counts_.load(std::memory_order_relaxed);
    counts_.store((counts & ~kInlineSizeMask) | size, std::memory_order_release);
  }
  // Records whether pages may be reserved behind the end of the file.
  void NoteReservedBehindEnd(bool reserved) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const uint16_t others = record_->data_change & static_cast<uint16_t>(~kReservedBehindEnd);
    StoreInOrder(&record_->data_change,
                 static_cast<uint16_t>(others | (reserved ? kReservedBehindEnd : 0)));
  }
  void set_size(uint64_t size) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    StoreInOrder(&record_->size, size);
  }
  Arena& arena() const { return *storage_->arena; }
  RecordFile& records() const { return *storage_->records; }
  void AddPages(int64_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const uint64_t counts = counts_.load(std::memory_order_relaxed);
    counts_.store(counts + (static_cast<uint64_t>(count) << kPageCountShift),
                  std::memory_order_release);
  }

  // The size of each member matters, because there may be millions of files.
  static constexpr int kPageCountShift = 12;
  static constexpr uint64_t kInlineSizeMask = (uint64_t{1} << kPageCountShift) - 1;
  static_assert(kMaxInlineSize <= kInlineSizeMask);
  // Flags in content_: these bits are 0 in every pointer.
  static constexpr uintptr_t kLarge = 1;
  // The kernel may have holes in its cache that it read while dirtying_opens_ was 0.
  static constexpr uintptr_t kHolesWereRead = 2;
  static constexpr uintptr_t kFlags = kLarge | kHolesWereRead;

  const DaemonStorage* const storage_;
  // mu_ guards `size` and `data_change`. stat(2) reads `size` without it.
  InodeRecord* const record_;
  // Written under mu_; stat(2) reads it without mu_: the number of arena pages, and in the low
  // kPageCountShift bits the size of the inline data
  std::atomic<uint64_t> counts_{0};
  std::atomic<UnknownData> unknown_data_{UnknownData::kNone};  // written under mu_, read without it

  mutable DataMutex mu_;
  Account* account_ ABSL_GUARDED_BY(mu_);
  uint32_t dirtying_opens_ ABSL_GUARDED_BY(mu_) = 0;  // opens that let the kernel hold dirty pages
  uintptr_t content_ ABSL_GUARDED_BY(mu_) = 0;        // InlineDataRecord* or Large*, and flags
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_DATA_DAEMON_FILE_H_
