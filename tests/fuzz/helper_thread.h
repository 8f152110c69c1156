// A thread that runs one function at a time, at the same time as the thread that starts it.

#ifndef MEMFUSE_TESTS_FUZZ_HELPER_THREAD_H_
#define MEMFUSE_TESTS_FUZZ_HELPER_THREAD_H_

#include <atomic>
#include <cstdint>
#include <thread>

#include "absl/functional/function_ref.h"
#include "src/base/event_count.h"
#include "src/base/mutex.h"

namespace memfuse::fuzz {

// The thread is started once, because a new thread for each script would take longer than the
// script. It never ends.
class HelperThread {
 public:
  HelperThread() : thread_([this] { Loop(); }) { thread_.detach(); }
  HelperThread(const HelperThread&) = delete;
  HelperThread& operator=(const HelperThread&) = delete;

  // Calls `here` in the calling thread and `there` in the other one, and returns after both. They
  // begin at the same time, apart from a microsecond, if the system has a free CPU.
  void Run(absl::FunctionRef<void()> here, absl::FunctionRef<void()> there) {
    work_ = &there;
    const uint64_t number = ++started_;
    changed_.Notify();
    Spin([&] { return arrived_.load() == number; });
    here();
    WaitFor([&] { return finished_.load() == number; });
  }

 private:
  // The time of a few requests.
  static constexpr int kSpins = 2000;

  // Returns whether `done` returned true.
  template <typename Condition>
  static bool Spin(Condition done) {
    for (int i = 0; i < kSpins; ++i) {
      if (done()) return true;
    }
    return false;
  }

  template <typename Condition>
  void WaitFor(Condition done) {
    if (Spin(done)) return;
    for (;;) {
      const uint64_t seen = changed_.version();
      if (done()) return;
      changed_.WaitForChange(seen);
    }
  }

  void Loop() {
    base::PrepareThreadForLocks();
    for (uint64_t number = 1;; ++number) {
      WaitFor([&] { return started_.load() == number; });
      arrived_.store(number);
      (*work_)();
      finished_.store(number);
      changed_.Notify();
    }
  }

  base::EventCount changed_;                   // has its own synchronisation
  absl::FunctionRef<void()>* work_ = nullptr;  // published by started_
  std::atomic<uint64_t> started_{0};
  std::atomic<uint64_t> arrived_{0};
  std::atomic<uint64_t> finished_{0};
  std::thread thread_;
};

}  // namespace memfuse::fuzz

#endif  // MEMFUSE_TESTS_FUZZ_HELPER_THREAD_H_
