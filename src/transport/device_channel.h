// A descriptor of /dev/fuse, or of a socket pair in its place, with its buffers.

#ifndef MEMFUSE_SRC_TRANSPORT_DEVICE_CHANNEL_H_
#define MEMFUSE_SRC_TRANSPORT_DEVICE_CHANNEL_H_

#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "src/base/unique_fd.h"
#include "src/transport/channel.h"
#include "src/transport/page_buffer.h"
#include "src/transport/retry.h"

namespace memfuse::transport {

class DeviceChannel final : public Channel {
 public:
  // `max_transfer`: bytes of data in the largest WRITE or READ. Requires: `stop` outlives the
  // channel. Errors: ResourceExhausted.
  static absl::StatusOr<std::unique_ptr<DeviceChannel>> Make(base::UniqueFd descriptor,
                                                             size_t max_transfer,
                                                             const std::atomic<bool>* stop);

  // Lets a successor of the process go on with the requests that the channel has received, if the
  // process is killed at any time. Takes memory for the buffers. `input` is the shared buffer for
  // requests; the channel clears the message in it before it receives another one, and when a
  // message without a reply was carried out. Errors: ResourceExhausted. Requires: no worker uses
  // the channel yet.
  absl::Status PrepareForSuccessor(PageBuffer input);
  // Gives the descriptor and the buffer away, through which nothing was received since
  // PrepareForSuccessor. The channel cannot be used any more.
  base::UniqueFd TakeDescriptor() { return std::move(descriptor_); }
  PageBuffer TakeInput() { return std::move(input_); }
  // Makes such a buffer: in `file`, or in a new memory file. Errors as for PageBuffer::MakeShared.
  static absl::StatusOr<PageBuffer> MakeInputBuffer(size_t max_transfer, base::UniqueFd file);
  // The message in the buffer of a process that has died, or nothing.
  static absl::Span<const char> MessageIn(PageBuffer* input);
  static void ClearMessageIn(PageBuffer* input);
  // The part of a shared buffer behind the message of a READDIRPLUS, where its lookups are noted.
  static LookupMemory LookupMemoryIn(PageBuffer* input);
  // What successors of crashed servers note in a shared buffer. No message reaches this place.
  struct Verdict {
    uint64_t suspect;  // the number of the request that was in the buffer at the last crash, or 0
    // The message in the buffer was there at that crash, and no server has received one since.
    bool old;
  };
  static Verdict* VerdictIn(PageBuffer* input);

  // After an error that may pass, Receive waits and tries again.
  ReceiveStatus Receive() override;
  // Returns kAbandoned on ENOENT and if the connection has ended, kRefused on any other error.
  SendStatus Send(absl::Span<const char> head, absl::Span<const ReadSink::Piece> tail) override;
  void ReleaseBuffers() override {
    input_.Release();
    output_.Release();
  }
  absl::Span<char> reply_buffer() override { return output_.whole(); }
  LookupMemory lookup_memory() override {
    return has_successor_ ? LookupMemoryIn(&input_) : LookupMemory();
  }
  void NoteCarriedOut() override {
    if (has_successor_) ClearMessageIn(&input_);
  }

  int descriptor() const { return descriptor_.get(); }

 private:
  DeviceChannel(base::UniqueFd descriptor, PageBuffer input, PageBuffer output,
                const std::atomic<bool>* stop);

  base::UniqueFd descriptor_;
  PageBuffer input_;
  PageBuffer output_;
  Retry retry_;
  iovec parts_[ReadSink::kMaxPieces + 1];
  bool send_failure_logged_ = false;
  bool has_successor_ = false;  // PrepareForSuccessor was called
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_DEVICE_CHANNEL_H_
