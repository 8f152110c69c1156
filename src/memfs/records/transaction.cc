#include "src/memfs/records/transaction.h"

#include <array>
#include <cstring>
#include <new>

#include "src/memfs/records/store_order.h"
#include "src/memfs/records/undo.h"

namespace memfuse::memfs {
namespace {

constexpr size_t kMaxEntries = kMaxUndoBytes / sizeof(UndoEntry);

void Restore(const UndoEntry& entry, const char* data, char* base) {
  if (entry.offset > kMaxFileBytes - kJournalBytes) return;  // the journal is damaged
  char* const place = base + entry.offset;
  switch (entry.type) {
    case UndoEntry::Type::kRestore:
      std::memcpy(place, data, entry.length);
      return;
    case UndoEntry::Type::kAllocate:
      reinterpret_cast<BlockHeader*>(place)->kind = BlockKind::kFree;
      return;
    case UndoEntry::Type::kFree:
      return;
  }
}

}  // namespace

void ForEachEntry(JournalHeader* journal,
                  absl::FunctionRef<void(const UndoEntry& entry, const char* data)> visit) {
  const char* const entries = EntriesOf(journal);
  const uint32_t end = journal->undo_bytes;
  for (uint32_t at = 0; at + sizeof(UndoEntry) <= end;) {
    UndoEntry entry;
    std::memcpy(&entry, entries + at, sizeof(entry));
    if (entry.length > end || EntryBytes(entry.length) > end - at) return;
    visit(entry, entries + at + sizeof(entry));
    at += EntryBytes(entry.length);
  }
}

void EndTransactionOf(JournalHeader* journal, char* base) {
  if (journal->phase == JournalPhase::kOpen) {
    std::array<const char*, kMaxEntries> order;
    size_t count = 0;
    ForEachEntry(journal, [&](const UndoEntry&, const char* data) {
      order[count++] = data - sizeof(UndoEntry);
    });
    while (count > 0) {
      const char* const found = order[--count];
      UndoEntry entry;
      std::memcpy(&entry, found, sizeof(entry));
      Restore(entry, found + sizeof(entry), base);
    }
  } else if (journal->phase == JournalPhase::kCommitted) {
    ForEachEntry(journal, [&](const UndoEntry& entry, const char*) {
      if (entry.type == UndoEntry::Type::kFree && entry.offset <= kMaxFileBytes - kJournalBytes) {
        reinterpret_cast<BlockHeader*>(base + entry.offset)->kind = BlockKind::kFree;
      }
    });
  }
  StoreInOrder(&journal->phase, JournalPhase::kIdle);
}

Transaction::Transaction(RecordFile* file)
    : file_(file), index_(file->AcquireJournal()), journal_(file->JournalAt(index_)) {
  StoreInOrder(&journal_->undo_bytes, uint32_t{0});
  StoreInOrder(&journal_->phase, JournalPhase::kOpen);
}

Transaction::~Transaction() {
  if (open_) {
    EndTransactionOf(journal_, file_->base_);
    FreeBlocks(UndoEntry::Type::kAllocate);
  }
  file_->ReleaseJournal(index_);
}

void Transaction::Append(UndoEntry::Type type, uint64_t offset, const void* data, uint32_t length) {
  const uint32_t end = journal_->undo_bytes;
  if (EntryBytes(length) > kMaxUndoBytes - end) throw std::bad_alloc();
  const UndoEntry entry = {offset, type, length};
  char* const place = EntriesOf(journal_) + end;
  std::memcpy(place, &entry, sizeof(entry));
  if (length > 0) std::memcpy(place + sizeof(entry), data, length);
  StoreInOrder(&journal_->undo_bytes, end + EntryBytes(length));
}

void Transaction::Save(const void* part, size_t bytes) {
  if (bytes > kMaxUndoBytes) throw std::bad_alloc();
  Append(UndoEntry::Type::kRestore, file_->OffsetOf(part), part, static_cast<uint32_t>(bytes));
}

void* Transaction::Allocate(size_t bytes) {
  void* const block = file_->Allocate(bytes);
  if (block == nullptr) throw std::bad_alloc();
  // Until the block has a kind, it is free for another process, with or without the entry.
  try {
    Append(UndoEntry::Type::kAllocate, file_->OffsetOf(block), nullptr, 0);
  } catch (const std::bad_alloc&) {
    file_->Free(block);
    throw;
  }
  return block;
}

void Transaction::Free(void* block) {
  Append(UndoEntry::Type::kFree, file_->OffsetOf(block), nullptr, 0);
}

void Transaction::Commit() noexcept {
  open_ = false;
  StoreInOrder(&journal_->phase, JournalPhase::kCommitted);
  EndTransactionOf(journal_, file_->base_);
  FreeBlocks(UndoEntry::Type::kFree);
}

void Transaction::FreeBlocks(UndoEntry::Type type) noexcept {
  // The journal is idle, so it refers to none of these blocks any more.
  ForEachEntry(journal_, [&](const UndoEntry& entry, const char*) {
    if (entry.type == type) file_->Free(file_->base_ + entry.offset);
  });
}

}  // namespace memfuse::memfs
