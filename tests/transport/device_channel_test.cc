// Messages of a socket pair. session_mount_test.cc tests the same on a real mount.

#include "src/transport/device_channel.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "src/protocol/decode.h"
#include "tests/testing/sleeping_thread.h"
#include "tests/transport/socket_kernel.h"
#include "tests/transport/wire_requests.h"

namespace memfuse::transport {
namespace {

constexpr uint32_t kMaxWrite = 256 << 10;

std::string RandomBytes(size_t size) {
  std::mt19937_64 random(size);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

class DeviceChannelTest : public testing::Test {
 protected:
  void SetUp() override {
    auto channel = DeviceChannel::Make(std::move(sockets_.server), kMaxWrite, &stop_);
    ASSERT_TRUE(channel.ok()) << channel.status();
    channel_ = *std::move(channel);
  }

  void Send(const std::string& message) {
    ASSERT_EQ(send(sockets_.kernel.get(), message.data(), message.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(message.size()));
  }
  // Lets the channel receive `message`, and expects it unchanged.
  void Receive(const std::string& message) {
    Send(message);
    EXPECT_EQ(channel_->Receive(), ReceiveStatus::kMessage);
    EXPECT_EQ(InMessage(), message);
  }
  std::string InMessage() const {
    return std::string(channel_->message().begin(), channel_->message().end());
  }

  SocketPair sockets_;
  std::atomic<bool> stop_{false};
  std::unique_ptr<DeviceChannel> channel_;
  const std::string large_ = WriteMessage(1, RandomBytes(100'000));
};

TEST_F(DeviceChannelTest, EverySizeArrivesWhole) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4'096}, size_t{100'001},
                            size_t{kMaxWrite - 1}, size_t{kMaxWrite}}) {
    SCOPED_TRACE(size);
    Receive(WriteMessage(7, RandomBytes(size)));
  }
  for (const std::string& message : GoodRequests(3)) {
    SCOPED_TRACE(OpcodeOf(message));
    Receive(message);
  }
}

TEST_F(DeviceChannelTest, DataOfAWriteBeginsOnAPage) {
  Receive(large_);
  const char* const data = channel_->message().data() + protocol::kWritePrefixSize;
  EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % 4096, 0u);
}

TEST_F(DeviceChannelTest, WrongLengthsAreDeliveredUnchanged) {
  std::string lie = large_;
  lie[0] = static_cast<char>(lie[0] + 1);
  Receive(lie);
  for (const size_t size : {1, 39, 40, 79}) Receive(large_.substr(0, size));
}

TEST_F(DeviceChannelTest, TheEndOfTheConnectionIsSeen) {
  Receive(large_);
  sockets_.kernel.reset();
  EXPECT_EQ(channel_->Receive(), ReceiveStatus::kClosed);
}

TEST_F(DeviceChannelTest, AStopIsSeenBeforeTheNextRequest) {
  Receive(large_);
  stop_ = true;
  EXPECT_EQ(channel_->Receive(), ReceiveStatus::kStopped);
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
  EXPECT_EQ(channel_->Send(head, pieces), SendStatus::kDelivered);
  std::string got(expected.size() + 1, '#');
  EXPECT_EQ(recv(sockets_.kernel.get(), got.data(), got.size(), 0),
            static_cast<ssize_t>(expected.size()));
  got.pop_back();
  EXPECT_EQ(got, expected);
  pieces.emplace_back("x", 1);
  EXPECT_EQ(channel_->Send(head, pieces), SendStatus::kRefused);
}

// The buffer for requests cannot be written to for a while, as if the kernel had no memory for it.
TEST_F(DeviceChannelTest, AReadThatFailsForAWhileIsTriedAgain) {
  Receive(GetattrMessage(1));
  const uintptr_t page = reinterpret_cast<uintptr_t>(channel_->message().data()) & ~uintptr_t{4095};
  void* const buffer = reinterpret_cast<void*>(page);
  ASSERT_EQ(mprotect(buffer, 4096, PROT_NONE), 0);
  Send(GetattrMessage(2));  // lost: the socket removes it from its queue
  const pid_t receiver = gettid();
  std::thread repair([&] {
    // A sleep in read(2) means that the socket is empty, so the first read has failed.
    EXPECT_TRUE(test::AwaitSleep(receiver, test::kReads));
    EXPECT_EQ(mprotect(buffer, 4096, PROT_READ | PROT_WRITE), 0);
    Send(GetattrMessage(3));
  });
  EXPECT_EQ(channel_->Receive(), ReceiveStatus::kMessage);
  repair.join();
  EXPECT_EQ(InMessage(), GetattrMessage(3));
}

// read(2) on the master of a pseudo-terminal fails with EIO while the slave is not open.
TEST(DeviceChannel, EveryTransientErrorIsRetried) {
  base::UniqueFd master(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(master.valid());
  ASSERT_EQ(unlockpt(master.get()), 0);
  const std::string name = ptsname(master.get());
  base::UniqueFd(open(name.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC)).reset();
  std::atomic<bool> stop{false};
  const int descriptor = master.get();
  auto channel = DeviceChannel::Make(std::move(master), kMaxWrite, &stop);
  ASSERT_TRUE(channel.ok());
  char byte;
  ASSERT_EQ(read(descriptor, &byte, 1), -1);
  ASSERT_EQ(errno, EIO);
  base::UniqueFd other;
  const pid_t receiver = gettid();
  std::thread repair([&] {
    // The first read has failed.
    EXPECT_TRUE(test::AwaitSleep(receiver, test::kPolls));
    other.reset(open(name.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    EXPECT_EQ(write(other.get(), "x", 1), 1);
  });
  EXPECT_EQ((*channel)->Receive(), ReceiveStatus::kMessage);
  repair.join();
}

TEST(DeviceChannel, AStopEndsTheWait) {
  base::UniqueFd master(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(master.valid());
  ASSERT_EQ(unlockpt(master.get()), 0);
  base::UniqueFd(open(ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC)).reset();
  std::atomic<bool> stop{false};
  auto channel = DeviceChannel::Make(std::move(master), kMaxWrite, &stop);
  ASSERT_TRUE(channel.ok());
  const pid_t receiver = gettid();
  std::thread stopper([&] {
    EXPECT_TRUE(test::AwaitSleep(receiver, test::kPolls));
    stop = true;
  });
  EXPECT_EQ((*channel)->Receive(), ReceiveStatus::kStopped);
  stopper.join();
}

TEST(DeviceChannel, APermanentErrorIsTheEnd) {
  for (const int flags : {O_RDONLY | O_DIRECTORY, O_PATH}) {
    std::atomic<bool> stop{false};
    auto channel =
        DeviceChannel::Make(base::UniqueFd(open("/", flags | O_CLOEXEC)), kMaxWrite, &stop);
    ASSERT_TRUE(channel.ok());
    EXPECT_EQ((*channel)->Receive(), ReceiveStatus::kFailed);
  }
}

}  // namespace
}  // namespace memfuse::transport
