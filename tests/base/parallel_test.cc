#include "src/base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <new>
#include <set>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"

namespace memfuse::base {
namespace {

TEST(RunInParallelTest, CallsOnceWithEachNumber) {
  for (const size_t count : {size_t{0}, size_t{1}, size_t{2}, size_t{1000}}) {
    for (const int threads : {-1, 1, 2, 50}) {
      std::vector<std::atomic<int>> calls(count);
      RunInParallel(count, threads, [&](size_t i) { ++calls[i]; });
      for (const std::atomic<int>& of_number : calls)
        EXPECT_EQ(of_number, 1) << count << ", " << threads;
    }
  }
}

TEST(RunInParallelTest, UsesOtherThreads) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "there is one CPU";
  absl::Mutex mu;
  std::set<std::thread::id> threads;
  int inside = 0;
  RunInParallel(2, 2, [&](size_t) {
    absl::MutexLock lock(&mu);
    threads.insert(std::this_thread::get_id());
    ++inside;
    mu.Await(absl::Condition(
        +[](int* count) { return *count == 2; }, &inside));
  });
  EXPECT_EQ(threads.size(), 2u);
}

TEST(RunInParallelTest, ThrowsWhatACallThrows) {
  for (const int threads : {1, 4}) {
    std::atomic<int> calls{0};
    EXPECT_THROW(RunInParallel(1000, threads,
                               [&](size_t) {
                                 ++calls;
                                 throw std::bad_alloc();
                               }),
                 std::bad_alloc);
    EXPECT_LE(calls, threads);
  }
}

}  // namespace
}  // namespace memfuse::base
