// Pages for file data. All pages lie in one memory file (a memfd, or an unnamed file on a private
// tmpfs), which is divided into pages of 4 KiB.
//
// A page is identified by its number, never by its address: a number stays valid in another process
// that has the same descriptor. Pages are written with system calls, so a lack of memory is
// reported as an errno and not as SIGBUS. Pages are read with pread(2), or by the kernel from a
// read-only mapping in a system call, which also reports an error instead of raising a signal. The
// daemon's own code never accesses the mapping.
//
// A page that the kernel reads through the mapping enters the page tables and counts as resident
// memory of the daemon. When memory is short, the OOM killer kills the process with the most
// resident memory; if it killed the daemon, all files would be lost. Therefore at most kMaxAreas
// areas of the mapping are in the page tables at a time, apart from areas that are being read at
// that moment.
//
// A page may be shared: Share() adds one owner to it, and each owner frees it. An owner that writes
// to a page with several owners must first copy it to a page of its own (copy on write). The arena
// does not enforce this rule.
//
// Reuse of pages. A page number that Allocate() returns reads as zeros, so no file shows the data
// of an earlier owner. This holds for the following reasons. Free() returns a page only after its
// last owner has given it up. Free() removes the content (it punches a hole, or writes zeros if
// that fails) before it marks the number as free under the lock, so Allocate() cannot return the
// number earlier. If the content cannot be removed, the page is neither in use nor free: it is set
// aside until ReleaseEmptyGroups() has cleared it. A page that was set aside cannot make a call run
// without end: Free() tries to clear each page once, and each call of ReleaseEmptyGroups() tries
// each page that is set aside once and visits each group once, of which there are at most kMaxPages
// / kGroupPages.
//
// Where the system uses huge pages, the pages of a group lie in one huge page. The memory of pages
// that are freed goes back only if the system splits the huge page. ReleaseEmptyGroups() returns
// the memory that remained.

#ifndef MEMFUSE_SRC_MEMFS_DATA_ARENA_H_
#define MEMFUSE_SRC_MEMFS_DATA_ARENA_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "memfuse/errno.h"
#include "memfuse/types.h"
#include "src/base/unique_fd.h"
#include "src/memfs/space/hash_table.h"
#include "src/memfs/space/lock_order.h"

namespace memfuse::memfs {

inline constexpr uint64_t kPageSize = 4096;

// The number of a page of the arena. 0 means no page.
using PageNumber = uint32_t;

// Thread-safe.
class Arena {
 public:
  // Page numbers are below this limit. 2^30 pages are 4 TiB.
  static constexpr PageNumber kMaxPages = PageNumber{1} << 30;

  // Makes an arena on `file`, an empty memory file that nothing else uses, or on a new memfd if
  // `file` is not valid. Returns ResourceExhausted if memfd_create(2) fails.
  static absl::StatusOr<std::unique_ptr<Arena>> Make(base::UniqueFd file = {});

  // Makes an arena on the memory file of a process that has died. All its pages are free at first.
  // AdoptPage is called for each owner of each page, then FreeUnowned once, before any other
  // method. Returns ResourceExhausted if the file cannot be examined. Throws std::bad_alloc.
  static absl::StatusOr<std::unique_ptr<Arena>> Adopt(base::UniqueFd file);
  // Adds an owner to a page. `shared` says whether the owner knows that the page may have other
  // owners. Returns false if there is no such page, or if it has an owner already and `shared` is
  // false. Throws std::bad_alloc.
  [[nodiscard]] bool AdoptPage(PageNumber page, bool shared);
  // Returns the memory of all pages without an owner to the system. Returns the errors of Clear.
  Result<void> FreeUnowned();

  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Fills `pages` with free pages, with consecutive numbers where possible. They read as zeros and
  // use no memory until they are written. Returns ENOSPC or ENOMEM if the arena cannot grow; no
  // page is allocated then.
  Result<void> Allocate(absl::Span<PageNumber> pages);

  // Adds one owner to each of `pages`, which the caller owns. Returns ENOMEM; no page gets an owner
  // then.
  Result<void> Share(absl::Span<const PageNumber> pages);
  // Whether a page that the caller owns has other owners. After false, the result stays false until
  // the caller shares the page again.
  bool IsShared(PageNumber page) const;

