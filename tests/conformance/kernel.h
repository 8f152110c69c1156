// The version of the running kernel, for system calls that are newer than the oldest supported
// kernel.

#ifndef MEMFUSE_TESTS_CONFORMANCE_KERNEL_H_
#define MEMFUSE_TESTS_CONFORMANCE_KERNEL_H_

#include <sys/utsname.h>

#include <cstdio>
#include <utility>

namespace memfuse::conformance {

inline bool LinuxIsAtLeast(int major, int minor) {
  utsname name = {};
  int running_major = 0, running_minor = 0;
  return uname(&name) == 0 &&
         std::sscanf(name.release, "%d.%d", &running_major, &running_minor) == 2 &&
         std::pair(running_major, running_minor) >= std::pair(major, minor);
}

}  // namespace memfuse::conformance

#endif  // MEMFUSE_TESTS_CONFORMANCE_KERNEL_H_
