// Makes an allocation of the calling thread fail.
//
// A test program that links memfuse_test_allocation gets malloc, calloc, realloc and aligned_alloc
// from it, and operator new on top of them. Under a sanitizer, which has its own malloc, the
// library replaces operator new only.

#ifndef MEMFUSE_TESTS_TESTING_ALLOCATION_FAILURE_H_
#define MEMFUSE_TESTS_TESTING_ALLOCATION_FAILURE_H_

#include <cstdint>

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

}  // namespace memfuse::test

#endif  // MEMFUSE_TESTS_TESTING_ALLOCATION_FAILURE_H_
