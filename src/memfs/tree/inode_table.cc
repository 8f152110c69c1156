#include "src/memfs/tree/inode_table.h"

#include <vector>

#include "src/base/thread_number.h"

namespace memfuse::memfs {

InodeNumber InodeTable::NewNumber() {
  thread_local size_t cursor = base::ThreadNumber() * (kShards / 64);
  const size_t shard = cursor++ % kShards;
  // 0 and 1 are no numbers of new inodes.
  const uint64_t count = __atomic_add_fetch(&assigned_[shard], 1, __ATOMIC_RELAXED);
  return InodeNumber{count * kShards + shard};
}

void InodeTable::Insert(const InodeRef& inode) {
  Shard& shard = ShardOf(inode->ino);
  MutexLock lock(&shard.mu);
  shard.inodes.Insert(inode);
}

InodeRef InodeTable::Find(InodeNumber ino) const {
  const Shard& shard = ShardOf(ino);
  ReaderMutexLock lock(&shard.mu);
  const auto it = shard.inodes.find(ToInt(ino));
  return it == shard.inodes.end() ? InodeRef() : *it;
}

void InodeTable::Erase(InodeNumber ino) {
  InodeRef last;  // dropped after the lock is released
  Shard& shard = ShardOf(ino);
  MutexLock lock(&shard.mu);
  const auto it = shard.inodes.find(ToInt(ino));
  if (it == shard.inodes.end()) return;
  last = *it;
  shard.inodes.Erase(it);
}

void InodeTable::ForEach(absl::FunctionRef<bool(const InodeRef& inode)> visit) const {
  for (const Shard& shard : shards_) {
    std::vector<InodeRef> inodes;
    {
      ReaderMutexLock lock(&shard.mu);
      inodes.assign(shard.inodes.begin(), shard.inodes.end());
    }
    for (const InodeRef& inode : inodes) {
      if (!visit(inode)) return;
    }
  }
}

void InodeTable::Clear() {
  for (Shard& shard : shards_) {
    decltype(shard.inodes) doomed;
    MutexLock lock(&shard.mu);
    doomed.swap(shard.inodes);
  }
}

}  // namespace memfuse::memfs
