#include "src/transport/dispatcher.h"

#include <fcntl.h>
#include <glog/logging.h>
#include <linux/ioctl.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <new>
#include <type_traits>
#include <variant>

#include "src/base/clock.h"
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

template <typename T, typename... Types>
constexpr bool kIsAnyOf = (std::is_same_v<T, Types> || ...);

// Returns whether the request changes the file system, other than lookups, opens and access times.
bool Changes(const protocol::Request& request) {
  return std::visit(
      [](const auto& arguments) {
        using T = std::decay_t<decltype(arguments)>;
        if constexpr (std::is_same_v<T, OpenRequest>) {
          return (arguments.flags & O_ACCMODE) != O_RDONLY || (arguments.flags & O_TRUNC) != 0;
        }
        // What a program has stored in the page cache would be lost otherwise.
        if constexpr (std::is_same_v<T, WriteRequest>) return !arguments.from_page_cache;
        // The commands that change something take data, and return none.
        if constexpr (std::is_same_v<T, IoctlRequest>) {
          return _IOC_DIR(arguments.command) == _IOC_WRITE;
        }
        return kIsAnyOf<T, SetattrRequest, SymlinkRequest, MknodRequest, MkdirRequest,
                        UnlinkRequest, RmdirRequest, RenameRequest, LinkRequest, CreateRequest,
                        protocol::TmpfileRequest, FallocateRequest,
                        protocol::SizedCopyFileRangeRequest, SetxattrRequest, RemovexattrRequest>;
      },
      request);
}

}  // namespace

bool ExpectsReply(uint32_t opcode) {
  const protocol::OpcodeInfo* info = protocol::FindOpcode(opcode);
  return info == nullptr || (info->disposition != protocol::Disposition::kNoReply &&
                             info->disposition != protocol::Disposition::kIgnore);
}

Dispatcher::Dispatcher(FileSystem* fs, const ConnectionParameters& parameters,
                       absl::Span<char> reply_buffer, RequestStatistics* statistics)
    : fs_(fs), parameters_(parameters), statistics_(statistics), reply_buffer_(reply_buffer) {
  lookup_memory_.resize(reply_buffer.size() / kMinPlusEntry + 1);
  listed_.Use({&lookup_request_, absl::MakeSpan(lookup_memory_)});
}

void Dispatcher::Serve(absl::Span<const char> message, ReplySink* sink) {
  RecentRequest served;
  if (statistics_ != nullptr) served.start_nanoseconds = base::MonotonicNanoseconds();
  Result<protocol::RequestHeader> header = protocol::DecodeHeader(message);
  Result<protocol::Request> request = Errno(EINVAL);
  if (header.ok()) {
    request =
        protocol::DecodeBody(*header, message.subspan(protocol::kRequestHeaderSize), parameters_);
  } else {
    header = DecodeHeaderAlone(message);
    if (!header.ok()) return;
  }
  // Counted before the answer, so that a client that has the answer finds the request counted.
  if (statistics_ != nullptr) statistics_->Begin(header->opcode);
  const Outcome outcome = Execute(*header, request, sink);
  if (statistics_ == nullptr) return;
  served.latency_nanoseconds = base::MonotonicNanoseconds() - served.start_nanoseconds;
  served.opcode = header->opcode;
  served.error = outcome.error;
  served.ino = header->node;
  served.uid = header->uid;
  served.pid = header->pid;
  statistics_->End(served, outcome.bytes);
}

void Dispatcher::ServeAgain(absl::Span<const char> message, ReplySink* sink) {
  const Result<protocol::RequestHeader> header = protocol::DecodeHeader(message);
  if (header.ok() && !ExpectsReply(header->opcode)) {
    RequestContext context = header->context();
    context.resent = true;
    context.expects_reply = false;
    ExecuteWithoutReply(
        context,
        protocol::DecodeBody(*header, message.subspan(protocol::kRequestHeaderSize), parameters_),
        sink);
  }
}

void Dispatcher::ExecuteWithoutReply(const RequestContext& context,
                                     const Result<protocol::Request>& request, ReplySink* sink) {
  if (!request.ok()) return;
  try {
    fs_->InRequest(context, [&] {
      transport::Execute(fs_, context, *request, nullptr, &listed_, left_lookups());
      // Before the file system forgets what it has done of the request.
      sink->NoteCarriedOut();
    });
  } catch (...) {
    base::WithMemory([] {
      LOG_FIRST_N(ERROR, 1) << "the file system threw an exception from Forget (said once)";
    });
  }
}

int Dispatcher::RefusalOf(const RequestContext& context, const protocol::Request& request) const {
  if (inheritance_ == nullptr) return 0;
  if (context.resent && inheritance_->Refuses(ToInt(context.id))) return EIO;
  return inheritance_->read_only && Changes(request) ? EROFS : 0;
}

Dispatcher::Outcome Dispatcher::Execute(const protocol::RequestHeader& header,
                                        const Result<protocol::Request>& request, ReplySink* sink) {
  listed_.Clear();
  RequestContext context = header.context();
  if (!ExpectsReply(header.opcode)) {
    context.expects_reply = false;
    ExecuteWithoutReply(context, request, sink);
    return {};
  }
  Reply reply(header.id, reply_buffer_, sink);
  if (!request.ok()) {
    reply.Error(request.error());
    return {reply.error(), 0};
  }
  try {
    fs_->InRequest(context, [&] {
      if (const int refusal = RefusalOf(context, *request); refusal != 0) {
        Refuse(fs_, context, *request, Errno(refusal), &reply, &listed_, left_lookups());
      } else {
        transport::Execute(fs_, context, *request, &reply, &listed_, left_lookups());
      }
    });
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
  reply.Finish();
  return {reply.error(), reply.bytes()};
}

}  // namespace memfuse::transport
