// Small numbers for threads, for data structures in which threads use different slots of a few.

#ifndef MEMFUSE_SRC_BASE_THREAD_NUMBER_H_
#define MEMFUSE_SRC_BASE_THREAD_NUMBER_H_

#include <atomic>
#include <cstddef>

namespace memfuse::base {

// 0, 1, 2, ... in the order of the first calls of the threads. A thread keeps its number.
inline size_t ThreadNumber() {
  static std::atomic<size_t> threads{0};
  thread_local const size_t number = threads.fetch_add(1, std::memory_order_relaxed);
  return number;
}

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_THREAD_NUMBER_H_
