// Threads that serve in the place of others, for as long as these are busy with one request
// (memfuse/blocking_observer.h).
//
// A stand-in is a worker like any other, on a descriptor of its own, but for one thing: when there
// are more stand-ins than threads that are away, it waits before its next request. It is started
// when it is needed first and stays; to wake it costs less. One that has nothing to do any more,
// but reads already, serves one request too many, which does no harm.
//
//   serving <= away     each of them has somebody to stand in for, but for those that just finished
//   started <= max_spares     started = serving + parked

#ifndef MEMFUSE_SRC_TRANSPORT_SPARE_WORKERS_H_
#define MEMFUSE_SRC_TRANSPORT_SPARE_WORKERS_H_

#include <semaphore.h>

#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "memfuse/blocking_observer.h"
#include "src/base/mutex.h"

namespace memfuse::transport {

// All methods from any thread.
class SpareWorkers final : public BlockingObserver {
 public:
  // `start` makes one more thread serve, which calls WaitUntilNeeded before each request; false:
  // none can be had. It is called without a lock, by whoever leaves.
  SpareWorkers(int max_spares, std::function<bool()> start);
  ~SpareWorkers() override;

  void BeginBlocking() override;
  void EndBlocking() override;

  // Of a stand-in: returns when it is needed, or after Close. Calls `rest` before it waits.
  void WaitUntilNeeded(absl::FunctionRef<void()> rest);

  // Nobody is waited for, woken or started from now on; who waits returns.
  void Close();

 private:
  // Inside the session's lock, and never held over `start_`.
  using Lock = base::Mutex<10>;

  const int max_spares_;
  const std::function<bool()> start_;
  sem_t turns_;  // own synchronisation; one for each that is woken

  Lock mu_;
  int blocked_ ABSL_GUARDED_BY(mu_) = 0;
  int active_ ABSL_GUARDED_BY(mu_) = 0;
  int parked_ ABSL_GUARDED_BY(mu_) = 0;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_SPARE_WORKERS_H_
