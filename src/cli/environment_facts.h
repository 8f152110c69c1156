// What doctor_checks.h judges: the machine, the limits of a process, a mount point. The functions
// that gather it only read; they mount nothing and change nothing.

#ifndef MEMFUSE_SRC_CLI_ENVIRONMENT_FACTS_H_
#define MEMFUSE_SRC_CLI_ENVIRONMENT_FACTS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "src/cli/machine.h"
#include "src/cli/memory_cgroup.h"
#include "src/cli/mount_state.h"
#include "src/cli/mount_table.h"

namespace memfuse::cli {

// What the mount should be like.
struct Asked {
  std::optional<uint64_t> size;  // --size in bytes; no value: the default
  std::string data = "auto";
  std::string transport = "auto";
  bool allow_other = false;
};

struct KernelVersion {
  int major = 0;
  int minor = 0;
};
inline bool operator<(KernelVersion a, KernelVersion b) {
  return a.major != b.major ? a.major < b.major : a.minor < b.minor;
}

// The hard limits of a process that can end a daemon or make its operations fail. No value: none.
struct HardLimits {
  std::optional<uint64_t> cpu_seconds;    // RLIMIT_CPU
  std::optional<uint64_t> file_bytes;     // RLIMIT_FSIZE
  std::optional<uint64_t> address_bytes;  // RLIMIT_AS
  std::optional<uint64_t> data_bytes;     // RLIMIT_DATA
  std::optional<uint64_t> descriptors;    // RLIMIT_NOFILE
};

// The memory that a daemon in a control group can use.
struct MemoryFacts {
  std::optional<uint64_t> cgroup_limit;
  std::optional<MemoryCgroup::Room> room;
};

struct DeviceFacts {
  int open_error = 0;     // of open(2) for reading and writing; 0: it can be opened
  bool exists = true;     // there is a file /dev/fuse
  bool is_fuse = true;    // it is the character device 10:229
  uint32_t mode = 0666;   // its permissions
  bool in_kernel = true;  // /proc/filesystems has fuse
};

struct FusermountFacts {
  std::string path;          // of the program that would run; empty: there is none
  bool executable = true;    // by the caller
  bool privileged = true;    // set-user-id of user 0, or with file capabilities
  bool nosuid = false;       // on a mount where neither has an effect
  bool has_profile = false;  // an AppArmor profile of it is enforced
};

struct MachineFacts {
  uint32_t uid = 0;
  bool may_mount = true;           // CAP_SYS_ADMIN in the user namespace of the process
  bool may_lift_limits = true;     // CAP_SYS_RESOURCE
  bool initial_namespace = true;   // the process is in the initial user namespace
  bool no_new_privileges = false;  // set-user-id has no effect on programs that it runs
  DeviceFacts device;
  FusermountFacts fusermount;
  bool user_allow_other = false;  // /etc/fuse.conf has the line
  KernelVersion kernel;
  std::string kernel_release;
  // Of the kernel's configuration. No value: it is not known.
  std::optional<bool> has_passthrough, has_uring;
  std::optional<bool> uring_switch;  // enable_uring of the module; no value: there is no such file
  bool uring_forbidden = false;      // kernel.io_uring_disabled, for this process
  bool userns_restricted = false;  // kernel.apparmor_restrict_unprivileged_userns, or none allowed
  Machine machine;
  HardLimits limits;
  MemoryFacts memory;
};

struct MountPointFacts {
  std::string path;     // absolute
  int error = 0;        // of statx(2)
  bool silent = false;  // statx(2) did not return
  bool is_directory = true;
  bool is_empty = true;         // or cannot be listed
  bool writable = true;         // by the caller
  bool foreign_sticky = false;  // of another user, and sticky
  uint32_t owner = 0;
  std::optional<MountEntry> on_it;  // the topmost mount at exactly this path
  std::optional<MountEntry> below;  // the mount that the path lies on without `on_it`
  // Of the memfuse in `on_it`.
  std::optional<MountState> state;
  HardLimits daemon_limits;
  MemoryFacts daemon_memory;
  bool daemon_may_lift_limits = false;
};

// The caller and the machine. `root` is "" except in tests; it is the prefix of the files in /proc,
// /sys, /etc and /boot.
MachineFacts GatherMachineFacts(const std::string& root = "");

// The mount point. Takes some seconds if the mount there does not answer (ReadMountStates). Must be
// called from the only thread of a process.
MountPointFacts GatherMountPointFacts(const std::string& path);

// Parts of GatherMachineFacts, for tests.
KernelVersion ParseKernelVersion(absl::string_view release);
HardLimits ParseHardLimits(absl::string_view text);  // of /proc/PID/limits
bool HasUserAllowOther(absl::string_view fuse_conf);
// Whether the text of `/sys/kernel/security/apparmor/profiles` has fusermount3 in mode enforce.
bool EnforcesFusermount(absl::string_view profiles);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_ENVIRONMENT_FACTS_H_
