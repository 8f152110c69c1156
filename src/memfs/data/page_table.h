// The map from the pages of a file to pages of the arena: a sparse map. It takes four bytes per
// page where the file is dense, and at most 2 KiB and 40 bytes per 2 MiB of the file elsewhere.
//
// Not thread-safe: the lock of the file guards it. The map stores page numbers only. Its user
// allocates and frees the pages, and charges the memory of the map to the budget with the help of
// Cost().

#ifndef MEMFUSE_SRC_MEMFS_DATA_PAGE_TABLE_H_
#define MEMFUSE_SRC_MEMFS_DATA_PAGE_TABLE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/functional/function_ref.h"
#include "src/memfs/data/arena.h"
#include "src/memfs/space/node_reserve.h"

namespace memfuse::memfs {

// The state of one page of a file.
class PageSlot {
 public:
  PageSlot() = default;
  PageSlot(PageNumber page, bool written, bool shared = false)
      : bits_(page | (written ? 0 : kUnwritten) | (shared ? kShared : 0)) {}

  // A page that lseek(2) reports as data although nothing was written to it: it was reserved by
  // fallocate(2) twice.
  static PageSlot PreallocatedAsData(PageNumber page) {
    PageSlot slot;
    slot.bits_ = page | kPreallocatedAsData;
    return slot;
  }

  bool hole() const { return bits_ == 0; }
  PageNumber page() const { return bits_ & (kShared - 1); }
  // False if the page was reserved by fallocate(2) and was not written: it reads as zeros and
  // counts as a hole for lseek(2).
  bool written() const { return (bits_ & kPreallocatedAsData) != kUnwritten; }
  // Whether there may be memory behind the page. A page without memory reads as zeros.
  bool has_memory() const { return bits_ != 0 && (bits_ & kUnwritten) == 0; }
  // The page had other owners at some time, and may still have them. A caller must ask the arena
  // (IsShared) before it writes to the page.
  bool shared() const { return (bits_ & kPreallocatedAsData) == kShared; }

 private:
  static constexpr uint32_t kShared = Arena::kMaxPages;
  static constexpr uint32_t kUnwritten = kShared << 1;
  // Only written pages are shared, so this combination of bits is unused otherwise.
  static constexpr uint32_t kPreallocatedAsData = kShared | kUnwritten;
  uint32_t bits_ = 0;
};

class PageTable {
 public:
  static constexpr uint64_t kChunkPages = 512;

  PageTable() = default;
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;

  // Returns a hole if nothing was set for `index`.
  PageSlot Get(uint64_t index) const;
  // `slot` must not be a hole. May throw std::bad_alloc, but not for an index that Prepare covered.
  void Set(uint64_t index, PageSlot slot);
  // Makes room for [first, last], so that Set cannot fail there. Throws std::bad_alloc; the caller
  // then calls DropUnused to release what was allocated.
  void Prepare(uint64_t first, uint64_t last);

  // Makes [first, last] holes, and passes each page that was there, in order, to `removed`, which
  // must not throw. It allocates no memory, so a file can be truncated when there is none.
  void Remove(uint64_t first, uint64_t last, absl::FunctionRef<void(PageNumber)> removed);
  // Releases the memory that Prepare(first, last) allocated and that no Set used.
  void DropUnused(uint64_t first, uint64_t last);

  // Returns how many pages of [first, last] are not holes.
  uint64_t CountPresent(uint64_t first, uint64_t last) const;

  // Return the next index >= `from` that is written data (or is not), or kNone if there is none.
  // NextUnwritten always finds an index, which may lie behind the last page.
  static constexpr uint64_t kNone = ~uint64_t{0};
  uint64_t NextWritten(uint64_t from) const;
  // Looks no further than `last`: if there is none, the result is any number above `last`.
  uint64_t NextUnwritten(uint64_t from, uint64_t last = kNone) const;

  bool empty() const { return chunks_.empty(); }
  // The number of bytes that the table itself takes now.
  uint64_t Cost() const { return cost_; }
  // Returns an upper bound of what Prepare(first, last) adds to Cost().
  uint64_t PrepareCost(uint64_t first, uint64_t last) const;

 private:
  // The slots of 512 pages. The array is as long as the largest index that was set requires,
  // rounded up to a power of two.
  struct Chunk {
    std::unique_ptr<PageSlot[]> slots;
    uint16_t capacity = 0;
    uint16_t present = 0;
  };
  static constexpr uint64_t kChunkCost = 40;  // map node and allocator overhead

  static uint64_t ChunkOf(uint64_t index) { return index / kChunkPages; }
  static uint16_t CapacityFor(uint64_t slot);

  absl::btree_map<uint64_t, Chunk, std::less<>, NodeAllocator<std::pair<const uint64_t, Chunk>>>
      chunks_;
  uint64_t cost_ = 0;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_DATA_PAGE_TABLE_H_
