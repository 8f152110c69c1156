// When a read moves the access time.

#ifndef MEMFUSE_SRC_MEMFS_OPS_ACCESS_TIMES_H_
#define MEMFUSE_SRC_MEMFS_OPS_ACCESS_TIMES_H_

#include <atomic>

#include "memfuse/memory_filesystem.h"
#include "src/memfs/tree/attribute_changes.h"

namespace memfuse::memfs {

// The mount options noatime, nodiratime and strictatime. Thread-safe.
class AccessTimes {
 public:
  explicit AccessTimes(const MemoryFileSystemOptions& options)
      : keep_(!options.noatime),
        of_directories_(!options.nodiratime),
        strict_(options.strictatime) {}

  // Records that `inode` was read: moves its atime according to relatime or strictatime, unless
  // access times are disabled.
  void NoteAccess(Inode* inode) const ABSL_LOCKS_EXCLUDED(inode->mu) {
    if (!keep_.load(std::memory_order_relaxed)) return;
    if (inode->is_directory() && !of_directories_) return;
    AttributeChanges::NoteAccess(inode, strict_);
  }

  // Sets whether access times are kept from now on: a remount changes noatime.
  void Keep(bool keep) { keep_.store(keep, std::memory_order_relaxed); }

 private:
  std::atomic<bool> keep_;
  const bool of_directories_;
  const bool strict_;  // every read moves access times, instead of relatime
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_OPS_ACCESS_TIMES_H_
