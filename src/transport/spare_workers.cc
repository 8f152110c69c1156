#include "src/transport/spare_workers.h"

#include <atomic>
#include <utility>

namespace memfuse::transport {

namespace {

thread_local SpareWorkers* spare_workers_of_thread = nullptr;
thread_local std::atomic<bool>* blocking_of_thread = nullptr;

void SetBlocking(bool blocking) {
  if (blocking_of_thread != nullptr) {
    blocking_of_thread->store(blocking, std::memory_order_relaxed);
  }
}

}  // namespace

SpareWorkers::SpareWorkers(int max_spares, std::function<bool()> start)
    : max_spares_(max_spares), start_(std::move(start)) {
  sem_init(&turns_, /*pshared=*/0, 0);
}

SpareWorkers::~SpareWorkers() { sem_destroy(&turns_); }

void SpareWorkers::BeginBlocking() {
  {
    base::MutexLock lock(&mu_);
    ++blocked_;
    if (closed_ || active_ >= blocked_) return;
    if (parked_ > 0) {
      --parked_;
      ++active_;
      sem_post(&turns_);
      return;
    }
    if (active_ >= max_spares_) return;
    ++active_;
  }
  if (start_()) return;
  base::MutexLock lock(&mu_);
  --active_;
}

void SpareWorkers::EndBlocking() {
  base::MutexLock lock(&mu_);
  --blocked_;
}

void SpareWorkers::WaitUntilNeeded(absl::FunctionRef<void()> before_wait) {
  {
    base::MutexLock lock(&mu_);
    if (closed_ || active_ <= blocked_) return;
    --active_;
    ++parked_;
  }
  before_wait();
  while (sem_wait(&turns_) != 0) {
    // EINTR: the thread that stops the session also calls Close.
  }
}

void SpareWorkers::Close() {
  base::MutexLock lock(&mu_);
  closed_ = true;
  for (; parked_ > 0; --parked_) {
    ++active_;
    sem_post(&turns_);
  }
}

void WorkerBlockingObserver::SetThread(SpareWorkers* spare_workers, std::atomic<bool>* blocking) {
  spare_workers_of_thread = spare_workers;
  blocking_of_thread = blocking;
}

bool WorkerBlockingObserver::CanReplaceCallingThread() const {
  return spare_workers_of_thread != nullptr;
}

void WorkerBlockingObserver::BeginBlocking() {
  SetBlocking(true);
  if (spare_workers_of_thread != nullptr) spare_workers_of_thread->BeginBlocking();
}

void WorkerBlockingObserver::EndBlocking() {
  SetBlocking(false);
  if (spare_workers_of_thread != nullptr) spare_workers_of_thread->EndBlocking();
}

}  // namespace memfuse::transport
