#include "src/transport/handshake.h"

#include <poll.h>

#include <cerrno>
#include <optional>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "src/base/deadline.h"
#include "src/protocol/decode.h"
#include "src/transport/dispatcher.h"
#include "src/transport/reply.h"

namespace memfuse::transport {
namespace {

absl::Status WaitForMessage(DeviceChannel* channel, base::Deadline deadline) {
  for (;;) {
    const int timeout = deadline.PollTimeout();
    pollfd wait = {channel->descriptor(), POLLIN, 0};
    if (poll(&wait, 1, timeout) > 0) break;
    if (timeout == 0) {
      return absl::DeadlineExceededError(
          "the kernel did not initialise the FUSE connection in time");
    }
  }
  if (channel->Receive() == ReceiveStatus::kMessage) return absl::OkStatus();
  return absl::FailedPreconditionError("the FUSE connection ended before it was initialised");
}

// Answers one message. nullopt: the handshake continues.
std::optional<absl::StatusOr<ConnectionParameters>> AnswerOne(
    DeviceChannel* channel, const protocol::RequestedCapabilities& requested) {
  const absl::Span<const char> message = channel->message();
  const Result<protocol::RequestHeader> header = protocol::DecodeHeader(message);
  if (!header.ok() || !ExpectsReply(header->opcode)) return std::nullopt;
  Reply reply(header->id, channel->reply_buffer(), channel);
  const Result<protocol::Request> request =
      protocol::DecodeBody(*header, message.subspan(protocol::kRequestHeaderSize), {});
  if (!request.ok()) {
    reply.Error(request.error());
    return std::nullopt;
  }
  const auto* init = std::get_if<protocol::InitRequest>(&*request);
  if (init == nullptr) return std::nullopt;
  if (init->major > protocol::kProtocolMajor) {
    reply.Success(protocol::EncodeInitMajor(reply.body()));
    return std::nullopt;
  }
  const Result<protocol::InitReply> agreed = protocol::Negotiate(*init, requested);
  if (!agreed.ok()) {
    reply.Error(agreed.error());
    return absl::FailedPreconditionError(
        absl::StrCat("the kernel speaks FUSE ", init->major, ".", init->minor, ", but at least ",
                     protocol::kProtocolMajor, ".", protocol::kMinMinor, " is needed"));
  }
  if (reply.Success(protocol::EncodeInit(*agreed, reply.body())) != SendStatus::kDelivered) {
    return absl::InternalError("the kernel did not accept the answer that initialises FUSE");
  }
  return agreed->parameters;
}

}  // namespace

absl::StatusOr<ConnectionParameters> AnswerInit(DeviceChannel* channel,
                                                const protocol::RequestedCapabilities& requested,
                                                base::Deadline deadline) {
  for (;;) {
    if (absl::Status received = WaitForMessage(channel, deadline); !received.ok()) return received;
    if (auto result = AnswerOne(channel, requested); result.has_value()) return *std::move(result);
  }
}

}  // namespace memfuse::transport
