#include "src/memfs/data/daemon_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "absl/cleanup/cleanup.h"

namespace memfuse::memfs {
DaemonFile::~DaemonFile() {
  DeferredFreeList deferred(arena_, budget());
  MutexLock lock(&mu_);
  budget()->ReleaseBytes(InlineCost(inline_size()));
  std::free(inline_data());
  if (table() == nullptr) return;
  RemovePages(0, PageTable::kNone, &deferred);
  budget()->ReleaseBytes(table()->Cost());
  delete large();
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
      budget_->ReleaseBytes(kPageSize);
    }
  }
}

void DaemonFile::DeferredFreeList::Flush() {
  arena_->Free(absl::MakeSpan(pages_));
  budget_->ReleaseBytes(pages_.size() * kPageSize);
  pages_.clear();
}

bool DaemonFile::MakeTable() {
  auto* const made = new (std::nothrow) Large;
  if (made == nullptr) return false;
  made->inline_data = inline_data();
  content_ = reinterpret_cast<uintptr_t>(made) | kLarge | (content_ & kHolesWereRead);
  return true;
}

void DaemonFile::RemovePages(uint64_t first, uint64_t last, DeferredFreeList* deferred) {
  if (table() == nullptr || first > last) return;
  const uint64_t cost = table()->Cost();
  table()->Remove(first, last, [&](PageNumber page) {
    mu_.AssertHeld();
    AddPages(-1);
    deferred->Add(page);
  });
  budget()->ReleaseBytes(cost - table()->Cost());
}

Result<void> DaemonFile::PrepareTable(uint64_t first, uint64_t last) {
  if (table() == nullptr && !MakeTable()) return Errno(ENOMEM);
  const uint64_t cost = table()->PrepareCost(first, last);
  if (cost == 0) return {};
  const uint64_t before = table()->Cost();
  if (!budget()->ReserveBytes(cost)) return Errno(ENOSPC);
  try {
    table()->Prepare(first, last);
  } catch (const std::bad_alloc&) {
    budget()->ReleaseBytes(cost - (table()->Cost() - before));
    TrimTable(first, last);
    return Errno(ENOMEM);
  }
  return {};
}

void DaemonFile::TrimTable(uint64_t first, uint64_t last) {
  const uint64_t cost = table()->Cost();
  table()->DropUnused(first, last);
  budget()->ReleaseBytes(cost - table()->Cost());
}

Result<void> DaemonFile::ResizeInline(uint32_t size) {
  const uint64_t old_cost = InlineCost(inline_size());
  const uint64_t new_cost = InlineCost(size);
  if (new_cost > old_cost && !budget()->ReserveBytes(new_cost - old_cost)) return Errno(ENOSPC);
  if (size == 0) {
    std::free(inline_data());
    set_inline_data(nullptr);
  } else {
    char* const resized = static_cast<char*>(std::realloc(inline_data(), size));
    if (resized != nullptr) {
      set_inline_data(resized);
    } else if (size > inline_size()) {
      if (new_cost > old_cost) budget()->ReleaseBytes(new_cost - old_cost);
      return Errno(ENOMEM);
    }
    if (size > inline_size()) std::memset(inline_data() + inline_size(), 0, size - inline_size());
  }
  if (new_cost < old_cost) budget()->ReleaseBytes(old_cost - new_cost);
  set_inline_size(size);
  return {};
}

Result<void> DaemonFile::CopyPage(PageNumber from, PageNumber to) {
  char content[kPageSize];
  MEMFUSE_RETURN_IF_ERROR(arena_->Read(from, 0, content));
  return arena_->Write(to, 0, content);
}

Result<void> DaemonFile::BreakCow(uint64_t index) {
  const PageSlot slot = table()->Get(index);
  if (!slot.shared()) return {};
  PageNumber page = slot.page();
  if (arena_->IsShared(page)) {
    // The page that is given up was charged in the budget; the charge passes to the new page.
    PageNumber own;
    MEMFUSE_RETURN_IF_ERROR(arena_->Allocate(absl::MakeSpan(&own, 1)));
    const Result<void> copied = CopyPage(page, own);
    arena_->Free(absl::MakeSpan(copied.ok() ? &page : &own, 1));
    MEMFUSE_RETURN_IF_ERROR(copied);
    page = own;
  }
  table()->Set(index, PageSlot(page, slot.written()));
  return {};
}

