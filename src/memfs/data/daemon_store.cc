#include "src/memfs/data/daemon_store.h"

#include "src/memfs/data/private_tmpfs.h"

namespace memfuse::memfs {

absl::StatusOr<std::unique_ptr<DaemonStore>> DaemonStore::Make(const DaemonStoreOptions& options,
                                                               RecordFile* records,
                                                               Budget* budget) {
  // With a smaller size limit, the unused part of one huge page would be too large in proportion.
  constexpr uint64_t kMinSizeForHuge = 64 << 20;
  PrivateTmpfsOptions tmpfs;
  tmpfs.huge = options.huge;
  tmpfs.noswap = options.noswap;
  const bool may_do_without = options.huge == "auto";
  if (may_do_without) tmpfs.huge = budget->total() >= kMinSizeForHuge ? "within_size" : "never";
  base::UniqueFd file;
  if (tmpfs.huge != "never" || tmpfs.noswap) {
    absl::StatusOr<base::UniqueFd> made = MakePrivateFile(tmpfs);
    if (!made.ok() && may_do_without && tmpfs.huge != "never") {
      tmpfs.huge = "never";
      if (tmpfs.noswap) made = MakePrivateFile(tmpfs);
    }
    if (made.ok()) {
      file = *std::move(made);
    } else if (!may_do_without || tmpfs.noswap) {
      return made.status();
    }
  }
  absl::StatusOr<std::unique_ptr<Arena>> arena = Arena::Make(std::move(file));
  if (!arena.ok()) return arena.status();
  return std::unique_ptr<DaemonStore>(
      new DaemonStore(*std::move(arena), options, tmpfs.huge, records, budget));
}

absl::StatusOr<std::unique_ptr<DaemonStore>> DaemonStore::Adopt(const DaemonStoreOptions& options,
                                                                base::UniqueFd file,
                                                                RecordFile* records,
                                                                Budget* budget) {
  absl::StatusOr<std::unique_ptr<Arena>> arena = Arena::Adopt(std::move(file));
  if (!arena.ok()) return arena.status();
  return std::unique_ptr<DaemonStore>(
      new DaemonStore(*std::move(arena), options, options.huge, records, budget));
}

DaemonStore::DaemonStore(std::unique_ptr<Arena> arena, const DaemonStoreOptions& options,
                         std::string huge, RecordFile* records, Budget* budget)
    : arena_(std::move(arena)),
      storage_{arena_.get(), records},
      budget_(budget),
      huge_(std::move(huge)) {
  arena_->set_writeback_cache(options.writeback_cache);
  arena_->set_huge_pages(huge_ == "within_size" || huge_ == "always");
}

}  // namespace memfuse::memfs
