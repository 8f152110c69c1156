#include "src/memfs/data/daemon_file.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "src/memfs/records/transaction.h"

namespace memfuse::memfs {

DaemonFile::DaemonFile(Account* account, InodeRecord* record, const DaemonStorage* storage)
    : storage_(storage), record_(record), account_(account) {
  if (record->header.kind != kInodeKind) return;  // a new file
  MutexLock lock(&mu_);
  // The kernel may cache what it has read from the other process.
  content_ = kHolesWereRead;
  const InodeAttributes& counts = record->attributes;
  if (arena().writeback_cache()) {
    dirtying_opens_ = counts.write_opens;
    if (dirtying_opens_ > 0) unknown_data_.store(UnknownData::kAnywhere);
  } else if (counts.read_write_opens > 0) {
    // It is not known which holes the kernel has read, so each hole may have been stored into.
    auto made = std::make_unique<Large>(storage->records, storage->records->IdOf(record));
    made->cached_holes = std::make_unique<CachedHoles>();
    made->cached_holes->Add(0, PageOf(kMaxFileSize));
    content_ = reinterpret_cast<uintptr_t>(made.release()) | kLarge;
    dirtying_opens_ = counts.read_write_opens;
    unknown_data_.store(UnknownData::kInCachedHoles);
  }
}

DaemonFile::~DaemonFile() {
  DeferredFreeList deferred(&arena());
  MutexLock lock(&mu_);
  // A successor needs the pages.
  if (!records().abandoned()) {
    account_->ReleaseBytes(InlineCost());
    if (inline_record() != nullptr) records().Free(inline_record());
    RemovePages(0, PageTable::kNone, &deferred);
    if (table() != nullptr) account_->ReleaseBytes(table()->Cost());
  }
  delete large();
}

bool DaemonFile::Adopt(BlockHeader* block) {
  MutexLock lock(&mu_);
  if (block->kind == kInlineDataKind) {
    auto* const found = reinterpret_cast<InlineDataRecord*>(block);
    if (inline_record() != nullptr || found->size == 0 || found->size > kMaxInlineSize ||
        found->block_bytes < InlineDataRecord::Bytes(found->size) ||
        found->block_bytes != records().SizeOf(found) ||
        !account_->ReserveBytes(found->block_bytes).ok()) {
      return false;
    }
    set_inline_record(found);
    set_inline_size(found->size);
    return true;
  }
  if (block->kind != kPageTableKind) return false;
  if (table() == nullptr && !MakeTable()) throw std::bad_alloc();
  const uint64_t cost = table()->Cost();
  uint64_t pages = 0;
  const auto add = [&](PageSlot slot) {
    ++pages;
    return arena().AdoptPage(slot.page(), slot.shared());
  };
  if (!table()->Adopt(reinterpret_cast<PageTableRecord*>(block), add)) return false;
  AddPages(static_cast<int64_t>(pages));
  return account_->ReserveBytes(table()->Cost() - cost + pages * kPageSize).ok();
}

Result<void> DaemonFile::Repair() {
  DeferredFreeList deferred(&arena());
  MutexLock lock(&mu_);
  // A write that moves the inline data to a page stores the slot first.
  if (inline_record() != nullptr && !FirstPageIsHole()) (void)ResizeInline(0);
  const DataChange change = ChangeOf(record_->data_change);
  if (change == DataChange::kNone) return {};
  if (inline_size() > size()) (void)ResizeInline(static_cast<uint32_t>(size()));
  if (table() != nullptr) {
    const uint64_t first_behind = (size() + kPageSize - 1) / kPageSize;
    if (change == DataChange::kTruncate || (record_->data_change & kReservedBehindEnd) == 0) {
      RemovePages(first_behind, PageTable::kNone, &deferred);
      NoteReservedBehindEnd(false);
    } else {
      // Space that was reserved behind the end stays reserved.
      for (uint64_t i = first_behind; (i = table()->NextWritten(i)) != PageTable::kNone; ++i) {
        const PageSlot slot = table()->Get(i);
        if (slot.shared()) {
          RemovePages(i, i, &deferred);
        } else {
          table()->Set(i, PageSlot(slot.page(), /*written=*/false));
        }
      }
    }
    MEMFUSE_RETURN_IF_ERROR(ClearUnwritten());
    if (size() % kPageSize != 0) {
      MEMFUSE_RETURN_IF_ERROR(ZeroWithinPage(size(), PageStart(PageOf(size()) + 1)));
    }
  }
  SetDataChange(record_, DataChange::kNone);
  return {};
}

Result<void> DaemonFile::ClearUnwritten() {
  PageNumber first = 0;
  size_t count = 0;
  Result<void> result;
  const auto clear = [&] {
    if (count > 0 && result.ok()) result = arena().Clear(first, count);
    count = 0;
  };
  table()->ForEachPresent([&](PageSlot slot) {
    if (slot.has_memory()) return;
    if (count > 0 && slot.page() != first + count) clear();
    if (count++ == 0) first = slot.page();
  });
  clear();
  return result;
}

void DaemonFile::DeferredFreeList::Add(PageNumber page) noexcept {
  try {
    pages_.push_back(page);
  } catch (const std::bad_alloc&) {
    Flush();
    if (pages_.capacity() > 0) {
      pages_.push_back(page);
    } else {
      arena_->Free(absl::MakeSpan(&page, 1));
      account_->ReleaseBytes(kPageSize);
    }
  }
}

void DaemonFile::DeferredFreeList::Flush() {
  arena_->Free(absl::MakeSpan(pages_));
  if (account_) account_->ReleaseBytes(pages_.size() * kPageSize);
  pages_.clear();
}

Result<void> DaemonFile::WithFixedCharges(absl::FunctionRef<Result<void>()> body) {
  MutexLock lock(&mu_);
  return body();
}

uint64_t DaemonFile::ChargedBytes() const {
  mu_.AssertHeld();
  return ChargeLocked();
}

uint64_t DaemonFile::CurrentCharge() const {
  ReaderMutexLock lock(&mu_);
  return ChargeLocked();
}

uint64_t DaemonFile::ChargeLocked() const {
  const uint64_t pages = counts_.load(std::memory_order_relaxed) >> kPageCountShift;
  const uint64_t table_cost = table() == nullptr ? 0 : table()->Cost();
  return pages * kPageSize + InlineCost() + table_cost;
}

void DaemonFile::SetAccount(Account* account) {
  mu_.AssertHeld();
  account_ = account;
}

bool DaemonFile::MakeTable() {
  auto* const made = new (std::nothrow) Large(&records(), records().IdOf(record_));
  if (made == nullptr) return false;
  made->inline_record = inline_record();
  content_ = reinterpret_cast<uintptr_t>(made) | kLarge | (content_ & kHolesWereRead);
  return true;
}

void DaemonFile::RemovePages(uint64_t first, uint64_t last, DeferredFreeList* deferred) {
  if (table() == nullptr || first > last) return;
  deferred->SetAccount(account_);
  const uint64_t cost = table()->Cost();
  table()->Remove(first, last, [&](PageNumber page) {
    mu_.AssertHeld();
    AddPages(-1);
    deferred->Add(page);
  });
  account_->ReleaseBytes(cost - table()->Cost());
}

Result<void> DaemonFile::PrepareTable(uint64_t first, uint64_t last) {
  if (table() == nullptr && !MakeTable()) return Errno(ENOMEM);
  const uint64_t cost = table()->PrepareCost(first, last);
  if (cost == 0) return {};
  const uint64_t before = table()->Cost();
  MEMFUSE_RETURN_IF_ERROR(account_->ReserveBytes(cost));
  try {
    table()->Prepare(first, last);
  } catch (const std::bad_alloc&) {
    account_->ReleaseBytes(cost - (table()->Cost() - before));
    TrimTable(first, last);
    return Errno(ENOMEM);
  }
  return {};
}

void DaemonFile::TrimTable(uint64_t first, uint64_t last) {
  const uint64_t cost = table()->Cost();
  table()->DropUnused(first, last);
  account_->ReleaseBytes(cost - table()->Cost());
}

Result<void> DaemonFile::ResizeInline(uint32_t size) {
  InlineDataRecord* const old = inline_record();
  const uint64_t old_cost = InlineCost();
  if (size == 0) {
    if (old == nullptr) return {};
    set_inline_record(nullptr);
    set_inline_size(0);
    records().Free(old);
    account_->ReleaseBytes(old_cost);
    return {};
  }
  const uint64_t new_cost = RecordFile::BlockBytes(InlineDataRecord::Bytes(size));
  if (new_cost > old_cost) {
    MEMFUSE_RETURN_IF_ERROR(account_->ReserveBytes(new_cost - old_cost));
    if (Result<void> moved = MoveInline(size, static_cast<uint16_t>(new_cost)); !moved.ok()) {
      account_->ReleaseBytes(new_cost - old_cost);
      return moved;
    }
    return {};
  }
  // If there is no memory for a smaller block, the data stays where it is.
  if (new_cost < old_cost && MoveInline(size, static_cast<uint16_t>(new_cost)).ok()) {
    account_->ReleaseBytes(old_cost - new_cost);
    return {};
  }
  if (size > old->size) std::memset(inline_data() + old->size, 0, size - old->size);
  StoreInOrder(&old->size, static_cast<uint16_t>(size));
  set_inline_size(size);
  return {};
}

Result<void> DaemonFile::MoveInline(uint32_t size, uint16_t block_bytes) {
  InlineDataRecord* const old = inline_record();
  auto* const made =
      static_cast<InlineDataRecord*>(records().Allocate(InlineDataRecord::Bytes(size)));
  if (made == nullptr) return Errno(ENOMEM);
  made->header.owner = records().IdOf(record_);
  made->size = static_cast<uint16_t>(size);
  made->block_bytes = block_bytes;
  const uint32_t kept = std::min(size, inline_size());
  char* const data = reinterpret_cast<char*>(made) + InlineDataRecord::kDataOffset;
  if (kept > 0) std::memcpy(data, inline_data(), kept);
  std::memset(data + kept, 0, size - kept);
  if (old == nullptr) {
    StoreInOrder(&made->header.kind, kInlineDataKind);
  } else {
    // A successor must find one of them.
    Transaction change(&records());
    change.Publish(&made->header, kInlineDataKind);
    change.Remove(&old->header);
    change.Commit();
  }
  set_inline_record(made);
  set_inline_size(size);
  return {};
}

Result<void> DaemonFile::CopyPage(PageNumber from, PageNumber to) {
  char content[kPageSize];
  MEMFUSE_RETURN_IF_ERROR(arena().Read(from, 0, content));
  return arena().Write(to, 0, content);
}

Result<void> DaemonFile::BreakCow(uint64_t index) {
  const PageSlot slot = table()->Get(index);
  if (!slot.shared()) return {};
  PageNumber page = slot.page();
  if (!arena().IsShared(page)) {
    table()->Set(index, PageSlot(page, slot.written()));
    return {};
  }
  // The page that is given up was charged; the charge passes to the new page.
  PageNumber own;
  MEMFUSE_RETURN_IF_ERROR(arena().Allocate(absl::MakeSpan(&own, 1)));
  const Result<void> copied = CopyPage(page, own);
  // Another file may write to the page as soon as it is given up.
  if (copied.ok()) table()->Set(index, PageSlot(own, slot.written()));
  arena().Free(absl::MakeSpan(copied.ok() ? &page : &own, 1));
  return copied;
}

Result<void> DaemonFile::BreakCowAtEdges(uint64_t offset, uint64_t end) {
  if (table() == nullptr) return {};
  for (const uint64_t edge : {offset, end}) {
    if (edge % kPageSize != 0) MEMFUSE_RETURN_IF_ERROR(BreakCow(PageOf(edge)));
  }
  return {};
}

Result<void> DaemonFile::ZeroWithinPage(uint64_t from, uint64_t to) {
  if (from >= to) return {};
  const uint64_t page = PageOf(from);
  const uint64_t within = from % kPageSize;
  if (page == 0 && within < inline_size()) {
    std::memset(inline_data() + within, 0, std::min<uint64_t>(to - from, inline_size() - within));
  }
  const PageSlot slot = SlotAt(page);
  if (!slot.has_memory()) return {};
  MEMFUSE_RETURN_IF_ERROR(BreakCow(page));
  return arena().Write(table()->Get(page).page(), within,
                       absl::MakeConstSpan(kZeros, static_cast<size_t>(to - from)));
}

Result<Resized> DaemonFile::Truncate(uint64_t size) {
  if (size > kMaxFileSize) return Errno(EFBIG);
  Resized result;
  DeferredFreeList deferred(&arena());
  {
    MutexLock lock(&mu_);
    const uint64_t old = this->size();
    result = {size != old, blocks() != 0};
    if (size > old) {
      set_size(size);
      return result;
    }
    // The step that may need memory comes before the first change.
    if (table() != nullptr && size % kPageSize != 0) {
      MEMFUSE_RETURN_IF_ERROR(BreakCow(PageOf(size)));
    }
    // The size comes first: a successor that finds it removes what is behind it.
    const ScopedDataChange change(record_, DataChange::kTruncate);
    set_size(size);
    // The range behind the end must read as zeros if the file grows again. Pages that are reserved
    // there are released, even if the size does not change.
    if (size % kPageSize != 0) {
      if (Result<void> zeroed = ZeroWithinPage(size, PageStart(PageOf(size) + 1)); !zeroed.ok()) {
        set_size(old);
        return zeroed.error();
      }
    }
    if (size < inline_size()) (void)ResizeInline(static_cast<uint32_t>(size));
    RemovePages((size + kPageSize - 1) / kPageSize, PageTable::kNone, &deferred);
    NoteReservedBehindEnd(false);
  }
  return result;
}

Result<void> DaemonFile::FillHoles(uint64_t first, uint64_t last) {
  const uint64_t present = table() == nullptr ? 0 : table()->CountPresent(first, last);
  const uint64_t missing = last - first + 1 - present;
  // Space is reserved first, because this bounds the memory that the page table is asked for.
  Reservation space;
  MEMFUSE_RETURN_IF_ERROR(space.Reserve(account_, missing * kPageSize));
  std::vector<PageNumber> fresh(missing);
  MEMFUSE_RETURN_IF_ERROR(arena().Allocate(absl::MakeSpan(fresh)));
  absl::Cleanup free_pages = [&] { arena().Free(absl::MakeSpan(fresh)); };
  MEMFUSE_RETURN_IF_ERROR(PrepareTable(first, last));
  // If page 0 is inline data, it is the first hole. Its data moves to the first new page.
  const bool with_tiny = inline_data() != nullptr && first == 0;
  if (with_tiny) {
    Result<void> moved =
        arena().Write(fresh[0], 0, absl::MakeConstSpan(inline_data(), inline_size()));
    if (!moved.ok()) {
      TrimTable(first, last);
      return moved;
    }
  }
  std::move(free_pages).Cancel();
  space.Keep();
  size_t used = 0;
  for (uint64_t i = first; i <= last; ++i) {
    const PageSlot slot = table()->Get(i);
    if (slot.hole()) {
      table()->Set(i, PageSlot(fresh[used++], with_tiny && i == 0));
    } else if (!slot.written()) {
      // The page counts as data from now on, as it does on tmpfs.
      table()->Set(i, PageSlot::PreallocatedAsData(slot.page()));
    }
  }
  AddPages(static_cast<int64_t>(missing));
  return with_tiny ? ResizeInline(0) : Result<void>();
}

Result<void> DaemonFile::Allocate(uint64_t offset, uint64_t length, bool keep_size) {
  if (EndsTooFar(offset, length)) return Errno(EFBIG);
  MutexLock lock(&mu_);
  const ScopedDataChange change(record_, DataChange::kWrite);
  if (keep_size && offset + length > size()) NoteReservedBehindEnd(true);
  MEMFUSE_RETURN_IF_ERROR(FillHoles(PageOf(offset), PageOf(offset + length - 1)));
  if (!keep_size && offset + length > size()) {
    set_size(offset + length);
  }
  return {};
}

Result<void> DaemonFile::PunchHole(uint64_t offset, uint64_t length) {
  const uint64_t end = EndsTooFar(offset, length) ? kMaxFileSize : offset + length;
  if (offset >= end) return {};
  DeferredFreeList deferred(&arena());
  {
    MutexLock lock(&mu_);
    const uint64_t first_whole = (offset + kPageSize - 1) / kPageSize;
    const uint64_t end_whole = PageOf(end);  // exclusive
    // Steps that may need memory come before the first change.
    MEMFUSE_RETURN_IF_ERROR(BreakCowAtEdges(offset, end));
    if (first_whole > end_whole) {  // the range is inside one page
      MEMFUSE_RETURN_IF_ERROR(ZeroWithinPage(offset, end));
    } else {
      MEMFUSE_RETURN_IF_ERROR(ZeroWithinPage(offset, PageStart(first_whole)));
      MEMFUSE_RETURN_IF_ERROR(ZeroWithinPage(PageStart(end_whole), end));
    }
    if (first_whole < end_whole) {
      if (first_whole == 0 && inline_data() != nullptr) MEMFUSE_RETURN_IF_ERROR(ResizeInline(0));
      RemovePages(first_whole, end_whole - 1, &deferred);
    }
  }
  return {};
}

Result<void> DaemonFile::ZeroRange(uint64_t offset, uint64_t length, bool keep_size) {
  if (EndsTooFar(offset, length)) return Errno(EFBIG);
  // Initially new pages that replace pages with other owners; after ClearPages, the replaced pages.
  // They are freed after the lock is released.
  std::vector<PageNumber> replaced;
  const absl::Cleanup free_replaced = [&] { arena().Free(absl::MakeSpan(replaced)); };
  MutexLock lock(&mu_);
  const uint64_t end = offset + length;
  const uint64_t first_whole = (offset + kPageSize - 1) / kPageSize;
  const uint64_t end_whole = PageOf(end);  // exclusive
  // Steps that may need space or memory come before the first change.
  const ScopedDataChange change(record_, DataChange::kWrite);
  if (keep_size && end > size()) NoteReservedBehindEnd(true);
  MEMFUSE_RETURN_IF_ERROR(BreakCowAtEdges(offset, end));
  MEMFUSE_RETURN_IF_ERROR(AllocateForShared(first_whole, end_whole, &replaced));
  MEMFUSE_RETURN_IF_ERROR(FillHoles(PageOf(offset), PageOf(end - 1)));
  if (first_whole > end_whole) {  // the range is inside one page
    MEMFUSE_RETURN_IF_ERROR(ZeroWithinPage(offset, end));
  } else {
    MEMFUSE_RETURN_IF_ERROR(ZeroWithinPage(offset, PageStart(first_whole)));
    MEMFUSE_RETURN_IF_ERROR(ZeroWithinPage(PageStart(end_whole), end));
    MEMFUSE_RETURN_IF_ERROR(ClearPages(first_whole, end_whole, absl::MakeSpan(replaced)));
  }
  if (!keep_size && end > size()) {
    set_size(end);
  }
  return {};
}

Result<void> DaemonFile::AllocateForShared(uint64_t first, uint64_t end,
                                           std::vector<PageNumber>* pages) {
  if (table() == nullptr) return {};
  size_t shared = 0;
  for (uint64_t i = table()->NextWritten(first); i < end; i = table()->NextWritten(i + 1)) {
    const PageSlot slot = table()->Get(i);
    shared += slot.shared() && arena().IsShared(slot.page()) ? 1 : 0;
  }
  std::vector<PageNumber> fresh(shared);
  MEMFUSE_RETURN_IF_ERROR(arena().Allocate(absl::MakeSpan(fresh)));
  *pages = std::move(fresh);
  return {};
}

Result<void> DaemonFile::ClearPages(uint64_t first, uint64_t end, absl::Span<PageNumber> fresh) {
  size_t used = 0;
  for (uint64_t i = table()->NextWritten(first); i < end; i = table()->NextWritten(i)) {
    // The other owners may have given a page up in the meantime.
    const auto is_shared = [&](PageSlot slot) {
      return used < fresh.size() && slot.shared() && arena().IsShared(slot.page());
    };
    const PageSlot slot = table()->Get(i);
    const PageNumber page = slot.page();
    if (is_shared(slot)) {
      table()->Set(i++, PageSlot(std::exchange(fresh[used++], page), /*written=*/false));
      continue;
    }
    size_t count = 1;
    for (; i + count < end; ++count) {
      const PageSlot next = table()->Get(i + count);
      if (!next.written() || next.page() != page + count || is_shared(next)) break;
    }
    MEMFUSE_RETURN_IF_ERROR(arena().Clear(page, count));
    for (size_t k = 0; k < count; ++k) {
      table()->Set(i++, PageSlot(page + static_cast<PageNumber>(k), /*written=*/false));
    }
  }
  return {};
}

}  // namespace memfuse::memfs
