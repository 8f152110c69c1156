// The passthrough store (--data=passthrough): file data in a private tmpfs that is mounted nowhere,
// with one backing file for each regular file. The kernel reads and writes the backing files itself
// (FUSE passthrough). The daemon creates and removes them, and looks at their attributes.
//
// Limit. The tmpfs has the mount option size=, so the kernel enforces the limit on writes that the
// daemon never sees. Everything else that memfs stores counts against the same limit: the store
// raises the limit of the budget in steps, and makes the tmpfs smaller by the same amount
// (reserved_). The sum of both is therefore the limit at any time. Reserved space that is not used
// is returned to the tmpfs by ReleaseUnused, which leaves up to about three steps. A change of the
// limit sets the size of the tmpfs to the new limit less the reserved space; the kernel checks
// whether the existing data fits.
//
// Backing files are named by inode number and opened when they are needed, so the daemon needs one
// descriptor per thread and not one per file.

#ifndef MEMFUSE_SRC_MEMFS_DATA_PASSTHROUGH_STORE_H_
#define MEMFUSE_SRC_MEMFS_DATA_PASSTHROUGH_STORE_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memfuse/errno.h"
#include "memfuse/filesystem.h"
#include "src/base/unique_fd.h"
#include "src/memfs/data/backing_id_cache.h"
#include "src/memfs/data/backing_times.h"
#include "src/memfs/data/private_tmpfs.h"
#include "src/memfs/space/budget.h"
#include "src/memfs/space/lock_order.h"
#include "src/memfs/tree/data_store.h"

namespace memfuse::memfs {

class PassthroughStore final : public DataStore, private SpaceSource {
 public:
  // `options.size_limit` is the limit of file data and of what the budget counts, together. From
  // then on the store is the SpaceSource of `budget`, which must outlive the store. Returns
  // PermissionDenied (CAP_SYS_ADMIN is needed), Unimplemented (the kernel has no support),
  // InvalidArgument (huge or noswap is not supported; no page is left for data) or
  // ResourceExhausted.
  // The IDs of registered files are in `ids`, which must outlive the store.
  static absl::StatusOr<std::unique_ptr<PassthroughStore>> Make(const PrivateTmpfsOptions& options,
                                                                CachedBackingIds* ids,
                                                                Budget* budget);
  // Makes the store again from the mount of a process that has died. `options.size_limit` counts
  // from FinishAdoption on. Returns FailedPrecondition if the mount does not have the directories
  // of a store; ResourceExhausted.
  static absl::StatusOr<std::unique_ptr<PassthroughStore>> Adopt(const PrivateTmpfsOptions& options,
                                                                 base::UniqueFd mount,
                                                                 CachedBackingIds* ids,
                                                                 Budget* budget);
  ~PassthroughStore() override;

  // Called before the first request: opens are served from backing files from then on. If it fails,
  // they are not, and the message gives the reason in one clause. After Adopt it also unregisters
  // what another process has registered, except for files that are open. Returns
  // FailedPrecondition.
  absl::Status UseBackingFiles(BackingFiles* backing);
  // Called after the last request.
  void ForgetBackingFiles() {
    ended_.store(true);
    backing_.store(nullptr);
    backing_id_cache_.Clear();
  }
  BackingFiles* backing_files() const { return backing_.load(std::memory_order_relaxed); }
  // Backing IDs of files that are closed.
  BackingIdCache* backing_id_cache() { return &backing_id_cache_; }

  int descriptor() const override { return mount_.get(); }
  // Gives each backing file to its PassthroughFile, and removes those that belong to no file.
  Result<void> FinishAdoption(RecordFile* records,
                              absl::FunctionRef<FileData*(InodeNumber)> find) override;
  void Abandon() override { ended_.store(true); }
  RegularFile* NewRegularFile(Resources* resources, InodeRecordHolder record,
                              Reservation charge) override;
  uint32_t file_cost() const override;
  bool kernel_writes() const override { return true; }
  uint64_t data_bytes() const override;
  uint64_t free_bytes() const override;
  Result<void> SetSizeLimit(uint64_t bytes) override;
  void SetCeiling(uint64_t bytes) override;
  Result<void> KeepAccessTimes(bool keep) override;
  void ReleaseUnused(bool all) override;

