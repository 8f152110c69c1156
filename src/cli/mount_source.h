// The source that mount(8) passes to a helper, and the name that it stands for.
//
// mount(8) treats every source as a file to be mounted. If there is a file of that name, relative
// to the working directory, mount(8) passes its path, absolute and without symbolic links. For
// example, the source of a line "tmp /tmp memfuse" becomes /tmp at boot, where the working
// directory is the root. But to find out whether a line is mounted already, and whether a user may
// unmount it, mount(8) and umount(8) compare /proc/mounts with fstab.

#ifndef MEMFUSE_SRC_CLI_MOUNT_SOURCE_H_
#define MEMFUSE_SRC_CLI_MOUNT_SOURCE_H_

#include <string>

namespace memfuse::cli {

// The name for `source`:
// - if fstab has a line for this mount point and memfuse, whose first field is the source or,
//   relative to the working directory, a file with that path: that field;
// - if it is the path of a file in the working directory: its last component;
// - otherwise: the source unchanged.
std::string NameOfSource(const std::string& source, const std::string& mount_point,
                         const std::string& fstab = "/etc/fstab");

// Whether the file system on `mount_point`, a path without symbolic links, is a memfuse of that
// name. Does not access any file system, so a stale mount counts as well.
bool IsMountedAs(const std::string& name, const std::string& mount_point,
                 const std::string& mounts = "/proc/self/mounts");

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_MOUNT_SOURCE_H_