Result<void> DaemonFile::BreakCowAtEdges(uint64_t offset, uint64_t end) {
  if (table() == nullptr) return {};
  for (const uint64_t edge : {offset, end}) {
    if (edge % kPageSize != 0) MEMFUSE_RETURN_IF_ERROR(BreakCow(PageOf(edge)));
  }
  return {};
}

Result<size_t> DaemonFile::WritePages(uint64_t offset, Payload* data, size_t size) {
  const uint64_t first = PageOf(offset);
  const uint64_t count = PageOf(offset + size - 1) - first + 1;

  // The target pages of the data: existing pages, and new ones (0 at first) for holes and in place
  // of pages that have other owners. The new pages are entered in the table when they have been
  // written.
  std::array<PageNumber, kBatchPages> target;
  uint64_t holes = 0;
  size_t wanted = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const PageSlot slot = SlotAt(first + i);
    holes += slot.hole() ? 1 : 0;
    target[i] = slot.shared() && arena_->IsShared(slot.page()) ? 0 : slot.page();
    wanted += target[i] == 0 ? 1 : 0;
  }
  std::array<PageNumber, kBatchPages> fresh;
  MEMFUSE_RETURN_IF_ERROR(arena_->Allocate(absl::MakeSpan(fresh.data(), wanted)));
  if (Result<void> ready = PrepareTable(first, first + count - 1); !ready.ok()) {
    arena_->Free(absl::MakeSpan(fresh.data(), wanted));
    return ready.error();
  }
  const uint64_t granted = budget()->ReserveUpTo(holes, kPageSize);
  // In order. The first hole for which there is no space ends the write.
  uint64_t backed = 0;
  size_t used = 0;
  for (uint64_t left = granted; backed < count; ++backed) {
    if (target[backed] != 0) continue;
    const bool hole = table()->Get(first + backed).hole();
    if (hole && left == 0) break;
    left -= hole ? 1 : 0;
    target[backed] = fresh[used++];
  }
  if (used < wanted) arena_->Free(absl::MakeSpan(fresh.data() + used, wanted - used));
  if (backed == 0) return Errno(ENOSPC);  // the budget granted nothing

  // New pages get the part of the old content that the write does not replace.
  const uint64_t reach = std::min(offset + size, PageStart(first + backed));
  const auto is_whole = [&](uint64_t i) {
    return PageStart(first + i) >= offset && PageStart(first + i + 1) <= reach;
  };
  Result<void> result;
  if (first == 0 && inline_data() != nullptr) {
    result = arena_->Write(target[0], 0, absl::MakeConstSpan(inline_data(), inline_size()));
  }
  // Only the first and the last page can be covered in part.
  for (uint64_t i = 0; i < backed; i += std::max<uint64_t>(backed - 1, 1)) {
    const PageSlot slot = table()->Get(first + i);
    if (!result.ok() || slot.hole() || slot.page() == target[i] || is_whole(i)) continue;
    result = CopyPage(slot.page(), target[i]);
  }

  const auto length = static_cast<size_t>(reach - offset);
  size_t done = 0;
  while (result.ok() && done < length) {
    const uint64_t at = offset + done;
    const uint64_t i = PageOf(at) - first;
    uint64_t run = 1;
    while (i + run < backed && target[i + run] == target[i] + run) ++run;
    const auto piece =
        static_cast<size_t>(std::min<uint64_t>(length - done, run * kPageSize - at % kPageSize));
    const size_t before = data->size();
    result = arena_->Write(target[i], at % kPageSize, data, piece);
    done += before - data->size();
  }
  if (done < length && (offset + done) % kPageSize != 0) {
    // A new page is not used if it did not get all of its data and nothing was copied to it from
    // the old page.
    const uint64_t i = PageOf(offset + done) - first;
    const PageSlot slot = table()->Get(first + i);
    if (!slot.hole() && slot.page() != target[i] && is_whole(i)) {
      done = static_cast<size_t>(PageStart(first + i) - offset);
    }
  }

  // Data that was transferred before a failure counts as a short write. The other new pages are
  // freed.
  const uint64_t written = done == 0 ? 0 : PageOf(offset + done - 1) - first + 1;
  uint64_t filled = 0;
  size_t unused = 0;  // number of pages in `fresh`, whose elements are not needed any more
  for (uint64_t i = 0; i < backed; ++i) {
    const PageSlot slot = table()->Get(first + i);
    if (i >= written) {
      if (slot.page() != target[i]) fresh[unused++] = target[i];
      continue;
    }
    if (slot.hole()) {
      ++filled;
    } else if (slot.page() != target[i]) {
      fresh[unused++] = slot.page();
    }
    table()->Set(first + i, PageSlot(target[i], /*written=*/true));
  }
  AddPages(static_cast<int64_t>(filled));
  budget()->ReleaseBytes((granted - filled) * kPageSize);
  if (first == 0 && written > 0 && inline_data() != nullptr) (void)ResizeInline(0);
  arena_->Free(absl::MakeSpan(fresh.data(), unused));
  if (done == 0) return result.error();
  return done;
}

