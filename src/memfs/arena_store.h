// File data in pages of the arena.

#ifndef MEMFUSE_SRC_MEMFS_ARENA_STORE_H_
#define MEMFUSE_SRC_MEMFS_ARENA_STORE_H_

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "src/memfs/arena.h"
#include "src/memfs/arena_file.h"
#include "src/memfs/budget.h"
#include "src/memfs/data_store.h"
#include "src/memfs/inode.h"

namespace memfuse::memfs {

class ArenaStore final : public DataStore {
 public:
  // `budget` outlives the store. As Arena::Make.
  static absl::StatusOr<std::unique_ptr<ArenaStore>> Make(Budget* budget) {
    absl::StatusOr<std::unique_ptr<Arena>> arena = Arena::Make(budget);
    if (!arena.ok()) return arena.status();
    return std::unique_ptr<ArenaStore>(new ArenaStore(*std::move(arena), budget));
  }

  RegularFile* NewRegularFile(Resources* resources, InodeNumber ino, Timestamp born,
                              uint32_t cost) override {
    return new FileOf<ArenaFile>(resources, ino, born, cost, arena_.get());
  }
  uint32_t file_cost() const override { return sizeof(FileOf<ArenaFile>); }
  uint64_t data_bytes() const override { return arena_->pages_in_use() * kPageSize; }
  uint64_t free_bytes() const override { return budget_->bytes_free(); }

 private:
  ArenaStore(std::unique_ptr<Arena> arena, Budget* budget)
      : arena_(std::move(arena)), budget_(budget) {}

  const std::unique_ptr<Arena> arena_;
  Budget* const budget_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_ARENA_STORE_H_
