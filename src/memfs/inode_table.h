// From inode number to inode: 1,024 shards, each with a lock of its own and a cache line apart.
//
// InodeTable only picks the shard; a shard is a hash map behind a mutex.

#ifndef MEMFUSE_SRC_MEMFS_INODE_TABLE_H_
#define MEMFUSE_SRC_MEMFS_INODE_TABLE_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "src/base/ref_ptr.h"
#include "src/memfs/inode.h"
#include "src/memfs/lock_order.h"

namespace memfuse::memfs {

using InodeRef = base::RefPtr<Inode>;

// Thread-safe.
class InodeTable {
 public:
  InodeTable() = default;
  InodeTable(const InodeTable&) = delete;
  InodeTable& operator=(const InodeTable&) = delete;

  // A number that was never given out. Threads that make inodes at the same time get numbers of
  // different shards.
  InodeNumber NewNumber();

  // Holds a count from here on. May throw, without effect.
  void Insert(const InodeRef& inode);
  // Null if there is none.
  InodeRef Find(InodeNumber ino) const;
  // Lets go; the caller still holds a count.
  void Erase(InodeNumber ino);

  // All that are there at some point in time, shard after shard. For the end of the file system.
  std::vector<InodeRef> All() const;
  void Clear();

 private:
  static constexpr size_t kShards = 1024;

  // By number; a pointer takes half of what a number and a pointer take.
  struct NumberHash {
    using is_transparent = void;
    size_t operator()(uint64_t ino) const { return absl::Hash<uint64_t>()(ino); }
    size_t operator()(const InodeRef& inode) const { return (*this)(ToInt(inode->ino)); }
  };
  struct NumberEq {
    using is_transparent = void;
    static uint64_t Number(uint64_t ino) { return ino; }
    static uint64_t Number(const InodeRef& inode) { return ToInt(inode->ino); }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Number(a) == Number(b);
    }
  };

  struct alignas(64) Shard {
    mutable LeafMutex mu;
    absl::flat_hash_set<InodeRef, NumberHash, NumberEq> inodes ABSL_GUARDED_BY(mu);
    std::atomic<uint64_t> next{1};  // atomic; numbers of this shard, divided by kShards
  };

  Shard& ShardOf(InodeNumber ino) { return shards_[ToInt(ino) % kShards]; }
  const Shard& ShardOf(InodeNumber ino) const { return shards_[ToInt(ino) % kShards]; }

  std::array<Shard, kShards> shards_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_INODE_TABLE_H_
