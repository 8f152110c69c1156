// Messages of a socket pair, which splice(2) takes apart as it does those of /dev/fuse. The same on
// a real mount: session_mount_test.cc.

#include "src/transport/device_channel.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <random>
#include <string>
#include <utility>

#include "src/transport/request_pipe.h"
#include "tests/transport/socket_kernel.h"
#include "tests/transport/wire_requests.h"

namespace memfuse::transport {
namespace {

constexpr uint32_t kMaxWrite = 256 << 10;
constexpr size_t kPrefix = sizeof(fuse_in_header) + sizeof(fuse_write_in);

std::string RandomBytes(size_t size) {
  std::mt19937_64 random(size);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// A WRITE through a file that was opened with `flags`.
std::string FlaggedWrite(const std::string& data, uint32_t flags) {
  fuse_write_in in = {};
  in.size = static_cast<uint32_t>(data.size());
  in.flags = flags;
  return Message(FUSE_WRITE, 1, Bytes(in) + data);
}

class DeviceChannelTest : public testing::Test {
 protected:
  void SetUp() override {
    auto channel = DeviceChannel::Make(std::move(sockets_.server), kMaxWrite, &stop_);
    ASSERT_TRUE(channel.ok()) << channel.status();
    channel_ = *std::move(channel);
    channel_->UsePipe(kMaxWrite);
  }

  void Send(const std::string& message) {
    ASSERT_EQ(send(sockets_.kernel.get(), message.data(), message.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(message.size()));
  }
  // Lets the channel receive `message`. Whether its data was kept apart.
  bool Receive(const std::string& message) {
    Send(message);
    EXPECT_EQ(channel_->Receive(), Reception::kMessage);
    return !channel_->payload().empty();
  }
  std::string InMessage() const {
    return std::string(channel_->message().begin(), channel_->message().end());
  }
  std::string Apart() {
    Payload payload = channel_->payload();
    std::string out(payload.size(), '#');
    EXPECT_TRUE(payload.CopyTo(absl::MakeSpan(out.data(), out.size())).ok());
    return out;
  }
  void ExpectWhole(const std::string& message) {
    const bool apart = Receive(message);
    EXPECT_EQ(InMessage(), apart ? message.substr(0, kPrefix) : message);
    if (apart) {
      EXPECT_EQ(Apart(), message.substr(kPrefix));
    }
  }

  SocketPair sockets_;
  std::atomic<bool> stop_{false};
  std::unique_ptr<DeviceChannel> channel_;
  const std::string large_ = WriteMessage(1, RandomBytes(100'000));
};

TEST_F(DeviceChannelTest, AfterALargeWriteTheNextOnesDataIsKeptApart) {
  EXPECT_FALSE(Receive(large_));
  EXPECT_EQ(InMessage(), large_);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(Receive(large_));
    EXPECT_EQ(InMessage(), large_.substr(0, kPrefix));
    EXPECT_EQ(channel_->payload().size(), large_.size() - kPrefix);
    EXPECT_EQ(Apart(), large_.substr(kPrefix));
  }
}

TEST_F(DeviceChannelTest, EverySizeArrivesWhole) {
  for (const size_t size :
       {size_t{32'767}, size_t{32'768}, size_t{32'769}, size_t{0}, size_t{1}, size_t{4'096},
        size_t{100'001}, size_t{kMaxWrite - 1}, size_t{kMaxWrite}, size_t{70'000}}) {
    SCOPED_TRACE(size);
    ExpectWhole(WriteMessage(7, RandomBytes(size)));
    ExpectWhole(large_);
  }
  for (const std::string& message : GoodRequests(3)) {
    SCOPED_TRACE(OpcodeOf(message));
    ExpectWhole(message);
    ExpectWhole(large_);
  }
}

TEST_F(DeviceChannelTest, WhatIsNoLargeWriteIsInTheMessage) {
  EXPECT_FALSE(Receive(large_));
  EXPECT_FALSE(Receive(WriteMessage(1, RandomBytes(5'000))));
  EXPECT_TRUE(Receive(large_)) << "a short end of a write is no reason to stop";
  EXPECT_FALSE(Receive(Message(FUSE_SETXATTR, 1, RandomBytes(70'000))));
  std::string extended = large_;
  extended[36] = 1;
  EXPECT_FALSE(Receive(extended));
  EXPECT_EQ(InMessage(), extended);
}

TEST_F(DeviceChannelTest, PipesAreForWritersOnly) {
  EXPECT_FALSE(Receive(large_));
  EXPECT_TRUE(Receive(large_));
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(Receive(GetattrMessage(1)));
  EXPECT_FALSE(Receive(large_));
  EXPECT_TRUE(Receive(large_));
}

TEST_F(DeviceChannelTest, DirectWritesAreRead) {
  const std::string direct = FlaggedWrite(RandomBytes(100'000), O_DIRECT | O_WRONLY);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(Receive(direct));
  EXPECT_FALSE(Receive(large_));
  EXPECT_TRUE(Receive(direct)) << "it is there already";
  EXPECT_EQ(Apart(), direct.substr(kPrefix));
  EXPECT_FALSE(Receive(direct));
}

TEST_F(DeviceChannelTest, WhatNobodyTookIsDrained) {
  EXPECT_FALSE(Receive(large_));
  const std::string other = WriteMessage(2, RandomBytes(200'000));
  for (const size_t taken : {0, 1, 99'999, 100'000}) {
    ASSERT_TRUE(Receive(large_));
    std::string out(taken, '#');
    Payload payload = channel_->payload();
    ASSERT_TRUE(payload.CopyTo(absl::MakeSpan(out.data(), out.size())).ok());
    ASSERT_TRUE(Receive(other));
    EXPECT_EQ(InMessage(), other.substr(0, kPrefix));
    EXPECT_EQ(Apart(), other.substr(kPrefix));
  }
}

TEST_F(DeviceChannelTest, APipeThatWasRobbedIsReplaced) {
  EXPECT_FALSE(Receive(large_));
  ASSERT_TRUE(Receive(large_));
  // Taken without account of it.
  int taken = 0;
  for (int descriptor = 0; descriptor < 1024; ++descriptor) {
    char out[1'000];
    if (fcntl(descriptor, F_GETPIPE_SZ) == 512 << 10 && read(descriptor, out, sizeof(out)) > 0) {
      ++taken;
    }
  }
  ASSERT_EQ(taken, 1);
  ExpectWhole(large_);
  ExpectWhole(GetattrMessage(1));
  EXPECT_TRUE(Receive(large_));
}

TEST_F(DeviceChannelTest, LengthsThatLieAreDeliveredAsTheyAre) {
  EXPECT_FALSE(Receive(large_));
  std::string lie = large_;
  lie[0] = static_cast<char>(lie[0] + 1);
  EXPECT_TRUE(Receive(lie));
  EXPECT_EQ(InMessage(), lie.substr(0, kPrefix));
  EXPECT_EQ(channel_->payload().size(), lie.size() - kPrefix);
  for (const size_t size : {1, 39, 40, 79}) EXPECT_FALSE(Receive(large_.substr(0, size)));
}

TEST_F(DeviceChannelTest, WithoutAPipeThatIsLargeEnoughItIsRead) {
  channel_->UsePipe(1 << 30);
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(Receive(large_));
    EXPECT_EQ(InMessage(), large_);
  }
}

TEST_F(DeviceChannelTest, WithoutBeingToldToItUsesNone) {
  channel_->UsePipe(0);
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(Receive(large_));
}

TEST_F(DeviceChannelTest, TheEndOfTheConnectionIsSeenInEitherWay) {
  EXPECT_FALSE(Receive(large_));
  sockets_.kernel.reset();
  EXPECT_EQ(channel_->Receive(), Reception::kClosed);
}

TEST_F(DeviceChannelTest, AStopIsSeenWhileItWaitsForData) {
  EXPECT_FALSE(Receive(large_));
  stop_ = true;
  EXPECT_EQ(channel_->Receive(), Reception::kStopped);
}

TEST_F(DeviceChannelTest, SendsManyPieces) {
  const std::string head = "0123456789abcdef";
  std::string expected = head;
  std::vector<std::string> parts;
  for (size_t i = 0; i < ReadSink::kMaxPieces; ++i) {
    parts.push_back(RandomBytes(i + 1));
    expected += parts.back();
  }
  std::vector<ReadSink::Piece> pieces(parts.begin(), parts.end());
  EXPECT_EQ(channel_->Send(head, pieces), Delivery::kDelivered);
  std::string got(expected.size() + 1, '#');
  EXPECT_EQ(recv(sockets_.kernel.get(), got.data(), got.size(), 0),
            static_cast<ssize_t>(expected.size()));
  got.pop_back();
  EXPECT_EQ(got, expected);
  pieces.emplace_back("x", 1);
  EXPECT_EQ(channel_->Send(head, pieces), Delivery::kRefused);
}

TEST(RequestPipe, IsMadeWhenItIsNeeded) {
  EXPECT_FALSE(RequestPipe().Ready());
  RequestPipe pipe(RequestPipe::kUsualWrite);
  EXPECT_TRUE(pipe.Ready());
  const int descriptor = pipe.contents()->descriptor;
  EXPECT_EQ(fcntl(descriptor, F_GETPIPE_SZ), 1 << 20);
  EXPECT_EQ(fcntl(descriptor, F_GETFD), FD_CLOEXEC);
  pipe.GiveUp();
  EXPECT_FALSE(pipe.Ready());
  EXPECT_EQ(fcntl(descriptor, F_GETFD), -1);
}

TEST(RequestPipe, NobodyAffordsEverything) {
  EXPECT_TRUE(RequestPipe::Affords(RequestPipe::kUsualWrite));
  EXPECT_FALSE(RequestPipe::Affords(1 << 30));
  EXPECT_FALSE(RequestPipe::Affords(0));
}

// What is no device of requests is found out without a loss.
TEST(RequestPipe, ADeviceThatCannotBeSplicedSaysSo) {
  RequestPipe pipe(1 << 16);
  ASSERT_TRUE(pipe.Ready());
  const base::UniqueFd directory(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_EQ(pipe.Receive(directory.get(), 1 << 16), -1);
  EXPECT_EQ(pipe.contents()->size, 0u);
}

}  // namespace
}  // namespace memfuse::transport
