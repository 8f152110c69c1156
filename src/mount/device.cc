#include "src/mount/device.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "src/base/error_text.h"
#include "src/protocol/device.h"

namespace memfuse::mount {
namespace {

constexpr char kDevice[] = "/dev/fuse";

}  // namespace

absl::StatusOr<base::UniqueFd> OpenDevice() {
  base::UniqueFd descriptor(open(kDevice, O_RDWR | O_CLOEXEC));
  if (descriptor.valid()) return descriptor;
  switch (errno) {
    case ENOENT:
    case ENXIO:
    case ENODEV:
      return absl::FailedPreconditionError(
          "there is no /dev/fuse: load the module with 'modprobe fuse', or start the container "
          "with "
          "'--device /dev/fuse'");
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(
          "no permission to open /dev/fuse: it should have mode 0666, and a container needs "
          "'--device /dev/fuse'");
    default:
      return absl::InternalError(absl::StrCat("cannot open /dev/fuse: ", base::ErrorText(errno)));
  }
}

absl::StatusOr<base::UniqueFd> CloneDevice(int descriptor) {
  absl::StatusOr<base::UniqueFd> clone = OpenDevice();
  if (!clone.ok()) return clone;
  uint32_t source = static_cast<uint32_t>(descriptor);
  if (ioctl(clone->get(), protocol::kDeviceClone, &source) == 0) return clone;
  return absl::FailedPreconditionError(
      absl::StrCat("cannot clone a descriptor of the FUSE connection: ", base::ErrorText(errno)));
}

Result<int32_t> RegisterBackingFile(int device, int descriptor) {
  const protocol::BackingMap map = {descriptor, 0, 0};
  const int id = ioctl(device, protocol::kDeviceBackingOpen, &map);
  if (id < 0) return Errno(errno);
  return id;
}

void UnregisterBackingFile(int device, int32_t id) {
  const auto number = static_cast<uint32_t>(id);
  ioctl(device, protocol::kDeviceBackingClose, &number);
}

}  // namespace memfuse::mount
