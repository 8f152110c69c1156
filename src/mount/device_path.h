// Paths that systemd treats as paths of devices.

#ifndef MEMFUSE_SRC_MOUNT_DEVICE_PATH_H_
#define MEMFUSE_SRC_MOUNT_DEVICE_PATH_H_

#include <string_view>

namespace memfuse::mount {

// Returns whether `path` is /dev, /sys or below one of them. systemd treats a mount with such a
// source as the mount of a device, and unmounts it if the device does not exist or disappears.
bool IsDevicePath(std::string_view path);

}  // namespace memfuse::mount

#endif  // MEMFUSE_SRC_MOUNT_DEVICE_PATH_H_
