// The mounts that this process sees, from /proc/self/mountinfo. No function makes a request to a
// file system, so a mount whose daemon hangs delays none of them.

#ifndef MEMFUSE_SRC_CLI_MOUNT_TABLE_H_
#define MEMFUSE_SRC_CLI_MOUNT_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace memfuse::cli {

struct MountEntry {
  std::string device;       // as in the name of a control socket: "0:52"
  std::string mount_point;  // decoded
  std::string options;      // of the mount: "rw,nosuid"
  std::string type;
  std::string source;         // decoded
  std::string super_options;  // of the file system: "rw,user_id=0,allow_other"
  std::string root = {};      // the directory of the file system that is mounted; decoded
  uint64_t id = 0;

  bool is_memfuse() const { return type == "fuse.memfuse"; }
  bool is_fuse() const;
  // Whether the list of the file system's options has the word `name`.
  bool has_super_option(absl::string_view name) const;
  // The user who mounted a FUSE file system; 0 if the line does not say so.
  uint32_t user_id() const;
};

// Lines that have no such format are left out.
std::vector<MountEntry> ParseMountTable(absl::string_view mountinfo);
// Empty if the file cannot be read.
std::vector<MountEntry> ReadMountTable();

// The last mount at exactly `path` (absolute, without symbolic links), which covers earlier ones
// there; nullptr if there is none.
const MountEntry* MountAt(const std::vector<MountEntry>& table, absl::string_view path);
// The mount that `path` lies on, whether or not the path exists; nullptr if the table is empty.
const MountEntry* MountAbove(const std::vector<MountEntry>& table, absl::string_view path);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_MOUNT_TABLE_H_
