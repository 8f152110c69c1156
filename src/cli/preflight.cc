#include "src/cli/preflight.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "src/cli/paths.h"

namespace memfuse::cli {
namespace {

// From Documentation/admin-guide/devices.txt.
constexpr unsigned kMiscMajor = 10;
constexpr unsigned kFuseMinor = 229;

absl::Status CheckFuseDescriptor(int fd) {
  if (fd <= STDERR_FILENO) {
    return absl::InvalidArgumentError(
        absl::StrCat("--fuse_fd: descriptor ", fd, " is a standard stream"));
  }
  struct stat attributes;
  if (fstat(fd, &attributes) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("--fuse_fd: descriptor ", fd, " is not open"));
  }
  if (!S_ISCHR(attributes.st_mode) || major(attributes.st_rdev) != kMiscMajor ||
      minor(attributes.st_rdev) != kFuseMinor) {
    return absl::InvalidArgumentError(
        absl::StrCat("--fuse_fd: descriptor ", fd, " is not one of /dev/fuse"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckEnvironment(Options& options) {
  std::string& mount_point = options.mount.mount_point;
  if (options.fuse_fd >= 0) {
    if (absl::Status status = CheckFuseDescriptor(options.fuse_fd); !status.ok()) return status;
    if (!mount_point.empty()) mount_point = AbsolutePath(mount_point);
  } else {
    absl::StatusOr<std::string> resolved = ResolveMountPoint(mount_point);
    if (!resolved.ok()) return resolved.status();
    mount_point = *std::move(resolved);
  }
  if (options.log_dir.empty()) return absl::OkStatus();
  absl::StatusOr<std::string> log_dir = ResolveLogDirectory(options.log_dir, mount_point);
  if (!log_dir.ok()) return log_dir.status();
  options.log_dir = *std::move(log_dir);
  return absl::OkStatus();
}

}  // namespace memfuse::cli
