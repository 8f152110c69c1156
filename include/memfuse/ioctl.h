/* The limits of a mount, asked and changed by ioctl(2).
 *
 * On any descriptor of a directory or regular file of the mount that is open for reading or writing
 * (not O_PATH); its root directory will do. So they work wherever the mount is seen, in a container
 * too, and need no socket. What comes first is checked first:
 *
 *   EBADF, ENOTTY  no descriptor of memfuse, or of one that knows no such call
 *   EACCES         the mount is somebody else's and was made without allow_other
 *   EINVAL         the structure is smaller than its first version
 *
 * The size of a structure is part of its call's number. A later version may add members at the end,
 * and 0 stands for what was before: so a program may give either version to either daemon.
 *
 * Plain C.
 */

#ifndef MEMFUSE_IOCTL_H_
#define MEMFUSE_IOCTL_H_

#include <linux/ioctl.h>
#include <linux/types.h>

struct memfuse_limits {
  __u64 bytes_limit; /* on everything that is stored: file pages, names, inodes, xattrs */
  __u64 bytes_used;
  __u64 inode_limit; /* the root directory counts */
  __u64 inodes_used;
};

struct memfuse_mount_options {
  char text[4096];
};

/* What df(1) says of the mount, and as exactly; for anybody who has the descriptor. bytes_used is
 * what the limit can be lowered to, rounded up to whole pages; on a mount whose file data is passed
 * through and takes no page, to one page more.
 */
#define MEMFUSE_IOC_GET_LIMITS _IOR(0xEF, 0, struct memfuse_limits)

/* Sets bytes_limit, rounded up to whole pages of 4 KiB, and inode_limit: both or none, 0 leaves one
 * as it is. What is used is not looked at. It takes effect at once, beside others who write; and at
 * no moment more can be stored than the larger of the old and the new limit allows.
 *
 *   EPERM   the calling thread has no CAP_SYS_ADMIN in the user namespace of the daemon, and it is
 *           not of the user who runs the daemon either, or that is user 0. Also where the daemon
 *           cannot see the thread: in a PID namespace that is not the daemon's or below it
 *   E2BIG   members that this daemon does not know are not 0
 *   EINVAL  more than 2^47 bytes or 2^40 inodes; or less than is used now: bytes, then inodes
 *   ENOMEM, EMFILE, ENFILE  of the daemon
 */
#define MEMFUSE_IOC_SET_LIMITS _IOW(0xEF, 1, struct memfuse_limits)

/* What the mount was made with and what became of it, as options of mount(8) in full:
 * "threads=8,data=passthrough,noswap=false". Limits are not among them. In values, a comma, a
 * backslash, white space and control characters are written as in /proc/mounts: a backslash and
 * three octal digits. Ends with a 0. For anybody; ERANGE: it does not fit.
 */
#define MEMFUSE_IOC_GET_OPTIONS _IOR(0xEF, 2, struct memfuse_mount_options)

/* Whether access times are kept (1), as the file system does them by itself: what goes with
 * MS_NOATIME of mount(2), which the kernel does not tell it.
 *
 *   EPERM   as for MEMFUSE_IOC_SET_LIMITS
 *   EINVAL  neither 0 nor 1
 */
#define MEMFUSE_IOC_SET_ATIME _IOW(0xEF, 3, __u32)

#endif /* MEMFUSE_IOCTL_H_ */
