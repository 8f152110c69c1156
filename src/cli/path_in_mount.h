// Where a directory lies in its file system.

#ifndef MEMFUSE_SRC_CLI_PATH_IN_MOUNT_H_
#define MEMFUSE_SRC_CLI_PATH_IN_MOUNT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace memfuse::cli {

// Returns the path of the directory from the root of its file system, such as "/a/b"; that of the
// root is "/". `descriptor` is an open directory. A bind mount of a part of the file system has the
// path of that part in front. Returns FailedPrecondition, with a sentence: it is not a directory,
// it was removed, it has no path in this mount namespace, or its path is longer than PATH_MAX.
absl::StatusOr<std::string> PathInFileSystem(int descriptor);

// The same for a directory with the absolute path `path` on the mount with this ID. `mountinfo` is
// the content of /proc/self/mountinfo. Returns an empty string if the mount is not in it.
std::string PathBelowMount(absl::string_view path, uint64_t mount_id, absl::string_view mountinfo);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_PATH_IN_MOUNT_H_
