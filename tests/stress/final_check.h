// Checks after the stress that the remaining tree is consistent and can be removed.

#ifndef MEMFUSE_TESTS_STRESS_FINAL_CHECK_H_
#define MEMFUSE_TESTS_STRESS_FINAL_CHECK_H_

#include <string>

namespace memfuse::stress {

// Checks the current directory, which no other process uses any more. Link counts must match the
// names, ".." must be the directory above, and every file must contain whole writes. Prints every
// error; returns true if there is none.
bool CheckTree();

// Removes the directory and its contents. Prints what cannot be removed; returns true if everything
// was removed.
bool RemoveTree(const std::string& path);

}  // namespace memfuse::stress

#endif  // MEMFUSE_TESTS_STRESS_FINAL_CHECK_H_
