#include "src/memfs/reclaim/space_waiter.h"

#include <algorithm>

#include "src/base/clock.h"

namespace memfuse::memfs {

bool SpaceWaiter::Wait(const RequestContext& context, InodeNumber ino, uint64_t bytes, Errno error,
                       uint64_t seen) {
  // A request that makes an inode always contains a user.
  uint32_t owner = context.uid.value_or(0);
  if (const InodeRef inode = table_.Find(ino)) owner = inode->owner().uid;
  // The space for an inode, a name or an extended attribute.
  constexpr uint64_t kLittle = 128 << 10;
  const Budget& budget = resources_.budget;
  const auto enough = [&] {
    // The space that is free in the file system says nothing about a quota.
    if (error == EDQUOT) return false;
    return budget.inodes_free() > 0 && resources_.store->free_bytes() >= bytes &&
           resources_.store->free_bytes() - bytes >= std::min(kLittle, budget.total() / 16);
  };
  return reclaim_.Wait(owner, resources_.host.blocking_observer, enough) ||
         reclaim_.progress() != seen;
}

void SpaceWaiter::NoteRefusal(const RequestContext& context, uint64_t bytes) {
  Refusal refusal;
  if (const Refusal* const charge = RefusedCharge()) {
    refusal = *charge;
  } else {
    refusal.asked = bytes;
    refusal.left = resources_.store->free_bytes();
  }
  if (refusal.owner == Refusal::Owner::kFileSystem && refusal.limit == Refusal::Limit::kBytes &&
      resources_.ceiling.load(std::memory_order_relaxed) < resources_.budget.total()) {
    refusal.owner = Refusal::Owner::kMemory;
  }
  refusal.pid = context.pid;
  refusal.uid = context.uid;
  refusal.time = base::WallTime();
  resources_.refusals.Add(refusal);
}

void SpaceWaiter::WaitBeforeWrites(uint32_t owner) {
  if (!resources_.store->kernel_writes() || !reclaim_.pending()) return;
  const uint64_t plenty = resources_.budget.total() / 16;
  const auto enough = [&] {
    const uint64_t free = resources_.store->free_bytes();
    // The reclaim thread frees large files faster than a program writes.
    return free >= plenty && free >= reclaim_.bytes_in_background();
  };
  if (!enough()) (void)reclaim_.Wait(owner, resources_.host.blocking_observer, enough);
}

}  // namespace memfuse::memfs
