// File data in a private tmpfs that is mounted nowhere, one file there for each file here. The
// kernel reads and writes them by itself (FUSE passthrough); the daemon names them, and asks what
// became of them.
//
// Limit. The tmpfs has `size=`, so the kernel enforces the limit on writes that the daemon never
// sees. What memfs stores beside file data comes out of the same limit: the store lends it to the
// budget in steps, by which it makes the tmpfs smaller. So the sum is the limit at any moment, and
// a step or two of it may be reserved and not used. To change the limit is to change the tmpfs's,
// less what is lent; whether the data that is there fits, the kernel says.
//
// Files are named by inode number and opened when they are needed: a descriptor per thread, not per
// file.

#ifndef MEMFUSE_SRC_MEMFS_PASSTHROUGH_STORE_H_
#define MEMFUSE_SRC_MEMFS_PASSTHROUGH_STORE_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memfuse/errno.h"
#include "memfuse/filesystem.h"
#include "src/base/unique_fd.h"
#include "src/memfs/backing_id_cache.h"
#include "src/memfs/backing_times.h"
#include "src/memfs/budget.h"
#include "src/memfs/data_store.h"
#include "src/memfs/lock_order.h"
#include "src/memfs/private_tmpfs.h"

namespace memfuse::memfs {

class PassthroughStore final : public DataStore, private QuotaSource {
 public:
  // `options.size_limit` holds for file data and for what the budget holds, together.
  // From here on `budget`, which outlives the store, is lent its limit by the store.
  // PermissionDenied (CAP_SYS_ADMIN is needed), Unimplemented (a kernel without it),
  // InvalidArgument (huge, noswap; no page is left for data), ResourceExhausted.
  static absl::StatusOr<std::unique_ptr<PassthroughStore>> Make(const PrivateTmpfsOptions& options,
                                                                Budget* budget);
  ~PassthroughStore() override;

  // Before the first request: opens are served from backing files from now on. On failure, with one
  // clause that says why not, they are not. FailedPrecondition.
  absl::Status UseBackingFiles(BackingFiles* backing);
  // After the last request.
  void ForgetBackingFiles() {
    backing_.store(nullptr);
    backing_id_cache_.Clear();
  }
  BackingFiles* backing_files() const { return backing_.load(std::memory_order_relaxed); }
  // Of files that are closed.
  BackingIdCache* backing_id_cache() { return &backing_id_cache_; }

  RegularFile* NewRegularFile(Resources* resources, InodeNumber ino, Timestamp born,
                              Reservation charge) override;
  uint32_t file_cost() const override;
  uint64_t data_bytes() const override;
  uint64_t free_bytes() const override;
  Result<void> SetSizeLimit(uint64_t bytes) override;
  Result<void> KeepAccessTimes(bool keep) override;
  void ReleaseUnused(bool all) override;

  // Files, by the number of the inode that they belong to.
  // EEXIST never: inode numbers are not used again. ENOSPC, ENOMEM, EMFILE, ENFILE.
  Result<base::UniqueFd> CreateFile(InodeNumber ino, int flags);
  Result<base::UniqueFd> OpenFile(InodeNumber ino, int flags);
  void RemoveFile(InodeNumber ino) noexcept;
  // EIO: it is not there.
  Result<BackingState> StatFile(InodeNumber ino) const;
  // utimensat(2), of mtime too unless it is null; what goes wrong is of no consequence.
  void SetFileTimes(InodeNumber ino, Timestamp atime, const Timestamp* mtime);
  // Whether somebody, by an open file or by a mapping that outlived it, may still write to it.
  bool HasWriters(InodeNumber ino);

 private:
  // Names in one directory of a tmpfs are made and removed one at a time.
  static constexpr size_t kDirectories = 16;
  struct FileName {
    explicit FileName(InodeNumber ino);
    char text[20];
  };

  PassthroughStore(const PrivateTmpfsOptions& options, Budget* budget, base::UniqueFd mount);

  bool AttachBudget();
  bool Grow(uint64_t bytes) override;
  // Sets the tmpfs's limit. EINVAL: its files take more; ENOMEM, EMFILE, ENFILE.
  Result<void> Resize(uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ShrinkLocked(uint64_t least, uint64_t kept) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  int directory(InodeNumber ino) const { return directories_[ToInt(ino) % kDirectories].get(); }

  std::atomic<uint64_t> step_;
  const bool noswap_;
  Budget* const budget_;
  const base::UniqueFd mount_;
  std::array<base::UniqueFd, kDirectories> directories_;  // constant after Make
  std::atomic<BackingFiles*> backing_{nullptr};
  BackingIdCache backing_id_cache_;

  mutable LeafMutex mu_;
  uint64_t size_limit_ ABSL_GUARDED_BY(mu_);  // whole pages: a tmpfs rounds up
  uint64_t reserved_ ABSL_GUARDED_BY(mu_) = 0;
  base::UniqueFd config_ ABSL_GUARDED_BY(mu_);  // fspick(2)'s
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_PASSTHROUGH_STORE_H_
