// The inode numbers that the requests of a script refer to.

#ifndef MEMFUSE_TESTS_FUZZ_NODES_H_
#define MEMFUSE_TESTS_FUZZ_NODES_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "memfuse/types.h"
#include "tests/fuzz/script.h"

namespace memfuse::fuzz {

// An inode number is never used twice, so a script does not contain inode numbers. It contains
// indices of this table, whose elements are set by the replies to earlier requests of both workers.
// Element 0 is always the root; the other elements are 0, which is no inode, until they are set.
class Nodes {
 public:
  // A request with this index uses the number in its step as inode number.
  static constexpr size_t kNumber = kNodes - 1;

  Nodes() { nodes_[0] = ToInt(kRootInode); }

  uint64_t Get(size_t index) const { return nodes_[index].load(std::memory_order_relaxed); }
  uint64_t Get(size_t index, const Step& step) const {
    return index == kNumber ? step.number() : Get(index);
  }
  void Set(size_t index, uint64_t ino) {
    if (index != 0) nodes_[index].store(ino, std::memory_order_relaxed);
  }

 private:
  std::array<std::atomic<uint64_t>, kNodes> nodes_{};
};

}  // namespace memfuse::fuzz

#endif  // MEMFUSE_TESTS_FUZZ_NODES_H_
