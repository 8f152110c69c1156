// Makes an allocation of the calling thread fail.
//
// A test program that links memfuse_test_allocation gets malloc, calloc, realloc and aligned_alloc
// from it, and operator new on top of them; under a sanitizer, which has its own, operator new
// only.

#ifndef MEMFUSE_TESTS_TESTING_ALLOCATION_FAILURE_H_
#define MEMFUSE_TESTS_TESTING_ALLOCATION_FAILURE_H_

#include <cstdint>

namespace memfuse::test {

// One at a time in a thread.
class AllocationFailure {
 public:
  enum class Kind {
    kOne,   // that one only: the error path has memory
    kRest,  // and all after it
  };

  // From here on, the `number`-th allocation of this thread fails; 1 is the next one.
  AllocationFailure(uint64_t number, Kind kind);
  ~AllocationFailure();
  AllocationFailure(const AllocationFailure&) = delete;
  AllocationFailure& operator=(const AllocationFailure&) = delete;

  // Whether malloc can be made to fail, and not operator new alone.
  static bool InterposesMalloc();

  // Whether it came to that.
  bool happened() const;
};

}  // namespace memfuse::test

#endif  // MEMFUSE_TESTS_TESTING_ALLOCATION_FAILURE_H_
