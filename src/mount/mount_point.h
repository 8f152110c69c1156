// Identifies a mount that this daemon made, so that it unmounts that mount and no other.

#ifndef MEMFUSE_SRC_MOUNT_MOUNT_POINT_H_
#define MEMFUSE_SRC_MOUNT_MOUNT_POINT_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "memfuse/connection.h"
#include "src/base/deadline.h"

namespace memfuse::mount {

// Constant after Identify; all methods may be called from any thread. As long as the file system
// behind the mount is alive, no method sends it a request, except that Unmount makes the kernel
// write back cached data. The methods may therefore be called before a worker serves the mount.
class MountPoint {
 public:
  using Identity = MountIdentity;
  // Identifies the mount at a path.
  static Identity Find(const std::string& path);

  // Records the mount that is at `path` (absolute) now. `below` is the mount that was there before.
  // If the path still shows `below`, another process has already unmounted ours. `by_helper`:
  // unmount with fusermount3 without trying umount2(2).
  static MountPoint Identify(std::string path, bool by_helper, const Identity& below);

  // The mount at `path` that another process has identified.
  MountPoint(std::string path, bool by_helper, const Identity& identity)
      : path_(std::move(path)), by_helper_(by_helper), identity_(identity) {}

  const std::string& path() const { return path_; }
  bool by_helper() const { return by_helper_; }
  const Identity& identity() const { return identity_; }

  // Returns whether the mount is still there. Another mount at the same path does not count.
  // `connection_ended`: the kernel has reported the end of the connection.
  bool IsMounted(bool connection_ended) const;

  // Sets the kernel's read-ahead to 1 MiB, as for disks, instead of 128 KiB. Needs root; has no
  // effect without it.
  void TuneCache() const;

  // Lets the kernel keep at most `bytes` of unwritten data of the mount. 0: as much as for disks.
  // The kernel's own bound for FUSE is 1 % of that, which makes stores through mappings ten times
  // slower. This bound stays in force if no other value can be set: without root, and for a number
  // of bytes before Linux 6.2.
  //
  // Dirty pages are charged to the memory cgroup of the process that stores. That cgroup may also
  // be the daemon's cgroup, or an ancestor of it. If dirty pages fill it, the daemon cannot
  // allocate the page that it needs to write one of them back, and both processes wait forever.
  void BoundDirtyBytes(uint64_t bytes) const;

  // Unmounts. If the mount is in use, tries again until `busy_until` and then detaches it: the
  // mount disappears from the tree at once, and ends with its last user. Success if the mount no
  // longer exists. Errors: PermissionDenied, Internal.
  absl::Status Unmount(base::Deadline busy_until, bool connection_ended) const;

 private:
  MountPoint(std::string path, bool by_helper) : path_(std::move(path)), by_helper_(by_helper) {}

  // Writes to a file in the mount's directory of /sys/class/bdi. Returns 0 or an errno.
  int SetCache(const char* name, uint64_t value) const;

  // Returns 0, EBUSY, or another errno. `sentence` describes the error for the user.
  int TryUnmount(bool lazy, std::string* sentence) const;

  const std::string path_;
  const bool by_helper_;
  // Constant after Identify.
  Identity identity_;
  bool gone_ = false;  // the mount disappeared before it could be identified
};

}  // namespace memfuse::mount

#endif  // MEMFUSE_SRC_MOUNT_MOUNT_POINT_H_