  // Removes one owner from each page. The pages without another owner become free, and their memory
  // goes back to the system. If possible, call this without a lock of rank data or of a rank below
  // it, because it makes a system call for each run of consecutive pages. The content of `pages` is
  // overwritten.
  void Free(absl::Span<PageNumber> pages);

  // Returns to the system the memory that is left behind groups in which every page is free, and
  // tries again to clear the pages that were set aside. The daemon calls it periodically.
  void ReleaseEmptyGroups();

  // Makes `count` consecutive pages read as zeros and returns their memory to the system; the pages
  // stay allocated. If the system does not take the memory back, zeros are written. Returns ENOSPC,
  // ENOMEM or EIO if neither works; the content of the pages is undefined then.
  Result<void> Clear(PageNumber first, size_t count);

  // Writes `data` at byte `offset` of the run of consecutive pages that starts at `first`. Returns
  // ENOSPC or ENOMEM if the system has no memory, and EIO. If `written` is not null, it is set to
  // the number of bytes that were written, also if an error occurred.
  Result<void> Write(PageNumber first, uint64_t offset, absl::Span<const char> data,
                     size_t* written = nullptr);
  // Returns the kernel's time stamp of the latest change of the arena by any thread. Directly after
  // a Write, it is ordered with the stamps of all files as base::Now() is: it is not earlier than a
  // stamp that was made before the Write began, and may be equal to one that was made within the
  // same tick. It costs one system call. Returns nothing if the kernel does not report the time.
  std::optional<Timestamp> LastWriteTime() const;
  // Reads `out.size()` bytes from byte `offset` of the run of consecutive pages that starts at
  // `first`. Returns EIO if the memory file cannot be read; this does not happen in practice,
  // because no other program has access to the memory file.
  Result<void> Read(PageNumber first, uint64_t offset, absl::Span<char> out) const;

  // Returns the address range of the `length` bytes from byte `offset` of that run on, or of the
  // part of them that is mapped contiguously. The result is empty if the first byte is not mapped.
  // The range is valid for system calls that read from it, while the caller owns the pages and they
  // do not change. The caller may pass only pages that were written: reading another page through
  // the mapping would allocate memory for it.
  absl::Span<const char> Map(PageNumber first, uint64_t offset, size_t length) const;
  // Removes from the page tables everything that was mapped since the last call, including what Map
  // missed because two threads read from the same area. The daemon calls it periodically.
  void ForgetMappings();

  // The memory file, for code that measures how much memory the system uses for it.
  int descriptor() const { return fd_.get(); }

  // Whether the kernel collects the writes to the files (FUSE_WRITEBACK_CACHE). The users of the
  // arena read it. It is set before the arena has any users.
  bool writeback_cache() const { return writeback_cache_; }
  void set_writeback_cache(bool value) { writeback_cache_ = value; }

  // Whether the system backs the arena by huge pages where it has them. If it does, Map is cheaper
  // than Read; without huge pages, each page enters and leaves the page tables separately. It is
  // set before there are files.
  bool huge_pages() const { return huge_pages_; }
  void set_huge_pages(bool value) { huge_pages_ = value; }

  // The number of pages in use. A shared page counts once for each owner.
  uint64_t pages_in_use() const { return in_use_.load(std::memory_order_relaxed); }

 private:
  // 512 pages (2 MiB): the unit by which the arena grows and in which it records free pages. A set
  // bit is a free page.
  static constexpr size_t kGroupPages = 512;
  struct Group {
    uint64_t free_bits[kGroupPages / 64];
    uint64_t uncleared_bits[kGroupPages / 64];  // freed, but could not be cleared
    uint16_t free_count;
    bool listed;  // the group is in open_groups_
    bool used;    // pages were allocated since ReleaseEmptyGroups() last found the group empty
  };

  // The unit of mapping. A part of it may lie behind the end of the file.
  static constexpr uint64_t kWindowBytes = uint64_t{1} << 30;
  static constexpr size_t kWindows = kMaxPages / (kWindowBytes / kPageSize);
  struct Window {
    std::atomic<const char*> mapping{nullptr};
    std::atomic<bool> used{false};  // mapped since the last ForgetMappings
  };
  // A page fault adds a huge page to the page tables, or a few pages around the page that was
  // accessed. Both always lie within one area.
  static constexpr uint64_t kAreaBytes = kGroupPages * kPageSize;
  // 8 areas are 16 MiB. This is less than the resident memory of a program that causes a memory
  // shortage, so the OOM killer prefers that program. It is enough for a thread that reads a file
  // sequentially to find its area still mapped.
  static constexpr size_t kMaxAreas = 8;
  // The number of areas that are removed from the page tables at a time. They are removed in
  // batches because each call interrupts the other CPUs.
  static constexpr size_t kUnmappedAtOnce = 4;

