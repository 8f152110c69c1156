// Sends notifications (memfuse/host.h) through a descriptor of the connection.

#ifndef MEMFUSE_SRC_TRANSPORT_DEVICE_NOTIFIER_H_
#define MEMFUSE_SRC_TRANSPORT_DEVICE_NOTIFIER_H_

#include <cstdint>
#include <string_view>

#include "absl/types/span.h"
#include "memfuse/host.h"

namespace memfuse::transport {

// A write(2) to /dev/fuse carries one message and needs no lock on this side. With io_uring,
// notifications use the descriptor, too.
class DeviceNotifier final : public Notifier {
 public:
  // `device` is a descriptor of the connection that is open during every call. On a socket in its
  // place, a call waits until the peer reads, and EAGAIN is an error.
  explicit DeviceNotifier(int device) : device_(device) {}

  Result<void> InvalidateAttributes(InodeNumber ino) override;
  Result<void> InvalidateData(InodeNumber ino, uint64_t offset, uint64_t length) override;
  Result<void> InvalidateEntry(InodeNumber parent, std::string_view name) override;
  Result<void> DeleteEntry(InodeNumber parent, InodeNumber child, std::string_view name) override;
  Result<void> Prune(absl::Span<const InodeNumber> inodes) override;

  // Lets the kernel send the requests again that another process has read and not answered. The
  // highest bit of their numbers is set then. Requires: that process does not read requests any
  // more. Errors: EINVAL (Linux before 6.9); ENODEV or ECONNABORTED (the connection has ended).
  Result<void> Resend();

 private:
  Result<void> Send(absl::Span<const char> message) const;

  const int device_;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_DEVICE_NOTIFIER_H_
