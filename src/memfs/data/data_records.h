// The records of the daemon store: which pages of the arena a file has, and the data of small
// files. They lie in blocks of a record file (records/record_file.h). The owner of a block is the
// record of the file (tree/tree_records.h), which has the size.
//
// A change of a struct in this file, or of its meaning, needs a new kLayoutVersion
// (records/layout.h).
//
// Order of the stores. The data of a page is written before the slot of the page is stored, and a
// page is freed after its slot was stored. A slot is one store, and so is the size. So a slot never
// names a page with the data of another file, or a new page that is not filled. DataChange
// describes what a killed thread can leave beyond the end of the file, and in pages that read as
// zeros.

#ifndef MEMFUSE_SRC_MEMFS_DATA_DATA_RECORDS_H_
#define MEMFUSE_SRC_MEMFS_DATA_DATA_RECORDS_H_

#include <cstddef>
#include <cstdint>

#include "src/memfs/data/arena.h"
#include "src/memfs/records/layout.h"
#include "src/memfs/records/store_order.h"
#include "src/memfs/tree/tree_records.h"

namespace memfuse::memfs {

inline constexpr auto kPageTableKind = BlockKind{4};
inline constexpr auto kInlineDataKind = BlockKind{5};

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
  // Sets a slot of a record: one store, after all earlier and before all later stores.
  static void Store(PageSlot* place, PageSlot slot) { StoreInOrder(&place->bits_, slot.bits_); }

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
static_assert(sizeof(PageSlot) == 4);

// The slots of up to 512 consecutive pages of a file. There is at most one record for each chunk of
// a file; pages without a slot are holes.
struct PageTableRecord {
  static constexpr uint64_t kChunkPages = 512;
  static constexpr uint64_t kMaxChunk = (uint64_t{1} << 63) / kPageSize / kChunkPages - 1;

  BlockHeader header;
  uint64_t chunk : 48;     // the number of the first page, divided by kChunkPages
  uint64_t capacity : 16;  // the number of slots, which follow: a power of two, 4 to kChunkPages

  PageSlot* slots() { return reinterpret_cast<PageSlot*>(this + 1); }
  const PageSlot* slots() const { return reinterpret_cast<const PageSlot*>(this + 1); }

  static constexpr size_t Bytes(size_t capacity) {
    return sizeof(PageTableRecord) + capacity * sizeof(PageSlot);
  }
};
static_assert(sizeof(PageTableRecord) == 16);

// The data of a small file, from its beginning. The rest of the data follows the struct. A file has
// at most one. It is obsolete if the first page has a slot.
struct InlineDataRecord {
  BlockHeader header;
  uint16_t size;         // in bytes
  uint16_t block_bytes;  // what the block takes
  char bytes[4];         // the rest follows the struct

  static constexpr size_t kDataOffset = 12;
  static constexpr size_t Bytes(size_t size) { return kDataOffset + size; }
};
static_assert(sizeof(InlineDataRecord) == 16 &&
              offsetof(InlineDataRecord, bytes) == InlineDataRecord::kDataOffset);

// What a thread that was killed in a change of the data may have left. A successor keeps what is
// before the end of the file, and removes or clears the rest (DaemonFile::Repair). This is the low
// byte of InodeRecord::data_change.
enum class DataChange : uint8_t {
  kNone = 0,
  // Data beyond the end of the file, or in pages that are not `written`: it does not belong to the
  // file yet and must read as zeros.
  kWrite = 1,
  // Pages and data beyond the end of the file that belong to the file no longer.
  kTruncate = 2,
};
// A flag in InodeRecord::data_change: fallocate(2) may have reserved pages beyond the end.
inline constexpr uint16_t kReservedBehindEnd = 0x100;

inline DataChange ChangeOf(uint16_t data_change) {
  return static_cast<DataChange>(data_change & 0xff);
}
inline void SetDataChange(InodeRecord* record, DataChange change) {
  const uint16_t flags = record->data_change & uint16_t{0xff00};
  StoreInOrder(&record->data_change, static_cast<uint16_t>(flags | static_cast<uint16_t>(change)));
}

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_DATA_DATA_RECORDS_H_
