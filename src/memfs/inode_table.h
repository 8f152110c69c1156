// From inode number to inode: 1,024 shards, each with a lock of its own and a cache line apart.
//
// InodeTable only picks the shard; a shard is a hash map behind a mutex.

#ifndef MEMFUSE_SRC_MEMFS_INODE_TABLE_H_
#define MEMFUSE_SRC_MEMFS_INODE_TABLE_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "absl/hash/hash.h"
#include "src/base/ref_ptr.h"
#include "src/memfs/hash_table.h"
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

  // Holds a count from here on. Throws std::bad_alloc, and nothing is changed then.
  void Insert(const InodeRef& inode);
  // Null if there is none.
  InodeRef Find(InodeNumber ino) const;
  // Lets go; the caller still holds a count.
  void Erase(InodeNumber ino);

  // Lets go of all, for the end of the file system.
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
    GrowSafeHashSet<InodeRef, NumberHash, NumberEq> inodes ABSL_GUARDED_BY(mu);
    std::atomic<uint64_t> next{1};  // atomic; numbers of this shard, divided by kShards
  };

  Shard& ShardOf(InodeNumber ino) { return shards_[ToInt(ino) % kShards]; }
  const Shard& ShardOf(InodeNumber ino) const { return shards_[ToInt(ino) % kShards]; }

  std::array<Shard, kShards> shards_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_INODE_TABLE_H_
