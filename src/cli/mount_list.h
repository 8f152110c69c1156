// The list of the mounts of memfuse, as text and as JSON.

#ifndef MEMFUSE_SRC_CLI_MOUNT_LIST_H_
#define MEMFUSE_SRC_CLI_MOUNT_LIST_H_

#include <string>
#include <vector>

#include "src/cli/mount_state.h"
#include "src/cli/mount_table.h"

namespace memfuse::cli {

struct ListedMount {
  MountEntry mount;
  MountState state;
};

// The mounts of memfuse in /proc/self/mountinfo, in its order. Bounds as for ReadMountStates.
std::vector<ListedMount> ListMounts();

// One row for each mount below a row of headings. Without mounts: one sentence that says so and how
// to mount.
std::string MountListText(const std::vector<ListedMount>& mounts);

// {"mounts": [...]}; memfusectl(1) describes the members.
std::string MountListJson(const std::vector<ListedMount>& mounts);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_MOUNT_LIST_H_
