#include "src/memfs/data/arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <new>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "src/base/error_text.h"

namespace memfuse::memfs {
namespace {

off_t PageOffset(PageNumber page) {
  return static_cast<off_t>(page) * static_cast<off_t>(kPageSize);
}

// Calls `f(first, count)` for every run of consecutive page numbers.
template <typename F>
void ForEachRun(absl::Span<const PageNumber> pages, F f) {
  for (size_t i = 0; i < pages.size();) {
    size_t n = 1;
    while (i + n < pages.size() && pages[i + n] == pages[i] + n) ++n;
    f(pages[i], n);
    i += n;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Arena>> Arena::Make(base::UniqueFd file) {
  if (!file.valid()) file = base::UniqueFd(memfd_create("memfuse-arena", MFD_CLOEXEC));
  if (!file.valid()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot make the memory file for file data: ", base::ErrorText(errno)));
  }
  return std::unique_ptr<Arena>(new Arena(std::move(file)));
}

absl::StatusOr<std::unique_ptr<Arena>> Arena::Adopt(base::UniqueFd file) {
  struct stat found;
  if (fstat(file.get(), &found) != 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot examine the memory file for file data: ", base::ErrorText(errno)));
  }
  std::unique_ptr<Arena> arena(new Arena(std::move(file)));
  const auto pages =
      std::min<uint64_t>(static_cast<uint64_t>(found.st_size) / kPageSize, kMaxPages);
  MutexLock lock(&arena->mu_);
  arena->groups_.resize(pages / kGroupPages);
  arena->open_groups_.reserve(arena->groups_.size());
  for (size_t i = 0; i < arena->groups_.size(); ++i) {
    MarkAllFree(i, &arena->groups_[i]);
    arena->MapWindowOf(i * kGroupPages);
  }
  return arena;
}

bool Arena::AdoptPage(PageNumber page, bool shared) {
  MutexLock lock(&mu_);
  if (page == 0 || page / kGroupPages >= groups_.size()) return false;
  if (IsFree(page)) {
    Group& group = groups_[page / kGroupPages];
    group.free_bits[page % kGroupPages / 64] &= ~(uint64_t{1} << (page % 64));
    --group.free_count;
    group.used = true;
  } else {
    if (!shared) return false;
    const auto it = shares_.find(page);
    if (it == shares_.end()) {
      shares_.Insert({page, 1});
    } else {
      ++it->others;
    }
  }
  in_use_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

Result<void> Arena::FreeUnowned() {
  off_t data = 0;
  off_t hole = 0;
  while ((data = lseek(fd_.get(), hole, SEEK_DATA)) >= 0) {
    hole = lseek(fd_.get(), data, SEEK_HOLE);
    if (hole < 0) break;
    const auto end = static_cast<uint64_t>(hole) / kPageSize;
    for (uint64_t page = static_cast<uint64_t>(data) / kPageSize; page < end;) {
      uint64_t count = 0;
      {
        MutexLock lock(&mu_);
        while (page + count < end && page + count < groups_.size() * kGroupPages &&
               IsFree(static_cast<PageNumber>(page + count))) {
          ++count;
        }
      }
      if (count > 0) {
        MEMFUSE_RETURN_IF_ERROR(Clear(static_cast<PageNumber>(page), static_cast<size_t>(count)));
      }
      page += count + 1;
    }
  }
  MutexLock lock(&mu_);
  for (size_t i = 0; i < groups_.size(); ++i) {
    groups_[i].listed = groups_[i].free_count > 0;
    if (groups_[i].listed) open_groups_.push_back(static_cast<uint32_t>(i));
  }
  return {};
}

void Arena::MarkAllFree(size_t group_index, Group* group) {
  std::fill(std::begin(group->free_bits), std::end(group->free_bits), ~uint64_t{0});
  if (group_index == 0) group->free_bits[0] &= ~uint64_t{1};
  group->free_count = Capacity(group_index);
}

Arena::~Arena() {
  for (const Window& window : windows_) {
    const char* const mapping = window.mapping.load(std::memory_order_relaxed);
    if (mapping != nullptr) munmap(const_cast<char*>(mapping), kWindowBytes);
  }
}

void Arena::MapWindowOf(uint64_t page) {
  const uint64_t index = page / (kWindowBytes / kPageSize);
  std::atomic<const char*>& window = windows_[index].mapping;
  if (window.load(std::memory_order_relaxed) != nullptr) return;
  void* const mapping = mmap(nullptr, kWindowBytes, PROT_READ, MAP_SHARED, fd_.get(),
                             static_cast<off_t>(index * kWindowBytes));
  if (mapping == MAP_FAILED) return;  // for example because of a limit on address space
  // A core file of the daemon must not contain the data of users, and would be too large with it.
  madvise(mapping, kWindowBytes, MADV_DONTDUMP);
  window.store(static_cast<const char*>(mapping), std::memory_order_release);
}

absl::Span<const char> Arena::Map(PageNumber first, uint64_t offset, size_t length) const {
  const uint64_t at = uint64_t{first} * kPageSize + offset;
  Window& window = windows_[at / kWindowBytes];
  const char* const mapping = window.mapping.load(std::memory_order_acquire);
  if (mapping == nullptr) return {};
  if (!window.used.load(std::memory_order_relaxed)) {
    window.used.store(true, std::memory_order_relaxed);
  }
  const uint64_t within = at % kWindowBytes;
  length = static_cast<size_t>(std::min<uint64_t>(length, kWindowBytes - within));
  for (uint64_t area = at / kAreaBytes; area * kAreaBytes < at + length; ++area) NoteMapped(area);
  return {mapping + within, length};
}

void Arena::NoteMapped(uint64_t area) const {
  for (const std::atomic<uint64_t>& mapped : mapped_areas_) {
    if (mapped.load(std::memory_order_relaxed) == area + 1) return;
  }
  const size_t number = next_mapped_area_.fetch_add(1, std::memory_order_relaxed);
  // The places of the next kUnmappedAtOnce areas are vacated together. Another thread may have
  // filled its place before, or may do so later. The area that a place held is always unmapped.
  std::array<uint64_t, kUnmappedAtOnce + 1> old{};
  if (number % kUnmappedAtOnce == 0) {
    for (size_t i = 0; i < kUnmappedAtOnce; ++i) {
      old[i] = mapped_areas_[number % kMaxAreas + i].exchange(0, std::memory_order_relaxed);
    }
  }
  old.back() = mapped_areas_[number % kMaxAreas].exchange(area + 1, std::memory_order_relaxed);
  UnmapAreas(old);
}

void Arena::UnmapAreas(absl::Span<const uint64_t> areas) const {
  uint64_t begin = 0;
  uint64_t end = 0;  // areas [begin, end) are consecutive
  const auto unmap = [&] {
    while (begin < end) {
      const uint64_t at = begin * kAreaBytes;
      const char* const mapping =
          windows_[at / kWindowBytes].mapping.load(std::memory_order_acquire);
      const uint64_t length =
          std::min((end - begin) * kAreaBytes, kWindowBytes - at % kWindowBytes);
      madvise(const_cast<char*>(mapping) + at % kWindowBytes, length, MADV_DONTNEED);
      begin += length / kAreaBytes;
    }
  };
  for (const uint64_t area : areas) {
    if (area == 0) continue;
    if (area - 1 != end) {
      unmap();
      begin = area - 1;
    }
    end = area;
  }
  unmap();
}

void Arena::ForgetMappings() {
  for (std::atomic<uint64_t>& mapped : mapped_areas_) mapped.store(0, std::memory_order_relaxed);
  for (Window& window : windows_) {
    if (!window.used.load(std::memory_order_relaxed)) continue;
    window.used.store(false, std::memory_order_relaxed);
    const char* const mapping = window.mapping.load(std::memory_order_acquire);
    madvise(const_cast<char*>(mapping), kWindowBytes, MADV_DONTNEED);
  }
}

Result<void> Arena::Grow() {
  const size_t count = groups_.size();
  if ((count + 1) * kGroupPages > kMaxPages) return Errno(ENOSPC);
  const off_t size = static_cast<off_t>((count + 1) * kGroupPages * kPageSize);
  if (ftruncate(fd_.get(), size) != 0) return Errno(ENOSPC);
  Group group = {};
  MarkAllFree(count, &group);
  group.listed = true;
  try {
    // neither the push_back below nor the one in MarkFree can then fail
    open_groups_.reserve(count + 1);
    groups_.push_back(group);
  } catch (const std::bad_alloc&) {
    return Errno(ENOMEM);
  }
  open_groups_.push_back(static_cast<uint32_t>(count));
  MapWindowOf(count * kGroupPages);
  return {};
}

size_t Arena::TakeFrom(uint32_t group_index, absl::Span<PageNumber> pages) {
  Group& group = groups_[group_index];
  const auto base = static_cast<PageNumber>(group_index * kGroupPages);
  size_t taken = 0;
  for (size_t word = 0; word < std::size(group.free_bits) && taken < pages.size(); ++word) {
    uint64_t& bits = group.free_bits[word];
    while (bits != 0 && taken < pages.size()) {
      pages[taken++] =
          static_cast<PageNumber>(base + word * 64 + static_cast<size_t>(__builtin_ctzll(bits)));
      bits &= bits - 1;
    }
  }
  group.free_count = static_cast<uint16_t>(group.free_count - taken);
  group.used |= taken > 0;
  return taken;
}

Result<void> Arena::Allocate(absl::Span<PageNumber> pages) {
  MutexLock lock(&mu_);
  size_t done = 0;
  while (done < pages.size()) {
    if (open_groups_.empty()) {
      if (Result<void> grown = Grow(); !grown.ok()) {
        MarkFree(pages.first(done));
        return grown.error();
      }
    }
    const uint32_t group = open_groups_.back();
    done += TakeFrom(group, pages.subspan(done));
    if (groups_[group].free_count == 0) {
      groups_[group].listed = false;
      open_groups_.pop_back();
    }
  }
  in_use_.fetch_add(pages.size(), std::memory_order_relaxed);
  return {};
}

void Arena::MarkFree(absl::Span<const PageNumber> pages) {
  for (const PageNumber page : pages) {
    const auto index = static_cast<uint32_t>(page / kGroupPages);
    Group& group = groups_[index];
    group.free_bits[page % kGroupPages / 64] |= uint64_t{1} << (page % 64);
    ++group.free_count;
    if (!group.listed) {
      group.listed = true;
      open_groups_.push_back(index);
    }
  }
}

void Arena::MarkUncleared(PageNumber first, size_t count) {
  for (PageNumber page = first; page < first + count; ++page) {
    groups_[page / kGroupPages].uncleared_bits[page % kGroupPages / 64] |= uint64_t{1}
                                                                           << (page % 64);
  }
  uncleared_ += count;
}

void Arena::ClearPagesSetAside() {
  for (size_t i = 0;; ++i) {
    uint64_t bits[kGroupPages / 64];
    {
      MutexLock lock(&mu_);
      if (uncleared_ == 0 || i >= groups_.size()) return;
      // The bits are removed, so that no other thread clears the same pages and erases what their
      // next owner wrote.
      for (size_t word = 0; word < std::size(bits); ++word) {
        bits[word] = std::exchange(groups_[i].uncleared_bits[word], 0);
        uncleared_ -= static_cast<uint64_t>(__builtin_popcountll(bits[word]));
      }
    }
    for (size_t word = 0; word < std::size(bits); ++word) {
      for (; bits[word] != 0; bits[word] &= bits[word] - 1) {
        const auto page = static_cast<PageNumber>(i * kGroupPages + word * 64 +
                                                  static_cast<size_t>(__builtin_ctzll(bits[word])));
        const bool clear = Clear(page, 1).ok();
        MutexLock lock(&mu_);
        if (clear) {
          MarkFree(absl::MakeConstSpan(&page, 1));
        } else {
          MarkUncleared(page, 1);
        }
      }
    }
  }
}

void Arena::ReleaseEmptyGroups() {
  ClearPagesSetAside();
  for (size_t i = 0;; ++i) {
    {
      MutexLock lock(&mu_);
      for (; i < groups_.size(); ++i) {
        if (groups_[i].used && groups_[i].free_count == Capacity(i)) break;
      }
      if (i >= groups_.size()) return;
      // While no page of the group is marked free, no thread allocates from it.
      std::fill(std::begin(groups_[i].free_bits), std::end(groups_[i].free_bits), 0);
      groups_[i].free_count = 0;
    }
    // A failure is ignored: the pages read as zeros in any case.
    (void)PunchHole(static_cast<PageNumber>(i * kGroupPages), kGroupPages);
    MutexLock lock(&mu_);
    Group& group = groups_[i];
    MarkAllFree(i, &group);
    group.used = false;
    if (!group.listed) {
      group.listed = true;
      open_groups_.push_back(static_cast<uint32_t>(i));
    }
  }
}

bool Arena::PunchHole(PageNumber first, size_t count) {
  const off_t length = static_cast<off_t>(count * kPageSize);
  while (fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PageOffset(first),
                   length) != 0) {
    if (errno != EINTR) return false;
  }
  return true;
}

Result<void> Arena::Clear(PageNumber first, size_t count) {
  if (PunchHole(first, count)) return {};
  static constexpr char kZeros[kPageSize] = {};
  for (size_t i = 0; i < count; ++i) {
    MEMFUSE_RETURN_IF_ERROR(Write(first, i * kPageSize, kZeros));
  }
  return {};
}

void Arena::DropShare(SharedPages::const_iterator share) {
  if (--share->others == 0) shares_.Erase(share);
}

Result<void> Arena::Share(absl::Span<const PageNumber> pages) {
  MutexLock lock(&mu_);
  size_t done = 0;
  try {
    for (; done < pages.size(); ++done) {
      const auto it = shares_.find(pages[done]);
      if (it == shares_.end()) {
        shares_.Insert({pages[done], 1});
      } else {
        ++it->others;
      }
    }
  } catch (const std::bad_alloc&) {
    for (const PageNumber page : pages.first(done)) DropShare(shares_.find(page));
    return Errno(ENOMEM);
  }
  in_use_.fetch_add(pages.size(), std::memory_order_relaxed);
  return {};
}

bool Arena::IsShared(PageNumber page) const {
  MutexLock lock(&mu_);
  return shares_.contains(page);
}

size_t Arena::Disown(absl::Span<PageNumber> pages) {
  if (shares_.empty()) return pages.size();
  size_t unowned = 0;
  for (const PageNumber page : pages) {
    const auto it = shares_.find(page);
    if (it == shares_.end()) {
      pages[unowned++] = page;
    } else {
      DropShare(it);
    }
  }
  return unowned;
}

void Arena::Free(absl::Span<PageNumber> pages) {
  if (pages.empty()) return;
  in_use_.fetch_sub(pages.size(), std::memory_order_relaxed);
  {
    MutexLock lock(&mu_);
    pages = pages.first(Disown(pages));
  }
  // Pages that cannot be cleared are set aside.
  size_t clear = 0;
  ForEachRun(pages, [&](PageNumber first, size_t count) {
    if (Clear(first, count).ok()) {
      for (size_t i = 0; i < count; ++i) pages[clear++] = first + static_cast<PageNumber>(i);
    } else {
      MutexLock lock(&mu_);
      MarkUncleared(first, count);
    }
  });
  MutexLock lock(&mu_);
  MarkFree(pages.first(clear));
}

Result<void> Arena::Write(PageNumber first, uint64_t offset, absl::Span<const char> data,
                          size_t* written) {
  const off_t at = PageOffset(first) + static_cast<off_t>(offset);
  size_t done = 0;
  Result<void> result;
  while (done < data.size()) {
    const ssize_t n =
        pwrite(fd_.get(), data.data() + done, data.size() - done, at + static_cast<off_t>(done));
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (n == 0 || errno != EINTR) {
      const int error = n == 0 ? EIO : errno;
      result = Errno(error == ENOMEM || error == EIO ? error : ENOSPC);
      break;
    }
  }
  if (written != nullptr) *written = done;
  return result;
}

std::optional<Timestamp> Arena::LastWriteTime() const {
  struct stat now;
  if (fstat(fd_.get(), &now) != 0) return std::nullopt;
  return Timestamp{now.st_mtim.tv_sec, static_cast<uint32_t>(now.st_mtim.tv_nsec)};
}

Result<void> Arena::Read(PageNumber first, uint64_t offset, absl::Span<char> out) const {
  off_t at = PageOffset(first) + static_cast<off_t>(offset);
  while (!out.empty()) {
    const ssize_t n = pread(fd_.get(), out.data(), out.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Errno(EIO);
    at += n;
    out.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

}  // namespace memfuse::memfs
