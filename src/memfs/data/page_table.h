// The map from the pages of a file to pages of the arena: a sparse map. It takes four bytes per
// page where the file is dense, and at most 2 KiB and 72 bytes per 2 MiB of the file elsewhere.
//
// Not thread-safe: the lock of the file guards it. The map stores page numbers only. Its user
// allocates and frees the pages, and charges the memory of the map to the budget with the help of
// Cost().
//
// The slots lie in records (data_records.h), where a successor finds them. The heap contains an
// index of the records.

#ifndef MEMFUSE_SRC_MEMFS_DATA_PAGE_TABLE_H_
#define MEMFUSE_SRC_MEMFS_DATA_PAGE_TABLE_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/functional/function_ref.h"
#include "src/memfs/data/data_records.h"
#include "src/memfs/records/record_file.h"
#include "src/memfs/space/node_reserve.h"

namespace memfuse::memfs {

class PageTable {
 public:
  static constexpr uint64_t kChunkPages = PageTableRecord::kChunkPages;

  // `owner` is the record of the file in `records`. `records` must outlive the table.
  PageTable(RecordFile* records, BlockId owner) : records_(*records), owner_(owner) {}
  // Frees the records, but no page.
  ~PageTable();
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

  // Calls `visit` for each slot that is no hole, in order.
  void ForEachPresent(absl::FunctionRef<void(PageSlot)> visit) const;

  // Returns how many pages of [first, last] are not holes.
  uint64_t CountPresent(uint64_t first, uint64_t last) const;

  // Return the next index >= `from` that is written data (or is not), or kNone if there is none.
  // NextUnwritten always finds an index, which may lie behind the last page.
  static constexpr uint64_t kNone = ~uint64_t{0};
  uint64_t NextWritten(uint64_t from) const;
  // Looks no further than `last`: if there is none, the result is any number above `last`.
  uint64_t NextUnwritten(uint64_t from, uint64_t last = kNone) const;

  // Takes over a record of the predecessor. The table was empty before the first call. Calls
  // `add` for each slot that is no hole. A record without such slots is freed. Returns false if the
  // record is damaged, belongs to a chunk that the table has already, or `add` returns false.
  // Throws std::bad_alloc.
  [[nodiscard]] bool Adopt(PageTableRecord* record, absl::FunctionRef<bool(PageSlot)> add);

  bool empty() const { return chunks_.empty(); }
  // The number of bytes that the table itself takes now.
  uint64_t Cost() const { return cost_; }
  // Returns an upper bound of what Prepare(first, last) adds to Cost().
  uint64_t PrepareCost(uint64_t first, uint64_t last) const;

 private:
  // The slots of 512 pages. The record is as long as the largest index that was set requires,
  // rounded up to a power of two.
  struct Chunk {
    PageTableRecord* record = nullptr;
    uint16_t capacity = 0;  // that of the record; 0: there is no record
    uint16_t present = 0;

    PageSlot Get(uint64_t slot) const { return record->slots()[slot]; }
    void Set(uint64_t slot, PageSlot value) { PageSlot::Store(&record->slots()[slot], value); }
  };
  static constexpr uint64_t kChunkCost = 40;  // map node and allocator overhead

  static uint64_t ChunkOf(uint64_t index) { return index / kChunkPages; }
  static uint16_t CapacityFor(uint64_t slot);
  // What a record takes; 0 for capacity 0.
  static uint64_t RecordCost(uint64_t capacity) {
    return capacity == 0 ? 0 : RecordFile::BlockBytes(PageTableRecord::Bytes(capacity));
  }
  // Replaces the record of a chunk by `larger`, a block with this capacity.
  void Grow(uint64_t number, Chunk* chunk, PageTableRecord* larger, uint16_t capacity);
  // Releases the memory of a chunk that has no present slots.
  void Release(Chunk* chunk);

  RecordFile& records_;
  const BlockId owner_;
  absl::btree_map<uint64_t, Chunk, std::less<>, NodeAllocator<std::pair<const uint64_t, Chunk>>>
      chunks_;
  uint64_t cost_ = 0;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_DATA_PAGE_TABLE_H_
