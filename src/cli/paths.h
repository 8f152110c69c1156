// Paths of the command line, made absolute: the daemon's working directory is "/".

#ifndef MEMFUSE_SRC_CLI_PATHS_H_
#define MEMFUSE_SRC_CLI_PATHS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace memfuse::cli {

// The mount point without symbolic links. NotFound, PermissionDenied or FailedPrecondition (a file
// in the way, a loop), with a sentence. Whether it is a directory, and a good one, is for
// Session::Mount to say.
absl::StatusOr<std::string> ResolveMountPoint(const std::string& path);

// The same without asking the file system: where a connection is mounted whose INIT nobody has
// answered yet, every question hangs.
std::string AbsolutePath(const std::string& path);

// The log directory without symbolic links. NotFound, PermissionDenied or FailedPrecondition: not a
// directory this process may write to, or inside `mount_point`, where a log line would be a request
// that waits for the thread that wrote it.
absl::StatusOr<std::string> ResolveLogDirectory(const std::string& path,
                                                const std::string& mount_point);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_PATHS_H_
