// The checks of `memfusectl doctor`. They are pure: each reads the facts of environment_facts.h and
// makes findings.

#ifndef MEMFUSE_SRC_CLI_DOCTOR_CHECKS_H_
#define MEMFUSE_SRC_CLI_DOCTOR_CHECKS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "src/cli/environment_facts.h"

namespace memfuse::cli {

enum class Verdict {
  kOk,
  kNote,     // nothing is wrong; an administrator or a newer kernel could offer more
  kWarning,  // a mount works, but slower or with less than was asked for, or may lose data
  kProblem,  // a mount would fail, or is broken
};

struct Finding {
  std::string check;  // "fuse device"
  Verdict verdict = Verdict::kOk;
  std::string found;   // one sentence
  std::string advice;  // one sentence; empty if there is nothing to do
};
using Findings = std::vector<Finding>;

// Each function adds at least one finding, with the name in quotes.
void CheckDevice(const MachineFacts& machine, Findings* findings);      // "fuse device"
void CheckFusermount(const MachineFacts& machine, Findings* findings);  // "fusermount3"
void CheckAllowOther(const MachineFacts& machine, const Asked& asked,
                     Findings* findings);                           // "allow_other"
void CheckKernel(const MachineFacts& machine, Findings* findings);  // "kernel"
void CheckPassthrough(const MachineFacts& machine, const Asked& asked,
                      Findings* findings);  // "passthrough"
void CheckUring(const MachineFacts& machine, const Asked& asked, Findings* findings);  // "io_uring"
// `size` is that of the mount in bytes, and the limits and the memory are those of its daemon, or
// of the process that would mount.
void CheckMemory(const MemoryFacts& memory, uint64_t ram, uint64_t size,
                 Findings* findings);                                 // "memory"
void CheckAppArmor(const MachineFacts& machine, Findings* findings);  // "apparmor"
// `in_daemon`: file data is in the memory of the daemon.
void CheckLimits(const HardLimits& limits, bool may_lift, bool in_daemon, int threads,
                 uint64_t size, Findings* findings);  // "resource limits"

// A directory on which a memfuse is to be mounted.
void CheckMountPoint(const MachineFacts& machine, const MountPointFacts& place,
                     Findings* findings);  // "mount point"
void CheckStacking(const MachineFacts& machine, const MountPointFacts& place,
                   Findings* findings);  // "stacking"

// A memfuse that is mounted: `place.state` has a value.
void CheckDaemon(const MountPointFacts& place, Findings* findings);         // "daemon"
void CheckControlSocket(const MountPointFacts& place, Findings* findings);  // "control socket"
void CheckStore(const MachineFacts& machine, const MountPointFacts& place, const Asked& asked,
                Findings* findings);  // "file data"
void CheckTransport(const MachineFacts& machine, const MountPointFacts& place, const Asked& asked,
                    Findings* findings);                             // "requests"
void CheckSpace(const MountPointFacts& place, Findings* findings);   // "space"
void CheckAccess(const MountPointFacts& place, Findings* findings);  // "access"

// All checks of the machine.
Findings ExamineMachine(const MachineFacts& machine, const Asked& asked);
// All checks of a mount point: those of the mount if a memfuse is mounted there, and otherwise
// those of the machine and of the directory.
Findings ExamineMountPoint(const MachineFacts& machine, const MountPointFacts& place,
                           const Asked& asked);

// The exit status: 0, 1 with a warning, 2 with a problem.
int StatusOf(const Findings& findings);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_DOCTOR_CHECKS_H_
