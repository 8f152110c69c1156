// A thread that reads requests from one channel and serves them, until the connection ends or it is
// stopped.

#ifndef MEMFUSE_SRC_TRANSPORT_WORKER_H_
#define MEMFUSE_SRC_TRANSPORT_WORKER_H_

#include <atomic>
#include <functional>
#include <thread>

#include "absl/status/status.h"
#include "memfuse/filesystem.h"
#include "memfuse/session.h"
#include "src/transport/channel.h"
#include "src/transport/dispatcher.h"

namespace memfuse::transport {

// Start, Interrupt and Join are called by one thread at a time.
class Worker {
 public:
  // Called by the worker's thread as the last thing it does.
  using OnLeave = std::function<void(Reception why)>;

  // `fs` outlives the worker, `channel` its thread.
  Worker(int index, Channel* channel, FileSystem* fs, const ConnectionParameters& parameters,
         OnLeave on_leave);
  // Precondition: not started, or joined.
  ~Worker() = default;

  // ResourceExhausted: no thread. `on_leave` is not called then.
  absl::Status Start();

  // Wakes the thread where it waits for a request. A signal that comes just before it waits is
  // lost, so whoever stops a worker (the stop flag of its channel) repeats this until it has left.
  void Interrupt();

  void Join();

  // From any thread.
  const RequestCounters& counters() const { return dispatcher_.counters(); }

 private:
  void Run();

  const int index_;
  Channel* const channel_;
  Dispatcher dispatcher_;
  const OnLeave on_leave_;
  std::thread thread_;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_WORKER_H_
