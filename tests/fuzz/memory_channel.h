// A channel in memory: it receives the requests of a script and checks their replies as the kernel
// would.

#ifndef MEMFUSE_TESTS_FUZZ_MEMORY_CHANNEL_H_
#define MEMFUSE_TESTS_FUZZ_MEMORY_CHANNEL_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "memfuse/memory_filesystem.h"
#include "src/transport/channel.h"
#include "tests/fuzz/nodes.h"
#include "tests/fuzz/script.h"

namespace memfuse::fuzz {

// What does not depend on the script. It is kept for all scripts, because making it takes time.
class ChannelBuffers {
 public:
  // The largest body of a reply.
  static constexpr size_t kMaxBody = 64 << 10;

  ChannelBuffers();

  absl::Span<char> reply() { return absl::MakeSpan(reply_); }

 private:
  std::vector<char> reply_;
};

// The lookups and opens that replies gave to a worker and that it has not returned.
struct Held {
  std::map<uint64_t, uint64_t> lookups;  // by inode number
  struct Open {
    uint64_t ino;
    uint32_t flags;
  };
  std::vector<Open> opens;
};

class MemoryChannel final : public transport::Channel {
 public:
  // `worker` is for messages. All other arguments outlive the channel.
  MemoryChannel(size_t worker, const Script* script, Nodes* nodes, ChannelBuffers* buffers,
                MemoryFileSystem* fs);

  // Receive returns `requests` next, and then kUnmounted.
  void Add(absl::Span<const ScriptRequest> requests) { requests_ = requests; }

  transport::ReceiveStatus Receive() override;
  transport::SendStatus Send(absl::Span<const char> head,
                             absl::Span<const ReadSink::Piece> tail) override;
  absl::Span<char> reply_buffer() override { return buffers_->reply(); }

  const Held& held() const { return held_; }
  // A request changed whether access times are kept.
  bool access_times_changed() const { return access_times_changed_; }

 private:
  // The request that is being served.
  struct Pending {
    uint32_t opcode = 0;
    uint64_t node = 0;
    transport::SendStatus status = transport::SendStatus::kDelivered;
    bool holds_node = false;  // the worker holds a lookup or an open of `node`
    int expected = 0;         // number of replies
    int replies = 0;
    bool notified = false;
  };

  // Returns an empty message if there is nothing to send.
  std::string NextMessage(const ScriptRequest& request);
  // FORGET, BATCH_FORGET and RELEASE of what the worker holds. Removes it from held_.
  std::string MakeForget(const Step& step);
  std::string MakeBatchForget(const Step& step);
  std::string MakeRelease(const Step& step);
  void Deliver(const Step& step, const std::string& message);
  void FinishRequest();

  void CheckNotification(const std::string& reply);
  void CheckError(int error) const;
  // Check a successful reply that was delivered, and record what it gives.
  void TakeReply(const std::string& body);
  void TakeEntry(const std::string& body, size_t at);
  void TakeListing(const std::string& body, bool plus);
  template <typename T>
  T Argument() const;

  const size_t worker_;
  const Script& script_;
  Nodes& nodes_;
  ChannelBuffers* const buffers_;
  MemoryFileSystem* const fs_;  // for steps that are no request
  absl::Span<const ScriptRequest> requests_;
  uint64_t last_id_ = 0;
  uint64_t directory_offset_ = 0;
  size_t result_node_ = 0;
  std::unique_ptr<char[]> message_memory_;
  Pending pending_;
  Held held_;
  bool access_times_changed_ = false;
};

}  // namespace memfuse::fuzz

#endif  // MEMFUSE_TESTS_FUZZ_MEMORY_CHANNEL_H_
