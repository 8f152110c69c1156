// Mounts of a single case, invisible outside its mount namespace. For root.

#ifndef MEMFUSE_TESTS_CONFORMANCE_MOUNTS_H_
#define MEMFUSE_TESTS_CONFORMANCE_MOUNTS_H_

#include <string>
#include <vector>

#include "src/base/unique_fd.h"

namespace memfuse::conformance {

// Moves the process to its own mount namespace until the object is destroyed; the mounts of that
// time end with it. The working directory stays the same.
class PrivateMounts {
 public:
  PrivateMounts();
  ~PrivateMounts();
  PrivateMounts(const PrivateMounts&) = delete;
  PrivateMounts& operator=(const PrivateMounts&) = delete;

 private:
  base::UniqueFd outer_;
  std::string directory_;
};

// Makes `place` and bind-mounts `directory` there with these MS_* flags (MS_RDONLY, MS_NOEXEC ...).
// 0 or an errno.
int BindAt(const std::string& directory, const std::string& place, unsigned long flags = 0);

// Runs a program and waits for its exit. >= 0: its exit status; < 0: -errno of the failed exec; or
// -1000 minus the signal that killed it.
int Spawn(const std::vector<std::string>& arguments,
          const std::vector<std::string>& environment = {});

// The standard output of a program. The program must succeed.
std::string OutputOf(const std::vector<std::string>& arguments);

}  // namespace memfuse::conformance

#endif  // MEMFUSE_TESTS_CONFORMANCE_MOUNTS_H_
