#include "src/memfs/inode_table.h"

#include <new>

#include "src/base/thread_number.h"

namespace memfuse::memfs {

InodeNumber InodeTable::NewNumber() {
  thread_local size_t cursor = base::ThreadNumber() * (kShards / 64);
  const size_t shard = cursor++ % kShards;
  return InodeNumber{shards_[shard].next.fetch_add(1, std::memory_order_relaxed) * kShards + shard};
}

void InodeTable::Insert(const InodeRef& inode) {
  Shard& shard = ShardOf(inode->ino);
  MutexLock lock(&shard.mu);
  shard.inodes.insert(inode);
}

InodeRef InodeTable::Find(InodeNumber ino) const {
  const Shard& shard = ShardOf(ino);
  ReaderMutexLock lock(&shard.mu);
  const auto it = shard.inodes.find(ToInt(ino));
  return it == shard.inodes.end() ? InodeRef() : *it;
}

void InodeTable::Erase(InodeNumber ino) {
  InodeRef last;  // let go of without the lock
  Shard& shard = ShardOf(ino);
  MutexLock lock(&shard.mu);
  const auto it = shard.inodes.find(ToInt(ino));
  if (it == shard.inodes.end()) return;
  last = *it;
  shard.inodes.erase(it);
  // Give back what a table that was once large still holds.
  if (shard.inodes.capacity() > 64 && shard.inodes.size() < shard.inodes.capacity() / 16) {
    try {
      shard.inodes.rehash(0);
    } catch (const std::bad_alloc&) {
      // No room to shrink into: the large table goes on.
    }
  }
}

std::vector<InodeRef> InodeTable::All() const {
  std::vector<InodeRef> all;
  for (const Shard& shard : shards_) {
    ReaderMutexLock lock(&shard.mu);
    for (const InodeRef& inode : shard.inodes) all.push_back(inode);
  }
  return all;
}

void InodeTable::Clear() {
  for (Shard& shard : shards_) {
    decltype(shard.inodes) doomed;
    MutexLock lock(&shard.mu);
    doomed.swap(shard.inodes);
  }
}

}  // namespace memfuse::memfs
