// A pipe that takes a request from /dev/fuse in place of a buffer.
//
// Of a buffered write FUSE puts references to the page cache's pages into the pipe, so that the
// data is copied once on its way to where it stays, and not first into the daemon's memory.
//
// Whatever stands in the way (no descriptors, a limit on pipes, a device that is none): then there
// is no pipe, and requests are read.

#ifndef MEMFUSE_SRC_TRANSPORT_REQUEST_PIPE_H_
#define MEMFUSE_SRC_TRANSPORT_REQUEST_PIPE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "memfuse/payload.h"
#include "src/base/unique_fd.h"

namespace memfuse::transport {

// Not synchronised. Made at first use, and kept: empty, it takes a few KiB of the kernel's memory.
class RequestPipe {
 public:
  // The most data that fits a pipe of 1 MiB, which is as large as they are for everybody: 256
  // pages, less one for the header and one because data that begins inside a page ends inside one
  // more.
  static constexpr uint32_t kUsualWrite = (256 - 2) * 4096;

  // Whether this process gets pipes that take requests with `max_write` bytes of data.
  static bool Affords(size_t max_write);

  // `max_write` bytes of data are in the largest request. 0: there is to be no pipe.
  explicit RequestPipe(size_t max_write = 0) : max_write_(max_write) {}

  // Whether there is a pipe. Makes it; once that has failed it is not tried again.
  bool Ready();
  // No pipe from now on.
  void GiveUp();

  // Takes one request, of at most `limit` bytes, from `device`. As read(2), with its errno; EINVAL
  // and others that read(2) does not know where the device or the kernel cannot do this.
  // Precondition: Ready, and the pipe is empty.
  ssize_t Receive(int device, size_t limit);

  // What is left of the request. Whoever takes something out of the pipe keeps account of it.
  Payload::Pipe* contents() { return &contents_; }
  // Takes what is left. It is copied to `scratch`, which is not empty, and lost.
  void Drain(absl::Span<char> scratch);

 private:
  bool Make();

  size_t max_write_;  // 0 once there is to be none
  base::UniqueFd out_;
  base::UniqueFd in_;
  Payload::Pipe contents_;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_REQUEST_PIPE_H_
