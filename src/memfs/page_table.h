// Which arena page holds which page of a file: a sparse map that costs four bytes per page where a
// file is dense, and at most 2 KiB per 2 MiB where it is not.
//
// Not thread-safe: guarded by its file's lock. It owns the numbers only; pages are allocated and
// freed by its user, and its own memory is charged by its user with the help of Cost().

#ifndef MEMFUSE_SRC_MEMFS_PAGE_TABLE_H_
#define MEMFUSE_SRC_MEMFS_PAGE_TABLE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/functional/function_ref.h"
#include "src/memfs/arena.h"
#include "src/memfs/node_reserve.h"

namespace memfuse::memfs {

// What a page of a file is made of.
class PageSlot {
 public:
  PageSlot() = default;
  PageSlot(PageNumber page, bool written, bool shared = false)
      : bits_(page | (written ? 0 : kUnwritten) | (shared ? kShared : 0)) {}

  // Written, as far as lseek(2) is told, but with nothing: reserved twice.
  static PageSlot PreallocatedAsData(PageNumber page) {
    PageSlot slot;
    slot.bits_ = page | kPreallocatedAsData;
    return slot;
  }

  bool hole() const { return bits_ == 0; }
  PageNumber page() const { return bits_ & (kShared - 1); }
  // False: reserved by fallocate(2), reads as zeros and counts as a hole for lseek(2).
  bool written() const { return (bits_ & kPreallocatedAsData) != kUnwritten; }
  // There is memory behind the page. It reads as zeros otherwise.
  bool has_memory() const { return bits_ != 0 && (bits_ & kUnwritten) == 0; }
  // The page had other owners once, and may have them still: ask the arena before writing to it.
  bool shared() const { return (bits_ & kPreallocatedAsData) == kShared; }

 private:
  static constexpr uint32_t kShared = Arena::kMaxPages;
  static constexpr uint32_t kUnwritten = kShared << 1;
  // Only what was written is shared, which leaves one combination.
  static constexpr uint32_t kPreallocatedAsData = kShared | kUnwritten;
  uint32_t bits_ = 0;
};

class PageTable {
 public:
  static constexpr uint64_t kChunkPages = 512;

  PageTable() = default;
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;

  // A hole where nothing was set.
  PageSlot Get(uint64_t index) const;
  // `slot` is no hole. May throw std::bad_alloc, but not for an index that Prepare covered.
  void Set(uint64_t index, PageSlot slot);
  // Makes room for [first, last] so that Set cannot fail there. Throws std::bad_alloc; DropUnused
  // then takes back what it made.
  void Prepare(uint64_t first, uint64_t last);

  // Leaves holes in [first, last] and hands each page that was there, in order, to `removed`, which
  // does not throw. Takes no memory: a file can be cut when there is none.
  void Remove(uint64_t first, uint64_t last, absl::FunctionRef<void(PageNumber)> removed);
  // Takes back what Prepare(first, last) made and no Set came to.
  void DropUnused(uint64_t first, uint64_t last);

  // How many pages of [first, last] are no holes.
  uint64_t CountPresent(uint64_t first, uint64_t last) const;

  // The next index >= `from` that is (or is not) written data; kNone if there is none.
  // "Not written" always exists, at the latest behind the last page.
  static constexpr uint64_t kNone = ~uint64_t{0};
  uint64_t NextWritten(uint64_t from) const;
  // Looks no further than `last`: above that the result is any number above `last`.
  uint64_t NextUnwritten(uint64_t from, uint64_t last = kNone) const;

  bool empty() const { return chunks_.empty(); }
  // Bytes of memory that the table itself takes now.
  uint64_t Cost() const { return cost_; }
  // An upper bound of what Prepare(first, last) adds to Cost().
  uint64_t PrepareCost(uint64_t first, uint64_t last) const;

 private:
  // The slots of 512 pages; allocated as far as they were ever set, in powers of two.
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

#endif  // MEMFUSE_SRC_MEMFS_PAGE_TABLE_H_
