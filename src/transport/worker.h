// A thread that reads requests from one channel and serves them until the connection ends or the
// session stops it.

#ifndef MEMFUSE_SRC_TRANSPORT_WORKER_H_
#define MEMFUSE_SRC_TRANSPORT_WORKER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "absl/status/status.h"
#include "memfuse/connection.h"
#include "memfuse/filesystem.h"
#include "src/transport/channel.h"
#include "src/transport/dispatcher.h"
#include "src/transport/request_statistics.h"
#include "src/transport/spare_workers.h"

namespace memfuse::transport {

// Start, Interrupt and Join are called by one thread at a time.
class Worker {
 public:
  // The worker's thread calls it before its first request (false) and after it (true).
  using OnFirstRequest = std::function<void(bool served)>;
  // The worker's thread calls it as the last thing it does.
  using OnExit = std::function<void(ReceiveStatus why)>;

  // A regular worker serves all the time. A spare worker serves while another worker is blocked.
  enum class Role { kRegular, kSpare };

  // Requires: `fs` and `spare_workers` outlive the worker, and `channel` outlives its thread.
  // `spare_workers` may be null for a regular worker; no spare worker then serves while it is
  // blocked. `counts_requests`: the worker has statistics. `inheritance` outlives the worker.
  Worker(int index, Role role, Channel* channel, FileSystem* fs,
         const ConnectionParameters& parameters, const Inheritance* inheritance,
         SpareWorkers* spare_workers, bool counts_requests, OnFirstRequest on_first_request,
         OnExit on_exit);
  // Requires: the worker was not started, or was joined.
  ~Worker() = default;

  // Starts the thread. Errors: ResourceExhausted (no thread). Throws std::bad_alloc if there is no
  // memory for the error text. `on_exit` is not called in either case.
  absl::Status Start();

  // Wakes the thread if it waits for a request. A signal that arrives just before the thread waits
  // is lost. A caller that stops a worker (with the stop flag of its channel) therefore repeats the
  // call until the worker has ended.
  void Interrupt();

  void Join();

  // Called at regular intervals, by one thread at a time: adds `interval` if the thread is serving
  // the same request as at the last call. Returns the sum for this request.
  double CountIntervalsInRequest(double interval);
  // Whether the thread has reported that it blocks (memfuse/host.h).
  bool blocking() const { return blocking_.load(std::memory_order_relaxed); }
  // Calls `before` and sends the thread SIGABRT, so that a handler of the signal finds its stack.
  // Called after CountIntervalsInRequest. Returns false, and does neither, if the thread serves
  // another request meanwhile, or is in an uninterruptible sleep: a process with such a thread does
  // not end.
  bool Abort(const std::function<void()>& before);

  // May be called from any thread. Null: requests are not counted.
  const RequestStatistics* statistics() const { return statistics_.get(); }

 private:
  void Run();

  const int index_;
  const Role role_;
  Channel* const channel_;
  SpareWorkers* const spare_workers_;
  const std::unique_ptr<RequestStatistics> statistics_;
  Dispatcher dispatcher_;
  const OnFirstRequest on_first_request_;
  const OnExit on_exit_;
  std::thread thread_;

  // Written by the thread: odd while it serves a request, and greater with each request.
  std::atomic<uint64_t> progress_{0};
  std::atomic<bool> blocking_{false};  // atomic; between BeginBlocking and EndBlocking
  std::atomic<int> id_{0};             // atomic; gettid(2)
  // Used by CountIntervalsInRequest only.
  uint64_t counted_progress_ = 0;
  double intervals_ = 0;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_WORKER_H_
