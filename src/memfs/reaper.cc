#include "src/memfs/reaper.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "src/base/thread_name.h"

namespace memfuse::memfs {
namespace {

// Freed at a time: a few milliseconds.
constexpr uint64_t kPiece = 64 << 20;

// Pieces in a row without anything to free. The rest goes with the file.
constexpr int kMostInVain = 1000;

// For others to let go, which takes them some microseconds: ten seconds.
constexpr timespec kWait = {0, 100'000};
constexpr int kMostWaits = 60'000;

constexpr uint64_t kSector = 512;

}  // namespace

Reaper::Reaper() { sem_init(&work_, /*pshared=*/0, 0); }

Reaper::~Reaper() {
  Stop();
  sem_destroy(&work_);
}

void Reaper::Start() {
  if (thread_.joinable()) return;
  stop_.store(false);
  // Signals of the process are for its main thread.
  sigset_t all;
  sigset_t previous;
  sigfillset(&all);
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) {
    sigdelset(&all, signal);
  }
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  try {
    thread_ = std::thread([this] { Run(); });
  } catch (const std::system_error&) {
    // Files are then freed by whoever drops them.
  }
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
}

void Reaper::Stop() {
  stop_.store(true);
  sem_post(&work_);
  if (thread_.joinable()) thread_.join();
  for (Entry entry; Next(&entry);) Free(&entry);
}

bool Reaper::Next(Entry* entry) {
  MutexLock lock(&mu_);
  if (queue_.empty()) return false;
  *entry = std::move(queue_.front());
  queue_.pop_front();
  return true;
}

bool Reaper::Take(const base::RefPtr<Inode>& inode) {
  if (!inode->is_regular() || !thread_.joinable()) return false;
  auto* const file = static_cast<RegularFile*>(inode.get());
  uint64_t bytes;
  {
    MutexLock lock(&file->mu);
    (void)file->RefreshLocked();
    bytes = file->blocks() * kSector;
  }
  if (bytes < kLarge) return false;
  // Before it is in the queue, so that it is never finished and not taken.
  bytes_.fetch_add(bytes);
  try {
    MutexLock lock(&mu_);
    queue_.push_back({base::RefPtr<RegularFile>(file), bytes});
    taken_.fetch_add(1);
  } catch (const std::bad_alloc&) {
    bytes_.fetch_sub(bytes);
    return false;
  }
  // It counts here from now on.
  file->SettleOrphan();
  sem_post(&work_);
  return true;
}

void Reaper::Run() {
  base::SetThreadName("memfuse-reaper");
  for (;;) {
    while (sem_wait(&work_) != 0) {
      // EINTR
    }
    if (stop_.load()) return;
    if (Entry entry; Next(&entry)) Free(&entry);
  }
}

void Reaper::Free(Entry* entry) {
  FileData& data = *entry->file->data();
  const uint64_t size = data.size();
  uint64_t at = 0;
  for (int in_vain = 0; at < size && entry->bytes > 0 && in_vain < kMostInVain && !stop_.load();) {
    uint64_t end = std::min(at / kPiece * kPiece + kPiece, kMaxFileSize);
    if (!data.PunchHole(at, end - at).ok()) break;
    const uint64_t left = std::min(data.blocks() * kSector, entry->bytes);
    if (left == entry->bytes) {
      // Holes may be as long as they like. What is allocated and was never written to looks like
      // one, and is not gone for that.
      ++in_vain;
      const Result<uint64_t> next = data.SeekData(end);
      if (next.ok()) end = *next;
    } else {
      in_vain = 0;
    }
    bytes_.fetch_sub(entry->bytes - left);
    entry->bytes = left;
    at = end;
  }
  // Who handed it over may still hold a count. Once it is said to be finished it is to be gone.
  for (int i = 0; i < kMostWaits && !entry->file->unique() && !stop_.load(); ++i) {
    nanosleep(&kWait, nullptr);
  }
  entry->file = nullptr;
  bytes_.fetch_sub(entry->bytes);
  finished_.fetch_add(1);
}

}  // namespace memfuse::memfs
