// The vocabulary that every layer shares: identifiers, timestamps, attributes.

#ifndef MEMFUSE_TYPES_H_
#define MEMFUSE_TYPES_H_

#include <cstdint>
#include <limits>

namespace memfuse {

// Identifiers are distinct types: an inode number is never passed where a file handle is meant.

// Names an inode for as long as its file system lives; never reused. 1 is the root, 0 is none.
enum class InodeNumber : uint64_t {};
// What an open returned; opaque to everybody but the file system that made it.
enum class FileHandle : uint64_t {};
// Names a request between the kernel and the server, until it is answered.
enum class RequestId : uint64_t {};

inline constexpr InodeNumber kRootInode{1};
inline constexpr InodeNumber kNoInode{0};

constexpr uint64_t ToInt(InodeNumber v) { return static_cast<uint64_t>(v); }
constexpr uint64_t ToInt(FileHandle v) { return static_cast<uint64_t>(v); }
constexpr uint64_t ToInt(RequestId v) { return static_cast<uint64_t>(v); }

// A point in time since the epoch, UTC. 0 <= nanoseconds < 1e9, also before 1970.
struct Timestamp {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;

  friend constexpr bool operator==(Timestamp a, Timestamp b) {
    return a.seconds == b.seconds && a.nanoseconds == b.nanoseconds;
  }
  friend constexpr bool operator!=(Timestamp a, Timestamp b) { return !(a == b); }
  friend constexpr bool operator<(Timestamp a, Timestamp b) {
    return a.seconds != b.seconds ? a.seconds < b.seconds : a.nanoseconds < b.nanoseconds;
  }
  friend constexpr bool operator<=(Timestamp a, Timestamp b) { return !(b < a); }
};

// What stat(2) and statx(2) show.
struct Attributes {
  InodeNumber ino = kNoInode;
  uint64_t size = 0;    // bytes; for a symbolic link the length of its target
  uint64_t blocks = 0;  // units of 512 bytes that are allocated
  Timestamp atime, mtime, ctime, btime;
  uint32_t mode = 0;  // file type and permission bits, as st_mode
  uint32_t nlink = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t rdev = 0;  // as the kernel encodes a dev_t in 32 bits; devices only
  uint32_t blksize = 4096;
};

// How long the kernel may use what it was told without asking again, in seconds.
using CacheSeconds = uint64_t;
inline constexpr CacheSeconds kCacheForever = std::numeric_limits<uint32_t>::max();

// A name that was found or made: the inode behind it, and how long name and attributes stay valid.
struct Entry {
  InodeNumber ino = kNoInode;
  uint64_t generation = 0;  // (ino, generation) is unique over restarts of the same mount point
  Attributes attributes;
  CacheSeconds entry_valid = kCacheForever;
  CacheSeconds attributes_valid = kCacheForever;
};

// What statfs(2) shows. Counts of blocks are in units of `block_size` bytes.
struct FileSystemStatistics {
  uint64_t blocks = 0;
  uint64_t blocks_free = 0;
  uint64_t blocks_available = 0;
  uint64_t inodes = 0;
  uint64_t inodes_free = 0;
  uint32_t block_size = 4096;
  uint32_t name_max = 255;
};

}  // namespace memfuse

#endif  // MEMFUSE_TYPES_H_
