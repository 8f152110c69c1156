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
#include "src/memfs/records/store_order.h"
#include "src/memfs/space/lock_order.h"
#include "src/memfs/tree/tree_records.h"

namespace memfuse::memfs {

// Thread-safe. The backing ID 0 means no ID. The IDs lie in the records as well, from which a
// successor unregisters them.
class BackingIdCache {
 public:
  static constexpr size_t kPlaces = CachedBackingIds::kPlaces;

  // `ids` must outlive the cache.
  explicit BackingIdCache(CachedBackingIds* ids) : ids_(*ids) {}

  // Stores `id` for the file. Returns the ID that it replaces (0 if none), which the caller must
  // unregister and then give to NoteUnregistered.
  int32_t Put(InodeNumber ino, int32_t id) {
    const size_t shard_number = ShardOf(ino);
    Shard& shard = shards_[shard_number];
    MutexLock lock(&shard.mu);
    Place& place = shard.places[PlaceOf(ino)];
    place.ino = ino;
    const int32_t replaced = std::exchange(place.id, id);
    if (replaced != 0) StoreInOrder(&ids_.closing[shard_number], replaced);
    StoreInOrder(&ids_.cached[shard_number * kPlacesOfShard + PlaceOf(ino)], id);
    return replaced;
  }
  // `ino` is the argument of the Put that returned `id`.
  void NoteUnregistered(InodeNumber ino, int32_t id) {
    const size_t shard_number = ShardOf(ino);
    MutexLock lock(&shards_[shard_number].mu);
    // If another Put has stored its ID meanwhile, this one is unregistered as well.
    int32_t* const closing = &ids_.closing[shard_number];
    if (*closing == id) StoreInOrder(closing, 0);
  }

  // Removes and returns the ID that is stored for the file, or 0. The caller owns the ID then. The
  // records keep it, because a process that dies may not have opened the file yet.
  int32_t Take(InodeNumber ino) {
    Shard& shard = shards_[ShardOf(ino)];
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
  static constexpr size_t kShards = CachedBackingIds::kShards;
  static constexpr size_t kPlacesOfShard = kPlaces / kShards;
  struct Place {
    InodeNumber ino = kNoInode;
    int32_t id = 0;
  };
  struct alignas(64) Shard {
    LeafMutex mu;  // guards the elements of ids_ that belong to the shard, too
    std::array<Place, kPlacesOfShard> places ABSL_GUARDED_BY(mu);
  };

  // Inodes with adjacent numbers, which are often open at the same time, lie in different shards.
  static size_t ShardOf(InodeNumber ino) { return ToInt(ino) % kShards; }
  static size_t PlaceOf(InodeNumber ino) { return ToInt(ino) / kShards % kPlacesOfShard; }

  CachedBackingIds& ids_;
  std::array<Shard, kShards> shards_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_DATA_BACKING_ID_CACHE_H_
