// Opening and cloning /dev/fuse.

#ifndef MEMFUSE_SRC_MOUNT_DEVICE_H_
#define MEMFUSE_SRC_MOUNT_DEVICE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "memfuse/errno.h"
#include "src/base/unique_fd.h"

namespace memfuse::mount {

// Opens /dev/fuse. Errors: FailedPrecondition (there is no device), PermissionDenied, Internal.
absl::StatusOr<base::UniqueFd> OpenDevice();

// Returns another descriptor of the connection of `descriptor`, with a processing queue of its own.
// Requires: INIT was answered. Errors: those of OpenDevice, FailedPrecondition (`descriptor`
// belongs to no connection: it is not /dev/fuse, or was never mounted).
absl::StatusOr<base::UniqueFd> CloneDevice(int descriptor);

// Registers a file with the connection of `device`, so that opens may be answered with it. Returns
// its number. Errors as for BackingFiles::Register.
Result<int32_t> RegisterBackingFile(int device, int descriptor);
void UnregisterBackingFile(int device, int32_t id);

}  // namespace memfuse::mount

#endif  // MEMFUSE_SRC_MOUNT_DEVICE_H_
