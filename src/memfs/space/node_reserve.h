// Memory that is allocated in advance for one insertion into an absl::btree container.
//
// A btree that splits a node first splits the nodes above it. If an allocation fails in between, an
// internal node without any key remains. Leaves below it can then become empty without being
// removed, and iteration reads past them. Code that inserts an element therefore makes a
// NodeReserve first, which fails before anything is changed. During the lifetime of the
// NodeReserve, the tree's NodeAllocator uses it when malloc(3) fails, and the insertion cannot
// fail.

#ifndef MEMFUSE_SRC_MEMFS_SPACE_NODE_RESERVE_H_
#define MEMFUSE_SRC_MEMFS_SPACE_NODE_RESERVE_H_

#include <cstddef>
#include <cstdlib>
#include <new>

namespace memfuse::memfs {

// Used by the thread that makes it; a thread has at most one at a time. Memory that is not used is
// kept for a later NodeReserve.
class NodeReserve {
 public:
  // Holds enough memory for one insertion into a tree of `size` elements. Throws std::bad_alloc.
  explicit NodeReserve(size_t size);
  ~NodeReserve();
  NodeReserve(const NodeReserve&) = delete;
  NodeReserve& operator=(const NodeReserve&) = delete;

  // Returns a block from the reserve of the calling thread, to be released with free(3). Returns
  // null if the thread has no reserve or its blocks are too small.
  static void* Take(size_t bytes) noexcept;

 private:
  // More than the size of the largest node of any tree in memfs: Abseil's target is 256 bytes of
  // elements per node, and an internal node has in addition at most as many bytes of pointers.
  static constexpr size_t kBlockBytes = 576;
  struct Block {
    Block* next;
    size_t count;  // number of blocks from this one to the end of the list
  };

  static void FreeAll(Block* block) noexcept;
  void GiveBack() noexcept;

  Block* blocks_;
};

// Stateless, as std::allocator.
template <typename T>
class NodeAllocator {
 public:
  using value_type = T;

  NodeAllocator() = default;
  template <typename U>
  NodeAllocator(const NodeAllocator<U>&) {}  // NOLINT: implicit conversion, as in std::allocator

  T* allocate(size_t count) {
    static_assert(alignof(T) <= alignof(std::max_align_t));
    const size_t bytes = count * sizeof(T);
    void* block = std::malloc(bytes);
    if (block == nullptr) block = NodeReserve::Take(bytes);
    if (block == nullptr) throw std::bad_alloc();
    return static_cast<T*>(block);
  }
  void deallocate(T* block, size_t) noexcept { std::free(block); }

  template <typename U>
  bool operator==(const NodeAllocator<U>&) const {
    return true;
  }
  template <typename U>
  bool operator!=(const NodeAllocator<U>&) const {
    return false;
  }
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_SPACE_NODE_RESERVE_H_
