// A descriptor of /dev/fuse, or of a socket pair in its place, with the buffers that are used on
// it.

#ifndef MEMFUSE_SRC_TRANSPORT_DEVICE_CHANNEL_H_
#define MEMFUSE_SRC_TRANSPORT_DEVICE_CHANNEL_H_

#include <atomic>
#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "src/base/unique_fd.h"
#include "src/transport/channel.h"
#include "src/transport/page_buffer.h"

namespace memfuse::transport {

class DeviceChannel final : public Channel {
 public:
  // `max_transfer`: bytes of data in the largest WRITE or READ. `stop` outlives the channel.
  // ResourceExhausted.
  static absl::StatusOr<std::unique_ptr<DeviceChannel>> Make(base::UniqueFd descriptor,
                                                             size_t max_transfer,
                                                             const std::atomic<bool>* stop);

  Reception Receive() override;
  // kAbandoned on ENOENT and where the connection ended, kRefused on everything else.
  Delivery Send(absl::Span<const char> head, absl::Span<const char> tail) override;
  absl::Span<char> reply_buffer() override { return output_.whole(); }

  int descriptor() const { return descriptor_.get(); }

 private:
  DeviceChannel(base::UniqueFd descriptor, PageBuffer input, PageBuffer output,
                const std::atomic<bool>* stop);

  const base::UniqueFd descriptor_;
  PageBuffer input_;
  PageBuffer output_;
  bool send_failure_logged_ = false;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_DEVICE_CHANNEL_H_
