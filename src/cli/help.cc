#include "src/cli/help.h"

namespace memfuse::cli {

absl::string_view HelpText() {
  return R"(Usage: memfuse MOUNTPOINT [flags]
A file system in memory, like tmpfs, served over FUSE until it is unmounted.

  --size=50%          limit on memory: bytes, k/m/g/t, % of memory; 0: all of it
  --nr_inodes=N       limit on inodes, k/m/g; 0: none (default: RAM / 8 KiB)
  --mode=1777         permissions of the root directory, octal
  --uid=U  --gid=G    its owner (default: you)
  --threads=N         threads that serve (default: one per CPU, at most 8)
  --allow_other       let other users in (root always does)
  --data=auto         where file data lies: passthrough (root) or daemon; with
                      the latter --writeback (the kernel collects small writes)
  --huge=auto         huge pages for it: never, within_size, advise, always
  --noswap --noxattr  never swap it out (root); no extended attributes, ACLs
  --transport=auto    requests by dev or uring; auto: io_uring where it is on
  --fsname=memfuse    name in the first field of /proc/mounts
  -o a,b=c            mount options: the flags above by name, and ro, nosuid,
                      nodev, noexec, noatime; those of mount(8) are dropped
  --fuse_fd=N         serve this open /dev/fuse descriptor; mount nothing
  -f, --foreground    stay in the foreground and log to stderr
  --log_dir=DIR       log to files there (default: syslog)
  -h, --help          print this; see also memfuse(1)
  --version           print the version

Unmount with umount(8), 'fusermount3 -u' or SIGTERM; SIGUSR1 logs the requests.
)";
}

absl::string_view VersionText() { return "memfuse " MEMFUSE_VERSION "\n"; }

}  // namespace memfuse::cli
