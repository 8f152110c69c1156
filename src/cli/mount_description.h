// The properties of a mount that cannot change while it is mounted, as a list of mount options. The
// daemon reports them (MEMFUSE_IOC_GET_OPTIONS), and a remount compares them.

#ifndef MEMFUSE_SRC_CLI_MOUNT_DESCRIPTION_H_
#define MEMFUSE_SRC_CLI_MOUNT_DESCRIPTION_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "src/cli/options.h"

namespace memfuse::cli {

// In the format of memfuse/ioctl.h. `data_options` is MemoryFileSystem::DataOptions().
std::string DescribeMount(const Options& options, absl::string_view data_options, bool io_uring,
                          absl::string_view control_socket);

// The value of the option `name` in such a list; no value if the option is not in the list.
std::optional<std::string> ValueInDescription(absl::string_view description,
                                              absl::string_view name);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_MOUNT_DESCRIPTION_H_
