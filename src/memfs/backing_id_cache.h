// Backing files that stay registered after the last close: a build opens the same headers over and
// over, and to register a file and to give it up again are the dearest calls of an open and a
// close.
//
// Bounded, and keyed by inode number: a file that comes to the place of another pushes it out. No
// descriptor is kept, and nothing of a file that is removed: its owner takes it back first.

#ifndef MEMFUSE_SRC_MEMFS_BACKING_ID_CACHE_H_
#define MEMFUSE_SRC_MEMFS_BACKING_ID_CACHE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "memfuse/types.h"
#include "src/memfs/lock_order.h"

namespace memfuse::memfs {

// Thread-safe. 0 stands for no number.
class BackingIdCache {
 public:
  static constexpr size_t kPlaces = 1024;

  // Keeps `id` for the file, and returns the number that is not kept any longer: to be given up by
  // the caller.
  int32_t Put(InodeNumber ino, int32_t id) {
    Shard& shard = ShardOf(ino);
    MutexLock lock(&shard.mu);
    Place& place = shard.places[PlaceOf(ino)];
    place.ino = ino;
    return std::exchange(place.id, id);
  }

  // What was kept for the file, which is the caller's now.
  int32_t Take(InodeNumber ino) {
    Shard& shard = ShardOf(ino);
    MutexLock lock(&shard.mu);
    Place& place = shard.places[PlaceOf(ino)];
    return place.ino == ino ? std::exchange(place.id, 0) : 0;
  }

  // Forgets everything: the numbers went with the connection.
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

  // Neighbours, which are often open at the same time, lie in different shards.
  Shard& ShardOf(InodeNumber ino) { return shards_[ToInt(ino) % kShards]; }
  static size_t PlaceOf(InodeNumber ino) { return ToInt(ino) / kShards % (kPlaces / kShards); }

  std::array<Shard, kShards> shards_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_BACKING_ID_CACHE_H_