  // Backing files, identified by the number of their inode. CreateFile never returns EEXIST,
  // because inode numbers are not reused. CreateFile and OpenFile return ENOSPC, ENOMEM, EMFILE,
  // ENFILE or EIO.
  Result<base::UniqueFd> CreateFile(InodeNumber ino, int flags);
  Result<base::UniqueFd> OpenFile(InodeNumber ino, int flags);
  void RemoveFile(InodeNumber ino) noexcept;
  // Returns EIO if the backing file cannot be found.
  Result<BackingState> StatFile(InodeNumber ino) const;
  // utimensat(2) for atime, and for mtime unless it is null. Errors are ignored.
  void SetFileTimes(InodeNumber ino, Timestamp atime, const Timestamp* mtime);
  // Whether a program may still write to the backing file, by an open file or by a mapping that
  // remains after close(2). Returns true if this cannot be found out.
  bool HasWriters(InodeNumber ino);

 private:
  // Names are spread over several directories, because the kernel creates and removes names in one
  // directory of a tmpfs one at a time.
  static constexpr size_t kDirectories = 16;
  struct FileName {
    explicit FileName(InodeNumber ino);
    char text[20];
  };

  PassthroughStore(const PrivateTmpfsOptions& options, base::UniqueFd mount, CachedBackingIds* ids,
                   Budget* budget);

  // Opens the directories, after making them if `make` is true. Returns FailedPrecondition if there
  // is none, or ResourceExhausted.
  absl::Status OpenDirectories(bool make);
  // FinishAdoption for one of the directories. Adds the backing IDs of open files to `ids`.
  Result<void> AdoptFilesOf(int place, RecordFile* records,
                            absl::FunctionRef<FileData*(InodeNumber)> find,
                            std::vector<int32_t>* ids);
  bool AttachBudget();
  // Unregisters the IDs of another process that belong to no open file. `next` was registered after
  // them.
  void UnregisterLeftIds(BackingFiles* backing, int32_t next);
  // What files and the budget may take together now.
  uint64_t limit() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return std::min(size_limit_, ceiling_);
  }
  // Gives the tmpfs what the limit leaves to it, but not less than it holds.
  void ApplyLimit() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Grow(uint64_t bytes) override;
  // Sets the size limit of the tmpfs. Returns EINVAL if its files take more; ENOMEM, EMFILE or
  // ENFILE.
  Result<void> Resize(uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Returns reserved bytes that are not used to the tmpfs, all but `kept`, if at least `least`
  // bytes are not used.
  void ShrinkLocked(uint64_t least, uint64_t kept) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  int directory(InodeNumber ino) const { return directories_[ToInt(ino) % kDirectories].get(); }

  std::atomic<uint64_t> step_;
  const bool noswap_;
  Budget* const budget_;
  const base::UniqueFd mount_;
  std::array<base::UniqueFd, kDirectories> directories_;  // constant after Make
  std::atomic<BackingFiles*> backing_{nullptr};
  std::atomic<bool> ended_{false};  // backing files are not removed any more
  CachedBackingIds& cached_ids_;
  BackingIdCache backing_id_cache_{&cached_ids_};
  bool adopted_ = false;             // constant after Adopt
  std::vector<int32_t> ids_in_use_;  // of files that were open when they were adopted

  mutable LeafMutex mu_;
  uint64_t size_limit_ ABSL_GUARDED_BY(mu_);              // whole pages, because a tmpfs rounds up
  uint64_t ceiling_ ABSL_GUARDED_BY(mu_) = ~uint64_t{0};  // see SetCeiling
  bool limit_applied_ ABSL_GUARDED_BY(mu_) = true;        // by the last ApplyLimit
  // The bytes by which the budget's limit was raised and the tmpfs was made smaller.
  uint64_t reserved_ ABSL_GUARDED_BY(mu_) = 0;
  base::UniqueFd config_ ABSL_GUARDED_BY(mu_);  // the descriptor that fspick(2) returned
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_DATA_PASSTHROUGH_STORE_H_
