// What a mount of memfuse holds and how it works, without hanging on a daemon that does not answer.

#ifndef MEMFUSE_SRC_CLI_MOUNT_STATE_H_
#define MEMFUSE_SRC_CLI_MOUNT_STATE_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/cli/mount_table.h"

namespace memfuse::cli {

struct MountState {
  enum class Life {
    kServes,
    kDied,      // ENOTCONN: the daemon has died
    kSilent,    // no answer within three seconds
    kNoAccess,  // the caller may not look at the mount
    kCovered,   // another mount is on the same mount point
  };
  enum class Socket {
    kAnswers,
    kNotMade,  // the daemon has made none
    kUnknown,  // the daemon does not answer, so where its socket is cannot be asked
    kRefused,  // nothing listens there
    kDenied,   // the caller may not connect to it
    kSilent,   // no answer in time, or none that this program understands
  };
  Life life = Life::kServes;
  Socket socket = Socket::kUnknown;
  std::string socket_path;  // empty: not known, or not made

  // Of the control socket, and without it of ioctl(2) or statvfs(3). No value: not known.
  std::optional<uint64_t> size_limit, size_used, inode_limit, inodes_used;
  // Texts of the daemon, such as "daemon, huge=never; no passthrough: ...". Without the control
  // socket: "daemon" alone, and "/dev/fuse" or "io_uring".
  std::optional<std::string> store, transport;
  // Of the control socket only.
  std::optional<std::string> asked_data, asked_transport;
  std::optional<pid_t> daemon;
  std::optional<int> threads;
  bool read_only = false;  // servers have crashed, and the present one only lets programs read
  uint64_t refusals = 0;   // limits that refused an operation, of those that the caller may see

  // The part of the text before a comma or a semicolon.
  std::optional<std::string> short_store() const;
  std::optional<std::string> short_transport() const;
};

// Asks the daemons of these mounts at the same time, in child processes (bounded_call.h). Takes at
// most five seconds for each 16 mounts. Must be called from the only thread of a process.
std::vector<MountState> ReadMountStates(const std::vector<MountEntry>& mounts);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_MOUNT_STATE_H_
