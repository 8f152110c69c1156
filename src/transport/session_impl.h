// The one implementation of Session: owns the descriptors, buffers and threads of a connection.

#ifndef MEMFUSE_SRC_TRANSPORT_SESSION_IMPL_H_
#define MEMFUSE_SRC_TRANSPORT_SESSION_IMPL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "memfuse/session.h"
#include "src/base/mutex.h"
#include "src/base/unique_fd.h"
#include "src/transport/device_channel.h"
#include "src/transport/event.h"
#include "src/transport/mount_point.h"
#include "src/transport/ring_channel.h"
#include "src/transport/spare_workers.h"
#include "src/transport/worker.h"

namespace memfuse::transport {

// Life: Start once; then serving until one caller of Unmount or Stop takes it to kStopping, does
// the work without the lock, and sets closed_, for which every other such caller waits.
class SessionImpl final : public Session, private BackingFiles {
 public:
  explicit SessionImpl(FileSystem* fs)
      : fs_(fs), spare_workers_(kMaxSpareWorkers, [this] { return AddSpareWorker(); }) {}
  ~SessionImpl() override;

  // Answers INIT (unless `initialized` says it was), clones what is missing, starts the workers.
  // Precondition: options are valid, descriptors are not empty. On failure nothing runs and the
  // descriptors are closed once the session is gone.
  absl::Status Start(std::vector<base::UniqueFd> descriptors, const SessionOptions& options,
                     const ConnectionParameters& initialized, absl::Time init_deadline);

  // From here on Unmount (and the destructor) take this mount away; `own`: this session made it and
  // says how the kernel is to cache. Before the session is shared.
  void SetMountPoint(MountPoint mount_point, bool own) {
    mount_point_.emplace(std::move(mount_point));
    own_mount_ = own;
  }

  absl::StatusOr<int> CloneDescriptor() override;
  absl::Status AddWorker() override;
  ConnectionParameters parameters() const override { return parameters_; }
  bool uses_io_uring() const override { return uses_io_uring_; }
  std::string DescribeTransport() const override { return transport_description_; }
  std::vector<uint64_t> RequestCounts() const override;
  std::vector<uint64_t> WorkerRequestCounts() const override;
  bool WaitFor(absl::Duration timeout) override;
  bool failed() const override { return failed_.load(); }
  void ReleaseIdle() override;
  void BoundDirtyBytes(uint64_t bytes) override;
  int end_descriptor() const override { return ended_.descriptor(); }
  absl::Status Unmount(absl::Duration timeout) override;
  void Stop() override;

 private:
  enum class State { kServing, kStopping };

  // Outermost, and never held while a worker is waited for or a request is served.
  using Lock = base::Mutex<0>;

  // What is busy for long at the same time, beyond this, holds others up. More threads than this
  // help little: they share the CPUs.
  static constexpr int kMaxSpareWorkers = 8;

  absl::Status AddWorkerLocked(Worker::Role role) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // One more worker for threads that are away; by one that leaves its seat.
  bool AddSpareWorker();
  // A channel for one more worker: a spare descriptor, or a clone.
  absl::StatusOr<DeviceChannel*> AddChannelLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // A worker on that channel.
  absl::Status StartWorkerLocked(Channel* channel, Worker::Role role, SpareWorkers* spare_workers)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // A queue for each CPU, before INIT is answered: what cannot be had then must not be agreed on.
  absl::Status MakeRingsLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Result<int32_t> Register(int descriptor) override;
  void Unregister(int32_t id) override;

  // One more thread that keeps ended_ from happening; false if it has happened.
  bool Enter();
  // Sets ended_ when the last one has left.
  void Leave();
  // What a worker's thread does last.
  void WorkerLeft(ReceiveStatus why);

  // Once the connection has been over for a while, makes workers leave that wait as if it were not:
  // seldom, and in the company of much else, a queue of io_uring was not told.
  void HurryLaggards();

  // What is left to do where Unmount had no memory.
  absl::Status DetachWithoutMemory();

  // True to the one caller that is to stop the session.
  bool BeginStop();
  // Ends the workers, joins them, closes all descriptors. By that caller, which sets closed_.
  void FinishStop();

  FileSystem* const fs_;
  ConnectionParameters parameters_;        // constant after Start
  size_t max_transfer_ = 0;                // constant after Start
  int backing_device_ = -1;                // constant after Start; a channel's descriptor
  bool uses_io_uring_ = false;             // constant after Start
  std::string transport_description_;      // constant after Start
  bool connected_ = false;                 // constant after Start; the file system was told
  std::optional<MountPoint> mount_point_;  // constant once the session is shared
  bool own_mount_ = false;                 // constant once the session is shared
  std::unique_ptr<PipePool> pipes_;        // constant after Start; null: none are used
  std::atomic<bool> stop_{false};          // atomic
  std::atomic<int> inside_{1};             // atomic; workers in their loops, and Start
  std::atomic<bool> end_logged_{false};    // atomic
  std::atomic<bool> failed_{false};        // atomic
  std::atomic<int64_t> over_since_{0};     // atomic; nanoseconds since the epoch, 0: it goes on
  SpareWorkers spare_workers_;             // own lock; of the workers on the device
  Event ended_;                            // own synchronisation; no worker is left
  Event closed_;                           // own synchronisation; the session is over

  mutable Lock mu_;
  State state_ ABSL_GUARDED_BY(mu_) = State::kServing;
  std::vector<base::UniqueFd> spare_ ABSL_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<DeviceChannel>> channels_ ABSL_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<RingChannel>> rings_ ABSL_GUARDED_BY(mu_);
  // They stay for their counters when their threads have ended.
  std::vector<std::unique_ptr<Worker>> workers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_SESSION_IMPL_H_
