// Pages for file data: one anonymous memory file, cut into pages of 4 KiB.
//
// Pages are named by number, never by address: a number stays right in another process that holds
// the same descriptor. They are written with system calls, so that running out of memory is an
// errno and not a SIGBUS. They are read with pread, or by the kernel out of a read-only mapping,
// which fails as gently; the daemon itself touches the mapping nowhere.
//
// What is read through the mapping enters the page tables and counts as resident memory of the
// daemon. When memory is short the kernel kills the process with the most of it, and with this one
// all files would go. So no more than a few areas of the mapping are in the page tables at a time.
//
// A page may be shared: Share() gives it one more owner, and each owner frees it. Who writes to a
// page of several owners takes a page of its own first (copy on write); that is for owners to see
// to.
//
// Invariant: a page that is free reads as zeros. Free() hands its memory back to the system before
// the number can be given out again. A page for which that failed is neither in use nor free: it is
// set aside until ReleaseEmptyGroups() has cleared it. Where the system uses huge pages, a group of
// pages lies in one, and what is freed of it goes back if the system manages to split it;
// ReleaseEmptyGroups() gives back what stayed.

#ifndef MEMFUSE_SRC_MEMFS_ARENA_H_
#define MEMFUSE_SRC_MEMFS_ARENA_H_

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
#include "memfuse/payload.h"
#include "memfuse/types.h"
#include "src/base/unique_fd.h"
#include "src/memfs/budget.h"
#include "src/memfs/hash_table.h"
#include "src/memfs/lock_order.h"

namespace memfuse::memfs {

inline constexpr uint64_t kPageSize = 4096;

// Number of a page of the arena; 0 is none.
using PageNumber = uint32_t;

// Thread-safe.
class Arena {
 public:
  // Page numbers are below this: 2^30 pages are 4 TiB.
  static constexpr PageNumber kMaxPages = PageNumber{1} << 30;

  // On `file`, an empty memory file of its own, or else a memfd.
  // ResourceExhausted, Unimplemented (no memfd_create).
  // `budget`, for the users of the arena, outlives it.
  static absl::StatusOr<std::unique_ptr<Arena>> Make(Budget* budget = nullptr,
                                                     base::UniqueFd file = {});

  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Fills `pages` with free pages, neighbours where possible. They read as zeros and take no memory
  // until they are written. ENOSPC, ENOMEM: the arena cannot grow; none is taken then.
  Result<void> Allocate(absl::Span<PageNumber> pages);

  // One more owner for each of `pages`, which the caller owns. ENOMEM: for none.
  Result<void> Share(absl::Span<const PageNumber> pages);
  // Whether a page of the caller's has other owners. What is false stays so.
  bool IsShared(PageNumber page) const;

  // Gives pages up; those without another owner go back with their memory. Not under a lock of rank
  // data or lower, where it can be helped: it takes a system call per run of neighbours. The list
  // is overwritten.
  void Free(absl::Span<PageNumber> pages);

  // Hands back what memory is left behind groups of which every page is free, and tries again to
  // clear pages that were set aside. To be called now and then.
  void ReleaseEmptyGroups();

  // Neighbouring pages read as zeros again, and their memory goes back; they stay allocated. Where
  // the system does not take the memory back, zeros are written. ENOSPC, ENOMEM, EIO: neither
  // works; what the pages hold is not known.
  Result<void> Clear(PageNumber first, size_t count);

  // The next `length` bytes of `data` go to byte `offset` of the run of neighbouring pages that
  // starts at `first`. ENOSPC or ENOMEM where the system has no memory; EIO where the data
  // cannot be had.
  Result<void> Write(PageNumber first, uint64_t offset, Payload* data, size_t length);
  // The same for all of `data`.
  Result<void> Write(PageNumber first, uint64_t offset, absl::Span<const char> data) {
    Payload payload(data);
    return Write(first, offset, &payload, data.size());
  }
  // The kernel's stamp of the latest Write, by any thread. Right after a Write it is a time within
  // that call, or of a later Write; and it is in order with the stamps of other files, as
  // base::Now(). It costs one system call. Nothing: the kernel does not tell.
  std::optional<Timestamp> LastWriteTime() const;
  // The opposite. EIO: never seen, the memory file is ours alone.
  Result<void> Read(PageNumber first, uint64_t offset, absl::Span<char> out) const;

  // Where `length` bytes from byte `offset` of that run on are mapped, or as many of them as are
  // mapped in one piece; empty where none are. For system calls that take them, while the caller
  // owns the pages and they stay as they are; and only of pages that were written: to look at
  // another one gives it memory.
  absl::Span<const char> Map(PageNumber first, uint64_t offset, size_t length) const;
  // Takes all that was mapped since the last call out of the page tables, also what Map missed when
  // two threads read from the same area. To be called now and then.
  void ForgetMappings();

  // The memory file itself, for who wants to know what the system spends on it.
  int descriptor() const { return fd_.get(); }