  explicit Arena(base::UniqueFd fd) : fd_(std::move(fd)) {}

  // The number of pages of a group that can be allocated.
  static constexpr uint16_t Capacity(size_t group_index) {
    return group_index == 0 ? kGroupPages - 1 : kGroupPages;  // page 0 is never allocated
  }
  static void MarkAllFree(size_t group_index, Group* group);

  // A page with several owners.
  struct SharedPage {
    PageNumber page;
    mutable uint32_t others;  // owners beyond the first; not part of the key
  };
  struct ShareHash {
    using is_transparent = void;
    size_t operator()(PageNumber page) const { return absl::Hash<PageNumber>()(page); }
    size_t operator()(const SharedPage& share) const { return (*this)(share.page); }
  };
  struct ShareEq {
    using is_transparent = void;
    static PageNumber Page(PageNumber page) { return page; }
    static PageNumber Page(const SharedPage& share) { return share.page; }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Page(a) == Page(b);
    }
  };

  using SharedPages = GrowSafeHashSet<SharedPage, ShareHash, ShareEq>;

  // Returns the memory of consecutive pages to the system. False if the system does not take it
  // back.
  bool PunchHole(PageNumber first, size_t count);
  void ClearPagesSetAside() ABSL_LOCKS_EXCLUDED(mu_);
  // Removes one owner from a page.
  void DropShare(SharedPages::const_iterator share) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Result<void> Grow() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool IsFree(PageNumber page) const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    const Group& group = groups_[page / kGroupPages];
    return (group.free_bits[page % kGroupPages / 64] >> (page % 64) & 1) != 0;
  }
  // Maps the window that contains page `page`, if it is not mapped yet. A failure is ignored: Map
  // then returns an empty range.
  void MapWindowOf(uint64_t page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Records that area `area` is about to be read. Every kUnmappedAtOnce new areas, it removes the
  // oldest kUnmappedAtOnce areas from the page tables. It does not remove all areas, because an
  // area that is being read would come back without being recorded.
  void NoteMapped(uint64_t area) const;
  // Takes areas out of the page tables. An entry is one more than the number of the area, or 0 for
  // no area.
  void UnmapAreas(absl::Span<const uint64_t> areas) const;
  // Allocates up to pages.size() pages from one group that has free pages. Returns how many.
  size_t TakeFrom(uint32_t group_index, absl::Span<PageNumber> pages)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Removes one owner from each page. The pages that had no other owner are moved to the front;
  // returns how many these are.
  size_t Disown(absl::Span<PageNumber> pages) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MarkFree(absl::Span<const PageNumber> pages) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Sets consecutive pages aside.
  void MarkUncleared(PageNumber first, size_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const base::UniqueFd fd_;
  bool writeback_cache_ = false;  // constant once there are files
  bool huge_pages_ = false;       // constant once there are files
  std::atomic<uint64_t> in_use_{0};
  // Each window is mapped at most once, under mu_.
  mutable std::array<Window, kWindows> windows_;
  // The areas that may be in the page tables. An element is the number of an area plus one; 0 means
  // none. A new area replaces the oldest one.
  mutable std::array<std::atomic<uint64_t>, kMaxAreas> mapped_areas_{};
  mutable std::atomic<size_t> next_mapped_area_{0};

  mutable LeafMutex mu_;
  SharedPages shares_ ABSL_GUARDED_BY(mu_);
  uint64_t uncleared_ ABSL_GUARDED_BY(mu_) = 0;  // number of pages that are set aside
  std::vector<Group> groups_ ABSL_GUARDED_BY(mu_);
  // Groups with free pages. Allocate takes pages from the last one, and removes it from the list
  // when it is full.
  std::vector<uint32_t> open_groups_ ABSL_GUARDED_BY(mu_);
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_DATA_ARENA_H_
