// Stores whose order another process relies on.

#ifndef MEMFUSE_SRC_MEMFS_RECORDS_STORE_ORDER_H_
#define MEMFUSE_SRC_MEMFS_RECORDS_STORE_ORDER_H_

#include <atomic>

namespace memfuse::memfs {

// Stores `value` after all earlier stores of the calling thread and before all later ones, as far
// as a process sees them that looks after the thread was killed. It costs no instruction: only the
// compiler must be kept from moving stores (transaction.h).
template <typename T>
void StoreInOrder(T* place, T value) {
  static_assert(sizeof(T) <= sizeof(void*));
  std::atomic_signal_fence(std::memory_order_seq_cst);
  __atomic_store(place, &value, __ATOMIC_RELAXED);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_RECORDS_STORE_ORDER_H_