  // Whether the kernel collects the writes of the files (FUSE_WRITEBACK_CACHE); for the users of
  // the arena. Set before there are any.
  bool writeback_cache() const { return writeback_cache_; }
  void set_writeback_cache(bool value) { writeback_cache_ = value; }

  // Whether the system backs the arena by huge pages, as far as it has them. Then Map is cheaper
  // than Read: without them each page enters the page tables, and leaves them, by itself. Set
  // before there are files.
  bool huge_pages() const { return huge_pages_; }
  void set_huge_pages(bool value) { huge_pages_ = value; }

  // What pages are charged to by whoever takes them.
  Budget* budget() const { return budget_; }

  // A shared page counts once for each owner.
  uint64_t pages_in_use() const { return in_use_.load(std::memory_order_relaxed); }

 private:
  // 512 pages, 2 MiB: the unit of growth and of bookkeeping. A set bit is a free page.
  static constexpr size_t kGroupPages = 512;
  struct Group {
    uint64_t free_bits[kGroupPages / 64];
    uint64_t uncleared_bits[kGroupPages / 64];  // freed, but could not be cleared
    uint16_t free_count;
    bool listed;  // in open_groups_
    bool used;    // pages were taken since ReleaseEmptyGroups() last saw it empty
  };

  // The unit of mapping, of which a part may lie behind the end of the file.
  static constexpr uint64_t kWindowBytes = uint64_t{1} << 30;
  static constexpr size_t kWindows = kMaxPages / (kWindowBytes / kPageSize);
  struct Window {
    std::atomic<const char*> mapping{nullptr};
    std::atomic<bool> used{false};  // since the last ForgetMappings
  };
  // A fault brings a huge page into the page tables, or a few pages around the one that was asked
  // for: always within one area.
  static constexpr uint64_t kAreaBytes = kGroupPages * kPageSize;
  // 16 MiB in all: less than a program that is in want of memory has, and yet so much that a thread
  // which reads a file from its beginning to its end finds its area there.
  static constexpr size_t kMaxAreas = 8;
  // Areas that leave the page tables at a time: each call interrupts the other CPUs.
  static constexpr size_t kUnmappedAtOnce = 4;

  Arena(base::UniqueFd fd, Budget* budget) : fd_(std::move(fd)), budget_(budget) {}

  // Of a group that is given out in whole.
  static constexpr uint16_t Capacity(size_t group_index) {
    return group_index == 0 ? kGroupPages - 1 : kGroupPages;  // page 0 is never given out
  }
  static void MarkAllFree(size_t group_index, Group* group);

  // A page with several owners.
  struct SharedPage {
    PageNumber page;
    mutable uint32_t others;  // owners beyond the first; no part of the key
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

  // The system takes back the memory of neighbouring pages; false: it does not.
  bool PunchHole(PageNumber first, size_t count);
  void ClearPagesSetAside() ABSL_LOCKS_EXCLUDED(mu_);
  // Takes one owner off a page.
  void DropShare(SharedPages::const_iterator share) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Result<void> Grow() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Maps the window that holds page `page`, if it is not and can be.
  void MapWindowOf(uint64_t page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Notes that area `area` is about to be read, and takes the oldest ones out of the page tables if
  // there are too many. Not all: areas that are being read would come back unnoticed.
  void NoteMapped(uint64_t area) const;
  // Takes kUnmappedAtOnce areas, from place `first` of mapped_areas_ on, out of the page tables.
  void UnmapAreas(size_t first) const;
  // Takes up to pages.size() pages out of one group that has some; returns how many.
  size_t TakeFrom(uint32_t group_index, absl::Span<PageNumber> pages)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes one owner off each page; those that had no other are moved to the front. Returns how
  // many.
  size_t Disown(absl::Span<PageNumber> pages) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MarkFree(absl::Span<const PageNumber> pages) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Of neighbouring pages.
  void MarkUncleared(PageNumber first, size_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const base::UniqueFd fd_;
  Budget* const budget_;
  bool writeback_cache_ = false;  // constant once there are files
  bool huge_pages_ = false;       // the same
  std::atomic<uint64_t> in_use_{0};
  // Each is mapped under mu_, once.
  mutable std::array<Window, kWindows> windows_;
  // Areas that may be in the page tables: one more than their numbers; 0: none. The next one takes
  // the place of the oldest.
  mutable std::array<std::atomic<uint64_t>, kMaxAreas> mapped_areas_{};
  mutable std::atomic<size_t> next_mapped_area_{0};

  mutable LeafMutex mu_;
  SharedPages shares_ ABSL_GUARDED_BY(mu_);
  uint64_t uncleared_ ABSL_GUARDED_BY(mu_) = 0;  // pages that are set aside
  std::vector<Group> groups_ ABSL_GUARDED_BY(mu_);
  // Groups with free pages, the one to take from last. A full group leaves when it is met.
  std::vector<uint32_t> open_groups_ ABSL_GUARDED_BY(mu_);
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_ARENA_H_
