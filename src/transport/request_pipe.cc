#include "src/transport/request_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace memfuse::transport {
namespace {

constexpr size_t kSlotBytes = 4096;

// See kUsualWrite. The kernel wants room for the largest request whichever it is about to deliver.
size_t SlotsFor(size_t max_write) { return max_write / kSlotBytes + 2; }

}  // namespace

bool RequestPipe::Affords(size_t max_write) { return RequestPipe(max_write).Ready(); }

bool RequestPipe::Ready() {
  if (in_.valid()) return true;
  if (max_write_ == 0) return false;
  if (!Make()) GiveUp();
  return in_.valid();
}

bool RequestPipe::Make() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  out_.reset(ends[0]);
  in_.reset(ends[1]);
  contents_ = {out_.get(), 0};
  // Nobody else writes to it: what is not there now never comes, and must not be waited for.
  if (fcntl(out_.get(), F_SETFL, O_NONBLOCK) != 0) return false;
  // Above /proc/sys/fs/pipe-max-size, and above a user's share of pipes, it takes privileges.
  const size_t wanted = SlotsFor(max_write_) * kSlotBytes;
  return fcntl(in_.get(), F_SETPIPE_SZ, static_cast<int>(wanted)) >= static_cast<int>(wanted);
}

void RequestPipe::GiveUp() {
  max_write_ = 0;
  in_.reset();
  out_.reset();
  contents_ = {};
}

ssize_t RequestPipe::Receive(int device, size_t limit) {
  const ssize_t size = splice(device, nullptr, in_.get(), nullptr, limit, 0);
  contents_.size = size > 0 ? static_cast<size_t>(size) : 0;
  return size;
}

void RequestPipe::Drain(absl::Span<char> scratch) {
  while (contents_.size > 0) {
    const size_t piece = std::min(contents_.size, scratch.size());
    if (Payload(&contents_).CopyTo(scratch.first(piece)).ok()) continue;
    // A new pipe is empty for certain.
    in_.reset();
    out_.reset();
    contents_ = {};
  }
}

}  // namespace memfuse::transport
