#include "src/memfs/records/transaction.h"

#include <array>
#include <cstring>
#include <new>

#include "src/memfs/records/request_scope.h"
#include "src/memfs/records/store_order.h"

namespace memfuse::memfs {
namespace {

constexpr size_t kMaxEntries = kMaxUndoBytes / sizeof(UndoEntry);

// The size of an entry with `length` bytes of data.
uint64_t EntryBytes(uint64_t length) { return sizeof(UndoEntry) + (length + 7) / 8 * 8; }

char* EntriesOf(JournalHeader* journal) { return reinterpret_cast<char*>(journal) + kUndoOffset; }

// Copies with stores of a whole word where possible: other threads read some words without a lock.
void Restore(char* to, const char* from, uint64_t length) {
  uint64_t at = 0;
  if (reinterpret_cast<uintptr_t>(to) % sizeof(uint64_t) == 0) {
    for (; at + sizeof(uint64_t) <= length; at += sizeof(uint64_t)) {
      uint64_t word;
      std::memcpy(&word, from + at, sizeof(word));
      __atomic_store_n(reinterpret_cast<uint64_t*>(to + at), word, __ATOMIC_RELAXED);
    }
  }
  for (; at < length; ++at) __atomic_store_n(to + at, from[at], __ATOMIC_RELAXED);
}

}  // namespace

void Undo(JournalHeader* journal, char* base) {
  const uint64_t end = UndoBytes(*journal);
  if (end == 0) return;
  const char* const entries = EntriesOf(journal);
  std::array<uint16_t, kMaxEntries> starts;
  static_assert(kMaxUndoBytes <= 0xffff);
  size_t count = 0;
  UndoEntry entry;
  for (uint64_t at = 0; at + sizeof(entry) <= end; at += EntryBytes(entry.length)) {
    std::memcpy(&entry, entries + at, sizeof(entry));
    if (entry.length > end || EntryBytes(entry.length) > end - at) break;
    if (entry.offset > kMaxFileBytes - kMaxUndoBytes) break;
    starts[count++] = static_cast<uint16_t>(at);
  }
  while (count > 0) {
    const char* const found = entries + starts[--count];
    std::memcpy(&entry, found, sizeof(entry));
    Restore(base + entry.offset, found + sizeof(entry), entry.length);
  }
  StoreInOrder(&journal->state, journal->state & ~kUndoMask);
}

// The journal that AcquireJournal returns is idle: it has no undo entries.
Transaction::Transaction(RecordFile* file) noexcept
    : file_(file), index_(file->AcquireJournal()), journal_(file->JournalAt(index_)) {}

Transaction::~Transaction() {
  Undo(journal_, file_->base_);
  file_->ReleaseJournal(index_);
}

void Transaction::Save(const void* part, size_t bytes) {
  const uint64_t end = UndoBytes(*journal_);
  if (bytes > kMaxUndoBytes || EntryBytes(bytes) > kMaxUndoBytes - end) throw std::bad_alloc();
  const UndoEntry entry = {file_->OffsetOf(part), bytes};
  char* const place = EntriesOf(journal_) + end;
  std::memcpy(place, &entry, sizeof(entry));
  std::memcpy(place + sizeof(entry), part, bytes);
  StoreInOrder(&journal_->state, journal_->state + EntryBytes(bytes));
}

void Transaction::Remove(BlockHeader* block) {
  if (removed_count_ == kMaxRemoved) throw std::bad_alloc();
  Edit(block)->kind = BlockKind::kFree;
  removed_[removed_count_++] = block;
}

void Transaction::CommitRequest(uint64_t result) noexcept {
  if (RequestScope* const scope = RequestScope::Current(file_)) {
    // If this commit is not reached, an earlier result of the request counts.
    if (const CompletedRequest* const earlier = scope->result(); earlier != nullptr) {
      Save(earlier, sizeof(*earlier));
    }
    scope->Prepare(index_, CommitsOf(*journal_) + 1, result);
  }
  Commit();
}

void Transaction::Commit() noexcept {
  StoreInOrder(&journal_->state, (CommitsOf(*journal_) + 1) << kUndoBits);
  for (size_t i = 0; i < removed_count_; ++i) file_->Free(removed_[i]);
  removed_count_ = 0;
}

}  // namespace memfuse::memfs
