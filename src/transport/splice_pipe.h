// A pipe that receives a request from /dev/fuse instead of a buffer.
//
// For a buffered write FUSE puts references to the pages of the page cache into the pipe. The data
// is then copied once, to its final place, and not first into the daemon's memory.
//
// Pipes are few and are kept for a short time. A user may have buffers for 64 MiB in all pipes
// together (/proc/sys/fs/pipe-user-pages-soft). Above that limit each new pipe of each of the
// user's programs has two pages.
//
// If a pipe cannot be used (no descriptors, a limit on pipes, a device that does not support
// splice(2)), requests are read into a buffer.

#ifndef MEMFUSE_SRC_TRANSPORT_SPLICE_PIPE_H_
#define MEMFUSE_SRC_TRANSPORT_SPLICE_PIPE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/types/span.h"
#include "memfuse/payload.h"
#include "src/base/mutex.h"
#include "src/base/unique_fd.h"

namespace memfuse::transport {

// Not synchronised.
class SplicePipe {
 public:
  // The most data that fits into a pipe of 1 MiB, the size that every user can have: 256 pages,
  // less one page for the header, and less one page because data that begins inside a page also
  // ends inside a page.
  static constexpr uint32_t kDefaultMaxWrite = (256 - 2) * 4096;

  // Returns whether this process can make pipes for requests with `max_write` bytes of data.
  static bool Available(size_t max_write) { return Make(max_write) != nullptr; }

  // Makes a pipe for requests with at most `max_write` bytes of data. Null: no such pipe is
  // available.
  static std::unique_ptr<SplicePipe> Make(size_t max_write);

  // Receives one request of at most `limit` bytes from `device`. Returns as read(2), with its
  // errno. Also EINVAL and errors that read(2) does not have, if the device or the kernel does not
  // support this. Requires: the pipe is empty.
  ssize_t Receive(int device, size_t limit);

  // The rest of the request. Code that reads from the pipe updates it.
  Payload::Pipe* contents() { return &contents_; }
  // Copies the rest of the request to `scratch`, which must not be empty, and discards it. False:
  // the pipe cannot be used any more.
  bool Drain(absl::Span<char> scratch);

 private:
  SplicePipe() = default;

  base::UniqueFd out_;
  base::UniqueFd in_;
  Payload::Pipe contents_;
};

// The pipes of a session, which its workers borrow. All methods may be called from any thread.
class PipePool {
 public:
  // The maximum number of pipes of one session at a time.
  static constexpr size_t kMaxPipes = 2;

  // For requests with at most `max_write` bytes of data; 0: no pipes. The number of pipes is
  // limited so that the user's soft limit suffices for at least 15 further such sessions.
  explicit PipePool(size_t max_write);
  // The same, with `soft_limit` as the user's limit in pages; 0: no limit. For tests.
  PipePool(size_t max_write, uint64_t soft_limit);

  // Returns an empty pipe, or null if none is available at present.
  std::unique_ptr<SplicePipe> Take();
  // Returns a pipe to the pool. A pipe that is not empty is closed.
  void Return(std::unique_ptr<SplicePipe> pipe);
  // Ends the use of pipes, because the device does not support splice(2).
  void GiveUp();

  // Closes the pipes that were not borrowed since the last call. To be called from time to time.
  void ReleaseIdle();

 private:
  // Acquired inside the session's lock; no lock is acquired while it is held.
  using Lock = base::Mutex<20>;

  const size_t max_write_;

  Lock mu_;
  size_t max_pipes_ ABSL_GUARDED_BY(mu_);
  size_t made_ ABSL_GUARDED_BY(mu_) = 0;  // free or borrowed
  // No pipe could be made; Take does not try again until the next ReleaseIdle.
  bool failed_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::unique_ptr<SplicePipe>> free_ ABSL_GUARDED_BY(mu_);
  // number of pipes at the front of free_ that stayed there since ReleaseIdle
  size_t idle_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_SPLICE_PIPE_H_
