// Mounting with /dev/fuse and mount(2), or with fusermount3.

#ifndef MEMFUSE_SRC_MOUNT_MOUNT_H_
#define MEMFUSE_SRC_MOUNT_MOUNT_H_

#include <string>

#include "absl/status/statusor.h"
#include "memfuse/session.h"
#include "src/base/unique_fd.h"
#include "src/mount/mount_point.h"

namespace memfuse::mount {

struct Mounted {
  base::UniqueFd descriptor;  // /dev/fuse; the INIT request is pending
  MountPoint mount_point;
};

// Mounts as `options` say. It uses mount(2) if that is permitted, and fusermount3 otherwise. With
// mount(2) allow_other is always set, because a tmpfs is accessible to all users. Without
// `kernel_permissions` (see SessionOptions) neither default_permissions nor allow_other is set.
// Errors: those of Session::Mount, one sentence each, except DeadlineExceeded. After an error
// nothing stays mounted.
absl::StatusOr<Mounted> MountDevice(const MountOptions& options, bool kernel_permissions = true);

// Returns the path of the mount point without symbolic links, if it can be used as a mount point.
// Errors: InvalidArgument (empty), NotFound, FailedPrecondition (not a directory; the mount of a
// daemon that has died), PermissionDenied, Internal.
absl::StatusOr<std::string> CheckMountPoint(const std::string& path);

// Returns the argument of fusermount3's option -o. For tests.
std::string HelperOptions(const MountOptions& options, bool root, bool kernel_permissions);

}  // namespace memfuse::mount

#endif  // MEMFUSE_SRC_MOUNT_MOUNT_H_
