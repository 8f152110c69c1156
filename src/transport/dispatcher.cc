#include "src/transport/dispatcher.h"

#include <glog/logging.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <new>

#include "src/base/memory_guard.h"
#include "src/protocol/encode.h"
#include "src/protocol/negotiation.h"
#include "src/protocol/opcodes.h"
#include "src/transport/operations.h"

namespace memfuse::transport {
namespace {

// The header of a message whose length field is wrong. Such a message still has a request id. The
// header is decoded as a message that consists of the header only. Errors: EINVAL (there is no
// complete header).
Result<protocol::RequestHeader> DecodeHeaderAlone(absl::Span<const char> message) {
  constexpr uint32_t kLength = protocol::kRequestHeaderSize;
  if (message.size() < kLength) return Errno(EINVAL);
  char header[kLength];
  std::memcpy(header, message.data(), kLength);
  std::memcpy(header, &kLength, sizeof(kLength));
  return protocol::DecodeHeader(header);
}

}  // namespace

bool ExpectsReply(uint32_t opcode) {
  const protocol::OpcodeInfo* info = protocol::FindOpcode(opcode);
  return info == nullptr || (info->disposition != protocol::Disposition::kNoReply &&
                             info->disposition != protocol::Disposition::kIgnore);
}

Dispatcher::Dispatcher(FileSystem* fs, const ConnectionParameters& parameters,
                       absl::Span<char> reply_buffer)
    : fs_(fs), parameters_(parameters), reply_buffer_(reply_buffer) {
  listed_.reserve(reply_buffer.size() / kMinPlusEntry + 1);
}

void Dispatcher::Serve(absl::Span<const char> message, ReplySink* sink) {
  const Result<protocol::RequestHeader> header = protocol::DecodeHeader(message);
  if (header.ok()) {
    const absl::Span<const char> body = message.subspan(protocol::kRequestHeaderSize);
    Execute(*header, protocol::DecodeBody(*header, body, parameters_), sink);
  } else if (const Result<protocol::RequestHeader> alone = DecodeHeaderAlone(message); alone.ok()) {
    Execute(*alone, header.error(), sink);
  }
}

void Dispatcher::Execute(const protocol::RequestHeader& header,
                         const Result<protocol::Request>& request, ReplySink* sink) {
  // Counted before the answer, so that a client that has the answer finds the request counted.
  counters_.Count(header.opcode);
  listed_.clear();
  const RequestContext context = header.context();
  if (!ExpectsReply(header.opcode)) {
    if (!request.ok()) return;
    try {
      transport::Execute(fs_, context, *request, nullptr, &listed_);
    } catch (...) {
      base::WithMemory([] {
        LOG_FIRST_N(ERROR, 1) << "the file system threw an exception from Forget (said once)";
      });
    }
    return;
  }
  Reply reply(header.id, reply_buffer_, sink);
  if (!request.ok()) {
    reply.Error(request.error());
    return;
  }
  try {
    transport::Execute(fs_, context, *request, &reply, &listed_);
  } catch (const std::bad_alloc&) {
    reply.Error(Errno(ENOMEM));
  } catch (const std::exception& exception) {
    base::WithMemory([&] {
      LOG_FIRST_N(ERROR, 1) << "the file system threw an exception (said once): "
                            << exception.what();
    });
    reply.Error(Errno(EIO));
  } catch (...) {
    base::WithMemory(
        [] { LOG_FIRST_N(ERROR, 1) << "the file system threw an exception (said once)"; });
    reply.Error(Errno(EIO));
  }
}

}  // namespace memfuse::transport
