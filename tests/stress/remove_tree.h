// Removes directory trees of any depth, also while others are at work in them.

#ifndef MEMFUSE_TESTS_STRESS_REMOVE_TREE_H_
#define MEMFUSE_TESTS_STRESS_REMOVE_TREE_H_

#include <string>

namespace memfuse::stress {

// Removes everything in `directory`, whose entries nobody else touches; below them others may still
// add, remove and rename. What could not be done, empty if all went well.
std::string EmptyDirectory(const std::string& directory);

}  // namespace memfuse::stress

#endif  // MEMFUSE_TESTS_STRESS_REMOVE_TREE_H_
