#include "src/transport/worker.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/error_text.h"
#include "src/base/mutex.h"
#include "src/base/thread_name.h"
#include "src/base/unique_fd.h"

namespace memfuse::transport {
namespace {

// The signal is ignored by default, and only a socket that requested it sends it otherwise. It is
// not a real-time signal: the kernel refuses to send one if the user has as many pending signals as
// RLIMIT_SIGPENDING permits.
constexpr int kStopSignal = SIGURG;

// The handler does nothing. Its presence, without SA_RESTART, makes read(2) return EINTR.
void InstallStopSignal() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    sigemptyset(&action.sa_mask);
    sigaction(kStopSignal, &action, nullptr);
  });
}

// The main thread handles the signals of the process. Signals that a faulty instruction raises must
// reach the thread at fault, because a crash handler needs its stack.
sigset_t WorkerSignalMask() {
  sigset_t mask;
  sigfillset(&mask);
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) {
    sigdelset(&mask, signal);
  }
  sigdelset(&mask, kStopSignal);
  return mask;
}

}  // namespace

Worker::Worker(int index, Role role, Channel* channel, FileSystem* fs,
               const ConnectionParameters& parameters, const Inheritance* inheritance,
               SpareWorkers* spare_workers, bool counts_requests, OnFirstRequest on_first_request,
               OnExit on_exit)
    : index_(index),
      role_(role),
      channel_(channel),
      spare_workers_(spare_workers),
      statistics_(counts_requests ? std::make_unique<RequestStatistics>() : nullptr),
      dispatcher_(fs, parameters, channel->reply_buffer(), statistics_.get()),
      on_first_request_(std::move(on_first_request)),
      on_exit_(std::move(on_exit)) {
  if (const LookupMemory memory = channel->lookup_memory(); memory.request != nullptr) {
    dispatcher_.UseLookupMemory(memory);
  }
  dispatcher_.UseInheritance(inheritance);
}

absl::Status Worker::Start() {
  InstallStopSignal();
  // The new thread inherits the mask, so at no moment does it take a signal of the process.
  const sigset_t mask = WorkerSignalMask();
  sigset_t previous;
  pthread_sigmask(SIG_SETMASK, &mask, &previous);
  int error = 0;
  try {
    thread_ = std::thread([this] { Run(); });
  } catch (const std::system_error& failure) {
    error = failure.code().value();
  } catch (const std::bad_alloc&) {
    error = ENOMEM;
  }
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  if (error == 0) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("cannot start worker thread ", index_, ": ", base::ErrorText(error)));
}

void Worker::Interrupt() {
  if (channel_->interruptible()) pthread_kill(thread_.native_handle(), kStopSignal);
}

double Worker::CountIntervalsInRequest(double interval) {
  const uint64_t progress = progress_.load(std::memory_order_relaxed);
  if (progress % 2 == 0 || progress != counted_progress_) {
    counted_progress_ = progress;
    intervals_ = 0;
  } else {
    intervals_ += interval;
  }
  return intervals_;
}

bool Worker::Abort(const std::function<void()>& before) {
  std::array<char, 64> path;
  std::snprintf(path.data(), path.size(), "/proc/self/task/%d/stat", id_.load());
  const base::UniqueFd file(open(path.data(), O_RDONLY | O_CLOEXEC));
  // "ID (name) S ...": the name of a worker has no parenthesis.
  std::array<char, 64> text = {};
  if (file.valid() && read(file.get(), text.data(), text.size() - 1) > 0) {
    const char* const state = std::strstr(text.data(), ") ");
    if (state != nullptr && state[2] == 'D') return false;
  }
  if (progress_.load(std::memory_order_relaxed) != counted_progress_) return false;
  before();
  pthread_kill(thread_.native_handle(), SIGABRT);
  return true;
}

void Worker::Join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::Run() {
  std::array<char, 16> name;
  std::snprintf(name.data(), name.size(), "memfuse-%d", index_);
  base::SetThreadName(name.data());
  id_.store(gettid());
  base::PrepareThreadForLocks();
  WorkerBlockingObserver::SetThread(spare_workers_, &blocking_);
  channel_->Enter();
  for (bool first = true;; first = false) {
    if (role_ == Role::kSpare)
      spare_workers_->WaitUntilNeeded([this] { channel_->ReleaseBuffers(); });
    const ReceiveStatus received = channel_->Receive();
    if (received != ReceiveStatus::kMessage) {
      on_exit_(received);
      return;
    }
    dispatcher_.UseReplyBuffer(channel_->reply_buffer());
    if (first) on_first_request_(false);
    const uint64_t progress = progress_.load(std::memory_order_relaxed);
    progress_.store(progress + 1, std::memory_order_relaxed);
    dispatcher_.Serve(channel_->message(), channel_);
    progress_.store(progress + 2, std::memory_order_relaxed);
    if (first) on_first_request_(true);
  }
}

}  // namespace memfuse::transport
