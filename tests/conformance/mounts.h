// Mounts that a case makes for itself, out of sight of everybody else. For root.

#ifndef MEMFUSE_TESTS_CONFORMANCE_MOUNTS_H_
#define MEMFUSE_TESTS_CONFORMANCE_MOUNTS_H_

#include <string>
#include <vector>

#include "src/base/unique_fd.h"

namespace memfuse::conformance {

// Puts the process into a mount namespace of its own until it is destroyed; what was mounted
// meanwhile goes with it. The working directory stays where it is.
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

// Makes `place` and binds `directory` there with these MS_* flags (MS_RDONLY, MS_NOEXEC ...).
// 0 or an errno.
int BindAt(const std::string& directory, const std::string& place, unsigned long flags = 0);

// Runs a program and waits for its end. >= 0: its exit status; < 0: -errno of the exec that failed;
// or -1000 - the signal that killed it.
int Spawn(const std::vector<std::string>& arguments,
          const std::vector<std::string>& environment = {});

// The standard output of a program that has to succeed.
std::string OutputOf(const std::vector<std::string>& arguments);

}  // namespace memfuse::conformance

#endif  // MEMFUSE_TESTS_CONFORMANCE_MOUNTS_H_
