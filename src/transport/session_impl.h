// The only implementation of Session. It owns the descriptors, buffers and threads of a connection.

#ifndef MEMFUSE_SRC_TRANSPORT_SESSION_IMPL_H_
#define MEMFUSE_SRC_TRANSPORT_SESSION_IMPL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "memfuse/session.h"
#include "src/base/deadline.h"
#include "src/base/event.h"
#include "src/base/mutex.h"
#include "src/base/unique_fd.h"
#include "src/mount/mount_point.h"
#include "src/transport/device_channel.h"
#include "src/transport/device_notifier.h"
#include "src/transport/inheritance.h"
#include "src/transport/ring_channel.h"
#include "src/transport/spare_workers.h"
#include "src/transport/worker.h"

namespace memfuse::transport {

// Lifecycle: Start is called once. The session then serves until one caller of Unmount or Stop
// changes the state to kStopping. That caller does the work without the lock and sets closed_. All
// other callers of Unmount or Stop wait for closed_.
class SessionImpl final : public Session, private BackingFiles {
 public:
  explicit SessionImpl(FileSystem* fs)
      : fs_(fs), spare_workers_(kMaxSpareWorkers, [this] { return AddSpareWorker(); }) {}
  ~SessionImpl() override;

  // Answers INIT (unless `initialized` says that it was answered), informs the file system, clones
  // missing descriptors, and starts the workers. See session_impl.cc for the order of the steps.
  // Requires: `options` are valid, and `descriptors` is not empty. On success INIT was answered and
  // all workers are started. After an error no request is guaranteed to be served, and workers that
  // were already started run until Stop or the destructor, which also close the descriptors.
  absl::Status Start(std::vector<base::UniqueFd> descriptors, const SessionOptions& options,
                     const ConnectionParameters& initialized, base::Deadline init_deadline);

  // Start continues with the requests of a process that has died, which had these buffers. It has
  // crashed if `crashed`. Called before Start.
  void SetPredecessor(std::vector<base::UniqueFd> buffers, bool crashed) {
    predecessor_buffers_ = std::move(buffers);
    has_predecessor_ = true;
    predecessor_crashed_ = crashed;
  }

  // After this call Unmount and the destructor unmount this mount. `own`: this session made the
  // mount and configures the kernel's cache for it. Requires: the session is not shared yet.
  void SetMountPoint(mount::MountPoint mount_point, bool own) {
    mount_point_.emplace(std::move(mount_point));
    own_mount_ = own;
  }

  absl::StatusOr<int> CloneDescriptor() override;
  absl::Status AddWorker() override;
  ConnectionParameters parameters() const override { return parameters_; }
  ConnectionState state() const override;
  bool uses_io_uring() const override { return uses_io_uring_; }
  std::string DescribeTransport() const override { return transport_description_; }
  std::vector<OperationStatistics> Statistics() const override;
  RecentRequestList RecentRequests() const override;
  std::vector<uint64_t> WorkerRequestCounts() const override;
  bool WaitFor(absl::Duration timeout) override;
  bool failed() const override { return failed_.load(); }
  int FindHangingWorker(int intervals) override;
  bool AbortWorker(int worker, const std::function<void()>& before) override;
  void BoundDirtyBytes(uint64_t bytes) override;
  int end_descriptor() const override { return ended_.descriptor(); }
  absl::Status Unmount(absl::Duration timeout) override;
  void Stop() override;

 private:
  enum class State { kServing, kStopping };

  // The outermost lock. It is never held while the session waits for a worker or a worker serves a
  // request.
  using Lock = base::Mutex<0>;

  // The maximum number of spare workers. If more workers block at the same time, other requests
  // wait. More threads help little, because they share the CPUs.
  static constexpr int kMaxSpareWorkers = 8;

