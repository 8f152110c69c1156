// A descriptor of /dev/fuse, or of a socket pair in its place, with its buffers.

#ifndef MEMFUSE_SRC_TRANSPORT_DEVICE_CHANNEL_H_
#define MEMFUSE_SRC_TRANSPORT_DEVICE_CHANNEL_H_

#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "src/base/unique_fd.h"
#include "src/transport/channel.h"
#include "src/transport/page_buffer.h"
#include "src/transport/retry.h"
#include "src/transport/splice_pipe.h"

namespace memfuse::transport {

class DeviceChannel final : public Channel {
 public:
  // `max_transfer`: bytes of data in the largest WRITE or READ. Requires: `stop` outlives the
  // channel. Errors: ResourceExhausted.
  static absl::StatusOr<std::unique_ptr<DeviceChannel>> Make(base::UniqueFd descriptor,
                                                             size_t max_transfer,
                                                             const std::atomic<bool>* stop);

  // After this call the data of large writes is kept in a pipe if that is faster. Requires: `pipes`
  // outlives the channel; no worker uses the channel yet.
  void UsePipes(PipePool* pipes) { pipes_ = pipes; }

  // After an error that may pass, Receive waits and tries again.
  ReceiveStatus Receive() override;
  // Returns kAbandoned on ENOENT and if the connection has ended, kRefused on any other error.
  SendStatus Send(absl::Span<const char> head, absl::Span<const ReadSink::Piece> tail) override;
  void ReleaseBuffers() override {
    ReturnPipe();
    input_.Release();
    output_.Release();
  }
  // Concerns the pipe, which a worker keeps while it waits for a request.
  bool ReleaseIdle() override;
  absl::Span<char> reply_buffer() override { return output_.whole(); }

  int descriptor() const { return descriptor_.get(); }

 private:
  DeviceChannel(base::UniqueFd descriptor, PageBuffer input, PageBuffer output,
                const std::atomic<bool>* stop);

  // Returns whether the next request is to be received through a pipe. pipe_ is then not null.
  bool TakePipe();
  void ReturnPipe();

  // Sets message_, and payload_ if the data is kept apart, from the `size` bytes that are in the
  // input buffer or in the pipe. If the pipe fails, only the header is available (kDataLost), or
  // nothing (kLost).
  enum class Acceptance { kWhole, kDataLost, kLost };
  Acceptance Accept(size_t size, bool piped);
  // Answers a request of which only the header is available with EIO.
  void RefuseRequest();

  const base::UniqueFd descriptor_;
  PageBuffer input_;
  PageBuffer output_;
  PipePool* pipes_ = nullptr;         // constant once a worker uses the channel
  std::unique_ptr<SplicePipe> pipe_;  // borrowed from pipes_ while large writes arrive
  std::atomic<bool> holds_pipe_{false};
  std::atomic<bool> pipe_used_{false};      // since the last ReleaseIdle
  std::atomic<bool> pipe_recalled_{false};  // set by ReleaseIdle
  Retry retry_;
  // Large writes arrive in sequences, and only they benefit from a pipe. This is the number of
  // further requests within which the next large write is expected. The other requests of a
  // sequence may be the ends of writes that were too long for one request.
  int expecting_data_ = 0;
  iovec parts_[ReadSink::kMaxPieces + 1];
  bool send_failure_logged_ = false;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_DEVICE_CHANNEL_H_