Result<size_t> DaemonFile::WriteAndStamp(uint64_t offset, Payload data,
                                         std::optional<Timestamp>* time) {
  const size_t size = data.size();
  if (size == 0) return size_t{0};
  if (EndsTooFar(offset, size)) return Errno(EFBIG);
  MutexLock lock(&mu_);
  size_t done = 0;
  Result<void> failed;
  const bool in_pages = offset + size > kMaxInlineSize || !FirstPageIsHole();
  if (!in_pages) {
    const uint32_t old_end = inline_size();
    const auto end = static_cast<uint32_t>(offset + size);
    if (end > old_end) MEMFUSE_RETURN_IF_ERROR(ResizeInline(end));
    failed = data.CopyTo(absl::MakeSpan(inline_data() + offset, size));
    done = size - data.size();
    // No bytes remain behind the transferred data.
    const uint32_t kept = std::max(old_end, static_cast<uint32_t>(done == 0 ? 0 : offset + done));
    if (kept < end) (void)ResizeInline(kept);
  } else {
    while (done < size) {
      const uint64_t at = offset + done;
      const uint64_t batch_end = PageStart(PageOf(at) + kBatchPages);
      const auto length = static_cast<size_t>(std::min<uint64_t>(size - done, batch_end - at));
      const Result<size_t> written = WritePages(at, &data, length);
      if (table() != nullptr && (!written.ok() || *written < length)) {
        TrimTable(PageOf(at), PageOf(at + length - 1));
      }
      if (!written.ok()) {
        failed = written.error();
        break;
      }
      done += *written;
      if (*written < length) break;  // no space
    }
  }
  if (done == 0) return failed.error();
  if (offset + done > size_.load(std::memory_order_relaxed)) {
    size_.store(offset + done, std::memory_order_release);
  }
  if (in_pages) *time = arena_->LastWriteTime();
  return done;
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
  return arena_->Write(table()->Get(page).page(), within,
                       absl::MakeConstSpan(kZeros, static_cast<size_t>(to - from)));
}

Result<Resized> DaemonFile::Truncate(uint64_t size) {
  if (size > kMaxFileSize) return Errno(EFBIG);
  Resized result;
  DeferredFreeList deferred(arena_, budget());
  {
    MutexLock lock(&mu_);
    const uint64_t old = size_.load(std::memory_order_relaxed);
    result = {size != old, blocks() != 0};
    if (size <= old) {
      // The range behind the end must read as zeros if the file grows again. Pages that are
      // reserved there are released, even if the size does not change.
      if (size % kPageSize != 0) {
        MEMFUSE_RETURN_IF_ERROR(ZeroWithinPage(size, PageStart(PageOf(size) + 1)));
      }
      if (size < inline_size()) MEMFUSE_RETURN_IF_ERROR(ResizeInline(static_cast<uint32_t>(size)));
      RemovePages((size + kPageSize - 1) / kPageSize, PageTable::kNone, &deferred);
    }
    size_.store(size, std::memory_order_release);
  }
  return result;
}

