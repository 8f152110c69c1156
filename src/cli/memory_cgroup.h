// The memory limit of the control group that this process is in.

#ifndef MEMFUSE_SRC_CLI_MEMORY_CGROUP_H_
#define MEMFUSE_SRC_CLI_MEMORY_CGROUP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"

namespace memfuse::cli {

// The text of a file of /proc or /sys. "" if it cannot be read; `error`, if it is not null, is then
// set to the errno.
std::string ReadWholeFile(const std::string& path, int* error = nullptr);

// The constructor reads where control groups are mounted. Every call reads the control group of the
// process and the limits, because both can change while a daemon runs.
class MemoryCgroup {
 public:
  // Reads ROOT/proc/self/mountinfo. `root` is "" except in tests. The control group is that of
  // `process`: "self", or the number of another process.
  explicit MemoryCgroup(std::string root, std::string process = "self");

  // The smallest memory limit of the cgroup of this process and the cgroups above it, cgroup v1 or
  // v2 or both (v2: memory.max and memory.high). No value if there is no limit. `complete`, if it
  // is not null, is set to whether all existing limits were read.
  std::optional<uint64_t> ReadLimit(bool* complete = nullptr) const;

  // How much memory the processes of a cgroup can still get.
  struct Room {
    uint64_t limit = 0;
    // `limit`, less what is used and cannot be reclaimed (v1: memory.usage_in_bytes, v2:
    // memory.current; page cache that is no shared memory, and in v2 some of the kernel's own
    // memory, can be reclaimed).
    uint64_t available = 0;

    // `available`, less the eighth of the limit that is kept for programs; 0 if less is left.
    uint64_t for_files() const;
  };
  // The room of the cgroup of this process, or of any cgroup above it, whichever leaves least for
  // files. A cgroup whose limit or use is not known is left out; no value if none remains.
  // `complete`, if it is not null, is set to whether all files that exist were read.
  std::optional<Room> ReadRoom(bool* complete = nullptr) const;

 private:
  // Calls `visit` with the directory of each cgroup that limits this process, and whether it is v2.
  // Returns false if /proc/self/cgroup cannot be read.
  bool ForEach(absl::FunctionRef<void(const std::string& directory, bool v2)> visit) const;

  // A mounted hierarchy of cgroups that can limit memory.
  struct Hierarchy {
    std::string mount_point;
    std::string mounted_root;  // the cgroup that the mount point shows
    bool v2 = false;
  };

  const std::string root_;
  const std::string process_;
  std::vector<Hierarchy> hierarchies_;
};

// The part of a cgroup's limit that files may take. Programs, the daemon and structures of the
// kernel are charged to the same limit; an eighth is reserved for them. With a larger part, the
// kernel would kill processes before the file system is full.
uint64_t RoomForFiles(uint64_t limit);

// The part of a cgroup's limit that unwritten data of a mount may take. The daemon has a second
// copy of the data during write-back, so the part must be small; a larger one does not make stores
// faster.
uint64_t RoomForDirtyPages(uint64_t limit);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_MEMORY_CGROUP_H_
