#include "src/base/parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <set>
#include <thread>
#include <vector>

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

TEST(RunInParallelTest, UsesAThreadForEachCpu) {
  const size_t expected = std::min<size_t>(2, std::thread::hardware_concurrency());
  // Not absl::Mutex, which ThreadSanitizer does not know.
  std::mutex mu;
  std::condition_variable both;
  std::set<std::thread::id> threads;
  RunInParallel(2, 2, [&](size_t) {
    std::unique_lock<std::mutex> lock(mu);
    threads.insert(std::this_thread::get_id());
    both.notify_all();
    EXPECT_TRUE(
        both.wait_for(lock, std::chrono::seconds(20), [&] { return threads.size() >= expected; }));
  });
  EXPECT_EQ(threads.size(), expected);
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
