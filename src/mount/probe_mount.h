// Determines whether a daemon answers for a mount.

#ifndef MEMFUSE_SRC_MOUNT_PROBE_MOUNT_H_
#define MEMFUSE_SRC_MOUNT_PROBE_MOUNT_H_

#include <fcntl.h>
#include <sys/stat.h>

#include <string>

namespace memfuse::mount {

// A statx(2) that the file system itself must answer, because the kernel may still have cached
// attributes after the daemon of a mount has died. Returns 0 or an errno; ENOTCONN means that the
// daemon has died.
//
// A request that was made while a daemon died, or while it closed one of its descriptors, ends with
// ECONNABORTED or ECANCELED (io_uring, which releases a daemon late). Neither error shows whether
// another process still answers. The call is therefore repeated for up to two seconds.
int ProbeMount(const std::string& path, int flags, struct statx* attributes);

}  // namespace memfuse::mount

#endif  // MEMFUSE_SRC_MOUNT_PROBE_MOUNT_H_
