// The thread that waits for a request, as far as the kernel's request leaves it out.
//
// Linux 6.12 and newer send no user and no group with most requests (RequestContext of
// memfuse/filesystem.h); supplementary groups and capabilities no kernel sends. /proc tells them
// by the number of the thread. The thread exists as long as its request is not answered: once a
// request was read, no signal ends the thread's wait for the answer.

#ifndef MEMFUSE_SRC_BASE_CALLER_H_
#define MEMFUSE_SRC_BASE_CALLER_H_

#include <cstdint>
#include <optional>
#include <vector>

namespace memfuse::base {

class Caller {
 public:
  // Reads /proc: for rare requests only, and not under a lock. nullopt where the thread cannot be
  // found out, and a capability is then to be taken as absent unless the kernel has checked one:
  //   - `pid` is 0: the thread is outside the PID namespace in which the file system was mounted
  //     (root of the host, where the daemon runs in a container), or the kernel acts by itself;
  //   - /proc is not there, hides the thread, or belongs to another PID namespace than this
  //     process (unshare --pid without --mount-proc), where the number is another thread's;
  //   - there is no memory for what it says.
  // `pid` counts in the PID namespace of this process, which therefore has to be the one in which
  // the file system was mounted.
  static std::optional<Caller> Find(uint32_t pid) noexcept;

  // The user by which it accesses files (fsuid), in the user namespace of this process; one that
  // has no number there is the overflow user (65534).
  uint32_t uid() const { return uid_; }

  // Whether it accesses files as a member of the group: fsgid, or a supplementary group.
  bool InGroup(uint32_t gid) const;

  // Whether `capability` (CAP_* of <linux/capability.h>) is in effect, in the user namespace of
  // this process: one of another user namespace is worth nothing here.
  bool HasCapability(int capability) const;

  // Whether `capability` is in effect in the user namespace of the thread, whichever that is.
  bool HasCapabilityAtHome(int capability) const;

 private:
  Caller() = default;

  uint32_t uid_ = 0;
  std::vector<uint32_t> groups_;  // fsgid first
  uint64_t capabilities_ = 0;
  bool same_user_namespace_ = false;
};

// Whether this process is in the user namespace that the system started with.
bool InInitialUserNamespace();

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_CALLER_H_
