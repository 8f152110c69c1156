// Mounting: /dev/fuse and mount(2), or fusermount3.

#ifndef MEMFUSE_SRC_TRANSPORT_MOUNT_H_
#define MEMFUSE_SRC_TRANSPORT_MOUNT_H_

#include <string>

#include "absl/status/statusor.h"
#include "memfuse/session.h"
#include "src/base/unique_fd.h"
#include "src/transport/mount_point.h"

namespace memfuse::transport {

struct Mounted {
  base::UniqueFd descriptor;  // /dev/fuse; INIT is waiting in it
  MountPoint mount_point;
};

// Mounts as `options` say: with mount(2) where that is permitted (then allow_other is always set,
// as a tmpfs is open to everybody), else through fusermount3. Without `kernel_permissions` (see
// SessionOptions) neither default_permissions nor allow_other is set. The errors are those of
// Session::Mount, one sentence each, but for DeadlineExceeded. Nothing stays mounted on failure.
absl::StatusOr<Mounted> MountDevice(const MountOptions& options, bool kernel_permissions = true);

// The path of the mount point without symbolic links, if something can be mounted there.
// InvalidArgument (empty), NotFound, FailedPrecondition (no directory; a dead daemon's mount),
// PermissionDenied, Internal.
absl::StatusOr<std::string> CheckMountPoint(const std::string& path);

// What fusermount3 gets after -o. For tests.
std::string HelperOptions(const MountOptions& options, bool root, bool kernel_permissions);

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_MOUNT_H_
