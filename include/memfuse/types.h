// Types that every layer uses: identifiers, timestamps, attributes.

#ifndef MEMFUSE_TYPES_H_
#define MEMFUSE_TYPES_H_

#include <cstdint>
#include <limits>

namespace memfuse {

// Identifiers are distinct types, so an inode number cannot be passed as a file handle.

// Identifies an inode for the lifetime of its file system; never reused. 1 is the root, 0 is no
// inode.
enum class InodeNumber : uint64_t {};
// The result of an open. Only the file system that made it interprets it.
enum class FileHandle : uint64_t {};
// Identifies a request between the kernel and the server until it is answered.
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

// The attributes that stat(2) and statx(2) return.
struct Attributes {
  InodeNumber ino = kNoInode;
  uint64_t size = 0;    // bytes; for a symbolic link the length of its target
  uint64_t blocks = 0;  // number of allocated units of 512 bytes
  Timestamp atime, mtime, ctime, btime;
  uint32_t mode = 0;  // file type and permission bits, as in st_mode
  uint32_t nlink = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t rdev = 0;  // a dev_t in the kernel's 32-bit encoding; devices only
  uint32_t blksize = 4096;
};

// The time in seconds for which the kernel may use an answer without a new request.
using CacheSeconds = uint64_t;
inline constexpr CacheSeconds kCacheForever = std::numeric_limits<uint32_t>::max();

// A name that was found or made: its inode, and how long the name and the attributes stay valid.
struct Entry {
  InodeNumber ino = kNoInode;
  uint64_t generation = 0;  // (ino, generation) is unique over restarts of the same mount point
  Attributes attributes;
  CacheSeconds entry_valid = kCacheForever;
  CacheSeconds attributes_valid = kCacheForever;
};

// The values that statfs(2) returns. Counts of blocks are in units of `block_size` bytes.
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
