// Makes an allocation of the calling thread fail, or acts at each of its allocations.
//
// A test program that links memfuse_test_allocation gets malloc, calloc, realloc and aligned_alloc
// from it, and operator new on top of them. Under a sanitizer, which has its own malloc, the
// library replaces operator new only.

#ifndef MEMFUSE_TESTS_TESTING_ALLOCATION_FAILURE_H_
#define MEMFUSE_TESTS_TESTING_ALLOCATION_FAILURE_H_

#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"

namespace memfuse::test {

// A thread has at most one object of this class at a time.
class AllocationFailure {
 public:
  enum class Kind {
    kOne,   // that allocation only: the error path has memory
    kRest,  // that allocation and all later ones
  };

  // The `number`-th allocation of this thread from now on fails; 1 is the next one.
  AllocationFailure(uint64_t number, Kind kind);
  ~AllocationFailure();
  AllocationFailure(const AllocationFailure&) = delete;
  AllocationFailure& operator=(const AllocationFailure&) = delete;

  // Whether malloc can fail, not only operator new.
  static bool InterposesMalloc();

  // Whether an allocation failed.
  bool happened() const;
};

// Calls a function before each allocation of the calling thread, with its size. The function may
// allocate itself, and is not called for that. A test can so act between two steps of one thread. A
// thread has at most one object of this class at a time, and no AllocationFailure beside it.
class AllocationObserver {
 public:
  using Function = absl::FunctionRef<void(size_t size)>;

  // `function` must outlive the object.
  explicit AllocationObserver(const Function& function);
  ~AllocationObserver();
  AllocationObserver(const AllocationObserver&) = delete;
  AllocationObserver& operator=(const AllocationObserver&) = delete;
};

}  // namespace memfuse::test

#endif  // MEMFUSE_TESTS_TESTING_ALLOCATION_FAILURE_H_
