#include "src/memfs/data/daemon_store.h"

#include "src/memfs/data/private_tmpfs.h"

namespace memfuse::memfs {

absl::StatusOr<std::unique_ptr<DaemonStore>> DaemonStore::Make(const DaemonStoreOptions& options,
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
  (*arena)->set_writeback_cache(options.writeback_cache);
  (*arena)->set_huge_pages(tmpfs.huge == "within_size" || tmpfs.huge == "always");
  return std::unique_ptr<DaemonStore>(new DaemonStore(*std::move(arena), budget, tmpfs.huge));
}

}  // namespace memfuse::memfs
