#include "src/transport/ring_channel.h"

#include <glog/logging.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "src/base/error_text.h"
#include "src/base/memory_guard.h"
#include "src/protocol/decode.h"
#include "src/protocol/encode.h"

namespace memfuse::transport {
namespace {

// The number of requests of one CPU that may be in progress at once. Each entry has room for the
// largest transfer, but uses memory only for pages that were accessed.
constexpr size_t kEntries = 8;

// Room in front of the payload for the header and the fixed arguments of a request.
constexpr size_t kPrefix = 256;

constexpr unsigned kSetupFlags = IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER |
                                 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED;

}  // namespace

bool RingChannel::Enabled() {
  std::ifstream file("/sys/module/fuse/parameters/enable_uring");
  char value = 'N';
  return file >> value && value == 'Y';
}

int RingChannel::QueueCount() {
  // For "0-63" or "0,2-3" the last number determines the count.
  std::ifstream file("/sys/devices/system/cpu/possible");
  std::string text;
  if (!(file >> text)) return static_cast<int>(sysconf(_SC_NPROCESSORS_CONF));
  const size_t last = text.find_last_of(",-");
  return std::atoi(text.c_str() + (last == std::string::npos ? 0 : last + 1)) + 1;
}

absl::StatusOr<std::unique_ptr<RingChannel>> RingChannel::Make(int device, int queue,
                                                               size_t max_transfer,
                                                               const std::atomic<bool>* stop) {
  std::unique_ptr<RingChannel> channel(new RingChannel(device, queue, stop));
  if (const int error = io_uring_queue_init(kEntries, &channel->ring_, kSetupFlags); error != 0) {
    const std::string text = absl::StrCat("io_uring: ", base::ErrorText(-error));
    if (error == -ENOMEM || error == -EMFILE || error == -ENFILE) {
      return absl::ResourceExhaustedError(text);
    }
    return absl::UnimplementedError(text);
  }
  channel->ring_made_ = true;
  for (size_t i = 0; i < kEntries; ++i) {
    absl::StatusOr<PageBuffer> data =
        PageBuffer::Make(kPrefix, std::max(max_transfer, protocol::kMinReadBuffer));
    if (!data.ok()) return data.status();
    channel->entries_.push_back(std::make_unique<Entry>(*std::move(data)));
    Entry& entry = *channel->entries_.back();
    entry.parts[0] = {&entry.headers, sizeof(entry.headers)};
    entry.parts[1] = {entry.data.payload().data(), entry.data.payload().size()};
  }
  return channel;
}

RingChannel::~RingChannel() {
  if (ring_made_) io_uring_queue_exit(&ring_);
}

void RingChannel::Submit(uint32_t command, uint64_t commit_id, size_t entry) {
  // An SQE is always available: the ring has one for each entry, and an entry is in one command at
  // a time.
  io_uring_sqe* const sqe = io_uring_get_sqe(&ring_);
  if (sqe == nullptr) return;
  std::memset(static_cast<void*>(sqe), 0, protocol::kRingSqeSize);
  sqe->opcode = IORING_OP_URING_CMD;
  sqe->fd = device_;
  sqe->cmd_op = command;
  sqe->user_data = entry;
  entries_[entry]->command = command;
  if (command == protocol::kRingRegister) {
    sqe->addr = reinterpret_cast<uint64_t>(entries_[entry]->parts);
    sqe->len = 2;
  }
  const protocol::RingCommand arguments = {0, commit_id, static_cast<uint16_t>(queue_), {}};
  std::memcpy(reinterpret_cast<char*>(sqe) + protocol::kRingCommandOffset, &arguments,
              sizeof(arguments));
}

void RingChannel::Enter() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(static_cast<size_t>(queue_), &cpus);
  // If the CPU does not exist now, or is not permitted, the thread runs on any CPU.
  sched_setaffinity(0, sizeof(cpus), &cpus);
  // Not through liburing, because the one of Debian 12 does not export io_uring_enable_rings.
  syscall(__NR_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  for (size_t i = 0; i < entries_.size(); ++i) Submit(protocol::kRingRegister, 0, i);
  registered_ = entries_.size();
  if (idle_scheduling_) scheduling_policy_.Start();
}

void RingChannel::Assemble(Entry* entry) {
  const protocol::RingHeaders& headers = entry->headers;
  uint32_t length;
  std::memcpy(&length, headers.in_out, sizeof(length));
  char* const payload = entry->data.payload().data();
  const size_t header = protocol::kRequestHeaderSize;
  const size_t data = std::min<size_t>(headers.payload_size, entry->data.payload().size());
  // The bytes that are neither header nor payload are the fixed part of the arguments.
  size_t fixed = length >= header + data ? length - header - data : 0;
  fixed = std::min(fixed, sizeof(headers.op_in));
  char* const begin = payload - fixed - header;
  std::memcpy(begin, headers.in_out, header);
  std::memcpy(begin + header, headers.op_in, fixed);
  message_ = {begin, header + fixed + data};
}

ReceiveStatus RingChannel::Receive() {
  scheduling_policy_.Update();
  for (;;) {
    io_uring_cqe* cqe = nullptr;
    while (io_uring_peek_cqe(&ring_, &cqe) == 0 && cqe != nullptr) {
      const int result = cqe->res;
      const auto entry = static_cast<size_t>(cqe->user_data);
      io_uring_cqe_seen(&ring_, cqe);
      if (result >= 0) {
        current_ = entry;
        answered_ = false;
        Assemble(entries_[entry].get());
        return ReceiveStatus::kMessage;
      }
      // The kernel does not use this entry any more: the connection has ended, or the kernel never
      // accepted the entry.
      const bool ended = result == -ENOTCONN || result == -ECANCELED || result == -ECONNABORTED;
      --registered_;
      if (!ended &&
          (registered_ == 0 || entries_[entry]->command == protocol::kRingCommitAndFetch)) {
        base::WithMemory([&] {
          LOG(ERROR) << "io_uring: queue " << queue_ << " failed: " << base::ErrorText(-result);
        });
        return ReceiveStatus::kFailed;
      }
      if (registered_ == 0) return ReceiveStatus::kUnmounted;
      if (!ended) {
        base::WithMemory([&] {
          LOG_FIRST_N(WARNING, 1) << "io_uring: an entry of queue " << queue_
                                  << " is lost: " << base::ErrorText(-result) << " (said once)";
        });
      }
    }
    set_interruptible(true);
    if (stopping()) {
      io_uring_submit(&ring_);  // submits the last reply
      return ReceiveStatus::kStopped;
    }
    const int submitted = io_uring_submit_and_wait(&ring_, 1);
    set_interruptible(false);
    if (submitted >= 0) {
      retry_.Reset();
    } else if (submitted != -EINTR && MayPass(-submitted)) {
      // Interruptible again, as in a wait for requests.
      set_interruptible(true);
      if (!stopping()) retry_.Wait("io_uring: cannot wait for requests", -submitted);
      set_interruptible(false);
    } else if (submitted != -EINTR) {
      base::WithMemory([&] {
        LOG(ERROR) << "io_uring: cannot wait for requests: " << base::ErrorText(-submitted);
      });
      return ReceiveStatus::kFailed;
    }
  }
}

absl::Span<char> RingChannel::reply_buffer() {
  const absl::Span<char> whole = entries_[current_]->data.whole();
  return whole.subspan(kPrefix - protocol::kReplyHeaderSize);
}

SendStatus RingChannel::Send(absl::Span<const char> head, absl::Span<const ReadSink::Piece> tail) {
  if (answered_) return SendStatus::kRefused;
  Entry& entry = *entries_[current_];
  const absl::Span<char> payload = entry.data.payload();
  // The body was built in the memory from which the kernel takes it.
  size_t size = head.size() - protocol::kReplyHeaderSize;
  for (const ReadSink::Piece piece : tail) {
    if (piece.size() > payload.size() - size) return SendStatus::kRefused;
    if (!piece.empty()) std::memcpy(payload.data() + size, piece.data(), piece.size());
    size += piece.size();
  }
  std::memcpy(entry.headers.in_out, head.data(), protocol::kReplyHeaderSize);
  entry.headers.payload_size = static_cast<uint32_t>(size);
  answered_ = true;
  Submit(protocol::kRingCommitAndFetch, entry.headers.commit_id, current_);
  return SendStatus::kDelivered;
}

}  // namespace memfuse::transport
