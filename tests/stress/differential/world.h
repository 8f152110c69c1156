// The directory in which a sequence of operations runs: one on memfuse, one on kernel tmpfs.

#ifndef MEMFUSE_TESTS_STRESS_DIFFERENTIAL_WORLD_H_
#define MEMFUSE_TESTS_STRESS_DIFFERENTIAL_WORLD_H_

#include <string>

#include "src/base/unique_fd.h"
#include "tests/stress/differential/operation.h"

namespace memfuse::differential {

class World {
 public:
  // `directory` exists and is empty.
  explicit World(const std::string& directory);

  // Carries the operation out and says what a program sees of it: result, errno, bytes, and how it
  // moved the times of what it touched. Equal strings mean equal behaviour.
  std::string Execute(const Operation& op);

  // Everything below the directory: names, types, modes, owners, sizes, content, links, holes,
  // xattrs, times as far as they can be compared. As root.
  std::string Describe() const;

  void CloseAll();

 private:
  std::string Run(const Operation& op);
  std::string RunXattr(const Operation& op);

  base::UniqueFd root_;
  base::UniqueFd slots_[kSlots];
  // Times that are not older than this were not set by an operation.
  int64_t started_;
};

// Switches the calling process between root and two ordinary users, for both worlds at once.
void BecomeUser(int64_t which);

}  // namespace memfuse::differential

#endif  // MEMFUSE_TESTS_STRESS_DIFFERENTIAL_WORLD_H_
