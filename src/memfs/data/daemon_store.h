// The daemon store (--data=daemon): file data in pages of the arena.

#ifndef MEMFUSE_SRC_MEMFS_DATA_DAEMON_STORE_H_
#define MEMFUSE_SRC_MEMFS_DATA_DAEMON_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "src/memfs/data/arena.h"
#include "src/memfs/data/daemon_file.h"
#include "src/memfs/space/budget.h"
#include "src/memfs/tree/data_store.h"
#include "src/memfs/tree/inode.h"

namespace memfuse::memfs {

struct DaemonStoreOptions {
  // The option huge= of tmpfs(5), for the memory file of the arena. "auto" means within_size if the
  // system permits it for this user and the size limit is at least 64 MiB, and never otherwise.
  // Small files lie side by side in a huge page, so huge pages do not cost extra memory for small
  // files as they do on a tmpfs.
  std::string huge = "auto";
  bool noswap = false;
  bool writeback_cache = false;  // the kernel collects writes
};

class DaemonStore final : public DataStore {
 public:
  // `records` and `budget` must outlive the store. Returns the errors of MakePrivateFile, if the
  // options need a private file, and those of Arena::Make.
  static absl::StatusOr<std::unique_ptr<DaemonStore>> Make(const DaemonStoreOptions& options,
                                                           RecordFile* records, Budget* budget);
  // Makes the store again from the memory file of a process that has died, with the value of huge()
  // that it had. Returns the errors of Arena::Adopt. Throws std::bad_alloc.
  static absl::StatusOr<std::unique_ptr<DaemonStore>> Adopt(const DaemonStoreOptions& options,
                                                            base::UniqueFd file,
                                                            RecordFile* records, Budget* budget);

  RegularFile* NewRegularFile(Resources* resources, InodeRecordHolder record,
                              Reservation charge) override {
    return new FileOf<DaemonFile>(resources, std::move(record), std::move(charge), &storage_);
  }
  uint32_t file_cost() const override { return sizeof(FileOf<DaemonFile>); }
  uint64_t data_bytes() const override { return arena_->pages_in_use() * kPageSize; }
  uint64_t free_bytes() const override { return budget_->bytes_free(); }
  Result<void> SetSizeLimit(uint64_t bytes) override {
    if (!budget_->SetByteLimit(bytes)) return Errno(EINVAL);
    return {};
  }
  void SetCeiling(uint64_t bytes) override { budget_->SetCeiling(bytes); }
  int descriptor() const override { return arena_->descriptor(); }
  Result<void> FinishAdoption(RecordFile* /*records*/,
                              absl::FunctionRef<FileData*(InodeNumber)> /*find*/) override {
    return arena_->FreeUnowned();
  }
  void ReleaseUnused(bool all) override {
    if (all) return;
    // The memory that is released below does not count as used in the budget, so a call for all of
    // the unused budget has nothing to do.
    arena_->ReleaseEmptyGroups();
    arena_->ForgetMappings();
  }

  // The effective value: never, within_size, advise or always.
  const std::string& huge() const { return huge_; }

 private:
  DaemonStore(std::unique_ptr<Arena> arena, const DaemonStoreOptions& options, std::string huge,
              RecordFile* records, Budget* budget);

  const std::unique_ptr<Arena> arena_;
  const DaemonStorage storage_;
  Budget* const budget_;
  const std::string huge_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_DATA_DAEMON_STORE_H_
