// The paths of directories, by their inode numbers.
//
// A directory knows its parent and not its name, so the name is searched among the entries of the
// parent. Names that were found are remembered and checked at the next search.

#ifndef MEMFUSE_SRC_MEMFS_OPS_DIRECTORY_PATHS_H_
#define MEMFUSE_SRC_MEMFS_OPS_DIRECTORY_PATHS_H_

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "memfuse/errno.h"
#include "memfuse/types.h"
#include "src/memfs/ops/inodes.h"
#include "src/memfs/space/lock_order.h"

namespace memfuse::memfs {

// Returns the names of `path`, which views it; none for the root. Superfluous '/' are ignored.
// Errors, name by name: EINVAL (the path does not begin with '/', or a name is "." or ".."),
// ENAMETOOLONG. Throws std::bad_alloc.
Result<std::vector<std::string_view>> SplitPath(std::string_view path);

// Returns the directory with this path from the root. Does not follow symbolic links. Errors:
// ENOENT, ENOTDIR.
Result<DirectoryRef> FindByNames(const Inodes& inodes, const std::vector<std::string_view>& names);

// Thread-safe. `inodes` must outlive the object.
class DirectoryPaths {
 public:
  explicit DirectoryPaths(Inodes* inodes) : inodes_(*inodes) {}
  DirectoryPaths(const DirectoryPaths&) = delete;
  DirectoryPaths& operator=(const DirectoryPaths&) = delete;

  // Returns the path from the root of the file system, "/" for the root itself. Returns an empty
  // string if there is no such directory, if it is removed, if no program can open the path because
  // it has PATH_MAX bytes or more, or after `max_entries` entries were searched. It holds the lock
  // of a directory for at most kBatch entries at a time; while directories are renamed, the path
  // may be one that never existed. Throws std::bad_alloc.
  std::string PathOf(InodeNumber ino, uint64_t max_entries = std::numeric_limits<uint64_t>::max())
      ABSL_LOCKS_EXCLUDED(mu_);

 private:
  static constexpr size_t kBatch = 128;
  static constexpr size_t kMaxRemembered = 4096;
  using Names = std::map<InodeNumber, std::string>;

  // Returns the name of `child` in `parent`, or an empty string. Reduces `max_entries`.
  std::string NameIn(const Directory& parent, InodeNumber child, uint64_t* max_entries)
      ABSL_LOCKS_EXCLUDED(mu_);

  Inodes& inodes_;
  LeafMutex mu_;
  // The name under which each directory was found last.
  Names names_ ABSL_GUARDED_BY(mu_);
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_OPS_DIRECTORY_PATHS_H_
