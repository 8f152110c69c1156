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
#include "src/transport/spare_workers.h"

namespace memfuse::transport {

// Start, Interrupt and Join are called by one thread at a time.
class Worker {
 public:
  // Called by the worker's thread as the last thing it does.
  using OnExit = std::function<void(ReceiveStatus why)>;

  // A thread that has no seat of its own serves where another one is away.
  enum class Role { kRegular, kSpare };

  // `fs` and `seats` outlive the worker, `channel` its thread. `seats` may be null for a resident,
  // whom nobody can replace then.
  Worker(int index, Role role, Channel* channel, FileSystem* fs,
         const ConnectionParameters& parameters, SpareWorkers* spare_workers, OnExit on_exit);
  // Precondition: not started, or joined.
  ~Worker() = default;

  // ResourceExhausted: no thread. Throws std::bad_alloc where that cannot even be said. `on_exit`
  // is not called in either case.
  absl::Status Start();

  // Wakes the thread where it waits for a request. A signal that comes just before it waits is
  // lost, so whoever stops a worker (the stop flag of its channel) repeats this until it has left.
  void Interrupt();

  void Join();

  // Makes the channel give up what it holds and does not use.
  void ReleaseIdle() {
    if (channel_->ReleaseIdle()) Interrupt();
  }

  // From any thread.
  const RequestCounters& counters() const { return dispatcher_.counters(); }

 private:
  void Run();

  const int index_;
  const Role role_;
  Channel* const channel_;
  SpareWorkers* const spare_workers_;
  Dispatcher dispatcher_;
  const OnExit on_exit_;
  std::thread thread_;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_WORKER_H_
