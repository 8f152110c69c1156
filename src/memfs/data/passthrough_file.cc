#include "src/memfs/data/passthrough_file.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "src/base/clock.h"
#include "src/memfs/data/arena.h"
#include "src/memfs/records/store_order.h"
#include "src/memfs/records/transaction.h"

namespace memfuse::memfs {
namespace {

constexpr uint64_t kBlockBytes = 512;   // the unit of st_blocks
constexpr uint64_t kMaxCopy = 1 << 30;  // of one copy_file_range(2)

Errno FromErrno(int error) {
  switch (error) {
    case ENOSPC:
    case ENOMEM:
    case EFBIG:
    case ENXIO:
      return Errno(error);
    default:
      return Errno(EIO);
  }
}

// Returns how many bytes a write to the range may allocate at most. `beyond_end`: blocks may have
// been reserved beyond the end of the file.
uint64_t MissingBytes(int descriptor, uint64_t offset, uint64_t length, bool beyond_end) {
  struct stat file;
  if (length == 0 || fstat(descriptor, &file) != 0) return length;
  const uint64_t begin = offset / kPageSize * kPageSize;
  const uint64_t end = (offset + length + kPageSize - 1) / kPageSize * kPageSize;
  const uint64_t size_in_pages =
      (static_cast<uint64_t>(file.st_size) + kPageSize - 1) / kPageSize * kPageSize;
  // lseek(2) reports pages that fallocate(2) reserved as holes. If no block lies beyond the end, as
  // many blocks as the file has pages mean that there is no hole.
  const bool whole =
      !beyond_end && static_cast<uint64_t>(file.st_blocks) * kBlockBytes >= size_in_pages;
  if (whole && end <= size_in_pages) return 0;
  uint64_t missing = 0;
  for (uint64_t at = begin; at < end;) {
    const off_t data = lseek(descriptor, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 || static_cast<uint64_t>(data) >= end) return missing + (end - at);
    missing += static_cast<uint64_t>(data) - at;
    const off_t hole = lseek(descriptor, data, SEEK_HOLE);
    if (hole < 0) return missing;
    at = (static_cast<uint64_t>(hole) + kPageSize - 1) / kPageSize * kPageSize;
  }
  return missing;
}

Result<void> Fallocate(int descriptor, int mode, uint64_t offset, uint64_t length) {
  while (fallocate(descriptor, mode, static_cast<off_t>(offset), static_cast<off_t>(length)) != 0) {
    if (errno != EINTR) return FromErrno(errno);
  }
  return {};
}

}  // namespace

PassthroughFile::~PassthroughFile() {
  if (exists_.load()) {
    // The memory of a backing file is not freed while the file is registered.
    Unregister(store_->backing_id_cache()->Take(ino()));
    store_->RemoveFile(ino());
  }
  account_->ReleaseKernelBytes(charged_.load());
  store_->ReleaseUnused(/*all=*/false);
}

int32_t PassthroughFile::AdoptBackingFile(RecordFile* records, const BackingState& found) {
  exists_.store(true);
  // It is not known whether there are any.
  reserved_beyond_end_.store(true);
  size_.store(found.size, std::memory_order_release);
  blocks_.store(found.blocks, std::memory_order_release);
  (void)SetCharge(account_, 0, found.blocks * kBlockBytes);
  const InodeAttributes& counts = record_->attributes;
  Transaction change(records);
  PackedTimes* const times = change.Edit(&record_->attributes);
  const PackedTime atime = times->atime;
  state_.Adopt(found, times, counts.opens, counts.read_write_opens);
  // The store does not know the flag of chattr(1) +A.
  if ((counts.flags & FS_NOATIME_FL) != 0) times->atime = atime;
  change.Commit();
  // The kernel does not open a file again with another number.
  MutexLock lock(&mu_);
  backing_id_ = counts.opens == 0 ? 0 : record_->backing_id;
  return backing_id_;
}

Result<void> PassthroughFile::WithFixedCharges(absl::FunctionRef<Result<void>()> body) {
  MutexLock lock(&charge_mu_);
  return body();
}

void PassthroughFile::SetAccount(Account* account) {
  charge_mu_.AssertHeld();
  account_ = account;
}

bool PassthroughFile::SetCharge(Account* account, uint64_t before, uint64_t bytes) {
  // The usage is added before another thread can release it.
  if (bytes > before) account->AddKernelBytes(bytes - before);
  uint64_t expected = before;
  if (!charged_.compare_exchange_strong(expected, bytes)) {
    if (bytes > before) account->ReleaseKernelBytes(bytes - before);
    return false;
  }
  if (bytes < before) account->ReleaseKernelBytes(before - bytes);
  return true;
}

Result<void> PassthroughFile::Charged(int descriptor, uint64_t offset, uint64_t length,
                                      absl::FunctionRef<Result<void>()> change) {
  {
    MutexLock lock(&charge_mu_);
    if (account_->has_byte_limit()) {
      const uint64_t missing =
          MissingBytes(descriptor, offset, length, reserved_beyond_end_.load());
      MEMFUSE_RETURN_IF_ERROR(account_->ReserveKernelBytes(missing));
      charged_writes_.fetch_add(1);
      charged_.fetch_add(missing);
      const Result<void> result = change();
      struct stat now;
      if (fstat(descriptor, &now) == 0) {
        const uint64_t bytes = static_cast<uint64_t>(now.st_blocks) * kBlockBytes;
        // Only a look that began before this write can change charged_, and each at most once.
        while (!SetCharge(account_, charged_.load(), bytes)) {
        }
      }
      charged_writes_.fetch_sub(1);
      return result;
    }
  }
  return change();
}

Result<uint64_t> PassthroughFile::ChargedInPieces(
    int descriptor, uint64_t offset, uint64_t length,
    absl::FunctionRef<Result<uint64_t>(uint64_t done, uint64_t piece)> change) {
  uint64_t done = 0;
  uint64_t piece = length;
  Result<void> failed;
  while (done < length) {
    piece = std::min(piece, length - done);
    const uint64_t at = offset + done;
    uint64_t changed = 0;
    failed = Charged(descriptor, at, piece, [&]() -> Result<void> {
      MEMFUSE_ASSIGN_OR_RETURN(changed, change(done, piece));
      return {};
    });
    done += changed;
    if (failed.ok()) ForgetRefusedCharge();  // of a larger piece
    if (!failed.ok() && failed.error() == EDQUOT) {
      // Half of the pages, or the part in the first page.
      const uint64_t first_end = (at / kPageSize + 1) * kPageSize;
      if (at + piece <= first_end) break;
      const uint64_t half = (at + piece / 2) / kPageSize * kPageSize;
      piece = std::max(half, first_end) - at;
    } else if (!failed.ok() || changed < piece) {
      break;
    }
  }
  if (done == 0 && !failed.ok()) return failed.error();
  return done;
}

void PassthroughFile::Unregister(int32_t id) {
  BackingFiles* const backing = store_->backing_files();
  if (id != 0 && backing != nullptr) backing->Unregister(id);
}

Result<base::UniqueFd> PassthroughFile::DescriptorLocked(int flags) {
  if (exists_.load(std::memory_order_relaxed)) return store_->OpenFile(ino(), flags);
  // O_PATH cannot create a file. The descriptor that is registered must not count as a writer of
  // the file.
  const bool place_only = (flags & O_PATH) != 0;
  Result<base::UniqueFd> made = store_->CreateFile(ino(), place_only ? O_RDONLY : flags);
  if (made.ok()) exists_.store(true);
  return made;
}

Result<base::UniqueFd> PassthroughFile::Descriptor(int flags) {
  if (exists_.load()) return store_->OpenFile(ino(), flags);
  MutexLock lock(&mu_);
  return DescriptorLocked(flags);
}

void PassthroughFile::Changed(int descriptor) {
  struct stat now;
  if (fstat(descriptor, &now) == 0) {
    size_.store(static_cast<uint64_t>(now.st_size), std::memory_order_release);
    blocks_.store(static_cast<uint64_t>(now.st_blocks), std::memory_order_release);
  }
  state_.NoteChange();
}

Result<void> PassthroughFile::Open(uint32_t flags, FileOpen* open) {
  BackingFiles* const backing = store_->backing_files();
  if (backing == nullptr) {
    // Every read and write is a request. Caching is disabled because nothing else would keep a
    // cache valid.
    open->direct_io = true;
    return {};
  }
  MutexLock lock(&mu_);
  if (backing_id_ == 0) backing_id_ = store_->backing_id_cache()->Take(ino());
  if (backing_id_ == 0) {
    // The registered descriptor only identifies the file: the kernel opens the backing file anew
    // for each open(2).
    MEMFUSE_ASSIGN_OR_RETURN(const base::UniqueFd file, DescriptorLocked(O_PATH));
    MEMFUSE_ASSIGN_OR_RETURN(backing_id_, backing->Register(file.get()));
    StoreInOrder(&record_->backing_id, backing_id_);
  }
  // The kernel received the attributes so far with permission to cache them, and it does not ask
  // for them again after a store through a mapping.
  open->attributes_stale = (flags & O_ACCMODE) == O_RDWR && state_.writable_opens() == 0;
  state_.NoteOpen(flags);
  // The kernel may have the attributes in its cache, and may write within the tick in which their
  // times were made. Taking a time stamp now gives that write a later one. BackingTimes::Merge does
  // the same for attributes that the kernel asks for while the file is open.
  if ((flags & O_ACCMODE) != O_RDONLY) (void)base::Now();
  open->backing_id = backing_id_;
  const bool charged = (flags & O_ACCMODE) != O_RDONLY && open->byte_limit;
  open->direct_io = (flags & O_APPEND) != 0 || charged;
  return {};
}

void PassthroughFile::Close(uint32_t flags) {
  int32_t unused = 0;
  {
    MutexLock lock(&mu_);
    if (!state_.open()) return;
    state_.NoteClose(flags);
    if (!state_.open()) {
      const int32_t id = std::exchange(backing_id_, 0);
      const bool valid = id != 0 && store_->backing_files() != nullptr;
      if (valid) unused = store_->backing_id_cache()->Put(ino(), id);
    }
  }
  if (unused == 0) return;
  Unregister(unused);
  store_->backing_id_cache()->NoteUnregistered(ino(), unused);
}

CacheSeconds PassthroughFile::SyncFromBackingFile(Times* times) {
  if (!exists_.load()) return kCacheForever;
  if (!state_.BeginLook([this] { return store_->HasWriters(ino()); })) return kCacheForever;
  // A charged write changes charged_ before it changes the file, and settles the charge itself.
  const uint64_t charged = charged_.load();
  const bool settles = charged_writes_.load() == 0;
  const Result<BackingState> found = store_->StatFile(ino());
  if (!found.ok()) {
    state_.NoteChange();  // the next call looks again
    return 0;
  }
  size_.store(found->size, std::memory_order_release);
  blocks_.store(found->blocks, std::memory_order_release);
  if (settles) (void)SetCharge(account_, charged, found->blocks * kBlockBytes);
  return state_.Merge(*found, times);
}

void PassthroughFile::SetBackingTimes(const Times& times, bool chosen) {
  if (!exists_.load()) return;
  if (!chosen) {
    // The kernel decides by the times of the backing file whether a read moves atime.
    const Timestamp now = base::WallTime();
    if (RelatimeIsDue(times, now) == state_.ReadMovesAtime(now)) return;
  }
  // mtime of the backing file may be that of a write that was not looked at yet, so it is changed
  // only if it was chosen.
  const Timestamp* const mtime = chosen ? &times.mtime : nullptr;
  store_->SetFileTimes(ino(), times.atime, mtime);
  const Result<BackingState> found = store_->StatFile(ino());
  if (found.ok()) state_.NoteTimesSet(*found, mtime);
}

Result<size_t> PassthroughFile::Read(uint64_t offset, absl::Span<char> out) {
  if (!exists_.load() || offset > kMaxFileSize) return size_t{0};
  // The kernel rejects a range that ends beyond the largest off_t.
  out = out.subspan(0, static_cast<size_t>(std::min<uint64_t>(out.size(), kMaxFileSize - offset)));
  MEMFUSE_ASSIGN_OR_RETURN(const base::UniqueFd file, Descriptor(O_RDONLY | O_NOATIME));
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t n =
        pread(file.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FromErrno(errno);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

Result<size_t> PassthroughFile::ReadTo(uint64_t offset, ReadSink* sink, bool to_page_cache,
                                       absl::FunctionRef<void()> /*attributes_stale*/) {
  if (to_page_cache && store_->backing_files() != nullptr) return Errno(EINVAL);
  return Read(offset, sink->buffer());
}

Result<size_t> PassthroughFile::WriteAndStamp(uint64_t offset, absl::Span<const char> data,
                                              std::optional<Timestamp>* /*time*/) {
  if (data.empty()) return size_t{0};
  if (EndsTooFar(offset, data.size())) return Errno(EFBIG);
  MEMFUSE_ASSIGN_OR_RETURN(const base::UniqueFd file, Descriptor(O_RDWR | O_NOATIME));
  const auto write = [&](uint64_t at, uint64_t length) -> Result<uint64_t> {
    const absl::Span<const char> piece = data.subspan(at, length);
    size_t done = 0;
    while (done < piece.size()) {
      const ssize_t n = pwrite(file.get(), piece.data() + done, piece.size() - done,
                               static_cast<off_t>(offset + at + done));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0 && done == 0) return FromErrno(n < 0 ? errno : EIO);
      if (n <= 0) break;
      done += static_cast<size_t>(n);
    }
    return uint64_t{done};
  };
  const Result<uint64_t> done = ChargedInPieces(file.get(), offset, data.size(), write);
  Changed(file.get());
  if (!done.ok()) return done.error();
  return static_cast<size_t>(*done);
}

Result<uint64_t> PassthroughFile::CopyFrom(FileData* source, uint64_t offset_in,
                                           uint64_t offset_out, uint64_t length) {
  auto* const other = static_cast<PassthroughFile*>(source);
  if (!other->exists_.load()) return uint64_t{0};
  MEMFUSE_ASSIGN_OR_RETURN(const base::UniqueFd in, other->Descriptor(O_RDONLY | O_NOATIME));
  MEMFUSE_ASSIGN_OR_RETURN(const base::UniqueFd out, Descriptor(O_RDWR | O_NOATIME));
  const auto copy = [&](uint64_t at, uint64_t piece) -> Result<uint64_t> {
    auto from = static_cast<off_t>(offset_in + at);
    auto to = static_cast<off_t>(offset_out + at);
    uint64_t done = 0;
    while (done < piece) {
      const ssize_t n = copy_file_range(in.get(), &from, out.get(), &to,
                                        static_cast<size_t>(std::min(piece - done, kMaxCopy)), 0);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && done == 0) return FromErrno(errno);
      if (n <= 0) break;
      done += static_cast<uint64_t>(n);
    }
    return done;
  };
  const Result<uint64_t> done = ChargedInPieces(out.get(), offset_out, length, copy);
  Changed(out.get());
  return done;
}

Result<Resized> PassthroughFile::Truncate(uint64_t size) {
  if (size > kMaxFileSize) return Errno(EFBIG);
  if (size == 0 && !exists_.load()) return Resized{};
  MEMFUSE_ASSIGN_OR_RETURN(const base::UniqueFd file, Descriptor(O_RDWR | O_NOATIME));
  struct stat before;
  if (fstat(file.get(), &before) != 0) return Errno(EIO);
  // The caller decides whether this changes a time.
  if (before.st_blocks == 0 && static_cast<uint64_t>(before.st_size) == size) return Resized{};
  MEMFUSE_RETURN_IF_ERROR(Charged(file.get(), size, 0, [&]() -> Result<void> {
    while (ftruncate(file.get(), static_cast<off_t>(size)) != 0) {
      if (errno != EINTR) return FromErrno(errno);
    }
    return {};
  }));
  Changed(file.get());
  return Resized{static_cast<uint64_t>(before.st_size) != size, before.st_blocks != 0};
}

Result<void> PassthroughFile::Allocate(uint64_t offset, uint64_t length, bool keep_size) {
  if (EndsTooFar(offset, length)) return Errno(EFBIG);
  MEMFUSE_ASSIGN_OR_RETURN(const base::UniqueFd file, Descriptor(O_RDWR | O_NOATIME));
  if (keep_size) reserved_beyond_end_.store(true);
  MEMFUSE_RETURN_IF_ERROR(Charged(file.get(), offset, length, [&] {
    return Fallocate(file.get(), keep_size ? FALLOC_FL_KEEP_SIZE : 0, offset, length);
  }));
  Changed(file.get());
  return {};
}

Result<void> PassthroughFile::PunchHole(uint64_t offset, uint64_t length) {
  if (offset > kMaxFileSize) return {};
  length = std::min(length, kMaxFileSize - offset);
  if (length == 0 || !exists_.load()) return {};
  MEMFUSE_ASSIGN_OR_RETURN(const base::UniqueFd file, Descriptor(O_RDWR | O_NOATIME));
  // The charge follows at once, so that the space can be reserved again.
  MEMFUSE_RETURN_IF_ERROR(Charged(file.get(), offset, 0, [&] {
    return Fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
  }));
  Changed(file.get());
  return {};
}

Result<void> PassthroughFile::ZeroRange(uint64_t offset, uint64_t length, bool keep_size) {
  // tmpfs does not support FALLOC_FL_ZERO_RANGE. The first call reserves the space, or fails before
  // any data is lost. The last call reserves it again, which fails only if another program takes
  // the space in the meantime.
  MEMFUSE_RETURN_IF_ERROR(Allocate(offset, length, keep_size));
  MEMFUSE_RETURN_IF_ERROR(PunchHole(offset, length));
  return Allocate(offset, length, keep_size);
}

Result<uint64_t> PassthroughFile::Seek(uint64_t offset, int whence) {
  if (offset > kMaxFileSize || !exists_.load()) return Errno(ENXIO);
  MEMFUSE_ASSIGN_OR_RETURN(const base::UniqueFd file, Descriptor(O_RDONLY | O_NOATIME));
  const off_t found = lseek(file.get(), static_cast<off_t>(offset), whence);
  if (found < 0) return FromErrno(errno);
  return static_cast<uint64_t>(found);
}

}  // namespace memfuse::memfs
