// Waiting for the space of removed files, for the operations that find none (reclaim.h).

#ifndef MEMFUSE_SRC_MEMFS_RECLAIM_SPACE_WAITER_H_
#define MEMFUSE_SRC_MEMFS_RECLAIM_SPACE_WAITER_H_

#include <cstdint>

#include "memfuse/errno.h"
#include "memfuse/filesystem.h"
#include "src/memfs/reclaim/reclaim.h"
#include "src/memfs/tree/inode.h"
#include "src/memfs/tree/inode_table.h"

namespace memfuse::memfs {

// Thread-safe. All methods are called without locks. The objects that the constructor gets must
// outlive this one.
class SpaceWaiter {
 public:
  SpaceWaiter(Resources* resources, const InodeTable* table, Reclaim* reclaim)
      : resources_(*resources), table_(*table), reclaim_(*reclaim) {}
  SpaceWaiter(const SpaceWaiter&) = delete;
  SpaceWaiter& operator=(const SpaceWaiter&) = delete;

  // Whether an operation failed for lack of space, which removed files may still release.
  static bool IsLackOfSpace(Errno error) { return error == ENOSPC || error == EDQUOT; }

  // Calls `operation`, which must not change anything if it returns ENOSPC or EDQUOT. If it returns
  // one of them and removed files may have released space in the meantime, calls it a second time.
  // `ino` is the inode that takes the space, or kNoInode for an inode that is made for the caller.
  // `bytes` is how much it takes, apart from a small amount.
  template <typename Operation>
  auto Retry(const RequestContext& context, InodeNumber ino, uint64_t bytes, Operation operation)
      -> decltype(operation()) {
    const uint64_t seen = reclaim_.progress();
    ForgetRefusedCharge();
    auto result = operation();
    if (result.ok() || !IsLackOfSpace(result.error())) return result;
    if (Wait(context, ino, bytes, result.error(), seen)) result = operation();
    if (!result.ok() && IsLackOfSpace(result.error())) NoteRefusal(context, bytes);
    return result;
  }

  // The wait of Retry, for an operation that calls it itself and that failed with `error`. `seen`
  // is the value of progress() before the operation. Returns false if nothing was reclaimed since
  // and there is nothing to wait for.
  bool Wait(const RequestContext& context, InodeNumber ino, uint64_t bytes, Errno error,
            uint64_t seen);
  // Records that the request is refused for lack of space, with the reason that the account gave to
  // this thread; without one, the store has no space for `bytes`. Retry calls it.
  void NoteRefusal(const RequestContext& context, uint64_t bytes);
  // A number that changes whenever something is reclaimed.
  uint64_t progress() const { return reclaim_.progress(); }

  // Called before a file is opened for writing. If the kernel writes to files itself, it would find
  // no space while removed files are still being freed. `owner` is the owner of the file (uid).
  void WaitBeforeWrites(uint32_t owner);

 private:
  Resources& resources_;
  const InodeTable& table_;
  Reclaim& reclaim_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_RECLAIM_SPACE_WAITER_H_
