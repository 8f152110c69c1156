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
  resources_->budget.ReleaseBytes(cost_);
  // The members of the derived class were destroyed before, so the space that they used is free.
  if (removal) resources_->removed.Remove(removal);
}

void Inode::NoteRemovedLocked() {
  if (removal || dead || meta.nlink != 0 || opens != 0) return;
  // A file that is still mapped is in use, and the kernel keeps it for that time.
  if (SyncFromBackingLocked() == 0) return;
  removal = resources_->removed.Add(meta.uid, cost_ + blocks() * kSectorBytes);
}

void Inode::EndRemovedLocked() {
  if (removal) resources_->removed.Remove(std::exchange(removal, {}));
}

void Inode::EndRemoved() {
  MutexLock lock(&mu);
  EndRemovedLocked();
}

void Inode::ChangedLocked(Timestamp now) {
  meta.ctime = StampLocked(now);
  kernel_attrs_valid = false;
}

Attributes Inode::KnownAttributesLocked() const {
  Attributes a;
  a.ino = ino;
  a.size = size();
  a.blocks = blocks();
  a.atime = meta.atime;
  a.mtime = meta.mtime;
  a.ctime = meta.ctime;
  a.btime = btime;
  a.mode = type | meta.permissions;
  a.nlink = meta.nlink;
  a.uid = meta.uid;
  a.gid = meta.gid;
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
  kernel_attrs_valid = opens == 0;
  return entry;
}

void Inode::AddOpenLocked(uint32_t flags) {
  ++opens;
  if ((flags & O_ACCMODE) != O_RDONLY) ++write_opens;
}

void Inode::RemoveOpenLocked(uint32_t flags) {
  if (opens > 0) --opens;
  if ((flags & O_ACCMODE) != O_RDONLY && write_opens > 0) --write_opens;
}

bool Inode::MarkDeadIfUnusedLocked() {
  if (dead || meta.nlink != 0 || lookups != 0 || opens != 0) return false;
  dead = true;
  return true;
}

Result<void> Inode::SetXattrLocked(std::string_view name, absl::Span<const char> value,
                                   uint32_t flags) {
  if (xattrs != nullptr) return xattrs->Set(name, value, flags);
  auto made = std::make_unique<Xattrs>(&resources_->budget);
  MEMFUSE_RETURN_IF_ERROR(made->Set(name, value, flags));
  xattrs = std::move(made);
  return {};
}

void Inode::RemoveXattrLocked(std::string_view name) {
  if (xattrs == nullptr) return;
  xattrs->Remove(name);
  if (xattrs->empty()) xattrs.reset();
}

bool Inode::KillPrivilegesLocked(bool kill_suidgid) {
  if (is_directory()) return false;
  // An empty value grants nothing and is kept, as on tmpfs.
  const std::string* const capability = xattrs == nullptr ? nullptr : xattrs->Find(kCapabilityName);
  if (capability != nullptr && !capability->empty()) RemoveXattrLocked(kCapabilityName);
  if (!kill_suidgid) return false;
  uint32_t kill = S_ISUID;
  if ((meta.permissions & S_IXGRP) != 0) kill |= S_ISGID;
  if ((meta.permissions & kill) == 0) return false;
  meta.permissions &= ~kill;
  return true;
}

CacheSeconds RegularFile::SyncFromBackingLocked() {
  Times times = meta;
  const CacheSeconds valid = data()->SyncFromBackingFile(&times);
  TakeTimesLocked(times);
  return valid;
}

void RegularFile::TakeTimesLocked(const Times& times) {
  // The store does not know the flag of chattr(1) +A.
  if ((flags() & FS_NOATIME_FL) == 0) meta.atime = times.atime;
  meta.mtime = times.mtime;
  meta.ctime = times.ctime;
}

}  // namespace memfuse::memfs
