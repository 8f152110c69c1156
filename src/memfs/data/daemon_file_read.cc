// Reading a file of the daemon store, and the data that the kernel may have in its cache without
// the daemon's knowledge (see daemon_file.h).

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "src/memfs/data/daemon_file.h"

namespace memfuse::memfs {
namespace {

// A read of fewer bytes is copied: adding pages of the mapping to the page tables and removing them
// again costs more than a second copy. Without huge pages this is so for any size (measured for 1
// MiB: 430 us against 230 us).
constexpr size_t kMinGather = 256 << 10;

}  // namespace

Result<void> DaemonFile::Open(uint32_t flags, FileOpen* open) {
  // All changes of the data are made through this kernel, or in reply to its requests.
  open->keep_cache = true;
  if (!MakesDirtyPages(flags)) return {};
  MutexLock lock(&mu_);
  if (++dirtying_opens_ > 1) return {};
  if (arena().writeback_cache()) {
    unknown_data_.store(UnknownData::kAnywhere);
    open->attributes_stale = true;
  } else if ((content_ & kHolesWereRead) != 0) {
    // A program may map the file and store into pages that the kernel has read. The kernel must
    // read them again, so that the daemon records the holes.
    content_ &= ~kHolesWereRead;
    open->keep_cache = false;
  }
  return {};
}

void DaemonFile::Close(uint32_t flags) {
  if (!MakesDirtyPages(flags)) return;
  MutexLock lock(&mu_);
  if (dirtying_opens_ == 0 || --dirtying_opens_ > 0) return;
  // The kernel has written back all dirty pages. It still caches what it has read.
  unknown_data_.store(UnknownData::kNone);
  if (Large* const found = large(); found != nullptr && found->cached_holes != nullptr) {
    found->cached_holes.reset();
    content_ |= kHolesWereRead;
  }
}

DaemonFile::Run DaemonFile::RunAt(uint64_t offset, size_t length) const {
  const uint64_t page = PageOf(offset);
  const uint64_t within = offset % kPageSize;
  Run run;
  run.length = static_cast<size_t>(std::min<uint64_t>(length, kPageSize - within));
  const PageSlot slot = SlotAt(page);
  if (slot.has_memory()) {
    run.page = slot.page();
    // Pages that are consecutive both in the file and in the arena.
    for (uint64_t i = 1; run.length < length; ++i) {
      const PageSlot next = table()->Get(page + i);
      if (!next.has_memory() || next.page() != slot.page() + i) break;
      run.length = static_cast<size_t>(std::min<uint64_t>(length, run.length + kPageSize));
    }
  } else if (page == 0 && within < inline_size()) {
    run.inline_data = inline_data() + within;
    run.length = std::min<size_t>(run.length, inline_size() - within);
  }
  return run;
}

size_t DaemonFile::LengthWithin(uint64_t offset, size_t length) const {
  const uint64_t size = this->size();
  return offset >= size ? 0 : static_cast<size_t>(std::min<uint64_t>(length, size - offset));
}

Result<void> DaemonFile::CopyOut(uint64_t offset, absl::Span<char> out) const {
  while (!out.empty()) {
    const Run run = RunAt(offset, out.size());
    const absl::Span<char> to = out.first(run.length);
    if (run.page != 0) {
      MEMFUSE_RETURN_IF_ERROR(arena().Read(run.page, offset % kPageSize, to));
    } else if (run.inline_data != nullptr) {
      std::memcpy(to.data(), run.inline_data, to.size());
    } else {
      std::memset(to.data(), 0, to.size());
    }
    out.remove_prefix(run.length);
    offset += run.length;
  }
  return {};
}

bool DaemonFile::SendMapped(uint64_t offset, size_t length, ReadSink* sink) const {
  std::array<ReadSink::Piece, ReadSink::kMaxPieces> pieces;
  size_t count = 0;
  while (length > 0) {
    if (count == pieces.size()) return false;
    const Run run = RunAt(offset, length);
    ReadSink::Piece& piece = pieces[count++];
    if (run.page != 0) {
      piece = arena().Map(run.page, offset % kPageSize, run.length);
      if (piece.empty()) return false;
    } else {
      piece = {run.inline_data != nullptr ? run.inline_data : kZeros, run.length};
    }
    offset += piece.size();
    length -= piece.size();
  }
  sink->Send(absl::MakeConstSpan(pieces.data(), count));
  return true;
}

Result<size_t> DaemonFile::Read(uint64_t offset, absl::Span<char> out) {
  ReaderMutexLock lock(&mu_);
  const size_t length = LengthWithin(offset, out.size());
  MEMFUSE_RETURN_IF_ERROR(CopyOut(offset, out.first(length)));
  return length;
}

Result<size_t> DaemonFile::ReadTo(uint64_t offset, ReadSink* sink, bool to_page_cache,
                                  absl::FunctionRef<void()> attributes_stale) {
  const absl::Span<char> buffer = sink->buffer();
  for (;;) {
    bool first_hole;
    {
      ReaderMutexLock lock(&mu_);
      const size_t length = LengthWithin(offset, buffer.size());
      if (!to_page_cache || !HasHoleToNote(offset, length)) {
        const bool gather = length >= kMinGather && arena().huge_pages() && sink->gathers();
        if (gather && SendMapped(offset, length, sink)) return length;
        MEMFUSE_RETURN_IF_ERROR(CopyOut(offset, buffer.first(length)));
        return length;
      }
    }
    {
      MutexLock lock(&mu_);
      first_hole = NoteHolesRead(offset, LengthWithin(offset, buffer.size()));
    }
    // The read is repeated, because another thread may have changed the file. The whole range is
    // recorded as read now, so the next pass finds no hole to record unless an open or close of the
    // file has intervened.
    if (first_hole) attributes_stale();
  }
}

bool DaemonFile::MakesDirtyPages(uint32_t flags) const {
  const uint32_t mode = flags & O_ACCMODE;
  return mode == O_RDWR || (mode == O_WRONLY && arena().writeback_cache());
}

bool DaemonFile::HasHoleToNote(uint64_t offset, size_t length) const {
  if (length == 0) return false;
  if (dirtying_opens_ == 0 ? (content_ & kHolesWereRead) != 0 : arena().writeback_cache())
    return false;
  const uint64_t last = PageOf(offset + length - 1);
  for (uint64_t page = PageOf(offset); page <= last;) {
    if (page == 0 && inline_data() != nullptr) page = 1;
    const uint64_t hole = table() == nullptr ? page : table()->NextUnwritten(page, last);
    if (hole > last) return false;
    const uint64_t noted_until =
        cached_holes() == nullptr ? hole : cached_holes()->NextMissing(hole);
    if (noted_until == hole) return true;
    page = noted_until;
  }
  return false;
}

bool DaemonFile::NoteHolesRead(uint64_t offset, size_t length) {
  if (!HasHoleToNote(offset, length)) return false;
  if (dirtying_opens_ == 0) {
    content_ |= kHolesWereRead;
    return false;
  }
  if (table() == nullptr && !MakeTable()) throw std::bad_alloc();
  std::unique_ptr<CachedHoles>& holes = large()->cached_holes;
  if (holes == nullptr) holes = std::make_unique<CachedHoles>();
  holes->Add(PageOf(offset), PageOf(offset + length - 1));
  return unknown_data_.exchange(UnknownData::kInCachedHoles) == UnknownData::kNone;
}

uint64_t DaemonFile::WithUnknownData(uint64_t blocks) const {
  switch (unknown_data_.load(std::memory_order_relaxed)) {
    case UnknownData::kNone:
      break;
    case UnknownData::kInCachedHoles:
      return std::max(blocks, kBlocksPerPage);
    case UnknownData::kAnywhere:
      return std::max(
          {blocks, (size() + kPageSize - 1) / kPageSize * kBlocksPerPage, kBlocksPerPage});
  }
  return blocks;
}

Result<uint64_t> DaemonFile::SeekData(uint64_t offset) {
  ReaderMutexLock lock(&mu_);
  if (dirtying_opens_ > 0 && arena().writeback_cache()) return Errno(EINVAL);
  const uint64_t size = this->size();
  if (offset >= size) return Errno(ENXIO);
  if (PageOf(offset) == 0 && inline_data() != nullptr) return offset;
  uint64_t next = table() == nullptr ? PageTable::kNone : table()->NextWritten(PageOf(offset));
  if (cached_holes() != nullptr) {
    next = std::min(next, cached_holes()->NextPresent(PageOf(offset)));
  }
  if (next == PageTable::kNone || PageStart(next) >= size) return Errno(ENXIO);
  return std::max(offset, PageStart(next));
}

Result<uint64_t> DaemonFile::SeekHole(uint64_t offset) {
  ReaderMutexLock lock(&mu_);
  if (dirtying_opens_ > 0 && arena().writeback_cache()) return Errno(EINVAL);
  const uint64_t size = this->size();
  if (offset >= size) return Errno(ENXIO);
  uint64_t page = PageOf(offset);
  if (page == 0 && inline_data() != nullptr) page = 1;
  for (;;) {
    const uint64_t begin = page;
    if (table() != nullptr) page = table()->NextUnwritten(page);
    if (cached_holes() != nullptr) page = cached_holes()->NextMissing(page);
    if (page == begin || PageStart(page) >= size) break;
  }
  return std::min(size, std::max(offset, PageStart(page)));
}

}  // namespace memfuse::memfs
