// The map from inode number to inode: 1,024 shards, each with its own lock and in its own cache
// lines.
//
// InodeTable selects the shard; a shard is a hash set behind a mutex.

#ifndef MEMFUSE_SRC_MEMFS_TREE_INODE_TABLE_H_
#define MEMFUSE_SRC_MEMFS_TREE_INODE_TABLE_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/hash/hash.h"
#include "src/base/ref_ptr.h"
#include "src/memfs/space/hash_table.h"
#include "src/memfs/space/lock_order.h"
#include "src/memfs/tree/inode.h"

namespace memfuse::memfs {

using InodeRef = base::RefPtr<Inode>;

// Thread-safe.
class InodeTable {
 public:
  // `assigned` has kShards elements and outlives the table: how many numbers of each shard were
  // assigned.
  explicit InodeTable(uint64_t* assigned) : assigned_(assigned) {}
  InodeTable(const InodeTable&) = delete;
  InodeTable& operator=(const InodeTable&) = delete;

  // Returns a number that was never assigned before. Each thread goes through the shards in turn
  // from a starting point of its own, so threads that make inodes at the same time mostly get
  // numbers of different shards.
  InodeNumber NewNumber();

  // The table holds a reference to the inode from then on. Throws std::bad_alloc, and nothing is
  // changed then.
  void Insert(const InodeRef& inode);
  // Returns null if there is no such inode.
  InodeRef Find(InodeNumber ino) const;
  // Drops the table's reference. The caller must hold another one.
  void Erase(InodeNumber ino);

  // Calls `visit` for each inode, without locks, until it returns false. Inodes that are inserted
  // or erased during the call may or may not be visited. May throw std::bad_alloc.
  void ForEach(absl::FunctionRef<bool(const InodeRef& inode)> visit) const;

  // Drops all references, when the file system is destroyed.
  void Clear();

  static constexpr size_t kShards = RootRecord::kNumbers;

 private:
  // The set is keyed by the number in the inode: a pointer takes half as much memory as a number
  // and a pointer.
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
  };

  Shard& ShardOf(InodeNumber ino) { return shards_[ToInt(ino) % kShards]; }
  const Shard& ShardOf(InodeNumber ino) const { return shards_[ToInt(ino) % kShards]; }

  uint64_t* const assigned_;  // the elements are atomic
  std::array<Shard, kShards> shards_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_TREE_INODE_TABLE_H_
