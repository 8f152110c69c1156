#include "src/memfs/records/record_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "src/base/error_text.h"
#include "src/memfs/records/store_order.h"
#include "src/memfs/records/transaction.h"

namespace memfuse::memfs {
namespace {

constexpr uint32_t kMaxChunks = kMaxFileBytes / kChunkBytes;

// The smallest class whose blocks have at least `bytes` bytes.
uint8_t ClassFor(size_t bytes) {
  const auto* const found = std::lower_bound(std::begin(kClassBytes), std::end(kClassBytes), bytes);
  return found == std::end(kClassBytes) ? kNoClass
                                        : static_cast<uint8_t>(found - std::begin(kClassBytes));
}

// The number of blocks that lie within the first `bytes` bytes of a chunk.
uint16_t BlocksWithin(uint8_t size_class, uint64_t bytes) {
  return static_cast<uint16_t>((bytes - kChunkHeaderBytes) / kClassBytes[size_class]);
}

// The bytes of the chunk up to the end of block `index`.
uint64_t EndOfBlock(uint8_t size_class, uint16_t index) {
  return kChunkHeaderBytes + (uint64_t{index} + 1) * kClassBytes[size_class];
}

uint16_t* NextFree(BlockHeader* block) { return reinterpret_cast<uint16_t*>(block + 1); }

// Makes room for `count` elements. Capacities double, so that the elements are not copied each
// time.
template <typename T>
void Grow(std::vector<T>* list, size_t count) {
  if (list->capacity() < count) list->reserve(std::max(count, 2 * list->capacity()));
}

absl::Status MakeError(int error) {
  return absl::ResourceExhaustedError(absl::StrCat(
      "cannot make the memory file for names and attributes: ", base::ErrorText(error)));
}

}  // namespace

static_assert(RecordFile::kMaxBlockBytes == kClassBytes[kSizeClasses - 1]);
static_assert(kChunkBytes / kClassBytes[0] < 0xffff);  // an index plus one fits into 16 bits

absl::StatusOr<std::unique_ptr<RecordFile>> RecordFile::Make(base::UniqueFd file) {
  if (!file.valid()) file = base::UniqueFd(memfd_create("memfuse-records", MFD_CLOEXEC));
  if (!file.valid()) return MakeError(errno);
  std::unique_ptr<RecordFile> made(new RecordFile(std::move(file)));
  if (absl::Status mapped = made->Map(); !mapped.ok()) return mapped;
  if (absl::Status formatted = made->Format(); !formatted.ok()) return formatted;
  return made;
}

absl::StatusOr<std::unique_ptr<RecordFile>> RecordFile::Open(base::UniqueFd file) {
  std::unique_ptr<RecordFile> opened(new RecordFile(std::move(file)));
  if (absl::Status mapped = opened->Map(); !mapped.ok()) return mapped;
  if (absl::Status checked = opened->CheckLayout(); !checked.ok()) return checked;
  opened->RecoverJournals();
  opened->RecoverCompleted();
  opened->ScanChunks();
  return opened;
}

RecordFile::~RecordFile() {
  if (base_ != nullptr) munmap(base_, mapped_bytes_);
}

absl::Status RecordFile::Map() {
  struct stat file;
  if (fstat(fd_.get(), &file) != 0) return MakeError(errno);
  const uint64_t least = std::max<uint64_t>(static_cast<uint64_t>(file.st_size), kMinMappedBytes);
  for (uint64_t bytes = kMaxFileBytes; bytes >= least; bytes /= 4) {
    void* const mapping =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd_.get(), 0);
    if (mapping == MAP_FAILED) continue;
    // A core file of the daemon must not contain the data of users.
    madvise(mapping, bytes, MADV_DONTDUMP);
    base_ = static_cast<char*>(mapping);
    mapped_bytes_ = bytes;
    return absl::OkStatus();
  }
  return MakeError(ENOMEM);
}

absl::Status RecordFile::Format() {
  // With one journal, AcquireJournal cannot fail.
  if (!Reserve(0, kJournalsOffset + kJournalBytes)) return MakeError(errno);
  Superblock* const block = superblock();
  block->version = kLayoutVersion;
  block->journals = 1;
  block->end_chunk = kFirstChunk;
  StoreInOrder(&block->magic, kLayoutMagic);
  MutexLock lock(&mu_);
  chunks_.resize(kFirstChunk);
  reserved_bytes_ = kJournalsOffset + kJournalBytes;
  journals_.store(1);
  return absl::OkStatus();
}

