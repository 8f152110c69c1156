#include "src/memfs/arena_file.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "absl/cleanup/cleanup.h"

namespace memfuse::memfs {
namespace {

// Pages that one step of a write looks at: 1 MiB, the largest request.
constexpr uint64_t kBatchPages = 256;

// A read of fewer bytes is copied, measured: pages of the mapping are brought into the page tables
// and taken out again, which costs more than a second copy.
constexpr size_t kSmallestGather = 256 << 10;

constexpr char kZeros[kPageSize] = {};

uint64_t PageOf(uint64_t offset) { return offset / kPageSize; }
uint64_t PageStart(uint64_t page) { return page * kPageSize; }

}  // namespace

ArenaFile::~ArenaFile() {
  Garbage garbage(arena_, budget());
  MutexLock lock(&mu_);
  budget()->ReleaseBytes(TinyCost(tiny_size()));
  std::free(tiny());
  if (table() == nullptr) return;
  RemovePages(0, PageTable::kNone, &garbage);
  budget()->ReleaseBytes(table()->Cost());
  delete large();
}

void ArenaFile::Garbage::Add(PageNumber page) noexcept {
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

void ArenaFile::Garbage::Flush() {
  arena_->Free(absl::MakeSpan(pages_));
  budget_->ReleaseBytes(pages_.size() * kPageSize);
  pages_.clear();
}

bool ArenaFile::MakeTable() {
  auto* const made = new (std::nothrow) Large;
  if (made == nullptr) return false;
  made->tiny = tiny();
  content_ = reinterpret_cast<uintptr_t>(made) | kLarge | (content_ & kHolesWereRead);
  return true;
}

void ArenaFile::RemovePages(uint64_t first, uint64_t last, Garbage* garbage) {
  if (table() == nullptr || first > last) return;
  const uint64_t cost = table()->Cost();
  table()->Remove(first, last, [&](PageNumber page) {
    mu_.AssertHeld();
    AddPages(-1);
    garbage->Add(page);
  });
  budget()->ReleaseBytes(cost - table()->Cost());
}

Result<void> ArenaFile::PrepareTable(uint64_t first, uint64_t last) {
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

void ArenaFile::TrimTable(uint64_t first, uint64_t last) {
  const uint64_t cost = table()->Cost();
  table()->DropUnused(first, last);
  budget()->ReleaseBytes(cost - table()->Cost());
}

Result<void> ArenaFile::ResizeTiny(uint32_t size) {
  const uint64_t old_cost = TinyCost(tiny_size());
  const uint64_t new_cost = TinyCost(size);
  if (new_cost > old_cost && !budget()->ReserveBytes(new_cost - old_cost)) return Errno(ENOSPC);
  if (size == 0) {
    std::free(tiny());
    set_tiny(nullptr);
  } else {
    char* const resized = static_cast<char*>(std::realloc(tiny(), size));
    if (resized != nullptr) {
      set_tiny(resized);
    } else if (size > tiny_size()) {
      if (new_cost > old_cost) budget()->ReleaseBytes(new_cost - old_cost);
      return Errno(ENOMEM);
    }
    if (size > tiny_size()) std::memset(tiny() + tiny_size(), 0, size - tiny_size());
  }
  if (new_cost < old_cost) budget()->ReleaseBytes(old_cost - new_cost);
  set_tiny_size(size);
  return {};
}

ArenaFile::Run ArenaFile::RunAt(uint64_t offset, size_t length) const {
  const uint64_t page = PageOf(offset);
  const uint64_t within = offset % kPageSize;
  Run run;
  run.length = static_cast<size_t>(std::min<uint64_t>(length, kPageSize - within));
  const PageSlot slot = SlotAt(page);
  if (slot.has_memory()) {
    run.page = slot.page();
    // Neighbours in the file that are neighbours in the arena.
    for (uint64_t i = 1; run.length < length; ++i) {
      const PageSlot next = table()->Get(page + i);
      if (!next.has_memory() || next.page() != slot.page() + i) break;
      run.length = static_cast<size_t>(std::min<uint64_t>(length, run.length + kPageSize));
    }
  } else if (page == 0 && within < tiny_size()) {
    run.heap = tiny() + within;
    run.length = std::min<size_t>(run.length, tiny_size() - within);
  }
  return run;
}

size_t ArenaFile::LengthWithin(uint64_t offset, size_t length) const {
  const uint64_t size = size_.load(std::memory_order_relaxed);
  return offset >= size ? 0 : static_cast<size_t>(std::min<uint64_t>(length, size - offset));
}

Result<void> ArenaFile::CopyOut(uint64_t offset, absl::Span<char> out) const {
  while (!out.empty()) {
    const Run run = RunAt(offset, out.size());
    const absl::Span<char> to = out.first(run.length);
    if (run.page != 0) {
      MEMFUSE_RETURN_IF_ERROR(arena_->Read(run.page, offset % kPageSize, to));
    } else if (run.heap != nullptr) {
      std::memcpy(to.data(), run.heap, to.size());
    } else {
      std::memset(to.data(), 0, to.size());
    }
    out.remove_prefix(run.length);
    offset += run.length;
  }
  return {};
}

bool ArenaFile::SendMapped(uint64_t offset, size_t length, ReadSink* sink) const {
  std::array<ReadSink::Piece, ReadSink::kMaxPieces> pieces;
  size_t count = 0;
  while (length > 0) {
    if (count == pieces.size()) return false;
    const Run run = RunAt(offset, length);
    ReadSink::Piece& piece = pieces[count++];
    if (run.page != 0) {
      piece = arena_->Map(run.page, offset % kPageSize, run.length);
      if (piece.empty()) return false;
    } else {
      piece = {run.heap != nullptr ? run.heap : kZeros, run.length};
    }
    offset += piece.size();
    length -= piece.size();
  }
  sink->Send(absl::MakeConstSpan(pieces.data(), count));
  return true;
}

Result<size_t> ArenaFile::Read(uint64_t offset, absl::Span<char> out) {
  ReaderMutexLock lock(&mu_);
  const size_t length = LengthWithin(offset, out.size());
  MEMFUSE_RETURN_IF_ERROR(CopyOut(offset, out.first(length)));
  return length;
}

Result<size_t> ArenaFile::ReadTo(uint64_t offset, ReadSink* sink, bool to_page_cache) {
  const absl::Span<char> buffer = sink->buffer();
  for (;;) {
    bool first_hole;
    {
      ReaderMutexLock lock(&mu_);
      const size_t length = LengthWithin(offset, buffer.size());
      if (!to_page_cache || !HasHoleToNote(offset, length)) {
        if (length >= kSmallestGather && sink->gathers() && SendMapped(offset, length, sink)) {
          return length;
        }
        MEMFUSE_RETURN_IF_ERROR(CopyOut(offset, buffer.first(length)));
        return length;
      }
    }
    {
      MutexLock lock(&mu_);
      first_hole = NoteHolesRead(offset, LengthWithin(offset, buffer.size()));
    }
    // Once more, because another thread may have changed the file. All of the range is noted now,
    // so this ends.
    if (first_hole) sink->ForgetAttributes();
  }
}

bool ArenaFile::MakesDirtyPages(uint32_t flags) const {
  const uint32_t mode = flags & O_ACCMODE;
  return mode == O_RDWR || (mode == O_WRONLY && arena_->writeback_cache());
}

bool ArenaFile::HasHoleToNote(uint64_t offset, size_t length) const {
  if (length == 0) return false;
  if (dirtiers_ == 0 ? (content_ & kHolesWereRead) != 0 : arena_->writeback_cache()) return false;
  const uint64_t last = PageOf(offset + length - 1);
  for (uint64_t page = PageOf(offset); page <= last;) {
    if (page == 0 && tiny() != nullptr) page = 1;
    const uint64_t hole = table() == nullptr ? page : table()->NextUnwritten(page);
    if (hole > last) return false;
    const uint64_t noted_until =
        cached_holes() == nullptr ? hole : cached_holes()->NextMissing(hole);
    if (noted_until == hole) return true;
    page = noted_until;
  }
  return false;
}

bool ArenaFile::NoteHolesRead(uint64_t offset, size_t length) {
  if (!HasHoleToNote(offset, length)) return false;
  if (dirtiers_ == 0) {
    content_ |= kHolesWereRead;
    return false;
  }
  if (table() == nullptr && !MakeTable()) throw std::bad_alloc();
  std::unique_ptr<CachedHoles>& holes = large()->cached_holes;
  if (holes == nullptr) holes = std::make_unique<CachedHoles>();
  holes->Add(PageOf(offset), PageOf(offset + length - 1));
  return unknown_data_.exchange(UnknownData::kInCachedHoles) == UnknownData::kNone;
}

uint64_t ArenaFile::PagesForBlocks(uint64_t pages) const {
  switch (unknown_data_.load(std::memory_order_relaxed)) {
    case UnknownData::kNone:
      break;
    case UnknownData::kInCachedHoles:
      return std::max<uint64_t>(pages, 1);
    case UnknownData::kAnywhere:
      return std::max<uint64_t>({pages, (size() + kPageSize - 1) / kPageSize, 1});
  }
  return pages;
}

Result<void> ArenaFile::CopyPage(PageNumber from, PageNumber to) {
  char content[kPageSize];
  MEMFUSE_RETURN_IF_ERROR(arena_->Read(from, 0, content));
  return arena_->Write(to, 0, content);
}

Result<void> ArenaFile::OwnPage(uint64_t index) {
  const PageSlot slot = table()->Get(index);
  if (!slot.shared()) return {};
  PageNumber page = slot.page();
  if (arena_->IsShared(page)) {
    // The page that is given up was charged; the new one takes its place.
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

Result<void> ArenaFile::OwnEdges(uint64_t offset, uint64_t end) {
  if (table() == nullptr) return {};
  for (const uint64_t edge : {offset, end}) {
    if (edge % kPageSize != 0) MEMFUSE_RETURN_IF_ERROR(OwnPage(PageOf(edge)));
  }
  return {};
}

Result<size_t> ArenaFile::WritePages(uint64_t offset, Payload* data, size_t size) {
  const uint64_t first = PageOf(offset);
  const uint64_t count = PageOf(offset + size - 1) - first + 1;

  // Where the data goes: the pages that are there, and new ones (0, to begin with) for holes and in
  // place of pages that have other owners. The table takes the new ones when they have been
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
  // In order; the first hole for which there is no space ends the write.
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
  if (backed == 0) return Errno(ENOSPC);  // nothing was granted then

  // New pages keep what the write leaves of the old ones.
  const uint64_t reach = std::min(offset + size, PageStart(first + backed));
  const auto is_whole = [&](uint64_t i) {
    return PageStart(first + i) >= offset && PageStart(first + i + 1) <= reach;
  };
  Result<void> result;
  if (first == 0 && tiny() != nullptr) {
    result = arena_->Write(target[0], 0, absl::MakeConstSpan(tiny(), tiny_size()));
  }
  // Only the first and the last can be covered in part.
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
    // A new page that did not get all of its data, and kept nothing of the old page's, is not used.
    const uint64_t i = PageOf(offset + done) - first;
    const PageSlot slot = table()->Get(first + i);
    if (!slot.hole() && slot.page() != target[i] && is_whole(i)) {
      done = static_cast<size_t>(PageStart(first + i) - offset);
    }
  }

  // What was transferred before a failure is a short write. The other new pages go back.
  const uint64_t written = done == 0 ? 0 : PageOf(offset + done - 1) - first + 1;
  uint64_t filled = 0;
  size_t unused = 0;  // pages in `fresh`, which is free for other use
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
  if (first == 0 && written > 0 && tiny() != nullptr) (void)ResizeTiny(0);
  arena_->Free(absl::MakeSpan(fresh.data(), unused));
  if (done == 0) return result.error();
  return done;
}

Result<size_t> ArenaFile::Write(uint64_t offset, Payload data) {
  const size_t size = data.size();
  if (size == 0) return size_t{0};
  if (EndsTooFar(offset, size)) return Errno(EFBIG);
  MutexLock lock(&mu_);
  size_t done = 0;
  Result<void> failed;
  if (offset + size <= kTinyLimit && FirstPageIsHole()) {
    const uint32_t old_end = tiny_size();
    const auto end = static_cast<uint32_t>(offset + size);
    if (end > old_end) MEMFUSE_RETURN_IF_ERROR(ResizeTiny(end));
    failed = data.CopyTo(absl::MakeSpan(tiny() + offset, size));
    done = size - data.size();
    // Nothing stays behind what was transferred.
    const uint32_t kept = std::max(old_end, static_cast<uint32_t>(done == 0 ? 0 : offset + done));
    if (kept < end) (void)ResizeTiny(kept);
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
      if (*written < length) break;  // full
    }
  }
  if (done == 0) return failed.error();
  if (offset + done > size_.load(std::memory_order_relaxed)) {
    size_.store(offset + done, std::memory_order_release);
  }
  return done;
}

Result<void> ArenaFile::ZeroWithinPage(uint64_t from, uint64_t to) {
  if (from >= to) return {};
  const uint64_t page = PageOf(from);
  const uint64_t within = from % kPageSize;
  if (page == 0 && within < tiny_size()) {
    std::memset(tiny() + within, 0, std::min<uint64_t>(to - from, tiny_size() - within));
  }
  const PageSlot slot = SlotAt(page);
  if (!slot.has_memory()) return {};
  MEMFUSE_RETURN_IF_ERROR(OwnPage(page));
  return arena_->Write(table()->Get(page).page(), within,
                       absl::MakeConstSpan(kZeros, static_cast<size_t>(to - from)));
}

Result<void> ArenaFile::Open(uint32_t flags, OpenResult* open) {
  // All changes of the data go through this kernel, or are answered to it.
  open->keep_cache = true;
  if (!MakesDirtyPages(flags)) return {};
  MutexLock lock(&mu_);
  if (++dirtiers_ > 1) return {};
  if (arena_->writeback_cache()) {
    unknown_data_.store(UnknownData::kAnywhere);
    open->forget_attributes = true;
  } else if ((content_ & kHolesWereRead) != 0) {
    // A program may map and store into what the kernel has read: it has to read that again.
    content_ &= ~kHolesWereRead;
    open->keep_cache = false;
  }
  return {};
}

void ArenaFile::Close(uint32_t flags) {
  if (!MakesDirtyPages(flags)) return;
  MutexLock lock(&mu_);
  if (dirtiers_ == 0 || --dirtiers_ > 0) return;
  // The kernel has written everything back. It still caches what it has read.
  unknown_data_.store(UnknownData::kNone);
  if (Large* const found = large(); found != nullptr && found->cached_holes != nullptr) {
    found->cached_holes.reset();
    content_ |= kHolesWereRead;
  }
}

Result<size_t> ArenaFile::LendPages(uint64_t first, uint64_t end, absl::Span<PageNumber> pages) {
  MutexLock lock(&mu_);
  const uint64_t size = size_.load(std::memory_order_relaxed);
  // What lies in a page behind the end is zeros: the last page can be lent if nothing lies between.
  const uint64_t limit = size <= end ? size : end / kPageSize * kPageSize;
  size_t count = 0;
  for (; count < pages.size() && PageStart(first + count) < limit; ++count) {
    const PageSlot slot = SlotAt(first + count);
    if (!slot.has_memory()) break;
    pages[count] = slot.page();
  }
  MEMFUSE_RETURN_IF_ERROR(arena_->Share(pages.first(count)));
  for (size_t i = 0; i < count; ++i) {
    table()->Set(first + i, PageSlot(pages[i], /*written=*/true, /*shared=*/true));
  }
  return count;
}

Result<size_t> ArenaFile::TakePages(uint64_t first, uint64_t end,
                                    absl::Span<const PageNumber> pages) {
  std::array<PageNumber, kBatchPages> replaced;
  size_t replaced_count = 0;
  size_t usable = pages.size();
  size_t taken = 0;
  Result<void> result;
  {
    MutexLock lock(&mu_);
    // A last page that is not whole must not cut what the file has behind it.
    if (PageStart(first + pages.size()) > end && size_.load(std::memory_order_relaxed) > end) {
      --usable;
    }
    if (usable > 0) result = PrepareTable(first, first + usable - 1);
    for (; result.ok() && taken < usable; ++taken) {
      const PageSlot slot = table()->Get(first + taken);
      if (!slot.hole()) {
        replaced[replaced_count++] = slot.page();
      } else if (budget()->ReserveBytes(kPageSize)) {
        AddPages(1);
        if (first + taken == 0 && tiny() != nullptr) (void)ResizeTiny(0);
      } else {
        break;
      }
      table()->Set(first + taken, PageSlot(pages[taken], /*written=*/true, /*shared=*/true));
    }
    if (taken < usable && table() != nullptr) TrimTable(first, first + usable - 1);
    if (taken > 0) {
      const uint64_t reach = std::min(end, PageStart(first + taken));
      if (reach > size_.load(std::memory_order_relaxed)) {
        size_.store(reach, std::memory_order_release);
      }
    }
  }
  const bool full = taken == 0 && usable > 0;
  arena_->Free(absl::MakeSpan(replaced.data(), replaced_count));
  if (!result.ok()) return result.error();
  if (full) return Errno(ENOSPC);
  return taken;
}

Result<uint64_t> ArenaFile::ShareFrom(ArenaFile* source, uint64_t offset_in, uint64_t offset_out,
                                      uint64_t length) {
  std::array<PageNumber, kBatchPages> pages;
  length = std::min(length, PageStart(kBatchPages));
  const auto want = static_cast<size_t>((length + kPageSize - 1) / kPageSize);
  MEMFUSE_ASSIGN_OR_RETURN(
      const size_t lent,
      source->LendPages(PageOf(offset_in), offset_in + length, absl::MakeSpan(pages.data(), want)));
  size_t taken = 0;
  // Also where an exception is thrown: nothing else knows that they are shared.
  const absl::Cleanup free_others = [&] {
    arena_->Free(absl::MakeSpan(pages.data() + taken, lent - taken));
  };
  if (lent == 0) return uint64_t{0};
  MEMFUSE_ASSIGN_OR_RETURN(taken, TakePages(PageOf(offset_out), offset_out + length,
                                            absl::MakeConstSpan(pages.data(), lent)));
  return std::min(length, PageStart(taken));
}

Result<uint64_t> ArenaFile::CopyFrom(FileData* source, uint64_t offset_in, uint64_t offset_out,
                                     uint64_t length) {
  // One file's lock at a time: the copy is no snapshot, as it is none on tmpfs.
  constexpr uint64_t kPiece = 64 << 10;
  auto* const from = static_cast<ArenaFile*>(source);
  std::vector<char> buffer;
  uint64_t done = 0;
  Result<void> failed;
  while (done < length) {
    const uint64_t in = offset_in + done;
    const uint64_t out = offset_out + done;
    if (in % kPageSize == 0 && out % kPageSize == 0) {
      const Result<uint64_t> shared = ShareFrom(from, in, out, length - done);
      if (!shared.ok()) {
        failed = shared.error();
        break;
      }
      done += *shared;
      if (*shared > 0) continue;
    }
    // Up to where pages may be shared again.
    const uint64_t rest = std::min(length - done, kPiece - in % kPageSize);
    try {
      buffer.resize(kPiece);
    } catch (const std::bad_alloc&) {
      failed = Errno(ENOMEM);
      break;
    }
    const Result<size_t> got =
        from->Read(in, absl::MakeSpan(buffer.data(), static_cast<size_t>(rest)));
    if (!got.ok()) failed = got.error();
    if (!got.ok() || *got == 0) break;
    const Result<size_t> put = Write(out, absl::MakeConstSpan(buffer.data(), *got));
    if (!put.ok()) failed = put.error();
    if (!put.ok()) break;
    done += *put;
    if (*put < *got) break;
  }
  if (done == 0 && !failed.ok()) return failed.error();
  return done;
}

Result<Resized> ArenaFile::Truncate(uint64_t size) {
  if (size > kMaxFileSize) return Errno(EFBIG);
  Resized result;
  Garbage garbage(arena_, budget());
  {
    MutexLock lock(&mu_);
    const uint64_t old = size_.load(std::memory_order_relaxed);
    result = {size != old, blocks() != 0};
    if (size <= old) {
      // What lies behind the end has to read as zeros if the file grows again; and what was
      // reserved there goes, even where the size stays.
      if (size % kPageSize != 0) {
        MEMFUSE_RETURN_IF_ERROR(ZeroWithinPage(size, PageStart(PageOf(size) + 1)));
      }
      if (size < tiny_size()) MEMFUSE_RETURN_IF_ERROR(ResizeTiny(static_cast<uint32_t>(size)));
      RemovePages((size + kPageSize - 1) / kPageSize, PageTable::kNone, &garbage);
    }
    size_.store(size, std::memory_order_release);
  }
  return result;
}

Result<void> ArenaFile::FillHoles(uint64_t first, uint64_t last) {
  const uint64_t present = table() == nullptr ? 0 : table()->CountPresent(first, last);
  const uint64_t missing = last - first + 1 - present;
  // Space first: it bounds how much the page table is asked for.
  Reservation space;
  if (!space.Take(budget(), missing * kPageSize)) return Errno(ENOSPC);
  std::vector<PageNumber> fresh(missing);
  MEMFUSE_RETURN_IF_ERROR(arena_->Allocate(absl::MakeSpan(fresh)));
  absl::Cleanup free_pages = [&] { arena_->Free(absl::MakeSpan(fresh)); };
  MEMFUSE_RETURN_IF_ERROR(PrepareTable(first, last));
  // A tiny page 0 is the first hole; it moves.
  const bool with_tiny = tiny() != nullptr && first == 0;
  if (with_tiny) {
    Result<void> moved = arena_->Write(fresh[0], 0, absl::MakeConstSpan(tiny(), tiny_size()));
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
      // It counts as data from now on, as it does on tmpfs.
      table()->Set(i, PageSlot::Blank(slot.page()));
    }
  }
  AddPages(static_cast<int64_t>(missing));
  return with_tiny ? ResizeTiny(0) : Result<void>();
}

Result<void> ArenaFile::Allocate(uint64_t offset, uint64_t length, bool keep_size) {
  if (EndsTooFar(offset, length)) return Errno(EFBIG);
  MutexLock lock(&mu_);
  MEMFUSE_RETURN_IF_ERROR(FillHoles(PageOf(offset), PageOf(offset + length - 1)));
  if (!keep_size && offset + length > size_.load(std::memory_order_relaxed)) {
    size_.store(offset + length, std::memory_order_release);
  }
  return {};
}

Result<void> ArenaFile::PunchHole(uint64_t offset, uint64_t length) {
  const uint64_t end = EndsTooFar(offset, length) ? kMaxFileSize : offset + length;
  if (offset >= end) return {};
  Garbage garbage(arena_, budget());
  {
    MutexLock lock(&mu_);
    const uint64_t first_whole = (offset + kPageSize - 1) / kPageSize;
    const uint64_t end_whole = PageOf(end);  // exclusive
    // What may want memory comes before the first change.
    MEMFUSE_RETURN_IF_ERROR(OwnEdges(offset, end));
    if (first_whole > end_whole) {  // inside one page
      MEMFUSE_RETURN_IF_ERROR(ZeroWithinPage(offset, end));
    } else {
      MEMFUSE_RETURN_IF_ERROR(ZeroWithinPage(offset, PageStart(first_whole)));
      MEMFUSE_RETURN_IF_ERROR(ZeroWithinPage(PageStart(end_whole), end));
    }
    if (first_whole < end_whole) {
      if (first_whole == 0 && tiny() != nullptr) MEMFUSE_RETURN_IF_ERROR(ResizeTiny(0));
      RemovePages(first_whole, end_whole - 1, &garbage);
    }
  }
  return {};
}

Result<void> ArenaFile::ZeroRange(uint64_t offset, uint64_t length, bool keep_size) {
  if (EndsTooFar(offset, length)) return Errno(EFBIG);
  MutexLock lock(&mu_);
  const uint64_t end = offset + length;
  const uint64_t first = PageOf(offset);
  const uint64_t last = PageOf(end - 1);
  // What may want space or memory comes before the first change.
  if (table() != nullptr) {
    for (uint64_t page = table()->NextWritten(first); page <= last;
         page = table()->NextWritten(page + 1)) {
      MEMFUSE_RETURN_IF_ERROR(OwnPage(page));
    }
  }
  MEMFUSE_RETURN_IF_ERROR(FillHoles(first, last));
  for (uint64_t page = first; page <= last; ++page) {
    const PageSlot slot = table()->Get(page);
    const uint64_t from = std::max(offset, PageStart(page));
    const uint64_t to = std::min(end, PageStart(page + 1));
    if (!slot.written()) continue;
    if (to - from < kPageSize) {
      MEMFUSE_RETURN_IF_ERROR(ZeroWithinPage(from, to));
    } else {
      MEMFUSE_RETURN_IF_ERROR(arena_->Clear(slot.page(), 1));
      table()->Set(page, PageSlot(slot.page(), /*written=*/false));
    }
  }
  if (!keep_size && end > size_.load(std::memory_order_relaxed)) {
    size_.store(end, std::memory_order_release);
  }
  return {};
}

Result<uint64_t> ArenaFile::SeekData(uint64_t offset) {
  ReaderMutexLock lock(&mu_);
  if (dirtiers_ > 0 && arena_->writeback_cache()) return Errno(EINVAL);
  const uint64_t size = size_.load(std::memory_order_relaxed);
  if (offset >= size) return Errno(ENXIO);
  if (PageOf(offset) == 0 && tiny() != nullptr) return offset;
  uint64_t next = table() == nullptr ? PageTable::kNone : table()->NextWritten(PageOf(offset));
  if (cached_holes() != nullptr) {
    next = std::min(next, cached_holes()->NextPresent(PageOf(offset)));
  }
  if (next == PageTable::kNone || PageStart(next) >= size) return Errno(ENXIO);
  return std::max(offset, PageStart(next));
}

Result<uint64_t> ArenaFile::SeekHole(uint64_t offset) {
  ReaderMutexLock lock(&mu_);
  if (dirtiers_ > 0 && arena_->writeback_cache()) return Errno(EINVAL);
  const uint64_t size = size_.load(std::memory_order_relaxed);
  if (offset >= size) return Errno(ENXIO);
  uint64_t page = PageOf(offset);
  if (page == 0 && tiny() != nullptr) page = 1;
  for (;;) {
    const uint64_t begin = page;
    if (table() != nullptr) page = table()->NextUnwritten(page);
    if (cached_holes() != nullptr) page = cached_holes()->NextMissing(page);
    if (page == begin || PageStart(page) >= size) break;
  }
  return std::min(size, std::max(offset, PageStart(page)));
}

}  // namespace memfuse::memfs
