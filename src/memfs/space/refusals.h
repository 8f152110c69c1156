// The operations that a limit has refused, for administrators.

#ifndef MEMFUSE_SRC_MEMFS_SPACE_REFUSALS_H_
#define MEMFUSE_SRC_MEMFS_SPACE_REFUSALS_H_

#include <array>
#include <cstddef>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "memfuse/quota.h"
#include "src/memfs/space/lock_order.h"

namespace memfuse::memfs {

// Keeps one entry for each limit in bytes and each limit in inodes: those of the file system, of
// the memory, and of each user, group and tree. If there are more than kMaxRefusals, the entry
// whose last refusal is oldest is replaced. Thread-safe. It allocates nothing except in List.
class RefusalList {
 public:
  // Counts a refusal. `refusal.count` is ignored. `refusal.path` is empty: it is found when it is
  // shown.
  void Add(const Refusal& refusal) ABSL_LOCKS_EXCLUDED(mu_);
  // Returns the entries, the latest first. May throw std::bad_alloc.
  std::vector<Refusal> List() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  mutable LeafMutex mu_;
  // The used entries come first, the latest of them at the front.
  std::array<Refusal, kMaxRefusals> entries_ ABSL_GUARDED_BY(mu_);
  size_t used_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_SPACE_REFUSALS_H_
