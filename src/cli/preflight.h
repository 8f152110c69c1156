// The checks before fork and mount.

#ifndef MEMFUSE_SRC_CLI_PREFLIGHT_H_
#define MEMFUSE_SRC_CLI_PREFLIGHT_H_

#include "absl/status/status.h"
#include "src/cli/options.h"

namespace memfuse::cli {

// Checks the mount point, the log directory and the descriptor of --fuse_fd, and makes the paths
// in `options` absolute. The error is a sentence for the user.
absl::Status CheckEnvironment(Options& options);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_PREFLIGHT_H_
