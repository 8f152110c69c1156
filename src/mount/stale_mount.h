// Removes the stale mount of a daemon that was killed while it started.

#ifndef MEMFUSE_SRC_MOUNT_STALE_MOUNT_H_
#define MEMFUSE_SRC_MOUNT_STALE_MOUNT_H_

#include <string>

namespace memfuse::mount {

// Detaches the mount at `mount_point` if its daemon is dead (ENOTCONN); does nothing otherwise.
void DetachStaleMount(const std::string& mount_point);

}  // namespace memfuse::mount

#endif  // MEMFUSE_SRC_MOUNT_STALE_MOUNT_H_
