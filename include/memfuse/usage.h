// What is stored where: the usage of directories, of types of files, of single large files and of
// inodes without a name.
//
// Bytes are what the file system charges for an inode: its data, the inode itself, its extended
// attributes and, for a directory, the names in it. They are the bytes of MemoryFileSystemUsage:
// while nothing changes, the usage of the root, that of the inodes without a name and the bytes
// that are being freed add up to MemoryFileSystemUsage::bytes_used. With kPassthrough the kernel
// counts file data, in whole pages.

#ifndef MEMFUSE_USAGE_H_
#define MEMFUSE_USAGE_H_

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "memfuse/types.h"

namespace memfuse {

// kDevice: character and block devices.
enum class FileType : uint8_t { kRegular, kDirectory, kSymlink, kDevice, kFifo, kSocket };
inline constexpr size_t kFileTypes = 6;

struct UsageAmount {
  uint64_t inodes = 0;
  uint64_t bytes = 0;
  uint64_t disk_usage = 0;  // what du(1) counts: st_blocks, in bytes; a part of `bytes` or more
  // Adds all members.
  UsageAmount& operator+=(const UsageAmount& other) {
    inodes += other.inodes;
    bytes += other.bytes;
    disk_usage += other.disk_usage;
    return *this;
  }
};

// No list of an answer is longer.
inline constexpr size_t kMaxUsageRows = 1000;
// A path of an answer has at most as many bytes. Of a longer path the end is reported, after
// "...". PATH_MAX - 1, the longest path that a program can open.
inline constexpr size_t kMaxUsagePath = 4095;

// The usage of a tree of directories: of a directory and everything below it. An inode with several
// names in the tree counts once, in the child that is visited first.
struct TreeUsage {
  struct Child {
    std::string name;  // any bytes but '/' and NUL
    UsageAmount usage;
  };
  struct File {
    std::string path;  // from the root of the file system, with a leading '/'; any bytes but NUL
    InodeNumber ino = kNoInode;
    uint64_t size = 0;
    uint64_t bytes = 0;
    uint32_t uid = 0;
  };

  UsageAmount total;
  std::array<UsageAmount, kFileTypes> by_type;  // the index is a FileType; adds up to `total`
  // The directories in the directory, those with the most bytes first; at most kMaxUsageRows.
  std::vector<Child> children;
  // The other directories in it, together, and how many they are.
  UsageAmount other_children;
  uint64_t other_count = 0;
  UsageAmount direct;  // the directory itself, and what is in it but directories
  // The regular files with the most bytes, largest first; at most kMaxUsageRows.
  std::vector<File> largest;
  bool complete = true;  // false: the walk was stopped, and the rest is missing in all members
};

// An inode without a name that exists because it is open, or because the kernel still refers to it:
// mapped, a working directory, or a FORGET that has not arrived. Files of O_TMPFILE are among them.
struct NamelessInode {
  InodeNumber ino = kNoInode;
  FileType type = FileType::kRegular;
  uint64_t size = 0;
  uint64_t bytes = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t opens = 0;
  uint64_t lookups = 0;
};
struct NamelessUsage {
  UsageAmount total;
  // Those with the most bytes first; at most kMaxUsageRows.
  std::vector<NamelessInode> inodes;
  // The data of removed large files that the daemon is freeing now. It belongs to no inode of
  // `inodes`.
  uint64_t being_freed = 0;
  bool complete = true;
};

// A walk: its bounds, and how far it is. The walk is the call of UsageOfTree or UsageOfNameless
// that got the object.
class UsageWalk {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kDefaultTime{10};

  // The walk ends after `time`, and its answer is not complete then. It looks at the clock between
  // inodes: if another thread allocates gigabytes for a file, the walk waits for that first.
  explicit UsageWalk(Clock::duration time = kDefaultTime) : time_(time) {}

  // May be called from any thread, before or during the walk: makes it end soon. Its answer is not
  // complete then.
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  // The number of names, or of inodes, that were visited. May be called from any thread.
  uint64_t visited() const { return visited_.load(std::memory_order_relaxed); }

  // For the walk.
  void Begin() { end_ = Clock::now() + time_; }
  bool Ended() const { return cancelled() || Clock::now() >= end_; }
  void Visit(uint64_t count) { visited_.fetch_add(count, std::memory_order_relaxed); }

 private:
  const Clock::duration time_;
  Clock::time_point end_;  // used by the walk only
  std::atomic<bool> cancelled_{false};
  std::atomic<uint64_t> visited_{0};
};

}  // namespace memfuse

#endif  // MEMFUSE_USAGE_H_
