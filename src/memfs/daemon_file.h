// File data in the arena: whole pages by number, and the first page of a small file on the heap,
// at its size.

#ifndef MEMFUSE_SRC_MEMFS_DAEMON_FILE_H_
#define MEMFUSE_SRC_MEMFS_DAEMON_FILE_H_

#include <atomic>
#include <cstdlib>
#include <memory>
#include <vector>

#include "src/memfs/arena.h"
#include "src/memfs/budget.h"
#include "src/memfs/cached_holes.h"
#include "src/memfs/file_data.h"
#include "src/memfs/lock_order.h"
#include "src/memfs/page_table.h"

namespace memfuse::memfs {

// Page 0 of the file is in one of three states: a hole, *tiny* (its first inline_size_ bytes are on
// the heap and the rest of it is zeros), or a page of the arena. A file becomes tiny when a write
// into an empty page 0 ends within kMaxInlineSize, and stops being so when a write goes further.
//
// The kernel caches what it reads and writes. Pages that it may hold dirty without the daemon's
// knowledge are data to SeekData and SeekHole:
//   - A store through a mapping makes a page dirty. The kernel has read it before, and only an open
//     for reading and writing can be mapped so. While there is one (dirtying_opens_), holes that
//     the kernel reads are noted in `cached_holes`. Holes that it read before that are dropped from
//     its cache by the open (OpenResult::keep_cache is false then).
//   - Where the kernel collects writes (Arena::writeback_cache), any open for writing can make any
//     page dirty, also behind the end of the file that the daemon knows. SeekData and SeekHole then
//     answer EINVAL, as a file system does that cannot tell: cp(1) and tar(1) then read everything.
// The kernel writes all of it back at the latest when the last such open is closed or unmapped.
class DaemonFile final : public FileData {
 public:
  // Above this a page of its own is cheaper than heap blocks that grow by copying.
  static constexpr uint32_t kMaxInlineSize = 2048;

  // The arena, and its budget, outlive the file.
  explicit DaemonFile(Arena* arena) : arena_(arena) {}
  ~DaemonFile() override;

