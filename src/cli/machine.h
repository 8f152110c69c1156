// The values that the defaults of the flags depend on: memory, CPUs, the user of the program.

#ifndef MEMFUSE_SRC_CLI_MACHINE_H_
#define MEMFUSE_SRC_CLI_MACHINE_H_

#include <cstdint>
#include <optional>
#include <string>

namespace memfuse::cli {

struct Machine {
  uint64_t ram = 0;  // bytes of memory of the machine
  // The smallest memory limit of the cgroup of this process and the cgroups above it.
  std::optional<uint64_t> cgroup_limit;
  uint64_t memory = 0;  // bytes that files may take: `ram`, or what the cgroup leaves if smaller
  int cpus = 1;         // CPUs this process may run on
  uint32_t uid = 0;     // effective ids of this process
  uint32_t gid = 0;
};

// The machine this process runs on.
Machine ThisMachine();

// The value of --threads=0. More workers than eight are not faster in general: requests for one
// directory wait for each other in the kernel, and each additional idle worker may be woken on a
// CPU with cold caches.
inline int DefaultThreads(int cpus) { return cpus < 8 ? cpus : 8; }

// MemTotal of ROOT/proc/meminfo; 0 if it cannot be read. `root` is "" except in tests.
uint64_t ReadRam(const std::string& root);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_MACHINE_H_
