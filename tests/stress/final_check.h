// After the stress: is what was left a sound tree, and does it go away?

#ifndef MEMFUSE_TESTS_STRESS_FINAL_CHECK_H_
#define MEMFUSE_TESTS_STRESS_FINAL_CHECK_H_

#include <string>

namespace memfuse::stress {

// Of the current directory, in which nobody else is at work any more. Link counts must match the
// names that are found, ".." must be where it was come from, and contents must be whole. Prints
// what is wrong; true if nothing is.
bool CheckTree();

// Removes the directory with all that is in it. Prints what cannot be removed; true if all went.
bool RemoveTree(const std::string& path);

}  // namespace memfuse::stress

#endif  // MEMFUSE_TESTS_STRESS_FINAL_CHECK_H_
