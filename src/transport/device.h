// Opening and cloning /dev/fuse.

#ifndef MEMFUSE_SRC_TRANSPORT_DEVICE_H_
#define MEMFUSE_SRC_TRANSPORT_DEVICE_H_

#include "absl/status/statusor.h"
#include "memfuse/errno.h"
#include "src/base/unique_fd.h"

namespace memfuse::transport {

// FailedPrecondition: there is no device. PermissionDenied. Internal.
absl::StatusOr<base::UniqueFd> OpenDevice();

// Another descriptor of the connection of `descriptor`, with a processing queue of its own. INIT
// must have been answered. The errors of OpenDevice, or FailedPrecondition: `descriptor` belongs to
// no connection (it is not /dev/fuse, or was never mounted).
absl::StatusOr<base::UniqueFd> CloneDevice(int descriptor);

// Tells the connection of `device` about a file that opens may be answered with; returns its
// number. As BackingFiles::Register.
Result<int32_t> RegisterBackingFile(int device, int descriptor);
void UnregisterBackingFile(int device, int32_t id);

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_DEVICE_H_
