#include "src/memfs/data/passthrough_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "src/base/error_text.h"
#include "src/base/parallel.h"
#include "src/memfs/data/arena.h"
#include "src/memfs/data/passthrough_file.h"
#include "src/memfs/tree/inode.h"

namespace memfuse::memfs {
namespace {

// The memory that the kernel uses for a file of a tmpfs: inode, name, and the registered file.
constexpr uint32_t kKernelCost = 1024;

uint64_t RoundUp(uint64_t bytes, uint64_t unit) { return (bytes + unit - 1) / unit * unit; }

// The amount by which the budget's limit is raised at once: small in relation to the limit, but
// large enough to justify the two system calls that it takes.
uint64_t StepFor(uint64_t limit) {
  return std::clamp<uint64_t>(RoundUp(limit / 1024, kPageSize), kPageSize, 1 << 20);
}

// The status for a system call that failed on an existing tmpfs.
absl::Status FromErrno(absl::string_view what, int error) {
  return absl::ResourceExhaustedError(absl::StrCat(what, ": ", base::ErrorText(error)));
}

// Allocates nothing, because destructors call it.
bool SetNumber(int context, const char* key, uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof(text), "%" PRIu64, value);
  return fsconfig(context, FSCONFIG_SET_STRING, key, text, 0) == 0;
}

Timestamp FromStatx(const statx_timestamp& time) { return {time.tv_sec, time.tv_nsec}; }

timespec ToTimespec(Timestamp time) {
  return {static_cast<time_t>(time.seconds), static_cast<long>(time.nanoseconds)};
}

Errno OpenError(int error) {
  switch (error) {
    case ENOSPC:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return Errno(error);
    default:
      return Errno(EIO);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<PassthroughStore>> PassthroughStore::Make(
    const PrivateTmpfsOptions& options, CachedBackingIds* ids, Budget* budget) {
  if (RoundUp(budget->bytes_used(), kPageSize) + kPageSize > options.size_limit) {
    return absl::InvalidArgumentError("the size is too small for a private tmpfs");
  }
  absl::StatusOr<base::UniqueFd> mount = MountPrivateTmpfs(options);
  if (!mount.ok()) return mount.status();
  std::unique_ptr<PassthroughStore> store(
      new PassthroughStore(options, *std::move(mount), ids, budget));
  if (absl::Status opened = store->OpenDirectories(/*make=*/true); !opened.ok()) return opened;
  if (!store->AttachBudget()) {
    return absl::ResourceExhaustedError("a private tmpfs does not take its limit");
  }
  return store;
}

absl::StatusOr<std::unique_ptr<PassthroughStore>> PassthroughStore::Adopt(
    const PrivateTmpfsOptions& options, base::UniqueFd mount, CachedBackingIds* ids,
    Budget* budget) {
  std::unique_ptr<PassthroughStore> store(
      new PassthroughStore(options, std::move(mount), ids, budget));
  store->adopted_ = true;
  if (absl::Status opened = store->OpenDirectories(/*make=*/false); !opened.ok()) return opened;
  return store;
}

absl::Status PassthroughStore::OpenDirectories(bool make) {
  for (size_t i = 0; i < kDirectories; ++i) {
    const std::string name = absl::StrCat(i);
    if (make && mkdirat(mount_.get(), name.c_str(), 0700) != 0) {
      return FromErrno("a private tmpfs cannot be filled", errno);
    }
    directories_[i] =
        base::UniqueFd(openat(mount_.get(), name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (directories_[i].valid()) continue;
    if (errno == ENOENT || errno == ENOTDIR) {
      return absl::FailedPreconditionError("the private tmpfs does not have the files' data");
    }
    return FromErrno("a private tmpfs cannot be opened", errno);
  }
  return absl::OkStatus();
}

Result<void> PassthroughStore::FinishAdoption(RecordFile* records,
                                              absl::FunctionRef<FileData*(InodeNumber)> find) {
  // Most of the time is spent in system calls for each file.
  std::array<std::vector<int32_t>, kDirectories> ids;
  std::array<int, kDirectories> errors = {};
  base::RunInParallel(kDirectories, records->ScanThreads(), [&](size_t i) {
    const Result<void> adopted = AdoptFilesOf(directories_[i].get(), records, find, &ids[i]);
    if (!adopted.ok()) errors[i] = adopted.error().value();
  });
  for (size_t i = 0; i < kDirectories; ++i) {
    if (errors[i] != 0) return Errno(errors[i]);
    ids_in_use_.insert(ids_in_use_.end(), ids[i].begin(), ids[i].end());
  }
  // The caller sets the limit again, with regard to what the files take.
  (void)AttachBudget();
  return {};
}

Result<void> PassthroughStore::AdoptFilesOf(int place, RecordFile* records,
                                            absl::FunctionRef<FileData*(InodeNumber)> find,
                                            std::vector<int32_t>* ids) {
  const int descriptor = openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return OpenError(errno);
  DIR* const directory = fdopendir(descriptor);
  if (directory == nullptr) {
    close(descriptor);
    return Errno(ENOMEM);
  }
  const absl::Cleanup close_directory = [directory] { closedir(directory); };
  for (;;) {
    errno = 0;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread uses this DIR
    const dirent* const entry = readdir(directory);
    if (entry == nullptr && errno != 0) return OpenError(errno);
    if (entry == nullptr) return {};
    if (entry->d_name[0] == '.') continue;
    const InodeNumber ino{std::strtoull(entry->d_name, nullptr, 16)};
    FileData* const data = find(ino);
    if (data == nullptr) {
      RemoveFile(ino);
      continue;
    }
    MEMFUSE_ASSIGN_OR_RETURN(const BackingState found, StatFile(ino));
    const int32_t id = static_cast<PassthroughFile*>(data)->AdoptBackingFile(records, found);
    if (id != 0) ids->push_back(id);
  }
}

bool PassthroughStore::AttachBudget() {
  MutexLock lock(&mu_);
  const uint64_t used = budget_->bytes_used();
  budget_->UseSource(this);
  reserved_ = RoundUp(used, kPageSize);
  budget_->RaiseLimit(reserved_ - used);
  return Resize(size_limit_ - std::min(size_limit_, reserved_)).ok();
}

PassthroughStore::PassthroughStore(const PrivateTmpfsOptions& options, base::UniqueFd mount,
                                   CachedBackingIds* ids, Budget* budget)
    : step_(StepFor(options.size_limit)),
      noswap_(options.noswap),
      budget_(budget),
      mount_(std::move(mount)),
      cached_ids_(*ids),
      size_limit_(options.size_limit / kPageSize * kPageSize) {}

PassthroughStore::~PassthroughStore() { budget_->UseSource(nullptr); }

absl::Status PassthroughStore::UseBackingFiles(BackingFiles* backing) {
  Result<base::UniqueFd> file = CreateFile(kNoInode, O_RDONLY);
  if (!file.ok()) return absl::FailedPreconditionError("its tmpfs takes no files");
  const Result<int32_t> id = backing->Register(file->get());
  RemoveFile(kNoInode);
  if (!id.ok()) {
    return absl::FailedPreconditionError(
        id.error().value() == EPERM ? "it needs CAP_SYS_ADMIN in the initial user namespace"
                                    : absl::StrCat("the kernel refuses backing files: ",
                                                   base::ErrorText(id.error().value())));
  }
  if (adopted_) UnregisterLeftIds(backing, *id);
  backing->Unregister(*id);
  backing_.store(backing);
  return absl::OkStatus();
}

void PassthroughStore::UnregisterLeftIds(BackingFiles* backing, int32_t next) {
  // The last IDs that the kernel gave. A thread that was killed may have registered a file without
  // having stored its ID, and others have registered files since.
  constexpr int32_t kRecent = 16384;
  std::vector<int32_t> left(cached_ids_.cached, std::end(cached_ids_.cached));
  left.insert(left.end(), cached_ids_.closing, std::end(cached_ids_.closing));
  for (int32_t id = std::max(1, next - kRecent); id < next; ++id) left.push_back(id);
  std::sort(ids_in_use_.begin(), ids_in_use_.end());
  for (const int32_t id : left) {
    // Numbers that are not registered any more are no error.
    if (id > 0 && !std::binary_search(ids_in_use_.begin(), ids_in_use_.end(), id)) {
      backing->Unregister(id);
    }
  }
  std::memset(&cached_ids_, 0, sizeof(cached_ids_));
  ids_in_use_.clear();
}

RegularFile* PassthroughStore::NewRegularFile(Resources* resources, InodeRecordHolder record,
                                              Reservation charge) {
  return new FileOf<PassthroughFile>(resources, std::move(record), std::move(charge), this);
}

uint32_t PassthroughStore::file_cost() const {
  return sizeof(FileOf<PassthroughFile>) + kKernelCost;
}

uint64_t PassthroughStore::data_bytes() const {
  struct statfs s = {};
  if (fstatfs(mount_.get(), &s) != 0) return 0;
  return static_cast<uint64_t>(s.f_blocks - s.f_bfree) * static_cast<uint64_t>(s.f_bsize);
}

uint64_t PassthroughStore::free_bytes() const {
  struct statfs s = {};
  if (fstatfs(mount_.get(), &s) != 0) return 0;
  return static_cast<uint64_t>(s.f_bfree) * static_cast<uint64_t>(s.f_bsize);
}

Result<void> PassthroughStore::Resize(uint64_t bytes) {
  // The value 0 would mean no limit.
  bytes = std::max(bytes, kPageSize);
  if (!config_.valid()) {
    config_ = base::UniqueFd(fspick(mount_.get(), "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH));
  }
  const bool done =
      config_.valid() && SetNumber(config_.get(), "size", bytes) &&
      // An option that is not repeated counts as changed.
      (!noswap_ || fsconfig(config_.get(), FSCONFIG_SET_FLAG, "noswap", nullptr, 0) == 0) &&
      fsconfig(config_.get(), FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0) == 0;
  if (done) return {};
  const int error = errno;
  // A context that has failed cannot be used again.
  config_.reset();
  return Errno(error);
}

bool PassthroughStore::Grow(uint64_t bytes) {
  MutexLock lock(&mu_);
  if (bytes > limit()) return false;
  const uint64_t least = RoundUp(bytes, kPageSize);
  for (const uint64_t amount : {RoundUp(bytes, step_), least}) {
    if (amount + kPageSize > limit() || reserved_ > limit() - kPageSize - amount) continue;
    if (!Resize(limit() - reserved_ - amount).ok()) continue;
    reserved_ += amount;
    budget_->RaiseLimit(amount);
    return true;
  }
  return false;
}

Result<void> PassthroughStore::SetSizeLimit(uint64_t bytes) {
  bytes = bytes / kPageSize * kPageSize;
  MutexLock lock(&mu_);
  // Returns reserved space that is not used; otherwise the kernel might reject the new size because
  // of it.
  if (bytes < size_limit_) ShrinkLocked(/*least=*/kPageSize, /*kept=*/0);
  // One page is left for data, as in Make.
  if (bytes < reserved_ + kPageSize) return Errno(EINVAL);
  MEMFUSE_RETURN_IF_ERROR(Resize(bytes - reserved_));
  size_limit_ = bytes;
  step_ = StepFor(bytes);
  budget_->SetTotal(bytes);
  if (ceiling_ < bytes) ApplyLimit();
  return {};
}

void PassthroughStore::SetCeiling(uint64_t bytes) {
  MutexLock lock(&mu_);
  const uint64_t before = limit();
  ceiling_ = bytes / kPageSize * kPageSize;
  // The tmpfs keeps the size of its data when that is above the limit, so it has to follow when
  // files are removed.
  if (limit() != before || limit() < size_limit_ || !limit_applied_) ApplyLimit();
}

void PassthroughStore::ApplyLimit() {
  // A program may write more after its data was counted.
  constexpr int kTries = 3;
  for (int i = 0; i < kTries; ++i) {
    const uint64_t left = limit() - std::min(limit(), reserved_);
    const Result<void> resized = Resize(std::max(left, data_bytes()));
    limit_applied_ = resized.ok();
    if (resized.ok() || resized.error() != EINVAL) return;
  }
}

Result<void> PassthroughStore::KeepAccessTimes(bool keep) {
  mount_attr change = {};
  change.attr_clr = MOUNT_ATTR__ATIME;
  change.attr_set = keep ? MOUNT_ATTR_RELATIME : MOUNT_ATTR_NOATIME;
  if (mount_setattr(mount_.get(), "", AT_EMPTY_PATH, &change, sizeof(change)) != 0) {
    return Errno(errno);
  }
  return {};
}

void PassthroughStore::ReleaseUnused(bool all) {
  // A successor may use the tmpfs.
  if (ended_.load()) return;
  // Raising and lowering the limit alternately would cost two system calls each time.
  const uint64_t step = step_;
  const uint64_t least = all ? kPageSize : 3 * step;
  if (budget_->bytes_free() < least) return;
  MutexLock lock(&mu_);
  ShrinkLocked(least, /*kept=*/all ? 0 : step);
}

void PassthroughStore::ShrinkLocked(uint64_t least, uint64_t kept) {
  const uint64_t unused = budget_->bytes_free();
  if (unused < least) return;
  const uint64_t amount = (unused - kept) / kPageSize * kPageSize;
  if (!budget_->LowerLimit(amount)) return;
  if (limit() + amount < reserved_ || !Resize(limit() - reserved_ + amount).ok()) {
    budget_->RaiseLimit(amount);
    return;
  }
  reserved_ -= amount;
}

PassthroughStore::FileName::FileName(InodeNumber ino) {
  std::snprintf(text, sizeof(text), "%llx", static_cast<unsigned long long>(ToInt(ino)));
}

Result<base::UniqueFd> PassthroughStore::CreateFile(InodeNumber ino, int flags) {
  base::UniqueFd file(openat(directory(ino), FileName(ino).text,
                             flags | O_CREAT | O_EXCL | O_NOATIME | O_CLOEXEC, 0600));
  if (!file.valid()) return OpenError(errno);
  return file;
}

Result<base::UniqueFd> PassthroughStore::OpenFile(InodeNumber ino, int flags) {
  base::UniqueFd file(openat(directory(ino), FileName(ino).text, flags | O_CLOEXEC));
  if (!file.valid()) return OpenError(errno);
  return file;
}

void PassthroughStore::RemoveFile(InodeNumber ino) noexcept {
  // After the last request the private tmpfs goes as a whole. A program can still be in a write(2)
  // to a file, for as long as the source of its data does not answer; unlinkat(2) would wait for
  // it.
  if (!ended_.load()) unlinkat(directory(ino), FileName(ino).text, 0);
}

Result<BackingState> PassthroughStore::StatFile(InodeNumber ino) const {
  struct statx x;
  if (statx(directory(ino), FileName(ino).text, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
            STATX_BASIC_STATS | STATX_BTIME, &x) != 0) {
    return Errno(EIO);
  }
  return BackingState{x.stx_size,
                      x.stx_blocks,
                      {FromStatx(x.stx_atime), FromStatx(x.stx_mtime), FromStatx(x.stx_ctime)},
                      FromStatx(x.stx_btime)};
}

void PassthroughStore::SetFileTimes(InodeNumber ino, Timestamp atime, const Timestamp* mtime) {
  constexpr timespec kKeep = {0, UTIME_OMIT};
  const timespec spec[2] = {ToTimespec(atime), mtime == nullptr ? kKeep : ToTimespec(*mtime)};
  utimensat(directory(ino), FileName(ino).text, spec, AT_SYMLINK_NOFOLLOW);
}

bool PassthroughStore::HasWriters(InodeNumber ino) {
  const Result<base::UniqueFd> file = OpenFile(ino, O_RDONLY | O_NOATIME);
  // The kernel refuses a read lease while the file is open for writing or is mapped for writing.
  // The lease ends with the descriptor. If leases are not available, the result is true, which is
  // the safe answer.
  return !file.ok() || fcntl(file->get(), F_SETLEASE, F_RDLCK) != 0;
}

}  // namespace memfuse::memfs
