// Sends the requests of a script to a file system in RAM, through two dispatchers that work at the
// same time.
//
// What must hold for every script:
//    - Each request has exactly one reply, FORGET, BATCH_FORGET and NOTIFY_REPLY have none. The
//      reply has the id of the request, its own length and an errno. memory_channel.cc checks it,
//      and the sizes in the body.
//    - When all names are removed and all opens and lookups are returned, the file system uses no
//      more than an empty one. server.cc checks it.
//    - A file system that is not empty can be destroyed.
// The sanitizers, the ranks of locks and the other assertions of a debug build check the rest.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "src/base/mutex.h"
#include "src/protocol/wire_init.h"
#include "src/transport/dispatcher.h"
#include "tests/fuzz/helper_thread.h"
#include "tests/fuzz/memory_channel.h"
#include "tests/fuzz/nodes.h"
#include "tests/fuzz/script.h"
#include "tests/fuzz/server.h"

namespace memfuse::fuzz {
namespace {

ConnectionParameters Parameters(const Script& script) {
  ConnectionParameters parameters;
  parameters.minor = 45;
  parameters.max_write = ChannelBuffers::kMaxBody;
  parameters.max_pages = ChannelBuffers::kMaxBody / 4096;
  if (script.setxattr_ext()) parameters.flags |= protocol::wire::kInitSetxattrExt;
  return parameters;
}

// Serves requests from a channel, as transport::Worker does.
class Worker {
 public:
  Worker(size_t index, const Script* script, Nodes* nodes, ChannelBuffers* buffers,
         MemoryFileSystem* fs)
      : channel_(index, script, nodes, buffers, fs),
        dispatcher_(fs, Parameters(*script), buffers->reply(), &statistics_) {}

  void Serve(absl::Span<const ScriptRequest> requests) {
    channel_.Add(requests);
    while (channel_.Receive() == transport::ReceiveStatus::kMessage) {
      dispatcher_.Serve(channel_.message(), &channel_);
    }
  }

  const MemoryChannel& channel() const { return channel_; }

 private:
  MemoryChannel channel_;
  transport::RequestStatistics statistics_;
  transport::Dispatcher dispatcher_;
};

class Fuzzer {
 public:
  void Run(const Script& script) {
    std::unique_ptr<Server>& server = servers_[script.writeback()][script.huge_pages()];
    if (server == nullptr) {
      server = std::make_unique<Server>(script.writeback(), script.huge_pages());
    }
    Nodes nodes;
    Worker first(0, &script, &nodes, &buffers_[0], server->fs());
    Worker second(1, &script, &nodes, &buffers_[1], server->fs());
    for (const Phase& phase : SplitIntoPhases(script)) {
      const std::vector<ScriptRequest>& here = phase.requests[0];
      const std::vector<ScriptRequest>& there = phase.requests[1];
      if (here.empty() || there.empty()) {
        first.Serve(here);
        second.Serve(there);
      } else {
        helper_.Run([&] { first.Serve(here); }, [&] { second.Serve(there); });
      }
    }
    if (script.destroys()) {
      server = nullptr;
      return;
    }
    const Held* const held[] = {&first.channel().held(), &second.channel().held()};
    server->Empty(held, script.balanced());
    if (first.channel().access_times_changed() || second.channel().access_times_changed()) {
      server->KeepAccessTimes();
    }
  }

 private:
  ChannelBuffers buffers_[kWorkers];
  std::unique_ptr<Server> servers_[2][2];  // null: none at present
  HelperThread helper_;
};

}  // namespace
}  // namespace memfuse::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  memfuse::base::DisableLockOrderDetector();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using memfuse::fuzz::Fuzzer;
  // It is never destroyed, because its thread does not end.
  static Fuzzer* const fuzzer = new Fuzzer;
  fuzzer->Run(memfuse::fuzz::ParseScript({data, size}));
  return 0;
}
