// Files that are removed for good, and waiting for their space.
//
// unlink(2) takes a name away. The data goes when the kernel has let go of the inode, a moment
// later (orphans.h), and that of a large file piece by piece (reaper.h). On a tmpfs it would be
// gone when unlink(2) returns; so whoever asks what is free, or would find too little, waits for
// what was removed before. Waiting threads leave their seats: what they wait for are requests, too.

#include <time.h>

#include <algorithm>
#include <tuple>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "src/memfs/memfs.h"

namespace memfuse::memfs {
namespace {

constexpr timespec kStep = {0, 100'000};
// In steps, which take longer on a machine with other worries, without anything going: 0.3 s. An
// orphan that the kernel keeps for so long it keeps for somebody.
constexpr int kOrphanPatience = 2000;
// The reaper is done with a piece in some milliseconds.
constexpr int kReaperPatience = 30'000;

}  // namespace

void MemFs::Bury(const InodeRef& inode) {
  table_.Erase(inode->ino);
  resources_.budget.ReleaseInode();
  // If not, the data goes with the last count.
  (void)reaper_.Take(inode);
}

void MemFs::AwaitSpace(const RequestContext& context, uint64_t bytes) {
  const uint64_t plenty = resources_.budget.total() / 16;
  const bool open_end = bytes == kOpenEnd;
  // The cheap looks first. What the budget of a tmpfs has free says little; and to the daemon's own
  // memory, nothing is written unasked.
  if (shmem_ == nullptr) {
    const uint64_t least = open_end ? plenty : std::max(plenty, bytes);
    if (resources_.budget.bytes_free_at_least() >= least) return;
  }
  // In this order: an orphan that goes to the reaper is seen here or there.
  if (!resources_.orphans.any() && reaper_.bytes() == 0) return;
  const auto enough = [&] {
    const uint64_t free = resources_.store->free_bytes();
    // Of what the reaper has, the rest is free before as much can be written.
    return free >= plenty && free >= (open_end ? reaper_.bytes() : bytes);
  };
  if (!enough()) AwaitRemovals(context, &resources_.orphans, enough);
}

void MemFs::AwaitInode(const RequestContext& context) {
  const Budget& budget = resources_.budget;
  if (budget.inodes_free_at_least() > 0) return;
  const auto enough = [&] { return budget.inodes_free() > 0; };
  for (Orphans* const orphans : {&resources_.orphans, &resources_.other_orphans}) {
    if (!enough()) AwaitRemovals(context, orphans, enough);
  }
}

void MemFs::AwaitRemovals(const RequestContext& context, Orphans* all,
                          absl::FunctionRef<bool()> enough) {
  if (!all->any() && reaper_.bytes() == 0) return;
  Orphans::Wait orphans(all, absl::Now());
  bool orphans_over = orphans.over();
  uint64_t last_taken = reaper_.taken();
  if (orphans_over && reaper_.finished() >= last_taken) return;

  const Absence absence(context.seat);
  std::tuple<uint64_t, uint64_t, uint64_t> moved;
  for (int still = 0; !enough(); ++still) {
    // The large ones are counted here, then there.
    if (!orphans_over && orphans.over()) {
      orphans_over = true;
      last_taken = reaper_.taken();
    }
    if (orphans_over && reaper_.finished() >= last_taken) return;
    const std::tuple<uint64_t, uint64_t, uint64_t> state(orphans.progress(), reaper_.bytes(),
                                                         reaper_.finished());
    if (state != moved) {
      moved = state;
      still = 0;
    } else if (orphans_over) {
      if (still > kReaperPatience) return;
    } else if (still > kOrphanPatience) {
      orphans.GiveUp(absl::Now());
      orphans_over = true;
      last_taken = reaper_.taken();
      still = 0;
    }
    nanosleep(&kStep, nullptr);
  }
}

uint64_t MemFs::DataBytes(RegularFile* file) {
  MutexLock lock(&file->mu);
  (void)file->RefreshLocked();
  return file->blocks() * 512;
}

}  // namespace memfuse::memfs
