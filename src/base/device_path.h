// What systemd takes for the path of a device.

#ifndef MEMFUSE_SRC_BASE_DEVICE_PATH_H_
#define MEMFUSE_SRC_BASE_DEVICE_PATH_H_

#include <string_view>

namespace memfuse::base {

// Whether `path` is /dev, /sys or below one of them. A mount with such a source is one of a device
// to systemd, which unmounts it when there is no such device, or no longer.
bool IsDevicePath(std::string_view path);

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_DEVICE_PATH_H_
