// Properties of the thread that waits for a request, as far as the kernel's request does not
// contain them.
//
// Linux 6.12 and newer send no user and no group with most requests (RequestContext in
// memfuse/filesystem.h). No kernel sends supplementary groups and capabilities. /proc shows all of
// them for the number of the thread. The thread exists as long as its request is not answered: once
// a request was read, no signal ends the thread's wait for the answer.

#ifndef MEMFUSE_SRC_BASE_CALLER_H_
#define MEMFUSE_SRC_BASE_CALLER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace memfuse::base {

class Caller {
 public:
  // Reads /proc, so it is for rare requests only and must not be called under a lock. Returns
  // nullopt if the properties of the thread cannot be determined. The caller must then take a
  // capability as absent, unless the kernel has checked it. The reasons for nullopt:
  //   - `pid` is 0: the thread is outside the PID namespace in which the file system was mounted
  //     (root of the host, if the daemon runs in a container), or the kernel acts by itself;
  //   - /proc is not mounted, hides the thread, or belongs to another PID namespace than this
  //     process (unshare --pid without --mount-proc), in which the number is another thread's;
  //   - there is no memory for the contents of the files.
  // `pid` is interpreted in the PID namespace of this process. The file system must therefore have
  // been mounted in that namespace.
  static std::optional<Caller> Find(uint32_t pid) noexcept;

  // The user with which the thread accesses files (fsuid), in the user namespace of this process. A
  // user that has no number there is the overflow user (65534).
  uint32_t uid() const { return uid_; }

  // Returns whether the thread accesses files as a member of the group: as fsgid, or as a
  // supplementary group.
  bool InGroup(uint32_t gid) const;

  // Returns whether `capability` (CAP_* of <linux/capability.h>) is in effect in the user namespace
  // of this process. A capability of another user namespace does not count.
  bool HasCapability(int capability) const;

  // Returns whether `capability` is in effect in the user namespace of the thread, whichever that
  // is.
  bool HasCapabilityAtHome(int capability) const;

 private:
  Caller() = default;

  uint32_t uid_ = 0;
  std::vector<uint32_t> groups_;  // fsgid first
  uint64_t capabilities_ = 0;
  bool same_user_namespace_ = false;
};

// A process of the system.
struct Process {
  uint32_t pid = 0;
  uint32_t uid = 0;  // with which its main thread accesses files
  // At most 15 bytes, as the process chose it; the kernel escapes line feeds and backslashes.
  std::string name;
};

// Returns the process of a thread, or nullopt for the reasons of Caller::Find, or because the
// thread has ended.
std::optional<Process> FindProcess(uint32_t thread) noexcept;

// Returns whether this process is in the initial user namespace of the system.
bool InInitialUserNamespace();

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_CALLER_H_