Result<void> DaemonFile::FillHoles(uint64_t first, uint64_t last) {
  const uint64_t present = table() == nullptr ? 0 : table()->CountPresent(first, last);
  const uint64_t missing = last - first + 1 - present;
  // Space is reserved first, because this bounds the memory that the page table is asked for.
  Reservation space;
  if (!space.Reserve(budget(), missing * kPageSize)) return Errno(ENOSPC);
  std::vector<PageNumber> fresh(missing);
  MEMFUSE_RETURN_IF_ERROR(arena_->Allocate(absl::MakeSpan(fresh)));
  absl::Cleanup free_pages = [&] { arena_->Free(absl::MakeSpan(fresh)); };
  MEMFUSE_RETURN_IF_ERROR(PrepareTable(first, last));
  // If page 0 is inline data, it is the first hole. Its data moves to the first new page.
  const bool with_tiny = inline_data() != nullptr && first == 0;
  if (with_tiny) {
    Result<void> moved =
        arena_->Write(fresh[0], 0, absl::MakeConstSpan(inline_data(), inline_size()));
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
  MEMFUSE_RETURN_IF_ERROR(FillHoles(PageOf(offset), PageOf(offset + length - 1)));
  if (!keep_size && offset + length > size_.load(std::memory_order_relaxed)) {
    size_.store(offset + length, std::memory_order_release);
  }
  return {};
}

Result<void> DaemonFile::PunchHole(uint64_t offset, uint64_t length) {
  const uint64_t end = EndsTooFar(offset, length) ? kMaxFileSize : offset + length;
  if (offset >= end) return {};
  DeferredFreeList deferred(arena_, budget());
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
  const absl::Cleanup free_replaced = [&] { arena_->Free(absl::MakeSpan(replaced)); };
  MutexLock lock(&mu_);
  const uint64_t end = offset + length;
  const uint64_t first_whole = (offset + kPageSize - 1) / kPageSize;
  const uint64_t end_whole = PageOf(end);  // exclusive
  // Steps that may need space or memory come before the first change.
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
  if (!keep_size && end > size_.load(std::memory_order_relaxed)) {
    size_.store(end, std::memory_order_release);
  }
  return {};
}

Result<void> DaemonFile::AllocateForShared(uint64_t first, uint64_t end,
                                           std::vector<PageNumber>* pages) {
  if (table() == nullptr) return {};
  size_t shared = 0;
  for (uint64_t i = table()->NextWritten(first); i < end; i = table()->NextWritten(i + 1)) {
    const PageSlot slot = table()->Get(i);
    shared += slot.shared() && arena_->IsShared(slot.page()) ? 1 : 0;
  }
  std::vector<PageNumber> fresh(shared);
  MEMFUSE_RETURN_IF_ERROR(arena_->Allocate(absl::MakeSpan(fresh)));
  *pages = std::move(fresh);
  return {};
}

Result<void> DaemonFile::ClearPages(uint64_t first, uint64_t end, absl::Span<PageNumber> fresh) {
  size_t used = 0;
  for (uint64_t i = table()->NextWritten(first); i < end; i = table()->NextWritten(i)) {
    // The other owners may have given a page up in the meantime.
    const auto is_shared = [&](PageSlot slot) {
      return used < fresh.size() && slot.shared() && arena_->IsShared(slot.page());
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
    MEMFUSE_RETURN_IF_ERROR(arena_->Clear(page, count));
    for (size_t k = 0; k < count; ++k) {
      table()->Set(i++, PageSlot(page + static_cast<PageNumber>(k), /*written=*/false));
    }
  }
  return {};
}

}  // namespace memfuse::memfs
