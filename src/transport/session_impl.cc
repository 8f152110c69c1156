#include "src/transport/session_impl.h"

#include <glog/logging.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <set>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "src/base/clock.h"
#include "src/base/deadline.h"
#include "src/base/memory_guard.h"
#include "src/mount/device.h"
#include "src/protocol/decode.h"
#include "src/protocol/encode.h"
#include "src/protocol/negotiation.h"
#include "src/protocol/opcodes.h"
#include "src/transport/handshake.h"
#include "src/transport/operations.h"

namespace memfuse::transport {
namespace {

// For this time a mount in use is tried to be unmounted, before it is detached.
constexpr absl::Duration kBusyTimeout = absl::Milliseconds(500);
constexpr absl::Duration kSignalInterval = absl::Milliseconds(2);
constexpr absl::Duration kSlowStop = absl::Seconds(5);
constexpr absl::Duration kLag = absl::Seconds(1);

absl::Status Over() { return absl::FailedPreconditionError("the session has ended"); }

}  // namespace

SessionImpl::~SessionImpl() {
  if (const absl::Status status = Unmount(absl::Seconds(1)); !status.ok()) {
    base::WithMemory([&] { LOG(WARNING) << status.message(); });
  }
}

// Establishes the connection and starts to serve it. Start guarantees that INIT was answered and
// every worker thread runs when it returns OK. The order of the steps:
//
//     1. Make the channel of the first descriptor, because the handshake needs one.
//     2. Make the queues of io_uring, if it is requested, because it must not be agreed on
//        without them.
//     3. Answer INIT, unless the connection is already initialised.
//     4. Call Connected, so that the file system is ready before the first request is read.
//     5. After a predecessor, let the kernel send its requests again.
//     6. Start the workers of the device, then those of the queues.
//
// Start ends with the first error. It fails if descriptors, memory or threads are missing, if the
// kernel does not send an acceptable INIT before `init_deadline`, or if Connected fails. It does
// not stop workers that were already started: Stop or the destructor does that, closes the
// descriptors, and calls Disconnected if Connected was called. Start holds one count of inside_
// until it returns. ended_ can therefore not be set while Start runs, and it is set on return if no
// worker runs.
absl::Status SessionImpl::Start(std::vector<base::UniqueFd> descriptors,
                                const SessionOptions& options,
                                const ConnectionParameters& initialized,
                                base::Deadline init_deadline) {
  const absl::Cleanup leave = [this] { Leave(); };
  if (!ended_.valid() || !closed_.valid()) {
    return absl::ResourceExhaustedError("too many open files");
  }
  base::MutexLock lock(&mu_);
  on_descriptor_ = options.on_descriptor;
  on_buffer_ = options.on_buffer;
  on_first_request_ = options.on_first_request;
  inheritance_.read_only = options.read_only;
  use_spare_workers_ = options.spare_workers;
  request_statistics_ = options.request_statistics;
  max_write_ = std::max(options.max_write, initialized.max_write);
  max_transfer_ = max_write_;
  if (initialized.minor > 0) {
    parameters_ = initialized;
    // READ is bounded by pages if the two bounds differ.
    max_transfer_ = std::max<size_t>(
        max_transfer_, size_t{initialized.max_pages} * static_cast<size_t>(sysconf(_SC_PAGESIZE)));
  }
  // The handshake uses the first channel, before a worker needs one.
  absl::StatusOr<std::unique_ptr<DeviceChannel>> first =
      DeviceChannel::Make(std::move(descriptors.front()), max_transfer_, &stop_);
  descriptors.erase(descriptors.begin());
  spare_ = std::move(descriptors);
  if (!first.ok()) return first.status();
  for (base::UniqueFd& file : predecessor_buffers_) {
    absl::StatusOr<PageBuffer> input = DeviceChannel::MakeInputBuffer(max_write_, std::move(file));
    if (!input.ok()) return input.status();
    spare_inputs_.push_back(*std::move(input));
  }
  predecessor_buffers_.clear();
  channels_.push_back(*std::move(first));
  std::string no_io_uring = "the connection was initialised without it";
  if (initialized.minor == 0) {
    protocol::RequestedCapabilities requested;
    no_io_uring = "the kernel does not offer it";
    requested.max_read = options.max_write;
    requested.max_write = options.max_write;
    requested.writeback_cache = options.writeback_cache;
    requested.passthrough = options.passthrough;
    requested.posix_acl = options.kernel_permissions;
    if (options.io_uring && RingChannel::Enabled()) {
      const absl::Status made = MakeRingsLocked();
      if (!made.ok()) no_io_uring = std::string(made.message());
      requested.io_uring = made.ok();
    } else {
      no_io_uring = "no administrator has switched it on";
    }
    absl::StatusOr<ConnectionParameters> agreed =
        AnswerInit(channels_.front().get(), requested, init_deadline);
    if (!agreed.ok()) return agreed.status();
    parameters_ = *agreed;
  }
  backing_device_ = channels_.front()->descriptor();
  notifier_.emplace(backing_device_);
  Host host;
  if (protocol::PassesThrough(parameters_)) host.backing_files = this;
  host.blocking_observer = &blocking_observer_;
  host.notifier = &*notifier_;
  connected_ = true;
  if (absl::Status connected = fs_->Connected(host); !connected.ok()) return connected;
  // Before any worker reads requests: the kernel would send those again, too.
  if (has_predecessor_) TakeRequestsOver();
  if (absl::Status prepared = PrepareChannelLocked(channels_.front().get()); !prepared.ok()) {
    return prepared;
  }
  uses_io_uring_ = protocol::UsesIoUring(parameters_) && !rings_.empty();
  if (!uses_io_uring_) rings_.clear();
  if (uses_io_uring_) {
    transport_description_ = absl::StrCat("io_uring, ", rings_.size(), " queues");
  } else {
    transport_description_ =
        absl::StrCat("/dev/fuse, ", options.threads, options.threads == 1 ? " thread" : " threads");
    if (options.io_uring) absl::StrAppend(&transport_description_, "; no io_uring: ", no_io_uring);
  }
  // FORGET and notifications use the device even with io_uring.
  const int threads = uses_io_uring_ ? 1 : options.threads;
  for (int i = 0; i < threads; ++i) {
    if (absl::Status added = AddWorkerLocked(Worker::Role::kRegular); !added.ok()) return added;
  }
  for (const std::unique_ptr<RingChannel>& ring : rings_) {
    if (!options.idle_scheduling) ring->KeepSchedulingPolicy();
    // The kernel delivers the requests of a queue only to the thread that registered it, so a spare
    // worker cannot replace that thread.
    if (absl::Status started = StartWorkerLocked(ring.get(), Worker::Role::kRegular, nullptr);
        !started.ok()) {
      return started;
    }
  }
  return absl::OkStatus();
}

void SessionImpl::JudgeRequestsLocked() {
  std::set<uint64_t> suspects;
  for (PageBuffer& input : spare_inputs_) {
    suspects.insert(DeviceChannel::VerdictIn(&input)->suspect);
  }
  for (PageBuffer& input : spare_inputs_) {
    const Result<protocol::RequestHeader> header =
        protocol::DecodeHeader(DeviceChannel::MessageIn(&input));
    DeviceChannel::Verdict* const verdict = DeviceChannel::VerdictIn(&input);
    // A successor carries a message without a reply out from the buffer in which it is. It receives
    // the others again.
    const bool replies = header.ok() && ExpectsReply(header->opcode);
    const bool served = header.ok() && !(replies && verdict->old);
    const uint64_t request = served ? ToInt(header->context().id) : 0;
    verdict->suspect = request;
    verdict->old = true;
    if (!served || suspects.count(request) == 0) continue;
    base::WithMemory([&] {
      LOG(ERROR) << OpcodeName(header->opcode) << " of process " << header->pid << " on inode "
                 << ToInt(header->node) << (replies ? " is answered with EIO" : " is dropped")
                 << ": two servers have crashed while they served it";
    });
    if (replies) {
      inheritance_.refused.insert(request);
    } else {
      DeviceChannel::ClearMessageIn(&input);
    }
  }
}

void SessionImpl::TakeRequestsOver() {
  // Clears the message when it was carried out.
  class Sink final : public ReplySink {
   public:
    explicit Sink(PageBuffer* input) : input_(input) {}
    SendStatus Send(absl::Span<const char>, absl::Span<const ReadSink::Piece>) override {
      return SendStatus::kAbandoned;
    }
    void NoteCarriedOut() override { DeviceChannel::ClearMessageIn(input_); }

   private:
    PageBuffer* const input_;
  };
  Dispatcher dispatcher(fs_, parameters_, channels_.front()->reply_buffer(),
                        /*statistics=*/nullptr);
  if (predecessor_crashed_) JudgeRequestsLocked();
  for (PageBuffer& input : spare_inputs_) {
    const Result<protocol::RequestHeader> header =
        protocol::DecodeHeader(DeviceChannel::MessageIn(&input));
    if (header.ok() && header->opcode == static_cast<uint32_t>(protocol::Opcode::kReaddirplus)) {
      const LookupMemory lookups = DeviceChannel::LookupMemoryIn(&input);
      const size_t max_lookups = std::min(max_transfer_ / kMinPlusEntry + 1, lookups.inodes.size());
      const uint64_t request = ToInt(header->context().id);
      if (*lookups.request == request) {
        const InodeNumber* const first = lookups.inodes.data();
        inheritance_.lookups.emplace(request,
                                     LeftLookups{{first, first + max_lookups}, lookups.request});
      }
      // The list stays in the buffer until the buffer is used.
      continue;
    }
    Sink sink(&input);
    dispatcher.ServeAgain(DeviceChannel::MessageIn(&input), &sink);
  }
  const Result<void> sent = notifier_->Resend();
  // If the connection has ended, the workers find out.
  if (!sent.ok() && sent.error() == EINVAL) {
    for (PageBuffer& input : spare_inputs_) FailRequestLocked(DeviceChannel::MessageIn(&input));
    LOG(WARNING) << "requests that were being served when the server died fail: the kernel can "
                    "send them again from Linux 6.9 on";
  }
}

void SessionImpl::FailRequestLocked(absl::Span<const char> message) {
  const Result<protocol::RequestHeader> header = protocol::DecodeHeader(message);
  if (!header.ok() || !ExpectsReply(header->opcode)) return;
  char reply[protocol::kReplyHeaderSize];
  protocol::EncodeReplyHeader(header->id, EIO, 0, absl::MakeSpan(reply));
  // The descriptor from which the request was read is not known. The others refuse the reply.
  const auto accepts = [&reply](int descriptor) {
    return write(descriptor, reply, sizeof(reply)) >= 0;
  };
  if (accepts(channels_.front()->descriptor())) return;
  for (const base::UniqueFd& descriptor : spare_) {
    if (accepts(descriptor.get())) return;
  }
}

ConnectionState SessionImpl::state() const {
  ConnectionState state;
  state.parameters = parameters_;
  if (mount_point_.has_value()) {
    state.mount = mount_point_->identity();
    state.by_helper = mount_point_->by_helper();
    mount_point_->path().copy(state.mount_point, sizeof(state.mount_point) - 1);
  }
  return state;
}

absl::Status SessionImpl::MakeRingsLocked() {
  const int count = RingChannel::QueueCount();
  for (int queue = 0; queue < count; ++queue) {
    absl::StatusOr<std::unique_ptr<RingChannel>> ring =
        RingChannel::Make(channels_.front()->descriptor(), queue, max_transfer_, &stop_);
    if (!ring.ok()) {
      rings_.clear();
      return ring.status();
    }
    rings_.push_back(*std::move(ring));
  }
  return absl::OkStatus();
}

absl::Status SessionImpl::PrepareChannelLocked(DeviceChannel* channel) {
  if (!on_descriptor_) return absl::OkStatus();
  if (!spare_inputs_.empty()) {
    PageBuffer input = std::move(spare_inputs_.back());
    spare_inputs_.pop_back();
    return channel->PrepareForSuccessor(std::move(input));
  }
  absl::StatusOr<PageBuffer> input = DeviceChannel::MakeInputBuffer(max_write_, base::UniqueFd());
  if (!input.ok()) return input.status();
  if (on_buffer_) on_buffer_(input->descriptor());
  return channel->PrepareForSuccessor(*std::move(input));
}

absl::StatusOr<DeviceChannel*> SessionImpl::AddChannelLocked() {
  // The first worker uses the channel of the handshake.
  if (workers_.empty()) return channels_.front().get();
  base::UniqueFd descriptor;
  if (!spare_.empty()) {
    descriptor = std::move(spare_.back());
    spare_.pop_back();
  } else {
    absl::StatusOr<base::UniqueFd> clone = mount::CloneDevice(channels_.front()->descriptor());
    if (!clone.ok()) return clone.status();
    descriptor = *std::move(clone);
    if (on_descriptor_) on_descriptor_(descriptor.get());
  }
  absl::StatusOr<std::unique_ptr<DeviceChannel>> channel =
      DeviceChannel::Make(std::move(descriptor), max_transfer_, &stop_);
  if (!channel.ok()) return channel.status();
  if (absl::Status prepared = PrepareChannelLocked(channel->get()); !prepared.ok()) return prepared;
  channels_.push_back(*std::move(channel));
  return channels_.back().get();
}

absl::Status SessionImpl::AddWorkerLocked(Worker::Role role) {
  absl::StatusOr<DeviceChannel*> channel = AddChannelLocked();
  if (!channel.ok()) return channel.status();
  // No request was read through the new channel, so it may be closed. The first channel stays,
  // because the session uses it for other purposes. Reserved first, so that the steps after a
  // failure cannot fail.
  spare_.reserve(spare_.size() + 1);
  spare_inputs_.reserve(spare_inputs_.size() + 1);
  absl::Cleanup close = [this] {
    mu_.AssertHeld();
    if (channels_.size() <= 1) return;
    if (on_descriptor_) {
      // The process that duplicates descriptors has these.
      spare_.push_back(channels_.back()->TakeDescriptor());
      spare_inputs_.push_back(channels_.back()->TakeInput());
    }
    channels_.pop_back();
  };
  absl::Status started =
      StartWorkerLocked(*channel, role, use_spare_workers_ ? &spare_workers_ : nullptr);
  if (started.ok()) std::move(close).Cancel();
  return started;
}

absl::Status SessionImpl::StartWorkerLocked(Channel* channel, Worker::Role role,
                                            SpareWorkers* spare_workers) {
  auto worker = std::make_unique<Worker>(
      static_cast<int>(workers_.size()), role, channel, fs_, parameters_, &inheritance_,
      spare_workers, request_statistics_, [this](bool served) { NoteFirstRequest(served); },
      [this](ReceiveStatus why) { WorkerLeft(why); });
  // Reserved before the thread exists, so that the steps after its start cannot fail.
  workers_.reserve(workers_.size() + 1);
  if (!Enter()) return Over();
  absl::Cleanup leave = [this] { Leave(); };
  if (absl::Status started = worker->Start(); !started.ok()) return started;
  std::move(leave).Cancel();
  workers_.push_back(std::move(worker));
  return absl::OkStatus();
}

absl::Status SessionImpl::AddWorker() {
  base::MutexLock lock(&mu_);
  if (state_ != State::kServing || ended_.happened()) return Over();
  return AddWorkerLocked(Worker::Role::kRegular);
}

bool SessionImpl::AddSpareWorker() {
  absl::Status added;
  try {
    base::MutexLock lock(&mu_);
    if (state_ != State::kServing || ended_.happened()) return false;
    added = AddWorkerLocked(Worker::Role::kSpare);
  } catch (const std::bad_alloc&) {
    // Without an error text, which would need an allocation.
    added = absl::Status(absl::StatusCode::kResourceExhausted, "");
  }
  if (added.ok()) return true;
  base::WithMemory([&] {
    LOG_FIRST_N(WARNING, 1)
        << "long operations hold others up, since no thread can be had to serve "
        << "meanwhile (said once): "
        << (added.message().empty() ? absl::string_view("out of memory") : added.message());
  });
  return false;
}

absl::StatusOr<int> SessionImpl::CloneDescriptor() {
  base::MutexLock lock(&mu_);
  if (state_ != State::kServing || ended_.happened()) return Over();
  absl::StatusOr<base::UniqueFd> clone = mount::CloneDevice(channels_.front()->descriptor());
  if (!clone.ok()) return clone.status();
  return clone->release();
}

std::vector<OperationStatistics> SessionImpl::Statistics() const {
  std::vector<OperationStatistics> sums(protocol::kOpcodeLimit);
  for (size_t i = 0; i < sums.size(); ++i) sums[i].name = OpcodeName(i);
  base::MutexLock lock(&mu_);
  for (const std::unique_ptr<Worker>& worker : workers_) {
    if (worker->statistics() != nullptr) worker->statistics()->AddTo(absl::MakeSpan(sums));
  }
  return sums;
}

RecentRequestList SessionImpl::RecentRequests() const {
  RecentRequestList list;
  std::vector<RecentRequest>& requests = list.requests;
  {
    base::MutexLock lock(&mu_);
    for (const std::unique_ptr<Worker>& worker : workers_) {
      if (worker->statistics() == nullptr) continue;
      const uint64_t since = worker->statistics()->recent().AppendTo(&requests);
      list.since_nanoseconds = std::max(list.since_nanoseconds, since);
    }
  }
  requests.erase(std::remove_if(requests.begin(), requests.end(),
                                [&list](const RecentRequest& request) {
                                  return request.end_nanoseconds() < list.since_nanoseconds;
                                }),
                 requests.end());
  std::sort(requests.begin(), requests.end(), [](const RecentRequest& a, const RecentRequest& b) {
    return a.start_nanoseconds < b.start_nanoseconds;
  });
  return list;
}

std::vector<uint64_t> SessionImpl::WorkerRequestCounts() const {
  base::MutexLock lock(&mu_);
  std::vector<uint64_t> counts;
  counts.reserve(workers_.size());
  for (const std::unique_ptr<Worker>& worker : workers_) {
    counts.push_back(worker->statistics() == nullptr ? 0 : worker->statistics()->total());
  }
  return counts;
}

int SessionImpl::FindHangingWorker(int intervals) {
  base::MutexLock lock(&mu_);
  // Another worker may wait for a lock of a long operation.
  const bool long_operation =
      std::any_of(workers_.begin(), workers_.end(),
                  [](const std::unique_ptr<Worker>& worker) { return worker->blocking(); });
  int found = -1;
  double most = intervals;
  for (size_t i = 0; i < workers_.size(); ++i) {
    const double of_worker = workers_[i]->CountIntervalsInRequest(long_operation ? 0.1 : 1);
    if (of_worker < most || (of_worker == most && found >= 0)) continue;
    most = of_worker;
    found = static_cast<int>(i);
  }
  return found;
}

bool SessionImpl::AbortWorker(int worker, const std::function<void()>& before) {
  base::MutexLock lock(&mu_);
  return workers_[static_cast<size_t>(worker)]->Abort(before);
}

Result<int32_t> SessionImpl::Register(int descriptor) {
  return mount::RegisterBackingFile(backing_device_, descriptor);
}

void SessionImpl::Unregister(int32_t id) { mount::UnregisterBackingFile(backing_device_, id); }

bool SessionImpl::Enter() {
  int inside = inside_.load(std::memory_order_relaxed);
  do {
    if (inside == 0) return false;
  } while (!inside_.compare_exchange_weak(inside, inside + 1, std::memory_order_relaxed));
  return true;
}

void SessionImpl::Leave() {
  // acq_rel: a thread that sees the end also sees what every worker did.
  if (inside_.fetch_sub(1, std::memory_order_acq_rel) == 1) ended_.Set();
}

void SessionImpl::NoteFirstRequest(bool served) {
  if (on_first_request_ && !reported_[served].exchange(true)) on_first_request_(served);
}

void SessionImpl::WorkerLeft(ReceiveStatus why) {
  // Parked spare workers wake up, read the device, and end as well.
  spare_workers_.Close();
  if (why == ReceiveStatus::kAborted || why == ReceiveStatus::kUnmounted ||
      why == ReceiveStatus::kClosed) {
    uint64_t goes_on = 0;
    over_since_.compare_exchange_strong(goes_on, base::MonotonicNanoseconds());
  }
  // An abort or an error is logged once. An unmount or a stop was requested and is not logged.
  if ((why == ReceiveStatus::kAborted || why == ReceiveStatus::kFailed) &&
      !end_logged_.exchange(true)) {
    base::WithMemory([&] {
      LOG(WARNING) << "the FUSE connection was "
                   << (why == ReceiveStatus::kAborted ? "aborted" : "lost by an error");
    });
  }
  if (why == ReceiveStatus::kFailed) {
    // With fewer readers, or with a queue of io_uring that is not served, callers would wait
    // forever.
    failed_.store(true);
    HurryLaggards();
  }
  Leave();
}

bool SessionImpl::WaitFor(absl::Duration timeout) {
  const base::Deadline deadline = base::Deadline::After(timeout);
  for (;;) {
    const base::Deadline look = std::min(deadline, base::Deadline::After(kLag));
    if (ended_.WaitUntil(look)) return true;
    HurryLaggards();
    if (look == deadline) return false;
  }
}

void SessionImpl::HurryLaggards() {
  const uint64_t since = over_since_.load();
  const bool failed = failed_.load();
  const auto lag = [since] {
    return absl::Nanoseconds(static_cast<int64_t>(base::MonotonicNanoseconds() - since));
  };
  if (!failed && (since == 0 || lag() < kLag)) return;
  base::MutexLock lock(&mu_);
  // The thread that stops the session does the same, and also joins the threads.
  if (state_ != State::kServing) return;
  if (!stop_.exchange(true) && !failed) {
    base::WithMemory([] {
      LOG(WARNING) << "the connection is over, but not all workers heard of it; they are stopped";
    });
  }
  for (const std::unique_ptr<Worker>& worker : workers_) worker->Interrupt();
}

void SessionImpl::BoundDirtyBytes(uint64_t bytes) {
  if (own_mount_) mount_point_->BoundDirtyBytes(bytes);
}

bool SessionImpl::BeginStop() {
  base::MutexLock lock(&mu_);
  return std::exchange(state_, State::kStopping) == State::kServing;
}

absl::Status SessionImpl::Unmount(absl::Duration timeout) {
  if (!BeginStop()) {
    closed_.WaitUntil(base::Deadline::Never());
    return absl::OkStatus();
  }
  const base::Deadline deadline = base::Deadline::After(timeout);
  absl::Status status;
  // If no worker serves any more, unmounting would wait for replies until the connection is closed.
  // The connection is therefore closed first. The same applies after one worker has failed, because
  // the others end after their present request.
  const bool served = !ended_.happened() && !stop_.load() && !failed_.load();
  if (!served) FinishStop();
  if (mount_point_.has_value()) {
    // Workers still serve, because unmounting makes the kernel write back what it has cached.
    try {
      status = mount_point_->Unmount(std::min(base::Deadline::After(kBusyTimeout), deadline),
                                     ended_.happened());
    } catch (const std::bad_alloc&) {
      status = DetachWithoutMemory();
    }
    // A detached mount ends with its last user, for which the session waits until the deadline.
    // Closing the descriptors below then ends the connection.
    if (status.ok()) ended_.WaitUntil(deadline);
  }
  if (served) FinishStop();
  closed_.Set();
  return status;
}

absl::Status SessionImpl::DetachWithoutMemory() {
  // Error texts need memory. A lazy unmount that succeeds needs none.
  try {
    return mount_point_->Unmount(base::Deadline::After(absl::ZeroDuration()), ended_.happened());
  } catch (const std::bad_alloc&) {
    return absl::Status(absl::StatusCode::kResourceExhausted, "");
  }
}

void SessionImpl::Stop() {
  if (BeginStop()) {
    FinishStop();
    closed_.Set();
  } else {
    closed_.WaitUntil(base::Deadline::Never());
  }
}

void SessionImpl::FinishStop() {
  stop_.store(true);
  spare_workers_.Close();
  // In the state kStopping only this caller changes the list. It can therefore read the list and
  // wait for the workers without the lock, which threads that read counters need. The list is not
  // copied, because a copy could fail.
  absl::Span<const std::unique_ptr<Worker>> workers;
  {
    base::MutexLock lock(&mu_);
    workers = absl::MakeConstSpan(workers_);
  }
  const base::Deadline slow = base::Deadline::After(kSlowStop);
  bool said = false;
  while (!ended_.happened()) {
    for (const std::unique_ptr<Worker>& worker : workers) worker->Interrupt();
    if (!said && slow.passed()) {
      base::WithMemory(
          [] { LOG(WARNING) << "a worker is still busy with a request; waiting for it"; });
      said = true;
    }
    ended_.WaitUntil(base::Deadline::After(kSignalInterval));
  }
  for (const std::unique_ptr<Worker>& worker : workers) worker->Join();
  if (connected_) fs_->Disconnected();
  // Only after all workers have ended, because closing a cloned descriptor aborts the requests that
  // were read through it.
  base::MutexLock lock(&mu_);
  // The queues are closed first, because their commands hold a reference to the device.
  rings_.clear();
  channels_.clear();
  spare_.clear();
}

}  // namespace memfuse::transport
