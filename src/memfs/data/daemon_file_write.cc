// Writing to a file of the daemon store.

#include <algorithm>
#include <array>
#include <cstring>

#include "src/memfs/data/daemon_file.h"
#include "src/memfs/records/transaction.h"

namespace memfuse::memfs {

Result<size_t> DaemonFile::WritePages(uint64_t offset, absl::Span<const char> data) {
  const size_t size = data.size();
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
    target[i] = slot.shared() && arena().IsShared(slot.page()) ? 0 : slot.page();
    wanted += target[i] == 0 ? 1 : 0;
  }
  std::array<PageNumber, kBatchPages> fresh;
  MEMFUSE_RETURN_IF_ERROR(arena().Allocate(absl::MakeSpan(fresh.data(), wanted)));
  if (Result<void> ready = PrepareTable(first, first + count - 1); !ready.ok()) {
    arena().Free(absl::MakeSpan(fresh.data(), wanted));
    return ready.error();
  }
  const Result<uint64_t> reserved = account_->ReserveUpTo(holes, kPageSize);
  const uint64_t granted = reserved.ok() ? *reserved : 0;
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
  if (used < wanted) arena().Free(absl::MakeSpan(fresh.data() + used, wanted - used));
  if (backed == 0) return reserved.error();

  // New pages get the part of the old content that the write does not replace.
  const uint64_t reach = std::min(offset + size, PageStart(first + backed));
  const auto is_whole = [&](uint64_t i) {
    return PageStart(first + i) >= offset && PageStart(first + i + 1) <= reach;
  };
  Result<void> result;
  if (first == 0 && inline_data() != nullptr) {
    result = arena().Write(target[0], 0, absl::MakeConstSpan(inline_data(), inline_size()));
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
    size_t written = 0;
    result = arena().Write(target[i], at % kPageSize, data.subspan(done, piece), &written);
    done += written;
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

  // Data that was written before a failure counts as a short write. The other new pages are
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
  account_->ReleaseBytes((granted - filled) * kPageSize);
  if (first == 0 && written > 0 && inline_data() != nullptr) (void)ResizeInline(0);
  arena().Free(absl::MakeSpan(fresh.data(), unused));
  if (done == 0) return result.error();
  return done;
}

Result<size_t> DaemonFile::WriteAndStamp(uint64_t offset, absl::Span<const char> data,
                                         std::optional<Timestamp>* time) {
  const size_t size = data.size();
  if (size == 0) return size_t{0};
  if (EndsTooFar(offset, size)) return Errno(EFBIG);
  MutexLock lock(&mu_);
  size_t done = 0;
  const ScopedDataChange change(record_, DataChange::kWrite);
  bool in_pages = offset + size > kMaxInlineSize || !FirstPageIsHole();
  if (!in_pages && offset + size > inline_size()) {
    const Result<void> resized = ResizeInline(static_cast<uint32_t>(offset + size));
    // The memory of the records may be fragmented. A page can be had then.
    if (!resized.ok() && resized.error() != ENOMEM) return resized.error();
    in_pages = !resized.ok();
  }
  if (!in_pages) {
    // So much data is small enough to change as a whole, together with the size.
    Transaction written(&records());
    written.Save(inline_data() + offset, size);
    written.Save(&record_->size, sizeof(record_->size));
    std::memcpy(inline_data() + offset, data.data(), size);
    if (offset + size > this->size()) set_size(offset + size);
    written.Commit();
    done = size;
  } else {
    while (done < size) {
      const uint64_t at = offset + done;
      const uint64_t batch_end = PageStart(PageOf(at) + kBatchPages);
      const auto length = static_cast<size_t>(std::min<uint64_t>(size - done, batch_end - at));
      const Result<size_t> written = WritePages(at, data.subspan(done, length));
      if (table() != nullptr && (!written.ok() || *written < length)) {
        TrimTable(PageOf(at), PageOf(at + length - 1));
      }
      if (!written.ok()) {
        if (done == 0) return written.error();
        break;
      }
      done += *written;
      if (*written < length) break;  // no space
    }
  }
  if (offset + done > this->size()) {
    set_size(offset + done);
  }
  if (in_pages) *time = arena().LastWriteTime();
  return done;
}

}  // namespace memfuse::memfs
