#include "src/transport/device_notifier.h"

#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "src/protocol/encode.h"

namespace memfuse::transport {
namespace {

Result<void> CheckName(std::string_view name) {
  if (name.size() > 255) return Errno(ENAMETOOLONG);
  if (name.empty()) return Errno(EINVAL);
  return {};
}

}  // namespace

Result<void> DeviceNotifier::InvalidateAttributes(InodeNumber ino) {
  char message[protocol::kMaxNotification];
  return Send({message, protocol::EncodeInvalidateAttributes(ino, absl::MakeSpan(message))});
}

Result<void> DeviceNotifier::InvalidateData(InodeNumber ino, uint64_t offset, uint64_t length) {
  // A negative offset would mean the attributes alone.
  if (offset > INT64_MAX || length > INT64_MAX - offset) return Errno(EINVAL);
  char message[protocol::kMaxNotification];
  return Send(
      {message, protocol::EncodeInvalidateData(ino, offset, length, absl::MakeSpan(message))});
}

Result<void> DeviceNotifier::InvalidateEntry(InodeNumber parent, std::string_view name) {
  MEMFUSE_RETURN_IF_ERROR(CheckName(name));
  char message[protocol::kMaxNotification];
  return Send({message, protocol::EncodeInvalidateEntry(parent, name, absl::MakeSpan(message))});
}

Result<void> DeviceNotifier::DeleteEntry(InodeNumber parent, InodeNumber child,
                                         std::string_view name) {
  MEMFUSE_RETURN_IF_ERROR(CheckName(name));
  char message[protocol::kMaxNotification];
  return Send({message, protocol::EncodeDeleteEntry(parent, child, name, absl::MakeSpan(message))});
}

Result<void> DeviceNotifier::Prune(absl::Span<const InodeNumber> inodes) {
  if (inodes.size() > kMaxPrune) return Errno(EINVAL);
  char message[protocol::kMaxNotification];
  return Send({message, protocol::EncodePrune(inodes, absl::MakeSpan(message))});
}

Result<void> DeviceNotifier::Resend() {
  char message[protocol::kMaxNotification];
  return Send({message, protocol::EncodeResend(absl::MakeSpan(message))});
}

Result<void> DeviceNotifier::Send(absl::Span<const char> message) const {
  ssize_t sent;
  do {
    sent = write(device_, message.data(), message.size());
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return Errno(errno);
  return {};
}

}  // namespace memfuse::transport
