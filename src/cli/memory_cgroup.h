// The memory limit of the control group that this process is in.

#ifndef MEMFUSE_SRC_CLI_MEMORY_CGROUP_H_
#define MEMFUSE_SRC_CLI_MEMORY_CGROUP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace memfuse::cli {

// The text of a file of /proc or /sys; "" if it cannot be read: then `error`, if it is not null, is
// set to the errno.
std::string ReadWholeFile(const std::string& path, int* error = nullptr);

// Where control groups are mounted is looked up once; which one the process is in, and the limits,
// at every call: both change while a daemon runs.
class MemoryCgroup {
 public:
  // Reads ROOT/proc/self/mountinfo. `root` is "" but for tests.
  explicit MemoryCgroup(std::string root);

  // The smallest memory limit of the cgroup of this process and those above it, cgroup v1 or v2 or
  // both (v2: memory.max and memory.high). Nothing when there is no limit. `complete`, if it is not
  // null: whether all was read that is there.
  std::optional<uint64_t> ReadLimit(bool* complete = nullptr) const;

 private:
  // A hierarchy of cgroups that can limit memory, as it is mounted here.
  struct Hierarchy {
    std::string mount_point;
    std::string mounted_root;  // which of its cgroups the mount point shows
    bool v2 = false;
  };

  const std::string root_;
  std::vector<Hierarchy> hierarchies_;
};

// The part of a cgroup's limit that files may take. Programs, the daemon and the kernel's own
// structures are charged to the same limit; an eighth is left to them. Above it, the kernel would
// kill processes before the file system is full.
uint64_t RoomForFiles(uint64_t limit);

// The part of a cgroup's limit that unwritten data of a mount may take. The daemon keeps a second
// copy of what is written back, so it has to be small; a larger one does not make stores faster.
uint64_t RoomForDirtyPages(uint64_t limit);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_MEMORY_CGROUP_H_
