// The version of the running kernel, for tests whose expectation depends on it.

#ifndef MEMFUSE_TESTS_TESTING_KERNEL_VERSION_H_
#define MEMFUSE_TESTS_TESTING_KERNEL_VERSION_H_

#include <sys/utsname.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace memfuse::test {

// Whether the kernel is of this version or newer. A test that calls this also states the behaviour
// of older kernels.
inline bool KernelAtLeast(int major, int minor) {
  static const std::pair<int, int> running = [] {
    struct utsname name;
    std::pair<int, int> version;
    if (uname(&name) != 0 ||
        std::sscanf(name.release, "%d.%d", &version.first, &version.second) != 2) {
      std::fprintf(stderr, "the kernel does not say its version\n");
      std::abort();
    }
    return version;
  }();
  return running >= std::make_pair(major, minor);
}

}  // namespace memfuse::test

#endif  // MEMFUSE_TESTS_TESTING_KERNEL_VERSION_H_
