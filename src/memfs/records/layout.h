// The layout of a record file: what another process finds in it. README.md describes it.
//
// A change of a struct in this file, or of its meaning, needs a new kLayoutVersion.
// tree/tree_records.h has more structs of the layout.

#ifndef MEMFUSE_SRC_MEMFS_RECORDS_LAYOUT_H_
#define MEMFUSE_SRC_MEMFS_RECORDS_LAYOUT_H_

#include <cstddef>
#include <cstdint>

namespace memfuse::memfs {

// "memfuse" and a byte of value 1, as the first bytes of the file. It never changes.
inline constexpr uint64_t kLayoutMagic = 0x01657375666d656d;
inline constexpr uint32_t kLayoutVersion = 4;

// The number of a block: its offset in the file divided by kBlockUnit. 0 means no block.
using BlockId = uint32_t;
inline constexpr BlockId kNoBlock = 0;
inline constexpr uint64_t kBlockUnit = 16;

// The file is sparse. It never grows beyond this size, because a BlockId has 32 bits.
inline constexpr uint64_t kMaxFileBytes = uint64_t{1} << 36;

// What a block contains. The numbers are part of the layout. Only kFree has a meaning for the
// record file; the file system gives the others their meaning.
enum class BlockKind : uint8_t { kFree = 0 };

// The first bytes of each block.
struct BlockHeader {
  BlockKind kind;
  uint8_t unused[3];
  BlockId owner;  // the inode to which the block belongs; for the file system
};
static_assert(sizeof(BlockHeader) == 8);

// The size classes of blocks, in bytes. The steps are fine where most blocks are: inodes and names.
// Some classes are those of page tables (data/data_records.h).
inline constexpr uint32_t kClassBytes[] = {32,   48,   64,   80,   96,   112,   128,   144,  160,
                                           192,  224,  256,  288,  320,  384,   528,   768,  1040,
                                           1536, 2080, 3072, 4352, 8448, 16640, 33024, 67584};
inline constexpr size_t kSizeClasses = sizeof(kClassBytes) / sizeof(kClassBytes[0]);
inline constexpr uint8_t kNoClass = 0xff;

inline constexpr uint64_t kChunkBytes = 256 << 10;
// The blocks of a chunk follow its header.
inline constexpr uint64_t kChunkHeaderBytes = 64;
// The system's memory is reserved in pieces of this size.
inline constexpr uint64_t kReserveBytes = 32 << 10;

struct ChunkHeader {
  // The index in kClassBytes plus one; 0: the chunk has no blocks. Memory was reserved for the
  // first `reserved` bytes of the chunk, and only they may be accessed. Both are written before the
  // first block that depends on them.
  uint32_t size_class;
  uint32_t reserved;
};
static_assert(sizeof(ChunkHeader) <= kChunkHeaderBytes);

// The first bytes of the file.
struct Superblock {
  uint64_t magic;  // written last
  uint32_t version;
  uint32_t journals;   // number of journals that have memory
  uint32_t end_chunk;  // number of the chunk after the last one that has a header
  uint32_t unused;
};
static_assert(sizeof(Superblock) == 24);

// The root and the journals follow the superblock.
inline constexpr uint64_t kRootOffset = 64;
inline constexpr uint64_t kJournalsOffset = 16 << 10;
inline constexpr uint64_t kRootBytes = kJournalsOffset - kRootOffset;

// The place of one request: it is completed if the journal with the number `journal` has had at
// least `commit` commits (request_scope.h). The headers of journals contain the places. A place is
// used independently of its journal.
struct CompletedRequest {
  uint64_t request;  // 0: none
  uint64_t result;
  uint64_t journal;
  uint64_t commit;
};

struct JournalHeader {
  // Low kUndoBits bits: the size of the undo entries that are complete. 0: no transaction is open,
  // or it has not changed anything yet. The other bits: the number of commits so far.
  uint64_t state;
  CompletedRequest completed;  // a place, used independently of the journal
};
inline constexpr int kUndoBits = 16;
inline constexpr uint64_t kUndoMask = (uint64_t{1} << kUndoBits) - 1;
inline uint64_t UndoBytes(const JournalHeader& journal) { return journal.state & kUndoMask; }
inline uint64_t CommitsOf(const JournalHeader& journal) { return journal.state >> kUndoBits; }

// What was in a place of the file before it was changed: `length` bytes of data follow the entry,
// up to a multiple of 8.
struct UndoEntry {
  uint64_t offset;
  uint64_t length;
};
static_assert(sizeof(UndoEntry) == 16);

inline constexpr uint64_t kJournalBytes = 32 << 10;
inline constexpr uint32_t kMaxJournals = 1024;
inline constexpr uint64_t kUndoOffset = 64;  // of the first entry, in the journal
inline constexpr uint64_t kMaxUndoBytes = kJournalBytes - kUndoOffset;
static_assert(sizeof(JournalHeader) <= kUndoOffset && kMaxUndoBytes <= kUndoMask);

// Chunks with blocks follow the journals.
inline constexpr uint32_t kFirstChunk =
    (kJournalsOffset + kMaxJournals * kJournalBytes + kChunkBytes - 1) / kChunkBytes;

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_RECORDS_LAYOUT_H_
