// Paths of the command line, made absolute: the daemon's working directory is "/".

#ifndef MEMFUSE_SRC_CLI_PATHS_H_
#define MEMFUSE_SRC_CLI_PATHS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace memfuse::cli {

// The mount point without symbolic links. NotFound, PermissionDenied or FailedPrecondition (a
// component that is not a directory, a loop), with a sentence. Session::Mount checks whether it is
// a suitable directory.
absl::StatusOr<std::string> ResolveMountPoint(const std::string& path);

// The same without accessing the file system: while INIT of the mounted connection has not been
// answered, every access hangs.
std::string AbsolutePath(const std::string& path);

// The log directory without symbolic links. NotFound, PermissionDenied or FailedPrecondition: it is
// not a directory that this process may write to, or it is inside `mount_point`, where a log line
// would be a request that waits for the thread that writes the line.
absl::StatusOr<std::string> ResolveLogDirectory(const std::string& path,
                                                const std::string& mount_point);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_PATHS_H_
