// A descriptor of /dev/fuse, or of a socket pair in its place, with the buffers that are used on
// it.

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
  // `max_transfer`: bytes of data in the largest WRITE or READ. `stop` outlives the channel.
  // ResourceExhausted.
  static absl::StatusOr<std::unique_ptr<DeviceChannel>> Make(base::UniqueFd descriptor,
                                                             size_t max_transfer,
                                                             const std::atomic<bool>* stop);

  // From now on the data of large writes is kept in a pipe where that is the faster way. `pipes`
  // outlives the channel. Before the first worker uses the channel.
  void UsePipes(PipePool* pipes) { pipes_ = pipes; }

  // A failure that may pass is waited out.
  ReceiveStatus Receive() override;
  // kAbandoned on ENOENT and where the connection ended, kRefused on everything else.
  SendStatus Send(absl::Span<const char> head, absl::Span<const ReadSink::Piece> tail) override;
  void ReleaseBuffers() override {
    ReturnPipe();
    input_.Release();
    output_.Release();
  }
  // Of the pipe: a worker that waits for a request keeps the one that it has.
  bool ReleaseIdle() override;
  absl::Span<char> reply_buffer() override { return output_.whole(); }

  int descriptor() const { return descriptor_.get(); }

 private:
  DeviceChannel(base::UniqueFd descriptor, PageBuffer input, PageBuffer output,
                const std::atomic<bool>* stop);

  // Whether the next request is to be taken through a pipe, which is then there.
  bool TakePipe();
  void ReturnPipe();

  // Makes message_, and payload_ where it stays apart, of the `size` bytes that lie in the input
  // buffer, or in the pipe. Where the pipe fails, no more than the header is there (kDataLost), or
  // nothing (kLost).
  enum class Acceptance { kWhole, kDataLost, kLost };
  Acceptance Accept(size_t size, bool piped);
  // Answers the request of which only the header is there: EIO.
  void RefuseRequest();

  const base::UniqueFd descriptor_;
  PageBuffer input_;
  PageBuffer output_;
  PipePool* pipes_ = nullptr;         // constant once it is used
  std::unique_ptr<SplicePipe> pipe_;  // lent by pipes_ while large writes come
  std::atomic<bool> holds_pipe_{false};
  std::atomic<bool> pipe_used_{false};      // since the last ReleaseIdle
  std::atomic<bool> pipe_recalled_{false};  // by ReleaseIdle
  Retry retry_;
  // Large writes come in rows, and only they are worth a pipe: how many requests the next one may
  // be away. The others may be the ends of writes that were too long for one request.
  int expecting_data_ = 0;
  iovec parts_[ReadSink::kMaxPieces + 1];
  bool send_failure_logged_ = false;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_DEVICE_CHANNEL_H_
