// mount.memfuse: the program under the name by which mount(8) calls it,
//
//   mount.memfuse SOURCE DIRECTORY [-sfnv] [-N namespace] [-o options] [-t type]
//
// as mount(8), EXTERNAL HELPERS, specifies. Not parsed by gflags: -s, -n and -v have other meanings
// there.

#ifndef MEMFUSE_SRC_CLI_MOUNT_HELPER_H_
#define MEMFUSE_SRC_CLI_MOUNT_HELPER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace memfuse::cli {

// Whether `program`, argv[0], is mount.SOMETHING, in any directory.
bool IsMountHelper(absl::string_view program);

struct MountHelperCall {
  std::string source;
  std::string mount_point;
  std::string mount_namespace;       // a file under /proc; empty: the present one
  std::vector<std::string> options;  // the arguments of -o, as they were given
  bool fake = false;                 // -f: check, and mount nothing
  bool sloppy = false;               // -s
  bool verbose = false;              // -v
};

// From argv without the program. Changes nothing. InvalidArgument, with a sentence.
absl::StatusOr<MountHelperCall> ParseMountHelperCall(absl::Span<const std::string> arguments);

// Sets the flags: the options, and fsname to the name that the source stands for (mount_source.h).
// A remount ignores the source, because the mount has its name. InvalidArgument, Unimplemented.
absl::Status ApplyMountHelperCall(const MountHelperCall& call);

// Enters the mount namespace of mount -N. FailedPrecondition, PermissionDenied, with a sentence.
// Must be called before there is any thread.
absl::Status EnterMountNamespace(const std::string& path);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_MOUNT_HELPER_H_
