#include "src/mount/stale_mount.h"

#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "src/mount/probe_mount.h"

namespace memfuse::mount {

void DetachStaleMount(const std::string& mount_point) {
  struct statx attributes;
  if (ProbeMount(mount_point, 0, &attributes) != ENOTCONN) return;
  if (umount2(mount_point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return;

  // Without root, the set-user-id helper that mounted it may unmount it.
  std::string path = mount_point;
  std::string program = "fusermount3";
  std::string flags = "-uqz";
  std::string separator = "--";
  char* const arguments[] = {program.data(), flags.data(), separator.data(), path.data(), nullptr};
  pid_t helper;
  if (posix_spawnp(&helper, program.c_str(), nullptr, nullptr, arguments, environ) == 0) {
    waitpid(helper, nullptr, 0);
  }
}

}  // namespace memfuse::mount
