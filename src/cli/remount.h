// `-o remount`: changes a mount that is there, and starts nothing.

#ifndef MEMFUSE_SRC_CLI_REMOUNT_H_
#define MEMFUSE_SRC_CLI_REMOUNT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "src/cli/machine.h"

namespace memfuse::cli {

// What the flags say and the mount at the one operand has not yet becomes so: size, nr_inodes, and,
// for root, ro, suid, dev, exec and atime. What is not said stays. mode, uid and gid are for new
// mounts and left out, as tmpfs does; of the others those pass that say what the mount has.
// Everything that can be refused is refused before anything is changed. Errors are one sentence for
// the user: those of ResolveOptions; NotFound or FailedPrecondition (no memfuse there, or a dead
// one); InvalidArgument (cannot change; less than is used); PermissionDenied; Internal.
//
// With `only_check` nothing is changed even if all is well.
absl::Status Remount(const std::vector<std::string>& operands, const Machine& machine,
                     bool only_check = false);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_REMOUNT_H_
