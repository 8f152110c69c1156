// A cache of backing files that stay registered with the kernel after the last close(2). A build
// opens the same headers many times, and registering and unregistering a backing file are the most
// expensive system calls of an open(2) and a close(2).
//
// The cache has a fixed size and is keyed by inode number; an entry that maps to the same place as
// another one replaces it. The cache keeps no descriptors. It keeps no ID of a removed file,
// because the PassthroughFile takes its ID out of the cache before it removes its backing file.

#ifndef MEMFUSE_SRC_MEMFS_DATA_BACKING_ID_CACHE_H_
#define MEMFUSE_SRC_MEMFS_DATA_BACKING_ID_CACHE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "memfuse/types.h"
#include "src/memfs/space/lock_order.h"

namespace memfuse::memfs {

// Thread-safe. The backing ID 0 means no ID.
class BackingIdCache {
 public:
  static constexpr size_t kPlaces = 1024;

  // Stores `id` for the file. Returns the ID that it replaces (0 if none), which the caller must
  // unregister.
  int32_t Put(InodeNumber ino, int32_t id) {
    Shard& shard = ShardOf(ino);
    MutexLock lock(&shard.mu);
    Place& place = shard.places[PlaceOf(ino)];
    place.ino = ino;
    return std::exchange(place.id, id);
  }

  // Removes and returns the ID that is stored for the file, or 0. The caller owns the ID then.
  int32_t Take(InodeNumber ino) {
    Shard& shard = ShardOf(ino);
    MutexLock lock(&shard.mu);
    Place& place = shard.places[PlaceOf(ino)];
    return place.ino == ino ? std::exchange(place.id, 0) : 0;
  }

  // Removes all IDs without unregistering them: they became invalid with the FUSE connection.
  void Clear() {
    for (Shard& shard : shards_) {
      MutexLock lock(&shard.mu);
      shard.places.fill({});
    }
  }

 private:
  static constexpr size_t kShards = 16;
  struct Place {
    InodeNumber ino = kNoInode;
    int32_t id = 0;
  };
  struct alignas(64) Shard {
    LeafMutex mu;
    std::array<Place, kPlaces / kShards> places ABSL_GUARDED_BY(mu);
  };

  // Inodes with adjacent numbers, which are often open at the same time, lie in different shards.
  Shard& ShardOf(InodeNumber ino) { return shards_[ToInt(ino) % kShards]; }
  static size_t PlaceOf(InodeNumber ino) { return ToInt(ino) / kShards % (kPlaces / kShards); }

  std::array<Shard, kShards> shards_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_DATA_BACKING_ID_CACHE_H_
