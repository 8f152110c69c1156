#include "src/transport/splice_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <new>
#include <utility>

namespace memfuse::transport {
namespace {

constexpr size_t kSlotBytes = 4096;

// The number of sessions of one user whose pipes together stay within the soft limit.
constexpr uint64_t kSharers = 16;

// See kDefaultMaxWrite. The kernel requires room for the largest request, independent of the size
// of the one that it delivers.
size_t SlotsFor(size_t max_write) { return max_write / kSlotBytes + 2; }

// The kernel rounds the number up to a power of two.
uint64_t PagesFor(size_t max_write) {
  uint64_t pages = 1;
  while (pages < SlotsFor(max_write)) pages *= 2;
  return pages;
}

uint64_t SoftLimit() {
  std::ifstream file("/proc/sys/fs/pipe-user-pages-soft");
  uint64_t pages = 0;
  return file >> pages ? pages : 0;
}

}  // namespace

std::unique_ptr<SplicePipe> SplicePipe::Make(size_t max_write) {
  if (max_write == 0) return nullptr;
  std::unique_ptr<SplicePipe> pipe(new (std::nothrow) SplicePipe);
  int ends[2];
  if (pipe == nullptr || pipe2(ends, O_CLOEXEC) != 0) return nullptr;
  pipe->out_.reset(ends[0]);
  pipe->in_.reset(ends[1]);
  pipe->contents_ = {ends[0], 0};
  // There is no other writer, so data that is not in the pipe now never arrives. A read must not
  // wait for it.
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return nullptr;
  // A size above /proc/sys/fs/pipe-max-size, or above the user's share of pipe pages, needs
  // privileges.
  const size_t wanted = SlotsFor(max_write) * kSlotBytes;
  if (fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(wanted)) < static_cast<int>(wanted)) {
    return nullptr;
  }
  return pipe;
}

ssize_t SplicePipe::Receive(int device, size_t limit) {
  const ssize_t size = splice(device, nullptr, in_.get(), nullptr, limit, 0);
  contents_.size = size > 0 ? static_cast<size_t>(size) : 0;
  return size;
}

bool SplicePipe::Drain(absl::Span<char> scratch) {
  while (contents_.size > 0) {
    const size_t piece = std::min(contents_.size, scratch.size());
    if (!Payload(&contents_).CopyTo(scratch.first(piece)).ok()) return false;
  }
  return true;
}

PipePool::PipePool(size_t max_write) : PipePool(max_write, max_write == 0 ? 0 : SoftLimit()) {}

PipePool::PipePool(size_t max_write, uint64_t soft_limit)
    : max_write_(max_write), max_pipes_(kMaxPipes) {
  if (max_write == 0) max_pipes_ = 0;
  if (soft_limit != 0) {
    max_pipes_ = std::min<size_t>(max_pipes_, soft_limit / kSharers / PagesFor(max_write));
  }
  free_.reserve(max_pipes_);  // so that Return cannot fail
}

std::unique_ptr<SplicePipe> PipePool::Take() {
  {
    base::MutexLock lock(&mu_);
    if (!free_.empty()) {
      std::unique_ptr<SplicePipe> pipe = std::move(free_.back());
      free_.pop_back();
      idle_ = std::min(idle_, free_.size());
      return pipe;
    }
    if (failed_ || made_ >= max_pipes_) return nullptr;
    ++made_;
  }
  std::unique_ptr<SplicePipe> pipe = SplicePipe::Make(max_write_);
  if (pipe != nullptr) return pipe;
  base::MutexLock lock(&mu_);
  --made_;
  failed_ = true;
  return nullptr;
}

void PipePool::Return(std::unique_ptr<SplicePipe> pipe) {
  if (pipe == nullptr) return;
  if (pipe->contents()->size > 0) pipe.reset();
  base::MutexLock lock(&mu_);
  if (pipe == nullptr || max_pipes_ == 0) {
    --made_;
  } else {
    free_.push_back(std::move(pipe));
  }
}

void PipePool::GiveUp() {
  base::MutexLock lock(&mu_);
  max_pipes_ = 0;
}

void PipePool::ReleaseIdle() {
  // destroyed after the lock is released
  std::array<std::unique_ptr<SplicePipe>, kMaxPipes> closed;
  base::MutexLock lock(&mu_);
  failed_ = false;
  const auto end = free_.begin() + static_cast<std::ptrdiff_t>(idle_);
  std::move(free_.begin(), end, closed.begin());
  free_.erase(free_.begin(), end);
  made_ -= idle_;
  idle_ = free_.size();
}

}  // namespace memfuse::transport
