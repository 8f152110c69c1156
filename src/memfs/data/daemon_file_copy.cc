// Copying between files of the daemon store: whole pages are shared, copy on write.

#include <algorithm>
#include <array>

#include "absl/cleanup/cleanup.h"
#include "src/memfs/data/daemon_file.h"

namespace memfuse::memfs {

Result<size_t> DaemonFile::ShareRange(uint64_t first, uint64_t end, absl::Span<PageNumber> pages) {
  MutexLock lock(&mu_);
  const uint64_t size = this->size();
  // A page contains zeros behind the end of the file, so the last page can be shared if the range
  // covers the file up to its end.
  const uint64_t limit = size <= end ? size : end / kPageSize * kPageSize;
  size_t count = 0;
  for (; count < pages.size() && PageStart(first + count) < limit; ++count) {
    const PageSlot slot = SlotAt(first + count);
    if (!slot.has_memory()) break;
    pages[count] = slot.page();
  }
  MEMFUSE_RETURN_IF_ERROR(arena().Share(pages.first(count)));
  for (size_t i = 0; i < count; ++i) {
    table()->Set(first + i, PageSlot(pages[i], /*written=*/true, /*shared=*/true));
  }
  return count;
}

Result<size_t> DaemonFile::InsertShared(uint64_t first, uint64_t end,
                                        absl::Span<const PageNumber> pages) {
  std::array<PageNumber, kBatchPages> replaced;
  size_t replaced_count = 0;
  size_t usable = pages.size();
  size_t taken = 0;
  Result<void> result;
  {
    MutexLock lock(&mu_);
    const ScopedDataChange change(record_, DataChange::kWrite);
    // A last page that is not whole must not replace data that the file has behind `end`.
    if (PageStart(first + pages.size()) > end && size() > end) {
      --usable;
    }
    if (usable > 0) result = PrepareTable(first, first + usable - 1);
    for (; result.ok() && taken < usable; ++taken) {
      const PageSlot slot = table()->Get(first + taken);
      if (!slot.hole()) {
        replaced[replaced_count++] = slot.page();
      } else {
        result = account_->ReserveBytes(kPageSize);
        if (!result.ok()) break;
        AddPages(1);
      }
      table()->Set(first + taken, PageSlot(pages[taken], /*written=*/true, /*shared=*/true));
      if (first + taken == 0 && inline_data() != nullptr) (void)ResizeInline(0);
    }
    if (taken < usable && table() != nullptr) TrimTable(first, first + usable - 1);
    if (taken > 0) {
      const uint64_t reach = std::min(end, PageStart(first + taken));
      if (reach > size()) {
        set_size(reach);
      }
    }
  }
  arena().Free(absl::MakeSpan(replaced.data(), replaced_count));
  if (taken == 0 && !result.ok()) return result.error();
  return taken;
}

Result<uint64_t> DaemonFile::Reflink(DaemonFile* source, uint64_t offset_in, uint64_t offset_out,
                                     uint64_t length) {
  std::array<PageNumber, kBatchPages> pages;
  length = std::min(length, PageStart(kBatchPages));
  const auto want = static_cast<size_t>((length + kPageSize - 1) / kPageSize);
  MEMFUSE_ASSIGN_OR_RETURN(const size_t lent,
                           source->ShareRange(PageOf(offset_in), offset_in + length,
                                              absl::MakeSpan(pages.data(), want)));
  size_t taken = 0;
  // This also runs if an exception is thrown, because no other object refers to the shared pages.
  const absl::Cleanup free_others = [&] {
    arena().Free(absl::MakeSpan(pages.data() + taken, lent - taken));
  };
  if (lent == 0) return uint64_t{0};
  MEMFUSE_ASSIGN_OR_RETURN(taken, InsertShared(PageOf(offset_out), offset_out + length,
                                               absl::MakeConstSpan(pages.data(), lent)));
  return std::min(length, PageStart(taken));
}

Result<uint64_t> DaemonFile::CopyFrom(FileData* source, uint64_t offset_in, uint64_t offset_out,
                                      uint64_t length) {
  // Only one file's lock is held at a time, so the copy is not a snapshot. It is not one on tmpfs
  // either.
  constexpr uint64_t kPiece = 64 << 10;
  auto* const from = static_cast<DaemonFile*>(source);
  std::vector<char> buffer;
  uint64_t done = 0;
  Result<void> failed;
  while (done < length) {
    const uint64_t in = offset_in + done;
    const uint64_t out = offset_out + done;
    if (in % kPageSize == 0 && out % kPageSize == 0) {
      const Result<uint64_t> shared = Reflink(from, in, out, length - done);
      if (!shared.ok()) {
        failed = shared.error();
        break;
      }
      done += *shared;
      if (*shared > 0) continue;
    }
    // Copies up to the next offset from which pages may be shared again.
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

}  // namespace memfuse::memfs
