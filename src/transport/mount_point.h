// A mount of ours, so that it, and no other, can be taken away again.

#ifndef MEMFUSE_SRC_TRANSPORT_MOUNT_POINT_H_
#define MEMFUSE_SRC_TRANSPORT_MOUNT_POINT_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace memfuse::transport {

// Constant after Identify; all methods from any thread. None of them makes a request of the file
// system behind the mount while it is alive, so they may be called before anybody serves it.
class MountPoint {
 public:
  // Which mount is at a path. Numbers of mounts and devices are used again once they are free,
  // unless the kernel has unique ones (Linux 6.8).
  struct Identity {
    bool known = false;
    bool unique = false;  // mount_id is never used again
    uint64_t mount_id = 0;
    uint32_t device_major = 0;
    uint32_t device_minor = 0;
  };
  static Identity Find(const std::string& path);

  // Remembers what is mounted at `path` (absolute) now. `below`: what was there before; where that
  // is all there is, somebody has unmounted ours already. `by_helper`: unmount through fusermount3
  // at once.
  static MountPoint Identify(std::string path, bool by_helper, const Identity& below);

  const std::string& path() const { return path_; }

  // Whether the mount is still there. Another one in its place is not it. `connection_ended`: the
  // kernel has said that nobody is to be served any more.
  bool IsMounted(bool connection_ended) const;

  // Lets the kernel read ahead as it does for disks: 1 MiB, not 128 KiB. Takes root; without it
  // nothing happens.
  void TuneCache() const;

  // Lets the kernel keep at most `bytes` of unwritten data of the mount; 0: as much as for disks.
  // Its own bound for FUSE is 1 % of that, which makes stores through mappings ten times slower. It
  // stays where nothing else can be said: without root, and for a number of bytes before Linux 6.2.
  //
  // Dirty pages are charged to the memory cgroup of the process that stores. Where that is also the
  // daemon's, or an ancestor of it, and such pages fill it, the daemon cannot have the page that it
  // needs to write one of them back: both wait for ever.
  void BoundDirtyBytes(uint64_t bytes) const;

  // Unmounts. Where it is in use, tries again until `busy_until`, then detaches it: it is gone from
  // the tree, and ends when the last user is. A mount that is not there any more is a success.
  // PermissionDenied, Internal.
  absl::Status Unmount(absl::Time busy_until, bool connection_ended) const;

 private:
  MountPoint(std::string path, bool by_helper) : path_(std::move(path)), by_helper_(by_helper) {}

  // Writes to a file of the mount's directory in /sys/class/bdi. 0, or the errno.
  int SetCache(const char* name, uint64_t value) const;

  // 0, EBUSY, or why not; `sentence` says so for the user.
  int TryUnmount(bool lazy, std::string* sentence) const;

  const std::string path_;
  const bool by_helper_;
  // Constant after Identify.
  Identity identity_;
  bool gone_ = false;  // before it could be identified
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_MOUNT_POINT_H_
