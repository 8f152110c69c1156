// File data in pages of the arena.

#ifndef MEMFUSE_SRC_MEMFS_DAEMON_STORE_H_
#define MEMFUSE_SRC_MEMFS_DAEMON_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "src/memfs/arena.h"
#include "src/memfs/budget.h"
#include "src/memfs/daemon_file.h"
#include "src/memfs/data_store.h"
#include "src/memfs/inode.h"

namespace memfuse::memfs {

struct DaemonStoreOptions {
  // tmpfs(5)'s huge=, of the arena as one file; "auto": within_size, where the system gives it to
  // this user and the size is not small beside a huge page. Small files lie side by side in a huge
  // page, so unlike on a tmpfs it costs them nothing.
  std::string huge = "auto";
  bool noswap = false;
  bool writeback_cache = false;  // the kernel collects writes
};

class DaemonStore final : public DataStore {
 public:
  // `budget` outlives the store. As MakePrivateFile, for what is asked of it, and Arena::Make.
  static absl::StatusOr<std::unique_ptr<DaemonStore>> Make(const DaemonStoreOptions& options,
                                                           Budget* budget);

  RegularFile* NewRegularFile(Resources* resources, InodeNumber ino, Timestamp born,
                              Reservation charge) override {
    return new FileOf<DaemonFile>(resources, ino, born, std::move(charge), arena_.get());
  }
  uint32_t file_cost() const override { return sizeof(FileOf<DaemonFile>); }
  bool accepts_splice() const override { return true; }
  uint64_t data_bytes() const override { return arena_->pages_in_use() * kPageSize; }
  uint64_t free_bytes() const override { return budget_->bytes_free(); }
  Result<void> SetSizeLimit(uint64_t bytes) override {
    if (!budget_->SetByteLimit(bytes)) return Errno(EINVAL);
    return {};
  }
  void ReleaseUnused(bool all) override {
    if (all) return;
    // Nothing of it is in use by the budget's account.
    arena_->ReleaseEmptyGroups();
    arena_->ForgetMappings();
  }

  // What it is in the end: never, within_size, advise, always.
  const std::string& huge() const { return huge_; }

 private:
  DaemonStore(std::unique_ptr<Arena> arena, Budget* budget, std::string huge)
      : arena_(std::move(arena)), budget_(budget), huge_(std::move(huge)) {}

  const std::unique_ptr<Arena> arena_;
  Budget* const budget_;
  const std::string huge_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_DAEMON_STORE_H_
