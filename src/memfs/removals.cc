// Files that are removed for good, and waiting for their space.
//
// unlink(2) takes a name away. The data goes when the kernel has let go of the inode, a moment later
// (orphans.h), and that of a large file piece by piece (reaper.h). On a tmpfs it would be gone when
// unlink(2) returns; so whoever asks what is free, or would find too little, waits for what was
// removed before. Waiting threads leave their seats: what they wait for are requests, too.

#include <time.h>

#include <tuple>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "src/memfs/memfs.h"

namespace memfuse::memfs {
namespace {

constexpr timespec kStep = {0, 100'000};
// Without anything going. An orphan that the kernel keeps for so long it keeps for somebody.
constexpr absl::Duration kPatience = absl::Milliseconds(200);
// In all. Freeing takes less than 0.1 s per gigabyte.
constexpr absl::Duration kLongest = absl::Seconds(5);

}  // namespace

void MemFs::Bury(const InodeRef& inode) {
  table_.Erase(inode->ino);
  resources_.budget.ReleaseInode();
  // If not, the data goes with the last count.
  (void)reaper_.Take(inode);
}

void MemFs::AwaitSpace(const RequestContext& context, Need need) {
  const uint64_t plenty = resources_.budget.total() / 16;
  const bool reaping = reaper_.bytes() != 0;
  // The cheap looks first. What the budget of a tmpfs has free says little.
  if (shmem_ == nullptr && !reaping && resources_.budget.bytes_free_at_least() >= plenty) return;
  if (!reaping && !resources_.orphans.any()) return;
  // How much data will come is not known. What is being freed is free before as much is written.
  const auto enough = [&] {
    const uint64_t free = resources_.store->free_bytes();
    return free >= plenty && (need == Need::kName || free >= reaper_.bytes());
  };
  if (!enough()) AwaitRemovals(context, enough);
}

void MemFs::AwaitRemovals(const RequestContext& context, absl::FunctionRef<bool()> enough) {
  Orphans::Wait orphans(&resources_.orphans);
  bool orphans_over = orphans.over();
  uint64_t last_taken = reaper_.taken();
  if (orphans_over && reaper_.finished() >= last_taken) return;

  const Absence absence(context.seat);
  const absl::Time begin = absl::Now();
  absl::Time moved_at = begin;
  std::tuple<uint64_t, uint64_t, uint64_t> moved;
  while (!enough()) {
    // The large ones are counted here, then there.
    if (!orphans_over && orphans.over()) {
      orphans_over = true;
      last_taken = reaper_.taken();
    }
    if (orphans_over && reaper_.finished() >= last_taken) return;
    const absl::Time now = absl::Now();
    const std::tuple<uint64_t, uint64_t, uint64_t> state(orphans.progress(), reaper_.bytes(),
                                                         reaper_.finished());
    if (state != moved) {
      moved = state;
      moved_at = now;
    } else if (now - moved_at > kPatience) {
      if (orphans_over) return;
      orphans.GiveUp();
      orphans_over = true;
      last_taken = reaper_.taken();
      moved_at = now;
    }
    if (now - begin > kLongest) return;
    nanosleep(&kStep, nullptr);
  }
}

uint64_t MemFs::DataBytes(RegularFile* file) {
  MutexLock lock(&file->mu);
  (void)file->RefreshLocked();
  return file->blocks() * 512;
}

}  // namespace memfuse::memfs
