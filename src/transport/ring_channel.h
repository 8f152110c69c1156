// One queue of FUSE over io_uring (Linux 6.14): the requests that are made on one CPU.
//
// A queue has entries, each a pair of buffers that the kernel fills with a request and takes a
// reply from; handing a reply over asks for the next request, in one system call for all that is
// ready. The kernel runs on the CPU of the caller, and the worker is pinned there: no wake-up
// crosses CPUs.
//
// Every CPU that the machine may ever have needs a queue before the kernel uses any: until then it
// lets callers wait. FORGET, INTERRUPT and notifications go by /dev/fuse all the same.

#ifndef MEMFUSE_SRC_TRANSPORT_RING_CHANNEL_H_
#define MEMFUSE_SRC_TRANSPORT_RING_CHANNEL_H_

#include <liburing.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "src/transport/channel.h"
#include "src/transport/page_buffer.h"
#include "src/transport/retry.h"
#include "src/transport/scheduling_policy.h"

namespace memfuse::transport {

class RingChannel final : public Channel {
 public:
  // Whether the kernel will offer it in INIT: an administrator has turned it on.
  static bool Enabled();
  // How many queues the kernel wants: one per possible CPU.
  static int QueueCount();

  // `device`: an open descriptor of the connection, which need not be initialised yet; it and
  // `stop` outlive the channel. ResourceExhausted, Unimplemented (no io_uring here).
  static absl::StatusOr<std::unique_ptr<RingChannel>> Make(int device, int queue,
                                                           size_t max_transfer,
                                                           const std::atomic<bool>* stop);
  ~RingChannel() override;

  // Pins the thread to the CPU of the queue and registers the entries. After INIT was answered.
  void Enter() override;
  // kFailed also when the kernel did not take a reply, or has no entry any more, while the
  // connection lives: callers on this CPU would wait for ever.
  ReceiveStatus Receive() override;
  // A reply goes to the kernel with the next Receive. What becomes of it is not told: kDelivered. A
  // notification (request id 0) is written to the device at once.
  SendStatus Send(absl::Span<const char> head, absl::Span<const ReadSink::Piece> tail) override;
  // The kernel takes the payload from one place.
  bool gathers() const override { return false; }
  absl::Span<char> reply_buffer() override;

 private:
  // The first of the two buffers, as the kernel has it.
  struct Headers {
    char in_out[128];  // the request's header, then the reply's
    char op_in[128];   // the fixed part of the request's arguments
    uint64_t flags;
    uint64_t commit_id;
    uint32_t payload_size;
    uint32_t padding;
    uint64_t reserved;
  };
  static_assert(sizeof(Headers) == 288);

  struct Entry {
    explicit Entry(PageBuffer buffer) : data(std::move(buffer)) {}
    PageBuffer data;
    uint32_t command = 0;  // the last one
    alignas(64) Headers headers = {};
    iovec parts[2] = {};
  };

  RingChannel(int device, int queue, const std::atomic<bool>* stop)
      : Channel(stop), device_(device), queue_(queue) {}

  void Submit(uint32_t command, uint64_t commit_id, size_t entry);
  // Makes message_ of what the kernel put into an entry.
  void Assemble(Entry* entry);

  const int device_;
  const int queue_;
  io_uring ring_ = {};
  bool ring_made_ = false;
  std::vector<std::unique_ptr<Entry>> entries_;
  SchedulingPolicy scheduling_policy_;
  size_t registered_ = 0;  // entries that the kernel has, or that hold a request
  size_t current_ = 0;     // the entry of message()
  bool answered_ = true;   // its request
  Retry retry_;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_RING_CHANNEL_H_
