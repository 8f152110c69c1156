// Whether anybody answers for a mount.

#ifndef MEMFUSE_SRC_BASE_PROBE_MOUNT_H_
#define MEMFUSE_SRC_BASE_PROBE_MOUNT_H_

#include <fcntl.h>
#include <sys/stat.h>

#include <string>

namespace memfuse::base {

// statx(2) that asks the file system itself: the kernel may still know attributes when the daemon
// behind a mount is dead. Returns 0 or an errno; ENOTCONN: the daemon is dead.
//
// What was asked while a daemon died, or while it closed one of its descriptors, ends with
// ECONNABORTED or ECANCELED (io_uring, which lets go of a daemon late). Neither says whether
// somebody is left who answers, so it is asked again, for up to two seconds.
int ProbeMount(const std::string& path, int flags, struct statx* attributes);

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_PROBE_MOUNT_H_
