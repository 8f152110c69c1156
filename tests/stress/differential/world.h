// The directory in which a sequence of operations runs: one is on memfuse, one on kernel tmpfs.

#ifndef MEMFUSE_TESTS_STRESS_DIFFERENTIAL_WORLD_H_
#define MEMFUSE_TESTS_STRESS_DIFFERENTIAL_WORLD_H_

#include <cstdint>
#include <string>

#include "src/base/unique_fd.h"
#include "tests/stress/differential/operation.h"

namespace memfuse::differential {

class World {
 public:
  // `directory` must exist and be empty.
  explicit World(const std::string& directory);

  // Executes the operation; returns what a program sees of it: result, errno, bytes, and the
  // changes of times. Equal strings mean equal behaviour.
  std::string Execute(const Operation& op);

  // Describes everything below the directory: names, types, modes, owners, sizes, content, links,
  // holes, xattrs, and the comparable times. Runs as root.
  std::string Describe() const;

  void CloseAll();

 private:
  std::string Run(const Operation& op);
  std::string RunXattr(const Operation& op);

  base::UniqueFd root_;
  base::UniqueFd slots_[kSlots];
  // Times that are not older than this were set by the clock, not by an operation.
  int64_t started_;
};

// Changes the calling process to root or one of two unprivileged users, for both worlds at once.
void BecomeUser(int64_t which);

}  // namespace memfuse::differential

#endif  // MEMFUSE_TESTS_STRESS_DIFFERENTIAL_WORLD_H_
