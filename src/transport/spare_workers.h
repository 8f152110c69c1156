// Spare workers: threads that serve requests while other workers are blocked in one request
// (BlockingObserver in memfuse/host.h).
//
// A spare worker is a worker with its own descriptor. It differs in one respect: if more spare
// workers are active than workers are blocked, it waits before its next request (it is parked). It
// is started when it is first needed and then kept, because waking it costs less than starting it.
// A spare worker that is no longer needed but already reads from its descriptor serves one request
// more, which does no harm.
//
//   active_ <= blocked_               except for spare workers whose blocked worker has just ended
//                                     its EndBlocking
//   active_ + parked_ <= max_spares_  the number of spare workers that were started

#ifndef MEMFUSE_SRC_TRANSPORT_SPARE_WORKERS_H_
#define MEMFUSE_SRC_TRANSPORT_SPARE_WORKERS_H_

#include <semaphore.h>

#include <atomic>
#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "memfuse/host.h"
#include "src/base/mutex.h"

namespace memfuse::transport {

// All methods may be called from any thread.
class SpareWorkers {
 public:
  // `start` starts one more thread, which calls WaitUntilNeeded before each request. It returns
  // false if no thread is available. The worker that begins to block calls it, without a lock.
  SpareWorkers(int max_spares, std::function<bool()> start);
  ~SpareWorkers();
  SpareWorkers(const SpareWorkers&) = delete;
  SpareWorkers& operator=(const SpareWorkers&) = delete;

  // As BlockingObserver, for a worker that a spare worker can replace.
  void BeginBlocking();
  void EndBlocking();

  // Called by a spare worker. Returns when the spare worker is needed, or after Close. Calls
  // `before_wait` before it waits.
  void WaitUntilNeeded(absl::FunctionRef<void()> before_wait);

  // After this call no thread is woken or started, and no spare worker waits. Spare workers that
  // are waiting return.
  void Close();

 private:
  // Acquired inside the session's lock, and never held while `start_` is called.
  using Lock = base::Mutex<10>;

  const int max_spares_;
  const std::function<bool()> start_;
  sem_t turns_;  // own synchronisation; one post for each spare worker that is woken

  Lock mu_;
  int blocked_ ABSL_GUARDED_BY(mu_) = 0;
  int active_ ABSL_GUARDED_BY(mu_) = 0;
  int parked_ ABSL_GUARDED_BY(mu_) = 0;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

// The BlockingObserver that a session offers to its file system: forwards the reports of a worker
// to the spare workers that replace it.
class WorkerBlockingObserver final : public BlockingObserver {
 public:
  // Called by a worker's thread before its first request. `spare_workers` is null if no thread can
  // replace the calling thread. `blocking` is set between BeginBlocking and EndBlocking of the
  // thread; it may be null. Requires: both outlive the thread.
  static void SetThread(SpareWorkers* spare_workers, std::atomic<bool>* blocking);

  bool CanReplaceCallingThread() const override;
  void BeginBlocking() override;
  void EndBlocking() override;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_SPARE_WORKERS_H_