absl::Status RecordFile::CheckLayout() const {
  struct stat file;
  if (fstat(fd_.get(), &file) != 0) return MakeError(errno);
  const auto size = static_cast<uint64_t>(file.st_size);
  if (size < kJournalsOffset || superblock()->magic != kLayoutMagic) {
    return absl::FailedPreconditionError("the memory file holds no records of memfuse");
  }
  const Superblock& block = *superblock();
  if (block.version != kLayoutVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the records have layout ", block.version, "; this program reads layout ", kLayoutVersion));
  }
  absl::Status damaged = absl::FailedPreconditionError("the records are damaged");
  const uint64_t end_of_journals = kJournalsOffset + block.journals * kJournalBytes;
  if (block.journals == 0 || block.journals > kMaxJournals || end_of_journals > size ||
      block.end_chunk < kFirstChunk || block.end_chunk > kMaxChunks) {
    return damaged;
  }
  for (uint32_t i = 0; i < block.journals; ++i) {
    if (UndoBytes(*JournalAt(i)) > kMaxUndoBytes) return damaged;
  }
  for (uint32_t chunk = kFirstChunk; chunk < block.end_chunk; ++chunk) {
    const ChunkHeader& header = *HeaderOf(chunk);
    const uint64_t least = header.size_class == 0 || header.size_class > kSizeClasses
                               ? 0
                               : EndOfBlock(static_cast<uint8_t>(header.size_class - 1), 0);
    if (header.size_class > kSizeClasses || header.reserved < least ||
        header.reserved > kChunkBytes || chunk * kChunkBytes + header.reserved > size) {
      return damaged;
    }
  }
  return absl::OkStatus();
}

void RecordFile::RecoverCompleted() {
  for (uint32_t i = 0; i < journals_.load(); ++i) {
    CompletedRequest* const found = &JournalAt(i)->completed;
    if (found->request == 0) continue;
    if (found->journal < journals_.load() &&
        CommitsOf(*JournalAt(static_cast<uint32_t>(found->journal))) >= found->commit) {
      completed_.push_back({found->request, found->result, i});
      journal_uses_[i].place.store(true);
    } else {
      // A later commit in that journal must not complete the request.
      StoreInOrder(&found->request, uint64_t{0});
    }
  }
}

void RecordFile::RecoverJournals() {
  journals_.store(superblock()->journals);
  for (uint32_t i = 0; i < journals_.load(); ++i) Undo(JournalAt(i), base_);
}

void RecordFile::ScanChunks() {
  MutexLock lock(&mu_);
  const Superblock& block = *superblock();
  reserved_bytes_ = kJournalsOffset + block.journals * kJournalBytes;
  chunks_.resize(block.end_chunk);
  free_chunks_.reserve(block.end_chunk);
  for (uint32_t chunk = kFirstChunk; chunk < block.end_chunk; ++chunk) {
    const ChunkHeader& header = *HeaderOf(chunk);
    if (header.size_class == 0) {
      // The process may have died before it cleared the memory.
      ClearChunk(chunk);
      free_chunks_.push_back(chunk);
      continue;
    }
    Chunk& state = chunks_[chunk];
    reserved_bytes_ += header.reserved;
    state.size_class = static_cast<uint8_t>(header.size_class - 1);
    state.end = BlocksWithin(state.size_class, header.reserved);
    for (uint16_t index = state.end; index-- > 0;) {
      BlockHeader* const found = BlockAt(chunk, state, index);
      if (found->kind != BlockKind::kFree) {
        ++state.used;
      } else {
        *NextFree(found) = std::exchange(state.free_head, static_cast<uint16_t>(index + 1));
      }
    }
    SizeClass& owner = classes_[state.size_class];
    Grow(&owner.open_chunks, ++owner.chunks);
    if (state.used < BlocksWithin(state.size_class, kChunkBytes)) ListChunk(chunk);
  }
}

ChunkHeader* RecordFile::HeaderOf(uint32_t chunk) const {
  return reinterpret_cast<ChunkHeader*>(base_ + chunk * kChunkBytes);
}

BlockHeader* RecordFile::BlockAt(uint32_t chunk, const Chunk& state, uint16_t index) const {
  return reinterpret_cast<BlockHeader*>(base_ + chunk * kChunkBytes + kChunkHeaderBytes +
                                        uint64_t{index} * kClassBytes[state.size_class]);
}

JournalHeader* RecordFile::JournalAt(uint32_t index) const {
  return reinterpret_cast<JournalHeader*>(base_ + kJournalsOffset + index * kJournalBytes);
}

bool RecordFile::Reserve(uint64_t offset, uint64_t length) {
  int failed;
  do {
    failed = fallocate(fd_.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(length));
  } while (failed != 0 && errno == EINTR);
  return failed == 0;
}

