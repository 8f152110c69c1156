// One queue of FUSE over io_uring (Linux 6.14): the requests that are made on one CPU.
//
// A queue has entries. Each entry is a pair of buffers that the kernel fills with a request and
// from which it takes a reply. Submitting a reply also asks for the next request, and one system
// call handles all entries that are ready. The kernel runs on the CPU of the caller and the worker
// is pinned to that CPU, so no wake-up crosses CPUs.
//
// Every CPU that the machine may ever have needs a queue before the kernel uses any queue; until
// then callers wait. FORGET, INTERRUPT and notifications still use /dev/fuse.

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
#include "src/protocol/device.h"
#include "src/transport/channel.h"
#include "src/transport/page_buffer.h"
#include "src/transport/retry.h"
#include "src/transport/scheduling_policy.h"

namespace memfuse::transport {

class RingChannel final : public Channel {
 public:
  // Returns whether the kernel will offer io_uring in INIT, which an administrator has to enable.
  static bool Enabled();
  // Returns the number of queues that the kernel needs: one per possible CPU.
  static int QueueCount();

  // `device` is an open descriptor of the connection, which need not be initialised yet. Requires:
  // `device` and `stop` outlive the channel. Errors: ResourceExhausted, Unimplemented (no io_uring
  // on this system).
  static absl::StatusOr<std::unique_ptr<RingChannel>> Make(int device, int queue,
                                                           size_t max_transfer,
                                                           const std::atomic<bool>* stop);
  ~RingChannel() override;

  // After this call Enter leaves the scheduling policy of the thread unchanged. Requires: no worker
  // uses the channel yet.
  void KeepSchedulingPolicy() { idle_scheduling_ = false; }

  // Pins the thread to the CPU of the queue and prepares the registration of the entries, which the
  // first Receive submits. Requires: INIT was answered.
  void Enter() override;
  // Also returns kFailed if the kernel did not accept a reply, or has no entry any more, while the
  // connection is alive: callers on this CPU would wait forever.
  ReceiveStatus Receive() override;
  // The next Receive submits the reply to the kernel. Its outcome is not known here, so the result
  // is kDelivered.
  SendStatus Send(absl::Span<const char> head, absl::Span<const ReadSink::Piece> tail) override;
  // The kernel takes the payload from one contiguous buffer.
  bool gathers() const override { return false; }
  absl::Span<char> reply_buffer() override;

 private:
  struct Entry {
    explicit Entry(PageBuffer buffer) : data(std::move(buffer)) {}
    PageBuffer data;
    uint32_t command = 0;  // the last one that was submitted
    alignas(64) protocol::RingHeaders headers = {};
    iovec parts[2] = {};
  };

  RingChannel(int device, int queue, const std::atomic<bool>* stop)
      : Channel(stop), device_(device), queue_(queue) {}

  void Submit(uint32_t command, uint64_t commit_id, size_t entry);
  // Sets message_ from the request that the kernel wrote into an entry.
  void Assemble(Entry* entry);

  const int device_;
  const int queue_;
  io_uring ring_ = {};
  bool ring_made_ = false;
  std::vector<std::unique_ptr<Entry>> entries_;
  SchedulingPolicy scheduling_policy_;
  bool idle_scheduling_ = true;  // constant once a worker uses the channel
  size_t registered_ = 0;        // entries that the kernel holds, or that hold a request
  size_t current_ = 0;           // the entry of message()
  bool answered_ = true;         // the request of the current entry was answered
  Retry retry_;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_RING_CHANNEL_H_
