// The peer of a socket pair, in place of the kernel.

#ifndef MEMFUSE_TESTS_TRANSPORT_SOCKET_KERNEL_H_
#define MEMFUSE_TESTS_TRANSPORT_SOCKET_KERNEL_H_

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

#include "src/base/unique_fd.h"
#include "tests/transport/wire_requests.h"

namespace memfuse::transport {

// A pair of connected sockets with message boundaries, as /dev/fuse has.
struct SocketPair {
  SocketPair() {
    int both[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, both), 0);
    kernel.reset(both[0]);
    server.reset(both[1]);
    const int room = 4 << 20;
    for (const int end : both) setsockopt(end, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
  }
  base::UniqueFd kernel;
  base::UniqueFd server;
};

// Several pairs: the descriptors of one connection.
class SocketKernel {
 public:
  explicit SocketKernel(size_t channels) : pairs_(channels) {}

  // The descriptors for Session::Adopt, which owns them from then on.
  std::vector<int> TakeServerSide() {
    std::vector<int> descriptors;
    for (SocketPair& pair : pairs_) descriptors.push_back(pair.server.release());
    return descriptors;
  }

  void Send(size_t channel, const std::string& message) {
    ASSERT_EQ(send(pairs_[channel].kernel.get(), message.data(), message.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(message.size()));
  }

  // Whether a message arrives within `milliseconds`.
  bool Readable(size_t channel, int milliseconds) {
    pollfd wait = {pairs_[channel].kernel.get(), POLLIN, 0};
    return poll(&wait, 1, milliseconds) > 0;
  }

  // The next reply. The test fails if none arrives.
  WireReply Receive(size_t channel) {
    if (!Readable(channel, 20000)) {
      ADD_FAILURE() << "no reply on channel " << channel;
      return {};
    }
    thread_local std::string buffer(2 << 20, '\0');
    const ssize_t size = recv(pairs_[channel].kernel.get(), buffer.data(), buffer.size(), 0);
    if (size <= 0) {
      ADD_FAILURE() << "channel " << channel << " was closed";
      return {};
    }
    const WireReply reply = ParseReply(buffer.substr(0, static_cast<size_t>(size)));
    EXPECT_TRUE(reply.well_formed);
    return reply;
  }

  WireReply Ask(size_t channel, const std::string& message) {
    Send(channel, message);
    return Receive(channel);
  }

  int descriptor(size_t channel) const { return pairs_[channel].kernel.get(); }

  void Close(size_t channel) { pairs_[channel].kernel.reset(); }
  void CloseAll() {
    for (SocketPair& pair : pairs_) pair.kernel.reset();
  }

 private:
  std::vector<SocketPair> pairs_;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_TESTS_TRANSPORT_SOCKET_KERNEL_H_
