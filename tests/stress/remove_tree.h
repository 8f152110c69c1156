// Removes directory trees of any depth, also while other processes use them.

#ifndef MEMFUSE_TESTS_STRESS_REMOVE_TREE_H_
#define MEMFUSE_TESTS_STRESS_REMOVE_TREE_H_

#include <string>

namespace memfuse::stress {

// Removes everything in `directory`. No other process may touch its entries; below them other
// processes may still add, remove and rename. Returns the error text, empty on success.
std::string EmptyDirectory(const std::string& directory);

}  // namespace memfuse::stress

#endif  // MEMFUSE_TESTS_STRESS_REMOVE_TREE_H_
