// Facts with which nothing is wrong, for tests that break one of them.

#ifndef MEMFUSE_TESTS_CLI_DOCTOR_FACTS_H_
#define MEMFUSE_TESTS_CLI_DOCTOR_FACTS_H_

#include <cstdint>

#include "src/cli/environment_facts.h"

namespace memfuse::cli {

inline MachineFacts GoodRoot() {
  MachineFacts machine;
  machine.kernel = {6, 18};
  machine.kernel_release = "6.18.1";
  machine.has_passthrough = true;
  machine.has_uring = true;
  machine.uring_switch = true;
  machine.machine.ram = uint64_t{16} << 30;
  machine.machine.memory = machine.machine.ram;
  machine.machine.cpus = 4;
  machine.limits.descriptors = 4096;
  machine.fusermount.path = "/usr/bin/fusermount3";
  return machine;
}

inline MachineFacts GoodUser() {
  MachineFacts machine = GoodRoot();
  machine.uid = 1000;
  machine.may_mount = false;
  machine.may_lift_limits = false;
  return machine;
}

// A mount of user `uid`, with file data where that user has it by default.
inline MountPointFacts GoodMount(uint32_t uid) {
  MountPointFacts place;
  place.path = "/mnt/scratch";
  place.on_it = MountEntry{"0:52",    "/mnt/scratch",
                           "rw",      "fuse.memfuse",
                           "memfuse", "rw,user_id=" + std::to_string(uid) + ",allow_other"};
  MountState state;
  state.socket = MountState::Socket::kAnswers;
  state.socket_path = "/run/memfuse/0:52.sock";
  state.size_limit = 64 << 20;
  state.size_used = 1 << 20;
  state.inode_limit = 1000;
  state.inodes_used = 2;
  state.store = uid == 0 ? "passthrough, huge=never" : "daemon, huge=never; no passthrough: why";
  state.transport = "io_uring, 4 queues";
  state.asked_data = "auto";
  state.asked_transport = "auto";
  state.daemon = 77;
  state.threads = 4;
  place.state = state;
  return place;
}

}  // namespace memfuse::cli

#endif  // MEMFUSE_TESTS_CLI_DOCTOR_FACTS_H_
