#include "src/memfs/tree/inode.h"

#include <fcntl.h>

#include <utility>

namespace memfuse::memfs {
namespace {

// The preferred transfer size that stat(2) reports (st_blksize).
constexpr uint32_t kBlockSize = 4096;
// The unit of st_blocks.
constexpr uint64_t kSectorBytes = 512;

}  // namespace

Inode::~Inode() {
  account_->ReleaseBytes(cost_);
  // The members of the derived class were destroyed before, so the space that they used is free.
  if (removal) resources_->removed.Remove(removal);
}

void Inode::NoteRemovedLocked() {
  if (removal || dead || meta_.nlink != 0 || opens != 0) return;
  // A file that is still mapped is in use, and the kernel keeps it for that time.
  if (SyncFromBackingLocked() == 0) return;
  removal = resources_->removed.Add(owner().uid, cost_ + blocks() * kSectorBytes);
}

void Inode::EndRemovedLocked() {
  if (removal) resources_->removed.Remove(std::exchange(removal, {}));
}

void Inode::EndRemoved() {
  MutexLock lock(&mu);
  EndRemovedLocked();
}

void Inode::ChangedLocked(Timestamp now) {
  meta_.ctime = StampLocked(now);
  kernel_attrs_valid_ = false;
}

Attributes Inode::KnownAttributesLocked() const {
  Attributes a;
  a.ino = ino;
  a.size = size();
  a.blocks = blocks();
  a.atime = meta_.atime;
  a.mtime = meta_.mtime;
  a.ctime = meta_.ctime;
  a.btime = btime;
  a.mode = type | meta_.permissions;
  a.nlink = meta_.nlink;
  a.uid = owner().uid;
  a.gid = owner().gid;
  a.rdev = rdev();
  a.blksize = kBlockSize;
  return a;
}

Entry Inode::AddLookupLocked(uint64_t generation) {
  const CacheSeconds valid = SyncFromBackingLocked();
  Entry entry = AddFirstLookupLocked(generation);
  entry.attributes_valid = valid;
  return entry;
}

Entry Inode::AddFirstLookupLocked(uint64_t generation) {
  ++lookups;
  Entry entry;
  entry.ino = ino;
  entry.generation = generation;
  entry.attributes = KnownAttributesLocked();
  entry.attributes_valid = FirstValidity();
  kernel_attrs_valid_ = opens == 0;
  return entry;
}

void Inode::AddOpenLocked(uint32_t flags) {
  ++opens;
  kernel_attrs_valid_ = false;
  if ((flags & O_ACCMODE) != O_RDONLY) ++write_opens;
}

void Inode::RemoveOpenLocked(uint32_t flags) {
  if (opens > 0) --opens;
  if ((flags & O_ACCMODE) != O_RDONLY && write_opens > 0) --write_opens;
}

bool Inode::MarkDeadIfUnusedLocked() {
  if (dead || meta_.nlink != 0 || lookups != 0 || opens != 0) return false;
  dead = true;
  return true;
}

void Inode::TakeBackingTimesLocked(const Times& times) {
  // The store does not know the flag of chattr(1) +A.
  if ((flags() & FS_NOATIME_FL) == 0) meta_.atime = times.atime;
  meta_.mtime = times.mtime;
  meta_.ctime = times.ctime;
}

CacheSeconds RegularFile::SyncFromBackingLocked() {
  Times times = meta();
  const CacheSeconds valid = data()->SyncFromBackingFile(&times);
  TakeBackingTimesLocked(times);
  return valid;
}

uint64_t RegularFile::DataBytes() {
  MutexLock lock(&mu);
  (void)SyncFromBackingLocked();
  return blocks() * kSectorBytes;
}

}  // namespace memfuse::memfs
