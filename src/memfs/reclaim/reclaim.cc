#include "src/memfs/reclaim/reclaim.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <system_error>
#include <utility>

#include "src/base/thread_name.h"

namespace memfuse::memfs {
namespace {

// The number of bytes that are freed at a time; this takes a few milliseconds.
constexpr uint64_t kPieceBytes = 64 << 20;
// The maximum number of consecutive pieces in which nothing was freed. The rest of the file is then
// freed when the file is destroyed.
constexpr int kMaxEmptyPieces = 1000;
constexpr uint64_t kSectorBytes = 512;
// How long a wait for the reclaim thread lasts at most. The thread makes progress all the time.
constexpr std::chrono::seconds kBackgroundTimeout{30};

// Converts a time for storage in an atomic variable.
int64_t Ticks(base::MonotonicTime time) { return time.time_since_epoch().count(); }

}  // namespace

void Reclaim::Start() {
  if (thread_.joinable()) return;
  stop_.store(false);
  // Signals to the process are handled by its main thread.
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
    // Files are then freed by the thread that drops the last reference.
  } catch (const std::bad_alloc&) {
  }
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
}

void Reclaim::Stop() {
  stop_.store(true);
  work_.Notify();
  if (thread_.joinable()) thread_.join();
  for (Entry entry; Next(&entry);) Free(&entry);
}

bool Reclaim::Next(Entry* entry) {
  MutexLock lock(&mu_);
  if (queue_.empty()) return false;
  *entry = std::move(queue_.front());
  queue_.pop_front();
  return true;
}

bool Reclaim::FreeInBackground(const base::RefPtr<Inode>& inode) {
  if (!inode->is_regular() || !thread_.joinable()) return false;
  auto* const file = static_cast<RegularFile*>(inode.get());
  const uint64_t bytes = file->DataBytes();
  if (bytes < kLargeFile) return false;
  // The bytes are counted before the file is in the queue, so that the file is never finished
  // before it is counted.
  bytes_.fetch_add(bytes);
  try {
    MutexLock lock(&mu_);
    queue_.push_back({base::RefPtr<RegularFile>(file), bytes});
    queued_.fetch_add(1);
  } catch (const std::bad_alloc&) {
    bytes_.fetch_sub(bytes);
    return false;
  }
  // The order matters: the file is in the queue before it stops counting as removed, so a waiting
  // thread sees it in one of the two.
  file->EndRemoved();
  work_.Notify();
  return true;
}

void Reclaim::Run() {
  base::SetThreadName("memfuse-reclaim");
  base::PrepareThreadForLocks();
  for (;;) {
    const uint64_t seen = work_.version();
    if (stop_.load()) return;
    if (Entry entry; Next(&entry)) {
      Free(&entry);
    } else {
      work_.WaitForChange(seen);
    }
  }
}

void Reclaim::Free(Entry* entry) {
  FileData& data = *entry->file->data();
  const uint64_t size = data.size();
  uint64_t at = 0;
  for (int empty = 0; at < size && entry->bytes > 0 && empty < kMaxEmptyPieces && !stop_.load();) {
    uint64_t end = std::min(at / kPieceBytes * kPieceBytes + kPieceBytes, kMaxFileSize);
    if (!data.PunchHole(at, end - at).ok()) break;
    const uint64_t left = std::min(data.blocks() * kSectorBytes, entry->bytes);
    if (left == entry->bytes) {
      // Holes may have any length. Space that is allocated and was never written looks like a hole
      // to SeekData, and is skipped. It is freed with the file.
      ++empty;
      const Result<uint64_t> next = data.SeekData(end);
      if (next.ok()) end = *next;
    } else {
      empty = 0;
    }
    bytes_.fetch_sub(entry->bytes - left);
    entry->bytes = left;
    at = end;
    removed_.progress()->Notify();
  }
  // The thread that handed the file over may hold a reference for a little longer. The rest of the
  // file is then freed with that reference.
  entry->file = nullptr;
  bytes_.fetch_sub(entry->bytes);
  finished_.fetch_add(1);
  removed_.progress()->Notify();
}

bool Reclaim::FindTargets(size_t own, base::MonotonicTime now, Targets* targets) const {
  // The order matters: an inode that passes from the removed inodes to the queue is seen in one of
  // the two.
  bool any = false;
  for (size_t i = 0; i < RemovedInodes::kOwners; ++i) {
    const std::atomic<int64_t>& pause = i == own ? pauses_[i].own : pauses_[i].others;
    targets->gone[i] = Ticks(now) < pause.load() ? 0 : removed_.added(i);
    any = any || removed_.gone(i) < targets->gone[i];
  }
  targets->finished = queued_.load();
  return any || finished_.load() < targets->finished;
}

bool Reclaim::Reached(const Targets& targets, size_t own, bool others) const {
  for (size_t i = 0; i < RemovedInodes::kOwners; ++i) {
    if ((i == own) != others && removed_.gone(i) < targets.gone[i]) return false;
  }
  return true;
}

void Reclaim::NoteVainWait(const Targets& targets, size_t own, bool others,
                           base::MonotonicTime now) {
  for (size_t i = 0; i < RemovedInodes::kOwners; ++i) {
    if ((i == own) == others || removed_.gone(i) >= targets.gone[i]) continue;
    std::atomic<int64_t>& pause = others ? pauses_[i].others : pauses_[i].own;
    pause.store(Ticks(now + (others ? kOthersPause : kOwnPause)));
  }
}

bool Reclaim::Wait(uint32_t owner, BlockingObserver* observer, absl::FunctionRef<bool()> enough) {
  const size_t own = RemovedInodes::OwnerIndex(owner);
  Targets targets;
  if (!FindTargets(own, base::MonotonicClock::now(), &targets)) return false;
  if (waiters_.fetch_add(1) >= kMaxWaiters) {
    waiters_.fetch_sub(1);
    return true;
  }
  {
    const ScopedBlockingCall blocking(observer);
    const bool replaceable = observer != nullptr && observer->CanReplaceCallingThread();
    const base::MonotonicTime begin = base::MonotonicClock::now();
    const base::MonotonicTime others_deadline = begin + kOthersTimeout;
    const base::MonotonicTime own_deadline = replaceable ? begin + kOwnTimeout : others_deadline;
    const base::MonotonicTime background_deadline =
        replaceable ? begin + kBackgroundTimeout : others_deadline;
    bool own_over = false;
    bool others_over = false;
    bool inodes_over = false;
    for (;;) {
      const uint64_t seen = removed_.progress()->version();
      if (enough()) break;
      const base::MonotonicTime now = base::MonotonicClock::now();
      if (!others_over && (Reached(targets, own, /*others=*/true) || now >= others_deadline)) {
        NoteVainWait(targets, own, /*others=*/true, now);
        others_over = true;
      }
      if (!own_over && (Reached(targets, own, /*others=*/false) || now >= own_deadline)) {
        NoteVainWait(targets, own, /*others=*/false, now);
        own_over = true;
      }
      if (own_over && others_over) {
        // Inodes that are gone may have been handed to the reclaim thread.
        if (!std::exchange(inodes_over, true)) targets.finished = queued_.load();
        if (finished_.load() >= targets.finished || now >= background_deadline) break;
      }
      const base::MonotonicTime deadline = !others_over ? others_deadline
                                           : !own_over  ? own_deadline
                                                        : background_deadline;
      removed_.progress()->WaitForChange(seen, deadline);
    }
  }
  waiters_.fetch_sub(1);
  return true;
}

}  // namespace memfuse::memfs
