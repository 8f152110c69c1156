// The source that mount(8) hands to a helper, and the name that was meant by it.
//
// mount(8) takes every source for a file to be mounted. Where there is one of that name, as seen
// from the working directory, the helper is given its path, absolute and without symbolic links: a
// line "tmp /tmp memfuse" becomes /tmp at boot, where the working directory is the root. But to see
// whether a line is mounted already, and whether a user may unmount it, mount(8) and umount(8)
// compare /proc/mounts with what fstab says.

#ifndef MEMFUSE_SRC_CLI_MOUNT_SOURCE_H_
#define MEMFUSE_SRC_CLI_MOUNT_SOURCE_H_

#include <string>

namespace memfuse::cli {

// The name for `source`:
// - of a line of fstab for this mount point and memfuse, whose first field is the source or, seen
//   from the working directory, a file with that path: that field;
// - the path of something in the working directory: its last component;
// - anything else: as it is.
std::string NameOfSource(const std::string& source, const std::string& mount_point,
                         const std::string& fstab = "/etc/fstab");

// Whether what is mounted on `mount_point`, a path without symbolic links, is a memfuse of that
// name. Asks no file system, so a dead one counts as well.
bool IsMountedAs(const std::string& name, const std::string& mount_point,
                 const std::string& mounts = "/proc/self/mounts");

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_MOUNT_SOURCE_H_