  // Carries out the requests without a reply that another process has read, and lets the kernel
  // send the others again.
  void TakeRequestsOver() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Notes the requests that the predecessor was serving when it crashed. Refuses those that an
  // earlier one was serving as well when it crashed, and drops those of them without a reply.
  void JudgeRequestsLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Answers a request of another process with EIO.
  void FailRequestLocked(absl::Span<const char> message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status AddWorkerLocked(Worker::Role role) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Starts one more spare worker. Called by a worker that begins to block. Returns whether it
  // started.
  bool AddSpareWorker();
  // Returns a channel for one more worker, on a spare descriptor or a clone.
  absl::StatusOr<DeviceChannel*> AddChannelLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Prepares a new channel for the case that another process duplicates the descriptors.
  absl::Status PrepareChannelLocked(DeviceChannel* channel) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Starts a worker on that channel.
  absl::Status StartWorkerLocked(Channel* channel, Worker::Role role, SpareWorkers* spare_workers)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Makes a queue for each possible CPU. Called before INIT is answered, because io_uring must not
  // be agreed on if the queues cannot be made.
  absl::Status MakeRingsLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Result<int32_t> Register(int descriptor) override;
  void Unregister(int32_t id) override;

  // Counts one more thread that delays ended_. Returns false if ended_ has already happened.
  bool Enter();
  // Removes one thread from the count. The last one sets ended_.
  void Leave();
  // Called by a worker's thread before its first request (false) and after it (true).
  void NoteFirstRequest(bool served);
  // Called by a worker's thread as the last thing it does.
  void WorkerLeft(ReceiveStatus why);

  // Stops workers that still wait for requests after a worker has failed, or one second after the
  // connection ended. Rarely, and under load, the kernel does not inform a queue of io_uring of the
  // end.
  void HurryLaggards();

  // The rest of Unmount after an allocation has failed.
  absl::Status DetachWithoutMemory();

  // Returns true to the one caller that is to stop the session.
  bool BeginStop();
  // Ends and joins the workers and closes all descriptors. Only that caller calls it, and sets
  // closed_ afterwards.
  void FinishStop();

  FileSystem* const fs_;
  ConnectionParameters parameters_;                  // constant after Start
  size_t max_write_ = 0;                             // constant after Start; of SessionOptions
  size_t max_transfer_ = 0;                          // constant after Start
  int backing_device_ = -1;                          // constant after Start; a channel's descriptor
  bool uses_io_uring_ = false;                       // constant after Start
  std::string transport_description_;                // constant after Start
  std::function<void(int)> on_descriptor_;           // constant after Start
  std::function<void(int)> on_buffer_;               // constant after Start
  bool has_predecessor_ = false;                     // constant after Start
  bool predecessor_crashed_ = false;                 // constant after Start
  std::vector<base::UniqueFd> predecessor_buffers_;  // used by Start only
  Inheritance inheritance_;                          // constant after Start
  std::function<void(bool)> on_first_request_;       // constant after Start
  bool use_spare_workers_ = true;                    // constant after Start
  bool request_statistics_ = true;                   // constant after Start
  bool connected_ = false;                           // constant after Start; Connected was called
  std::optional<mount::MountPoint> mount_point_;     // constant once the session is shared
  bool own_mount_ = false;                           // constant once the session is shared
  std::atomic<bool> stop_{false};                    // atomic
  std::atomic<int> inside_{1};                       // atomic; workers in their loops, and Start
  std::atomic<bool> end_logged_{false};              // atomic
  std::atomic<bool> reported_[2] = {};               // atomic; to on_first_request_
  std::atomic<bool> failed_{false};                  // atomic
  std::atomic<uint64_t> over_since_{0};              // atomic; MonotonicNanoseconds, 0: connected
  SpareWorkers spare_workers_;                       // own lock; for the workers on the device
  WorkerBlockingObserver blocking_observer_;         // has no state of its own
  std::optional<DeviceNotifier> notifier_;           // constant after Start
  base::Event ended_;                                // own synchronisation; all workers have ended
  base::Event closed_;                               // own synchronisation; the session is closed

  mutable Lock mu_;
  State state_ ABSL_GUARDED_BY(mu_) = State::kServing;
  std::vector<base::UniqueFd> spare_ ABSL_GUARDED_BY(mu_);
  std::vector<PageBuffer> spare_inputs_ ABSL_GUARDED_BY(mu_);  // of a predecessor
  std::vector<std::unique_ptr<DeviceChannel>> channels_ ABSL_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<RingChannel>> rings_ ABSL_GUARDED_BY(mu_);
  // Workers whose threads have ended stay in the list, because their counters are still read.
  std::vector<std::unique_ptr<Worker>> workers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_SESSION_IMPL_H_
