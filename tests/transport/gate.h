// A place at which a test holds the threads of the code under test.

#ifndef MEMFUSE_TESTS_TRANSPORT_GATE_H_
#define MEMFUSE_TESTS_TRANSPORT_GATE_H_

#include <condition_variable>
#include <mutex>

#include "tests/testing/sleeping_thread.h"

namespace memfuse::transport {

// Not an absl::Mutex, because ThreadSanitizer cannot analyse those of an uninstrumented Abseil.
class Gate {
 public:
  // Returns once the gate is open.
  void Pass() {
    std::unique_lock<std::mutex> lock(mu_);
    ++arrivals_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }

  void Open() { Set(true); }
  void Close() { Set(false); }

  // Waits until Pass was called `count` times in all. Returns false after test::kWaitLimit.
  bool AwaitArrivals(int count) {
    std::unique_lock<std::mutex> lock(mu_);
    return changed_.wait_for(lock, test::kWaitLimit, [&] { return arrivals_ >= count; });
  }

 private:
  void Set(bool open) {
    const std::lock_guard<std::mutex> lock(mu_);
    open_ = open;
    changed_.notify_all();
  }

  std::mutex mu_;
  std::condition_variable changed_;
  int arrivals_ = 0;
  bool open_ = false;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_TESTS_TRANSPORT_GATE_H_