uint64_t RecordFile::ClearChunk(uint32_t chunk) {
  const uint64_t offset = chunk * kChunkBytes;
  const uint64_t reserved = HeaderOf(chunk)->reserved;
  if (fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                static_cast<off_t>(kChunkBytes)) == 0) {
    // The header is zeros as well now. Reading it takes a page again, until the chunk is used.
    return reserved;
  }
  // The header comes last: until then, a successor that clears the chunk again finds its size.
  if (reserved > 0) {
    std::memset(base_ + offset + sizeof(ChunkHeader), 0, reserved - sizeof(ChunkHeader));
    StoreInOrder(&HeaderOf(chunk)->reserved, uint32_t{0});
  }
  return reserved;
}

size_t RecordFile::SizeOf(const void* block) const {
  return kClassBytes[HeaderOf(static_cast<uint32_t>(OffsetOf(block) / kChunkBytes))->size_class -
                     1];
}

size_t RecordFile::BlockBytes(size_t bytes) { return kClassBytes[ClassFor(bytes)]; }

void RecordFile::ListChunk(uint32_t chunk) {
  std::vector<uint32_t>& open = classes_[chunks_[chunk].size_class].open_chunks;
  chunks_[chunk].open = true;
  chunks_[chunk].position = static_cast<uint32_t>(open.size());
  open.push_back(chunk);
}

void RecordFile::UnlistChunk(uint32_t chunk) {
  std::vector<uint32_t>& open = classes_[chunks_[chunk].size_class].open_chunks;
  const uint32_t position = chunks_[chunk].position;
  open[position] = open.back();
  chunks_[open[position]].position = position;
  open.pop_back();
  chunks_[chunk].open = false;
}

bool RecordFile::ReserveForBlocks(uint64_t offset, uint64_t length) {
  const uint64_t max = max_bytes_.load(std::memory_order_relaxed);
  if (reserved_bytes_ > max || length > max - reserved_bytes_) return false;
  if (!Reserve(offset, length)) return false;
  reserved_bytes_ += length;
  return true;
}

bool RecordFile::AddChunk(uint8_t size_class) {
  // Lists that may have to grow do so before anything is changed.
  SizeClass& owner = classes_[size_class];
  const bool reused = !free_chunks_.empty();
  if (!reused && (chunks_.size() + 1) * kChunkBytes > mapped_bytes_) return false;
  try {
    Grow(&owner.open_chunks, owner.chunks + 1);
    if (!reused) {
      Grow(&chunks_, chunks_.size() + 1);
      Grow(&free_chunks_, chunks_.size() + 1);
    }
  } catch (const std::bad_alloc&) {
    return false;
  }
  const uint32_t chunk = reused ? free_chunks_.back() : static_cast<uint32_t>(chunks_.size());
  const uint64_t first = std::max(kReserveBytes, EndOfBlock(size_class, 0));
  if (!ReserveForBlocks(chunk * kChunkBytes, first)) return false;
  ChunkHeader* const header = HeaderOf(chunk);
  header->reserved = static_cast<uint32_t>(first);
  if (reused) {
    free_chunks_.pop_back();
  } else {
    chunks_.emplace_back();
    StoreInOrder(&superblock()->end_chunk, chunk + 1);
  }
  StoreInOrder(&header->size_class, uint32_t{size_class} + 1);
  chunks_[chunk].size_class = size_class;
  ++owner.chunks;
  ListChunk(chunk);
  return true;
}

BlockHeader* RecordFile::TakeFrom(uint32_t chunk, Chunk* state) {
  BlockHeader* block;
  if (state->free_head != 0) {
    block = BlockAt(chunk, *state, static_cast<uint16_t>(state->free_head - 1));
    state->free_head = *NextFree(block);
  } else {
    ChunkHeader* const header = HeaderOf(chunk);
    const uint64_t end = EndOfBlock(state->size_class, state->end);
    if (end > header->reserved) {
      const uint64_t more =
          std::min(std::max(kReserveBytes, end - header->reserved), kChunkBytes - header->reserved);
      if (!ReserveForBlocks(chunk * kChunkBytes + header->reserved, more)) return nullptr;
      StoreInOrder(&header->reserved, static_cast<uint32_t>(header->reserved + more));
    }
    block = BlockAt(chunk, *state, state->end++);
  }
  ++state->used;
  return block;
}

void* RecordFile::Allocate(size_t bytes) noexcept {
  const uint8_t size_class = ClassFor(bytes);
  if (size_class == kNoClass) return nullptr;
  MutexLock lock(&mu_);
  const std::vector<uint32_t>& open = classes_[size_class].open_chunks;
  if (open.empty() && !AddChunk(size_class)) return nullptr;
  const uint32_t chunk = open.back();
  BlockHeader* const block = TakeFrom(chunk, &chunks_[chunk]);
  if (chunks_[chunk].used == BlocksWithin(size_class, kChunkBytes)) UnlistChunk(chunk);
  return block;
}

