#include "src/memfs/inode.h"

namespace memfuse::memfs {

Inode::~Inode() { resources_->budget.ReleaseBytes(cost_); }

Attributes Inode::AttributesLocked() const {
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
  a.rdev = rdev;
  a.blksize = kPageSize;
  return a;
}

Entry Inode::AddLookupLocked(uint64_t generation) {
  ++lookups;
  Entry entry;
  entry.ino = ino;
  entry.generation = generation;
  entry.attributes = AttributesLocked();
  return entry;
}

bool Inode::MarkDeadIfUnusedLocked() {
  if (dead || meta.nlink != 0 || lookups != 0 || opens != 0) return false;
  dead = true;
  return true;
}

Xattrs* Inode::MutableXattrsLocked() {
  if (xattrs == nullptr) xattrs = std::make_unique<Xattrs>(&resources_->budget);
  return xattrs.get();
}

void Inode::RemoveXattrLocked(std::string_view name) {
  if (xattrs == nullptr) return;
  xattrs->Remove(name);
  if (xattrs->empty()) xattrs.reset();
}

bool Inode::KillPrivilegesLocked(bool kill_suidgid) {
  if (is_directory()) return false;
  // An empty one grants nothing, and stays, as on tmpfs.
  const std::string* const capability = xattrs == nullptr ? nullptr : xattrs->Find(kCapabilityName);
  if (capability != nullptr && !capability->empty()) RemoveXattrLocked(kCapabilityName);
  if (!kill_suidgid) return false;
  uint32_t kill = S_ISUID;
  if ((meta.permissions & S_IXGRP) != 0) kill |= S_ISGID;
  if ((meta.permissions & kill) == 0) return false;
  meta.permissions &= ~kill;
  return true;
}

bool RelatimeIsDue(const Metadata& meta, Timestamp now) {
  constexpr int64_t kDay = 24 * 60 * 60;
  return meta.atime <= meta.mtime || meta.atime <= meta.ctime ||
         now.seconds - meta.atime.seconds >= kDay;
}

}  // namespace memfuse::memfs
