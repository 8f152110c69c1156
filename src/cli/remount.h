// `-o remount`: changes an existing mount, and starts no process.

#ifndef MEMFUSE_SRC_CLI_REMOUNT_H_
#define MEMFUSE_SRC_CLI_REMOUNT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "src/cli/machine.h"

namespace memfuse::cli {

// Applies the flags that were set to the mount at the only operand: size, nr_inodes, and, for root,
// ro, suid, dev, exec and atime. Options that were not set keep their values. mode, uid and gid are
// for new mounts and ignored, as on tmpfs. All other options are accepted only with the value that
// the mount has. All checks come before the first change. Errors are one sentence for the user:
// those of ResolveOptions; NotFound or FailedPrecondition (no memfuse there, or a stale mount);
// InvalidArgument (cannot change; less than is used); PermissionDenied; Internal.
//
// With `only_check` nothing is changed even if all checks pass.
absl::Status Remount(const std::vector<std::string>& operands, const Machine& machine,
                     bool only_check = false);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_REMOUNT_H_
