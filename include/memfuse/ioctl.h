/* ioctl(2) commands that read and change the limits of a mount.
 *
 * They are made on any descriptor of a directory or regular file of the mount that is open for
 * reading or writing (not O_PATH), for example its root directory. They therefore work wherever the
 * mount is visible, including containers, and need no socket. Errors of all commands, in the order
 * of the checks:
 *
 *   EBADF, ENOTTY  the descriptor does not belong to memfuse, or this daemon has no such command
 *   EACCES         the mount belongs to another user and was made without allow_other
 *   EINVAL         the structure is smaller than its first version
 *
 * The size of a structure is part of the number of its command. A later version may add members at
 * the end, and the value 0 of such a member stands for the earlier behaviour. A program may
 * therefore give either version to either daemon.
 *
 * This header is plain C.
 */

#ifndef MEMFUSE_IOCTL_H_
#define MEMFUSE_IOCTL_H_

#include <linux/ioctl.h>
#include <linux/types.h>

struct memfuse_limits {
  __u64 bytes_limit; /* for everything that is stored: file pages, names, inodes, xattrs */
  __u64 bytes_used;
  __u64 inode_limit; /* including the root directory */
  __u64 inodes_used;
};

struct memfuse_mount_options {
  char text[4096];
};

/* Returns the limits and the usage of the mount, with the precision of df(1). Any program that has
 * the descriptor may call it. bytes_used, rounded up to whole pages, is the value to which the
 * limit can be lowered; on a mount whose file data uses passthrough and that uses no page, it is
 * one page more.
 */
#define MEMFUSE_IOC_GET_LIMITS _IOR(0xEF, 0, struct memfuse_limits)

/* Sets bytes_limit, rounded up to whole pages of 4 KiB, and inode_limit: both or none. 0 keeps a
 * limit. The members for usage are ignored. The change takes effect at once, while other programs
 * write. At no moment more can be stored than the larger of the old and the new limit allows.
 * Errors, in the order of the checks:
 *
 *   EPERM   the calling thread has no CAP_SYS_ADMIN in the user namespace of the daemon, and it
 *           does not belong to the user that runs the daemon, or that user is user 0. Also if the
 *           daemon cannot see the thread: its PID namespace is neither the daemon's nor below it
 *   E2BIG   members that this daemon does not know are not 0
 *   EINVAL  more than 2^47 bytes or 2^40 inodes; then less than the bytes in use; then less than
 *           the inodes in use
 *   ENOMEM, EMFILE, ENFILE  the daemon lacks memory or descriptors
 */
#define MEMFUSE_IOC_SET_LIMITS _IOW(0xEF, 1, struct memfuse_limits)

/* Returns the options of the mount and their effective values, as a complete list of options of
 * mount(8): "threads=8,data=passthrough,noswap=false". Limits are not included. In values, a comma,
 * a backslash, white space and control characters are written as in /proc/mounts: a backslash and
 * three octal digits. The text ends with a NUL. Any program that has the descriptor may call it.
 *
 *   ERANGE  the text does not fit
 */
#define MEMFUSE_IOC_GET_OPTIONS _IOR(0xEF, 2, struct memfuse_mount_options)

/* Sets whether the file system itself updates access times (1) or not (0). It accompanies
 * MS_NOATIME of mount(2), about which the kernel does not inform the file system. Errors, in the
 * order of the checks:
 *
 *   EPERM   as for MEMFUSE_IOC_SET_LIMITS
 *   EINVAL  neither 0 nor 1
 */
#define MEMFUSE_IOC_SET_ATIME _IOW(0xEF, 3, __u32)

#endif /* MEMFUSE_IOCTL_H_ */
