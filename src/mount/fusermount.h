// fusermount3, the setuid program that mounts and unmounts for users without the permission to do
// so.

#ifndef MEMFUSE_SRC_MOUNT_FUSERMOUNT_H_
#define MEMFUSE_SRC_MOUNT_FUSERMOUNT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "src/base/unique_fd.h"

namespace memfuse::mount {

struct FusermountResult {
  bool succeeded = false;
  std::string error_text;     // its output on stderr, in one line
  base::UniqueFd descriptor;  // the descriptor it sent over _FUSE_COMMFD, if any; close-on-exec
};

// Runs fusermount3 with `arguments`, waits until it has ended, and reaps it. Errors:
// FailedPrecondition (not installed), DeadlineExceeded (it did not end within the timeout and was
// killed), Internal.
absl::StatusOr<FusermountResult> RunFusermount(const std::vector<std::string>& arguments);

}  // namespace memfuse::mount

#endif  // MEMFUSE_SRC_MOUNT_FUSERMOUNT_H_
