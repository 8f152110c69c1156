#include "tests/fuzz/memory_channel.h"

#include <linux/fuse.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "memfuse/ioctl.h"
#include "src/protocol/decode.h"
#include "src/protocol/opcodes.h"
#include "tests/fuzz/fail.h"
#include "tests/fuzz/request.h"
#include "tests/transport/wire_requests.h"

namespace memfuse::fuzz {
namespace {

using protocol::Opcode;
using transport::Bytes;
using transport::ReceiveStatus;
using transport::SendStatus;

constexpr size_t kMaxName = 255;
constexpr size_t kMaxTarget = 4095;
// The sizes of bodies that older versions of <linux/fuse.h> do not declare.
constexpr size_t kStatxBody = 288;

const std::atomic<bool> kNeverStopped{false};

// A copy that ends at the end of its allocation, so that the address sanitizer detects reads beyond
// it.
std::unique_ptr<char[]> ExactCopy(absl::Span<const char> bytes) {
  std::unique_ptr<char[]> copy(new char[bytes.size()]);
  if (!bytes.empty()) std::memcpy(copy.get(), bytes.data(), bytes.size());
  return copy;
}

template <typename T>
T Read(absl::Span<const char> bytes, size_t at) {
  T value = {};
  if (at < bytes.size())
    std::memcpy(&value, &bytes[at], std::min(sizeof(value), bytes.size() - at));
  return value;
}

// Whether to print each request and its reply.
bool Prints() {
  static const bool prints = std::getenv("MEMFUSE_FUZZ_PRINT") != nullptr;
  return prints;
}

// Requests in which another inode than that of the header may be missing, or in which the inode of
// the header need not exist.
bool MayBeStale(uint32_t opcode) {
  switch (static_cast<Opcode>(opcode)) {
    case Opcode::kLookup:  // "." of a removed inode, ".."
    case Opcode::kLink:
    case Opcode::kRename:
    case Opcode::kRename2:
    case Opcode::kCopyFileRange:
    case Opcode::kCopyFileRange64:
      return true;
    default:
      return false;
  }
}

}  // namespace

ChannelBuffers::ChannelBuffers() : reply_(sizeof(fuse_out_header) + kMaxBody) {}

MemoryChannel::MemoryChannel(size_t worker, const Script* script, Nodes* nodes,
                             ChannelBuffers* buffers, MemoryFileSystem* fs)
    : Channel(&kNeverStopped),
      worker_(worker),
      script_(*script),
      nodes_(*nodes),
      buffers_(buffers),
      fs_(fs) {}

ReceiveStatus MemoryChannel::Receive() {
  FinishRequest();
  while (!requests_.empty()) {
    const ScriptRequest& request = requests_.front();
    requests_.remove_prefix(1);
    const std::string message = NextMessage(request);
    if (message.empty()) continue;
    Deliver(request.step, message);
    return ReceiveStatus::kMessage;
  }
  return ReceiveStatus::kUnmounted;
}

std::string MemoryChannel::NextMessage(const ScriptRequest& request) {
  const Step& step = request.step;
  if (step.code() == Step::kReleaseUnused) {
    fs_->ReleaseUnusedMemory();
    return "";
  }
  ++last_id_;
  if (script_.balanced()) {
    switch (static_cast<Opcode>(step.code())) {
      case Opcode::kForget:
        return MakeForget(step);
      case Opcode::kBatchForget:
        return MakeBatchForget(step);
      case Opcode::kRelease:
        return MakeRelease(step);
      default:
        break;
    }
  }
  RequestState state;
  state.nodes = &nodes_;
  state.raw_body = request.raw_body;
  state.id = last_id_;
  state.directory_offset = directory_offset_;
  state.setxattr_ext = script_.setxattr_ext();
  return MakeRequest(step, state);
}

std::string MemoryChannel::MakeForget(const Step& step) {
  const auto held = held_.lookups.find(nodes_.Get(step.node()));
  if (held == held_.lookups.end() || held->second == 0) return "";
  const uint64_t count = 1 + step.choice % held->second;
  held->second -= count;
  return MakeMessage(step, FUSE_FORGET, last_id_, held->first, Bytes(fuse_forget_in{count}));
}

std::string MemoryChannel::MakeBatchForget(const Step& step) {
  fuse_batch_forget_in in = {};
  std::string entries;
  for (size_t i = 0; i < (step.choice & 7u); ++i) {
    const auto held = held_.lookups.find(nodes_.Get((step.node() + i) % kNodes));
    if (held == held_.lookups.end() || held->second == 0) continue;
    const uint64_t count = 1 + step.value[i % 4] % held->second;
    held->second -= count;
    entries += Bytes(fuse_forget_one{held->first, count});
    ++in.count;
  }
  return MakeMessage(step, FUSE_BATCH_FORGET, last_id_, 0, Bytes(in) + entries);
}

std::string MemoryChannel::MakeRelease(const Step& step) {
  const uint64_t ino = nodes_.Get(step.node());
  const auto open = std::find_if(held_.opens.rbegin(), held_.opens.rend(),
                                 [&](const Held::Open& held) { return held.ino == ino; });
  if (open == held_.opens.rend()) return "";
  fuse_release_in in = {};
  in.flags = open->flags;
  held_.opens.erase(std::next(open).base());
  return MakeMessage(step, FUSE_RELEASE, last_id_, ino, Bytes(in));
}

void MemoryChannel::Deliver(const Step& step, const std::string& message) {
  const auto header = Read<fuse_in_header>(message, 0);
  pending_ = {};
  pending_.opcode = header.opcode;
  pending_.node = header.nodeid;
  pending_.status = step.send_status();
  if (message.size() >= sizeof(header) && transport::Answered(header.opcode)) {
    pending_.expected = pending_.status == SendStatus::kRefused ? 2 : 1;
  }
  const auto lookups = held_.lookups.find(header.nodeid);
  pending_.holds_node =
      header.nodeid == FUSE_ROOT_ID || (lookups != held_.lookups.end() && lookups->second > 0);
  for (const Held::Open& open : held_.opens) pending_.holds_node |= open.ino == header.nodeid;
  result_node_ = step.result_node();
  if (Prints()) {
    const protocol::OpcodeInfo* const info = protocol::FindOpcode(header.opcode);
    std::fprintf(stderr, "worker %zu, request %" PRIu64 ": opcode %u (%s), node %" PRIu64 "\n",
                 worker_, last_id_, header.opcode,
                 info == nullptr ? "unknown" : std::string(info->name).c_str(), header.nodeid);
  }

  message_memory_ = ExactCopy(message);
  message_ = absl::MakeConstSpan(message_memory_.get(), message.size());
}

void MemoryChannel::FinishRequest() {
  if (pending_.replies != pending_.expected) {
    Fail("opcode %u: %d replies instead of %d", pending_.opcode, pending_.replies,
         pending_.expected);
  }
  pending_ = {};
}

SendStatus MemoryChannel::Send(absl::Span<const char> head,
                               absl::Span<const ReadSink::Piece> tail) {
  if (tail.size() > ReadSink::kMaxPieces) Fail("a reply of %zu pieces", tail.size());
  std::string reply(head.data(), head.size());
  for (const ReadSink::Piece piece : tail) reply.append(piece.data(), piece.size());
  const auto header = Read<fuse_out_header>(reply, 0);
  if (reply.size() < sizeof(header) || header.len != reply.size()) {
    Fail("opcode %u: a reply of %zu bytes has the length %u", pending_.opcode, reply.size(),
         header.len);
  }
  if (Prints()) {
    std::fprintf(stderr, "worker %zu, reply %" PRIu64 ": error %d, %zu bytes\n", worker_,
                 static_cast<uint64_t>(header.unique), header.error, reply.size());
  }
  if (header.unique == 0) {
    CheckNotification(reply);
    return SendStatus::kDelivered;
  }
  if (header.unique != last_id_) {
    Fail("opcode %u: the reply has another request id", pending_.opcode);
  }
  if (++pending_.replies > pending_.expected) Fail("opcode %u: too many replies", pending_.opcode);
  if (header.error > 0 || header.error <= -512) {
    Fail("opcode %u: error %d", pending_.opcode, header.error);
  }
  if (header.error != 0 && reply.size() != sizeof(header)) {
    Fail("opcode %u: an error with a body", pending_.opcode);
  }
  if (pending_.replies == 2 && header.error != -EIO) {
    Fail("opcode %u: after a refused reply the error is %d", pending_.opcode, header.error);
  }
  if (pending_.replies == 1) CheckError(-header.error);
  switch (pending_.status) {
    case SendStatus::kDelivered:
      if (header.error == 0) TakeReply(reply.substr(sizeof(header)));
      return SendStatus::kDelivered;
    case SendStatus::kAbandoned:
      return SendStatus::kAbandoned;
    case SendStatus::kRefused:
      return pending_.replies == 1 ? SendStatus::kRefused : SendStatus::kDelivered;
  }
  return SendStatus::kDelivered;
}

void MemoryChannel::CheckNotification(const std::string& reply) {
  const auto header = Read<fuse_out_header>(reply, 0);
  if (header.error != FUSE_NOTIFY_INVAL_INODE) Fail("notification %d", header.error);
  if (reply.size() != sizeof(header) + sizeof(fuse_notify_inval_inode_out)) {
    Fail("a notification of %zu bytes", reply.size());
  }
  if (pending_.expected == 0 || pending_.replies > 0) {
    Fail("opcode %u: a notification without a request, or after the reply", pending_.opcode);
  }
  if (std::exchange(pending_.notified, true)) Fail("opcode %u: two notifications", pending_.opcode);
}

void MemoryChannel::CheckError(int error) const {
  if (!script_.balanced()) return;
  if (error == ESTALE && pending_.holds_node && !MayBeStale(pending_.opcode)) {
    Fail("opcode %u: ESTALE for an inode in use", pending_.opcode);
  }
  if (error != 0 && pending_.opcode == FUSE_RELEASE) Fail("RELEASE of an open file: %d", error);
}

template <typename T>
T MemoryChannel::Argument() const {
  return Read<T>(message_, sizeof(fuse_in_header));
}

void MemoryChannel::TakeReply(const std::string& body) {
  const uint32_t opcode = pending_.opcode;
  const auto expect_size = [&](size_t size) {
    if (body.size() != size) Fail("opcode %u: a body of %zu bytes", opcode, body.size());
  };
  const auto expect_at_most = [&](size_t size) {
    if (body.size() > size) Fail("opcode %u: %zu bytes, %zu requested", opcode, body.size(), size);
  };
  switch (static_cast<Opcode>(opcode)) {
    case Opcode::kLookup:
    case Opcode::kSymlink:
    case Opcode::kMknod:
    case Opcode::kMkdir:
    case Opcode::kLink:
      expect_size(sizeof(fuse_entry_out));
      TakeEntry(body, 0);
      break;
    case Opcode::kCreate:
    case Opcode::kTmpfile:
      expect_size(sizeof(fuse_entry_out) + sizeof(fuse_open_out));
      TakeEntry(body, 0);
      held_.opens.push_back(
          {Read<fuse_entry_out>(body, 0).nodeid, Argument<fuse_create_in>().flags});
      break;
    case Opcode::kOpen:
      expect_size(sizeof(fuse_open_out));
      held_.opens.push_back({pending_.node, Argument<fuse_open_in>().flags});
      break;
    case Opcode::kOpendir:
      expect_size(sizeof(fuse_open_out));
      break;
    case Opcode::kGetattr:
    case Opcode::kSetattr:
      expect_size(sizeof(fuse_attr_out));
      break;
    case Opcode::kStatx:
      expect_size(kStatxBody);
      break;
    case Opcode::kReadlink:
      expect_at_most(kMaxTarget);
      if (body.empty()) Fail("an empty target");
      break;
    case Opcode::kRead:
      expect_at_most(Argument<fuse_read_in>().size);
      break;
    case Opcode::kReaddir:
    case Opcode::kReaddirplus:
      expect_at_most(Argument<fuse_read_in>().size);
      TakeListing(body, opcode == FUSE_READDIRPLUS);
      break;
    case Opcode::kWrite:
      expect_size(sizeof(fuse_write_out));
      if (Read<fuse_write_out>(body, 0).size > Argument<fuse_write_in>().size) {
        Fail("WRITE wrote too much");
      }
      break;
    case Opcode::kCopyFileRange:
    case Opcode::kCopyFileRange64:
    case Opcode::kLseek:
      expect_size(sizeof(uint64_t));
      break;
    case Opcode::kStatfs:
      expect_size(sizeof(fuse_statfs_out));
      break;
    case Opcode::kGetxattr:
    case Opcode::kListxattr:
      if (const uint32_t room = Argument<fuse_getxattr_in>().size; room != 0) {
        expect_at_most(room);
      } else {
        expect_size(sizeof(fuse_getxattr_out));
      }
      break;
    case Opcode::kIoctl: {
      const auto in = Argument<fuse_ioctl_in>();
      if (body.size() < sizeof(fuse_ioctl_out)) Fail("IOCTL: %zu bytes", body.size());
      expect_at_most(sizeof(fuse_ioctl_out) + in.out_size);
      access_times_changed_ |= _IOC_TYPE(in.cmd) == _IOC_TYPE(MEMFUSE_IOC_SET_ATIME) &&
                               _IOC_NR(in.cmd) == _IOC_NR(MEMFUSE_IOC_SET_ATIME);
      break;
    }
    default:
      expect_size(0);
  }
}

void MemoryChannel::TakeEntry(const std::string& body, size_t at) {
  const uint64_t ino = Read<fuse_entry_out>(body, at).nodeid;
  if (ino == 0) {
    // The kernel remembers that the name does not exist.
    if (pending_.opcode == FUSE_LOOKUP) return;
    Fail("opcode %u: an entry without an inode", pending_.opcode);
  }
  ++held_.lookups[ino];
  nodes_.Set(result_node_, ino);
}

// The kernel checks a listing in the same way (fs/fuse/readdir.c).
void MemoryChannel::TakeListing(const std::string& body, bool plus) {
  const size_t entry_size = plus ? sizeof(fuse_entry_out) : 0;
  const size_t prefix = entry_size + FUSE_NAME_OFFSET;
  size_t at = 0;
  while (at < body.size()) {
    const auto dirent = Read<fuse_dirent>(body, at + entry_size);
    const size_t size = FUSE_DIRENT_ALIGN(prefix + dirent.namelen);
    if (body.size() - at < size || dirent.namelen == 0 || dirent.namelen > kMaxName) {
      Fail("opcode %u: a malformed listing", pending_.opcode);
    }
    if (body.substr(at + prefix, dirent.namelen).find('/') != std::string::npos) {
      Fail("opcode %u: a name with a '/'", pending_.opcode);
    }
    if (plus && Read<fuse_entry_out>(body, at).nodeid != 0) TakeEntry(body, at);
    directory_offset_ = dirent.off;
    at += size;
  }
}

}  // namespace memfuse::fuzz
