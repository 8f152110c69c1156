// Memory set aside for one insertion into an absl::btree container.
//
// A btree that splits a node first splits the nodes above it. If an allocation fails in between,
// an internal node without any key stays behind; leaves below it can then become empty without
// being removed, and iteration reads past them. So the inserting code makes a NodeReserve first,
// which fails before anything is changed. While it lives, the tree's NodeAllocator falls back on
// it, and the insertion cannot fail.

#ifndef MEMFUSE_SRC_MEMFS_NODE_RESERVE_H_
#define MEMFUSE_SRC_MEMFS_NODE_RESERVE_H_

#include <cstddef>
#include <cstdlib>
#include <new>

namespace memfuse::memfs {

// For the thread that makes it, one at a time. What is not used is kept for the next one.
class NodeReserve {
 public:
  // Enough for one insertion into a tree that holds `size` elements. Throws std::bad_alloc.
  explicit NodeReserve(size_t size);
  ~NodeReserve();
  NodeReserve(const NodeReserve&) = delete;
  NodeReserve& operator=(const NodeReserve&) = delete;

  // A block for free(3) out of the calling thread's reserve; null where there is none or it is too
  // small.
  static void* Take(size_t bytes) noexcept;

 private:
  // More than the largest node of any tree here: Abseil aims at 256 bytes of elements, beside which
  // an internal node has at most as many bytes of pointers.
  static constexpr size_t kBlockBytes = 576;
  struct Block {
    Block* next;
    size_t count;  // of this block and those after it
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
  NodeAllocator(const NodeAllocator<U>&) {}  // NOLINT: converts, as allocators do

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

#endif  // MEMFUSE_SRC_MEMFS_NODE_RESERVE_H_
