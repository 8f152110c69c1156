// Files that have been removed, whose data is about to come back.
//
// A file without a name and without an open stays until the kernel lets go of it (FORGET), which it
// does right after the unlink(2), but not before that returns: whoever removes a file and writes
// another one must not be told that there is no space. So where space is short, operations that
// take some wait for these files first. Not for ever: a descriptor of O_PATH can keep one.

#ifndef MEMFUSE_SRC_MEMFS_ORPHANS_H_
#define MEMFUSE_SRC_MEMFS_ORPHANS_H_

#include <atomic>
#include <cstdint>

namespace memfuse::memfs {

// Thread-safe; every member is atomic.
class Orphans {
 public:
  void Add() {
    made_.fetch_add(1);
    count_.fetch_add(1);
  }
  void Remove() { count_.fetch_sub(1); }

  bool any() const { return count_.load(std::memory_order_relaxed) != 0; }

  // Until there are none, at most a fifth of a second or so; not at all where that was in vain and
  // none came since. Not under a lock.
  void Wait();

 private:
  std::atomic<uint64_t> made_{0};
  std::atomic<int64_t> count_{0};
  std::atomic<uint64_t> in_vain_{0};  // made_ when a wait was
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_ORPHANS_H_
