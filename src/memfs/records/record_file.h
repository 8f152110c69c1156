// Blocks of memory in a memory file that outlives the process.
//
// A file system keeps its records (inodes, names, extended attributes) in blocks of this file.
// Another process that has the descriptor can map the file after the process has died, and
// continues with the same blocks. README.md describes the layout of the file. A block is named by
// its BlockId, never by its address.
//
// What a process derives from the records (hash tables, locks, lists of free blocks) is not in the
// file. The successor makes it again while it visits all blocks.
//
// Changes. A record is changed in a Transaction (transaction.h). If the process dies in the middle,
// Open() restores what the open transactions had changed.
//
// Ownership. A block that was allocated belongs to the process until Free(). Whether it outlives
// the process depends on its kind alone: a successor finds the blocks whose kind is not kFree. An
// operation allocates blocks, and fills them before the commit of the transaction that gives them a
// kind and changes other records. Transaction::Remove removes a block. README.md has the
// exceptions.
//
// Memory. A block is allocated from a *chunk*: 256 KiB that are divided into blocks of one size.
// The system's memory is reserved with fallocate(2) before a block is used, so a lack of memory is
// an error of Allocate and not a SIGBUS. The memory of a chunk goes back to the system when all
// blocks of the chunk are free.

#ifndef MEMFUSE_SRC_MEMFS_RECORDS_RECORD_FILE_H_
#define MEMFUSE_SRC_MEMFS_RECORDS_RECORD_FILE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "src/base/unique_fd.h"
#include "src/memfs/records/layout.h"
#include "src/memfs/space/lock_order.h"

namespace memfuse::memfs {

// Thread-safe, except where a method says otherwise.
class RecordFile {
 public:
  // The largest block: an extended attribute with the longest name and value, and its header.
  static constexpr size_t kMaxBlockBytes = size_t{66} << 10;

  // Makes a record file in `file`, an empty memory file that nothing else uses, or in a new memfd
  // if `file` is not valid. Returns ResourceExhausted if there is no memory, descriptor or address
  // space. Throws std::bad_alloc.
  static absl::StatusOr<std::unique_ptr<RecordFile>> Make(base::UniqueFd file = {});

  // Opens the record file of a process that has died, and restores what open transactions had
  // changed. Returns FailedPrecondition, and changes nothing, if the file has another layout, or if
  // its headers are damaged; the content of journals and blocks is not checked; ResourceExhausted
  // as Make. Throws std::bad_alloc. Calling it again after a failure or a death during the call has
  // the same effect as calling it once.
  static absl::StatusOr<std::unique_ptr<RecordFile>> Open(base::UniqueFd file);

  ~RecordFile();
  RecordFile(const RecordFile&) = delete;
  RecordFile& operator=(const RecordFile&) = delete;

  // Returns a block of at least `bytes` bytes (at most kMaxBlockBytes), aligned to 16. Its kind is
  // BlockKind::kFree, the rest is undefined. Returns null if there is no memory.
  void* Allocate(size_t bytes) noexcept;
  // Makes the block free, regardless of its kind. Requires: no open transaction has changed it.
  void Free(void* block) noexcept;

  // Sets whether Free does nothing from now on, because the file is left to another process as it
  // is. It is called while no other thread uses the file.
  void SetAbandoned(bool abandoned) { abandoned_ = abandoned; }
  // Objects that are destroyed then leave the files of their data as they are, too.
  bool abandoned() const { return abandoned_; }

  // Bounds memory_bytes(), as far as blocks are concerned: Allocate returns null where a block
  // would need more. Initially there is no bound. A bound below the present memory keeps the memory
  // that is there. Blocks that are charged to a budget need the bound too: a chunk keeps its memory
  // while one of its blocks is in use.
  void SetMaxBytes(uint64_t bytes) { max_bytes_.store(bytes, std::memory_order_relaxed); }

  // How many bytes Allocate(bytes) takes.
  static size_t BlockBytes(size_t bytes);

  // The size of a block, as the header of its chunk says.
  size_t SizeOf(const void* block) const;

  BlockId IdOf(const void* block) const {
    return static_cast<BlockId>(OffsetOf(block) / kBlockUnit);
  }
  void* At(BlockId id) const { return base_ + uint64_t{id} * kBlockUnit; }

  // Calls `visit` for each block whose kind is not BlockKind::kFree, in the order of their IDs.
  // `visit` may change the block. It may free the block, and returns whether it has. It must not
  // allocate one. Requires: no other thread uses the file, except that threads may visit the blocks
  // of different chunks.
  void ForEachBlock(absl::FunctionRef<bool(BlockHeader* block)> visit);
  // The same for the blocks of one chunk. The chunks are numbered from 0 to chunk_count() - 1.
  void ForEachBlockOf(uint32_t chunk, absl::FunctionRef<bool(BlockHeader* block)> visit);
  uint32_t chunk_count() const ABSL_LOCKS_EXCLUDED(mu_);
  // How many threads are worth starting to visit all blocks, or what belongs to them.
  int ScanThreads() const { return chunk_count() < kFirstChunk + 16 ? 1 : 8; }

  // The part before the journals that belongs to the file system: kRootBytes bytes, initially
  // zeros.
  void* root() const { return base_ + kRootOffset; }

  // The completed requests of the process whose file was opened: those whose scope had not ended
  // (request_scope.h). The kernel may have the reply of some; it does not send these again. Each
  // has a place in the file until ForgetCompleted is called with it, so that the next successor
  // finds it too.
  struct Completed {
    uint64_t request;
    uint64_t result;
    uint32_t place;
  };
  const std::vector<Completed>& completed() const { return completed_; }
  void ForgetCompleted(uint32_t place) noexcept;

