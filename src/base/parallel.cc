#include "src/base/parallel.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "src/base/mutex.h"

namespace memfuse::base {

void RunInParallel(size_t count, int max_threads, absl::FunctionRef<void(size_t)> work) {
  std::atomic<size_t> next{0};
  std::atomic<bool> out_of_memory{false};
  const auto take_numbers = [&] {
    try {
      for (size_t i; !out_of_memory.load() && (i = next.fetch_add(1)) < count;) work(i);
    } catch (const std::bad_alloc&) {
      out_of_memory.store(true);
    }
  };
  const size_t cpus = std::max(1U, std::thread::hardware_concurrency());
  const size_t threads = std::min({count, cpus, static_cast<size_t>(std::max(1, max_threads))});
  std::vector<std::thread> others;
  try {
    others.reserve(threads);
    while (others.size() + 1 < threads) {
      others.emplace_back([&take_numbers] {
        PrepareThreadForLocks();
        take_numbers();
      });
    }
  } catch (const std::bad_alloc&) {
    // This thread does the work.
  } catch (const std::system_error&) {
  }
  take_numbers();
  for (std::thread& thread : others) thread.join();
  if (out_of_memory.load()) throw std::bad_alloc();
}

}  // namespace memfuse::base
