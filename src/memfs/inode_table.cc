#include "src/memfs/inode_table.h"

#include <functional>
#include <new>
#include <thread>

namespace memfuse::memfs {

InodeNumber InodeTable::NewNumber() {
  thread_local size_t cursor = std::hash<std::thread::id>()(std::this_thread::get_id());
  const size_t shard = cursor++ % kShards;
  return InodeNumber{shards_[shard].next.fetch_add(1, std::memory_order_relaxed) * kShards + shard};
}

void InodeTable::Insert(const InodeRef& inode) {
  Shard& shard = ShardOf(inode->ino);
  MutexLock lock(&shard.mu);
  shard.map.emplace(ToInt(inode->ino), inode);
}

InodeRef InodeTable::Find(InodeNumber ino) const {
  const Shard& shard = ShardOf(ino);
  ReaderMutexLock lock(&shard.mu);
  const auto it = shard.map.find(ToInt(ino));
  return it == shard.map.end() ? InodeRef() : it->second;
}

void InodeTable::Erase(InodeNumber ino) {
  InodeRef last;  // let go of without the lock
  Shard& shard = ShardOf(ino);
  MutexLock lock(&shard.mu);
  const auto it = shard.map.find(ToInt(ino));
  if (it == shard.map.end()) return;
  last = std::move(it->second);
  shard.map.erase(it);
  // Give back what a table that was once large still holds.
  if (shard.map.capacity() > 1024 && shard.map.size() < shard.map.capacity() / 16) {
    try {
      shard.map.rehash(0);
    } catch (const std::bad_alloc&) {
      // No room to shrink into: the large table goes on.
    }
  }
}

std::vector<InodeRef> InodeTable::All() const {
  std::vector<InodeRef> all;
  for (const Shard& shard : shards_) {
    ReaderMutexLock lock(&shard.mu);
    for (const auto& [ino, inode] : shard.map) all.push_back(inode);
  }
  return all;
}

void InodeTable::Clear() {
  for (Shard& shard : shards_) {
    decltype(shard.map) doomed;
    MutexLock lock(&shard.mu);
    doomed.swap(shard.map);
  }
}

}  // namespace memfuse::memfs
