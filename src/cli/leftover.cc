#include "src/cli/leftover.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace memfuse::cli {

void DetachLeftover(const std::string& mount_point) {
  // FORCE_SYNC: the kernel may still know the attributes of the dead daemon's root.
  struct statx attributes;
  if (statx(AT_FDCWD, mount_point.c_str(), AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &attributes) ==
      0) {
    return;
  }
  // With io_uring the connection may end only now, and this request with it.
  if (errno != ENOTCONN && errno != ECONNABORTED) return;
  if (umount2(mount_point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return;

  // Not root: the set-user-id helper that mounted it may unmount it.
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

}  // namespace memfuse::cli