  uint64_t size() const override { return size_.load(std::memory_order_acquire); }
  uint64_t blocks() const override {
    const uint64_t counts = counts_.load(std::memory_order_acquire);
    return WithUnknownData((counts >> kPageCountShift) * kBlocksPerPage +
                           ((counts & kInlineSizeMask) + 511) / 512);
  }
  Result<void> Open(uint32_t flags, OpenResult* open) override;
  void Close(uint32_t flags) override;
  CacheSeconds SyncFromBackingFile(Times* /*times*/) override { return Validity(); }
  CacheSeconds Validity() const override {
    return unknown_data_.load(std::memory_order_relaxed) == UnknownData::kNone ? kCacheForever : 0;
  }
  Result<size_t> Read(uint64_t offset, absl::Span<char> out) override;
  // A large read is answered out of the mapped pages, under the lock.
  Result<size_t> ReadTo(uint64_t offset, ReadSink* sink, bool to_page_cache) override;
  Result<size_t> WriteAndStamp(uint64_t offset, Payload data,
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
  // Pages that one step of a write or of a copy looks at: 1 MiB, the largest request.
  static constexpr uint64_t kBatchPages = 256;
  static constexpr char kZeros[kPageSize] = {};
  static constexpr uint64_t PageOf(uint64_t offset) { return offset / kPageSize; }
  static constexpr uint64_t PageStart(uint64_t page) { return page * kPageSize; }

  // Pages that leave a file under its lock, and are freed after it, with what they were charged:
  // declared before the lock is taken. Where there is no memory for the list they are freed at
  // once.
  class DeferredFreeList {
   public:
    DeferredFreeList(Arena* arena, Budget* budget) : arena_(arena), budget_(budget) {}
    ~DeferredFreeList() { Flush(); }
    DeferredFreeList(const DeferredFreeList&) = delete;
    DeferredFreeList& operator=(const DeferredFreeList&) = delete;
    void Add(PageNumber page) noexcept;

   private:
    void Flush();

    Arena* const arena_;
    Budget* const budget_;
    std::vector<PageNumber> pages_;
  };

  // What a tiny buffer of that many bytes is charged.
  static uint64_t InlineCost(uint32_t size) { return size == 0 ? 0 : (size + 8 + 15) / 16 * 16; }

  // Makes the tiny buffer `size` bytes long, new ones zero. ENOSPC, ENOMEM; to make it smaller
  // cannot fail.
  Result<void> ResizeInline(uint32_t size) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Copies a page of the arena. ENOSPC, ENOMEM, EIO.
  Result<void> CopyPage(PageNumber from, PageNumber to);
  // Gives the file a page `index` that nobody else owns, with the same content. ENOSPC, ENOMEM.
  Result<void> BreakCow(uint64_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The same for the pages of which the range covers only a part.
  Result<void> BreakCowAtEdges(uint64_t offset, uint64_t end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Shares data pages from page `first` on, until `pages` is full or one has no memory; returns how
  // many. The last of `pages` may lie across the end only if the file ends at or before
  // `end`.
  Result<size_t> ShareRange(uint64_t first, uint64_t end, absl::Span<PageNumber> pages);
  // Pages of another file become pages `first` and on, in place of what is there, as far as space
  // is found; the size becomes at least `end` bytes, or the end of the last page. Returns how many;
  // the others stay the caller's. ENOSPC (none), ENOMEM.
  Result<size_t> InsertShared(uint64_t first, uint64_t end, absl::Span<const PageNumber> pages);
  // The part of CopyFrom that can be done by sharing, at most kBatchPages pages, beginning at
  // page-aligned offsets; 0 where the source has no page there.
  Result<uint64_t> Reflink(DaemonFile* source, uint64_t offset_in, uint64_t offset_out,
                           uint64_t length);

  // What a stretch of the file begins with: data in neighbouring pages of the arena; or, where
  // `page` is 0, data on the heap; or, where `heap` is null too, zeros, of one page at most.
  struct Run {
    size_t length = 0;
    PageNumber page = 0;
    const char* heap = nullptr;
  };
  // The first run of the `length` bytes, > 0, from `offset` on.
  Run RunAt(uint64_t offset, size_t length) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // How much of the `length` bytes from `offset` on lies before the end of the file.
  size_t LengthWithin(uint64_t offset, size_t length) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Fills `out`, which lies before the end of the file. EIO.
  Result<void> CopyOut(uint64_t offset, absl::Span<char> out) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Sends the `length` bytes from `offset` on from where they lie: under the lock, so that no page
  // is written or freed before the kernel has taken what it holds. False, and nothing is sent,
  // where some are not mapped or the pieces are too many.
  bool SendMapped(uint64_t offset, size_t length, ReadSink* sink) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);

  // Writes the next `size` bytes of `data` into at most kBatchPages pages, which they do not leave.
  // As Write: where it fails in the middle, what was transferred before that is written, and
  // nothing stays behind it.
  Result<size_t> WritePages(uint64_t offset, Payload* data, size_t size)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Where the kernel may hold data that it has not written back.
  enum class UnknownData : uint8_t { kNone, kInCachedHoles, kAnywhere };

  static constexpr uint64_t kBlocksPerPage = kPageSize / 512;

  // What blocks() says of a file with that many stored blocks. Programs take a file of 0 blocks for
  // one without data (tar(1)), and one with fewer blocks than its size for one with holes (cp(1)).
  uint64_t WithUnknownData(uint64_t blocks) const;
  // Whether an open with these flags lets the kernel hold dirty pages.
  bool MakesDirtyPages(uint32_t flags) const;
  // Whether the `length` bytes, > 0, from `offset` on have a hole that is to be noted before it is
  // delivered.
  bool HasHoleToNote(uint64_t offset, size_t length) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Notes that the kernel has read the holes there. True: the attributes that it has cached are not
  // right any more. May throw std::bad_alloc, without effect.
  bool NoteHolesRead(uint64_t offset, size_t length) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Whether page 0 has no page of the arena.
  bool FirstPageIsHole() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return table() == nullptr || table()->Get(0).hole();
  }
  // Makes table() ready to take [first, last]. ENOSPC, ENOMEM.
  Result<void> PrepareTable(uint64_t first, uint64_t last) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Gives back what PrepareTable(first, last) made and no page came to: for calls that fail.
  void TrimTable(uint64_t first, uint64_t last) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Reserves pages for all holes in [first, last], or none. ENOSPC, ENOMEM.
  Result<void> FillHoles(uint64_t first, uint64_t last) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Zeros [from, to) within one page, where there is something to be zeroed.
  Result<void> ZeroWithinPage(uint64_t from, uint64_t to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Allocates a page for each written one in [first, end) that has other owners. ENOSPC, ENOMEM.
  Result<void> AllocateForShared(uint64_t first, uint64_t end, std::vector<PageNumber>* pages)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Pages in [first, end) that are allocated read as zeros. Those with other owners are exchanged
  // for pages of `fresh`, which AllocateForShared made. ENOSPC, ENOMEM, EIO.
  Result<void> ClearPages(uint64_t first, uint64_t end, absl::Span<PageNumber> fresh)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void RemovePages(uint64_t first, uint64_t last, DeferredFreeList* deferred)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // What a file has that is not only tiny.
  struct Large {
    PageTable table;
    char* inline_data = nullptr;
    std::unique_ptr<CachedHoles> cached_holes;  // while dirtying_opens_ > 0; null: none
  };

  Budget* budget() const { return arena_->budget(); }

  Large* large() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return (content_ & kLarge) != 0 ? reinterpret_cast<Large*>(content_ & ~kFlags) : nullptr;
  }
  // Null while no page was ever needed.
  PageTable* table() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    Large* const found = large();
    return found == nullptr ? nullptr : &found->table;
  }
  // A hole where there is no table.
  PageSlot SlotAt(uint64_t index) const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return table() == nullptr ? PageSlot() : table()->Get(index);
  }
  // False: there is no memory.
  bool MakeTable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // malloc'd, or null.
  char* inline_data() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    Large* const found = large();
    return found == nullptr ? reinterpret_cast<char*>(content_ & ~kFlags) : found->inline_data;
  }
  void set_inline_data(char* inline_data) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (Large* const found = large()) {
      found->inline_data = inline_data;
    } else {
      content_ = reinterpret_cast<uintptr_t>(inline_data) | (content_ & kFlags);
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
  void AddPages(int64_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const uint64_t counts = counts_.load(std::memory_order_relaxed);
    counts_.store(counts + (static_cast<uint64_t>(count) << kPageCountShift),
                  std::memory_order_release);
  }

  // Every member counts: there may be millions of files.
  static constexpr int kPageCountShift = 12;
  static constexpr uint64_t kInlineSizeMask = (uint64_t{1} << kPageCountShift) - 1;
  static_assert(kMaxInlineSize <= kInlineSizeMask);
  // Bits of content_ that no pointer has.
  static constexpr uintptr_t kLarge = 1;
  // The kernel may hold pages of holes that it read while there were no dirtying_opens_.
  static constexpr uintptr_t kHolesWereRead = 2;
  static constexpr uintptr_t kFlags = kLarge | kHolesWereRead;

  Arena* const arena_;
  // Written under mu_, read by stat without it.
  std::atomic<uint64_t> size_{0};
  std::atomic<uint64_t> counts_{0};  // pages of the arena, and below that the bytes of the tiny one
  std::atomic<UnknownData> unknown_data_{UnknownData::kNone};  // the same

  mutable DataMutex mu_;
  uint32_t dirtying_opens_ ABSL_GUARDED_BY(mu_) = 0;  // opens that let the kernel hold dirty pages
  uintptr_t content_ ABSL_GUARDED_BY(mu_) = 0;        // the tiny bytes, or a Large; and flags
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_DAEMON_FILE_H_
