// A pipe that takes a request from /dev/fuse in place of a buffer.
//
// Of a buffered write FUSE puts references to the page cache's pages into the pipe, so that the
// data is copied once on its way to where it stays, and not first into the daemon's memory.
//
// Pipes are few, and are kept for a short time: a user may have buffers for 64 MiB in all pipes
// together (/proc/sys/fs/pipe-user-pages-soft), and above that each new pipe of each of the user's
// programs gets two pages.
//
// Whatever stands in the way (no descriptors, a limit on pipes, a device that is none): then there
// is no pipe, and requests are read.

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
  // The most data that fits a pipe of 1 MiB, which is as large as they are for everybody: 256
  // pages, less one for the header and one because data that begins inside a page ends inside one
  // more.
  static constexpr uint32_t kDefaultMaxWrite = (256 - 2) * 4096;

  // Whether this process gets pipes that take requests with `max_write` bytes of data.
  static bool Available(size_t max_write) { return Make(max_write) != nullptr; }

  // For requests with at most `max_write` bytes of data. Null: no such pipe can be had.
  static std::unique_ptr<SplicePipe> Make(size_t max_write);

  // Takes one request, of at most `limit` bytes, from `device`. As read(2), with its errno; EINVAL
  // and others that read(2) does not know where the device or the kernel cannot do this.
  // Precondition: the pipe is empty.
  ssize_t Receive(int device, size_t limit);

  // What is left of the request. Whoever takes something out of the pipe keeps account of it.
  Payload::Pipe* contents() { return &contents_; }
  // Takes what is left. It is copied to `scratch`, which is not empty, and lost. False: the pipe
  // is of no use any more.
  bool Drain(absl::Span<char> scratch);

 private:
  SplicePipe() = default;

  base::UniqueFd out_;
  base::UniqueFd in_;
  Payload::Pipe contents_;
};

// The pipes of a session, which lends them to its workers. All methods from any thread.
class PipePool {
 public:
  // Pipes of one session that exist at once.
  static constexpr size_t kMaxPipes = 2;

  // For requests with at most `max_write` bytes of data; 0: there are to be no pipes. No more of
  // them than leave the rest of the user's soft limit to at least 15 such sessions.
  explicit PipePool(size_t max_write);
  // The same where `soft_limit` is the user's limit in pages; 0: there is none. For tests.
  PipePool(size_t max_write, uint64_t soft_limit);

  // An empty pipe; null where there is none to be had at present.
  std::unique_ptr<SplicePipe> Take();
  // Gives a pipe back. One that is not empty is closed.
  void Return(std::unique_ptr<SplicePipe> pipe);
  // There are to be no pipes from now on: the device cannot be spliced.
  void GiveUp();

  // Closes the pipes that nobody took since the last call. To be called now and then.
  void ReleaseIdle();

 private:
  // Inside the session's lock; a leaf.
  using Lock = base::Mutex<20>;

  const size_t max_write_;

  Lock mu_;
  size_t max_pipes_ ABSL_GUARDED_BY(mu_);
  size_t made_ ABSL_GUARDED_BY(mu_) = 0;  // free or lent
  // None could be made; nobody tries until the next ReleaseIdle.
  bool failed_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::unique_ptr<SplicePipe>> free_ ABSL_GUARDED_BY(mu_);
  size_t idle_ ABSL_GUARDED_BY(mu_) = 0;  // the first of free_ that stayed there since ReleaseIdle
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_SPLICE_PIPE_H_