  // The memory file. The object owns it.
  int descriptor() const { return fd_.get(); }
  // The system's memory that the blocks and journals take now, in bytes.
  uint64_t memory_bytes() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  friend class RequestScope;
  friend class Transaction;

  // What the process knows of a chunk. The free blocks before block `end` form a list: the bytes of
  // a free block after its header hold the index of the next one plus one. All blocks from `end` on
  // are free as well.
  struct Chunk {
    uint8_t size_class = kNoClass;
    bool open = false;       // in the list of open chunks of its class: it has free blocks
    uint16_t free_head = 0;  // index of the first block of the list plus one; 0: none
    uint16_t used = 0;       // number of blocks that are allocated
    uint16_t end = 0;
    uint32_t position = 0;  // in the list of open chunks
  };
  // In cache lines of their own, because each thread mostly uses one of them.
  struct alignas(64) JournalUse {
    std::atomic<bool> transaction{false};
    std::atomic<bool> place{false};  // `completed` of the journal
  };
  struct SizeClass {
    std::vector<uint32_t> open_chunks;  // its capacity is at least `chunks`
    size_t chunks = 0;
  };

  explicit RecordFile(base::UniqueFd fd) : fd_(std::move(fd)) {}

  // Maps kMaxFileBytes of the file, or less where the address space is limited (RLIMIT_AS), but at
  // least the bytes that the file has and kMinMappedBytes.
  absl::Status Map();
  static constexpr uint64_t kMinMappedBytes = uint64_t{256} << 20;
  absl::Status Format();
  absl::Status CheckLayout() const;
  // Undoes the open transactions of the process that has died.
  void RecoverJournals();
  // Finds the requests that the process that has died had completed, after RecoverJournals. Throws
  // std::bad_alloc.
  void RecoverCompleted();
  // Finds the chunks and their free blocks.
  void ScanChunks() ABSL_LOCKS_EXCLUDED(mu_);

  uint64_t OffsetOf(const void* address) const {
    return static_cast<uint64_t>(static_cast<const char*>(address) - base_);
  }
  Superblock* superblock() const { return reinterpret_cast<Superblock*>(base_); }
  ChunkHeader* HeaderOf(uint32_t chunk) const;
  BlockHeader* BlockAt(uint32_t chunk, const Chunk& state, uint16_t index) const;
  JournalHeader* JournalAt(uint32_t index) const;
  // Reserves the system's memory for a range of the file. Returns false if there is none.
  bool Reserve(uint64_t offset, uint64_t length);

  // Takes a chunk for blocks of this class. Returns false if there is no memory.
  bool AddChunk(uint8_t size_class) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Add a chunk to the list of open chunks of its class, and remove it.
  void ListChunk(uint32_t chunk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void UnlistChunk(uint32_t chunk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Makes the memory of a chunk without blocks zeros and returns it to the system. Returns how many
  // bytes it was.
  uint64_t ClearChunk(uint32_t chunk);
  // Reserve for blocks. Returns false if there is no memory or the bound does not permit it.
  bool ReserveForBlocks(uint64_t offset, uint64_t length) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Returns a block of the chunk, or null if there is no memory for it.
  BlockHeader* TakeFrom(uint32_t chunk, Chunk* state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Returns a journal that no other thread uses. If all are in use, and kMaxJournals exist or there
  // is no memory for one more, waits until a thread releases one.
  uint32_t AcquireJournal() noexcept ABSL_LOCKS_EXCLUDED(mu_);
  void ReleaseJournal(uint32_t index) {
    journal_uses_[index].transaction.store(false, std::memory_order_release);
  }
  // The same for the place of a completed request, which is released when the request is answered.
  uint32_t AcquirePlace() noexcept ABSL_LOCKS_EXCLUDED(mu_);
  // Finds a free element, beginning with *last, or makes one.
  uint32_t Acquire(std::atomic<bool> JournalUse::*in_use, uint32_t* last) noexcept
      ABSL_LOCKS_EXCLUDED(mu_);
  // Makes one more journal, and with it a place of a completed request. Returns false if
  // kMaxJournals exist, or if there is no memory.
  bool AddJournal() noexcept ABSL_LOCKS_EXCLUDED(mu_);

  const base::UniqueFd fd_;
  char* base_ = nullptr;       // constant after Map
  uint64_t mapped_bytes_ = 0;  // constant after Map
  bool abandoned_ = false;     // constant while several threads use the file

  mutable LeafMutex mu_;
  std::vector<Chunk> chunks_ ABSL_GUARDED_BY(mu_);
  SizeClass classes_[kSizeClasses] ABSL_GUARDED_BY(mu_);
  // Chunks of no class, which hold no memory. The capacity is at least that of chunks_.
  std::vector<uint32_t> free_chunks_ ABSL_GUARDED_BY(mu_);
  uint64_t reserved_bytes_ ABSL_GUARDED_BY(mu_) = 0;  // see memory_bytes
  std::atomic<uint64_t> max_bytes_{~uint64_t{0}};     // atomic

  std::vector<Completed> completed_;                   // constant after Open
  std::atomic<uint32_t> journals_{0};                  // as in the superblock
  std::array<JournalUse, kMaxJournals> journal_uses_;  // atomic
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_RECORDS_RECORD_FILE_H_
