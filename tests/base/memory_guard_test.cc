#include "src/base/memory_guard.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "tests/testing/allocation_failure.h"

namespace memfuse::base {
namespace {

using test::AllocationFailure;

TEST(WithMemory, KeepsErrno) {
  int seen = 0;
  errno = ENOTTY;
  EXPECT_TRUE(WithMemory([&] { seen = errno; }));
  EXPECT_EQ(seen, ENOTTY);
}

TEST(WithMemory, DoesNotCallWithoutMemory) {
  bool called = false;
  bool done;
  {
    const AllocationFailure failure(1, AllocationFailure::Kind::kRest);
    done = WithMemory([&] { called = true; });
  }
  EXPECT_FALSE(done);
  EXPECT_FALSE(called);
}

TEST(WithMemory, EndsWhenMemoryRunsOut) {
  bool called = false;
  bool done;
  {
    const AllocationFailure failure(2, AllocationFailure::Kind::kRest);
    done = WithMemory([&] {
      called = true;
      const std::string text(100, 'x');
    });
  }
  EXPECT_FALSE(done);
  EXPECT_TRUE(called);
}

}  // namespace
}  // namespace memfuse::base