void RecordFile::Free(void* block) noexcept {
  if (abandoned_) return;
  const auto chunk = static_cast<uint32_t>(OffsetOf(block) / kChunkBytes);
  auto* const header = static_cast<BlockHeader*>(block);
  {
    MutexLock lock(&mu_);
    Chunk& state = chunks_[chunk];
    const uint64_t within = OffsetOf(block) % kChunkBytes - kChunkHeaderBytes;
    const auto index = static_cast<uint16_t>(within / kClassBytes[state.size_class]);
    header->kind = BlockKind::kFree;
    // A block with a kind has its content.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    *NextFree(header) = std::exchange(state.free_head, static_cast<uint16_t>(index + 1));
    --state.used;
    if (!state.open) ListChunk(chunk);
    SizeClass& owner = classes_[state.size_class];
    // One chunk is kept, so that a block that comes and goes does not cost system calls.
    if (state.used > 0 || owner.open_chunks.size() == 1) return;
    UnlistChunk(chunk);
    --owner.chunks;
    state = Chunk();
    // From here on the chunk is in no list.
    StoreInOrder(&HeaderOf(chunk)->size_class, uint32_t{0});
  }
  const uint64_t bytes = ClearChunk(chunk);
  MutexLock lock(&mu_);
  reserved_bytes_ -= bytes;
  free_chunks_.push_back(chunk);
}

uint64_t RecordFile::memory_bytes() const {
  MutexLock lock(&mu_);
  return reserved_bytes_;
}

uint32_t RecordFile::chunk_count() const {
  MutexLock lock(&mu_);
  return static_cast<uint32_t>(chunks_.size());
}

void RecordFile::ForEachBlock(absl::FunctionRef<bool(BlockHeader* block)> visit) {
  const uint32_t end_chunk = chunk_count();
  for (uint32_t chunk = 0; chunk < end_chunk; ++chunk) ForEachBlockOf(chunk, visit);
}

void RecordFile::ForEachBlockOf(uint32_t chunk, absl::FunctionRef<bool(BlockHeader* block)> visit) {
  Chunk state;
  {
    MutexLock lock(&mu_);
    state = chunks_[chunk];
  }
  if (state.size_class == kNoClass) return;
  for (uint16_t index = 0; index < state.end; ++index) {
    BlockHeader* const block = BlockAt(chunk, state, index);
    if (block->kind == BlockKind::kFree || !visit(block)) continue;
    // A chunk without blocks has no memory. Reading it would take a page again.
    MutexLock lock(&mu_);
    if (chunks_[chunk].size_class == kNoClass) break;
  }
}

// A thread tries the journal that it used last. If another thread is using that one, it takes
// another one, and stays there: threads that run at the same time soon have journals of their own,
// whose cache lines they do not share.
//
// The wait ends: there is at least one journal, and a thread that uses a journal already holds all
// locks that it needs except leaves (lock_order.h), of which this thread holds none.
uint32_t RecordFile::AcquireJournal() noexcept {
  thread_local uint32_t last = 0;
  return Acquire(&JournalUse::transaction, &last);
}

uint32_t RecordFile::AcquirePlace() noexcept {
  thread_local uint32_t last = 0;
  return Acquire(&JournalUse::place, &last);
}

uint32_t RecordFile::Acquire(std::atomic<bool> JournalUse::*in_use, uint32_t* last) noexcept {
  for (;;) {
    const uint32_t count = journals_.load(std::memory_order_acquire);
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t index = (*last + i) % count;
      if ((journal_uses_[index].*in_use).exchange(true, std::memory_order_acquire)) continue;
      return *last = index;
    }
    if (!AddJournal()) std::this_thread::yield();
  }
}

bool RecordFile::AddJournal() noexcept {
  MutexLock lock(&mu_);
  const uint32_t index = journals_.load(std::memory_order_relaxed);
  if (index == kMaxJournals || !Reserve(OffsetOf(JournalAt(index)), kJournalBytes)) return false;
  reserved_bytes_ += kJournalBytes;
  StoreInOrder(&superblock()->journals, index + 1);
  journals_.store(index + 1, std::memory_order_release);
  return true;
}

void RecordFile::ForgetCompleted(uint32_t place) noexcept {
  StoreInOrder(&JournalAt(place)->completed.request, uint64_t{0});
  journal_uses_[place].place.store(false, std::memory_order_release);
}

}  // namespace memfuse::memfs
