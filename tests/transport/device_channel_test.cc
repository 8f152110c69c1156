// Messages of a socket pair. splice(2) takes them apart as it does with those of /dev/fuse.
// session_mount_test.cc tests the same on a real mount.

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

#include "src/transport/splice_pipe.h"
#include "tests/testing/sleeping_thread.h"
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
    channel_->UsePipes(&pipes_);
  }

  void Send(const std::string& message) {
    ASSERT_EQ(send(sockets_.kernel.get(), message.data(), message.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(message.size()));
  }
  // Lets the channel receive `message`; returns whether its data arrived in a pipe.
  bool Receive(const std::string& message) {
    Send(message);
    EXPECT_EQ(channel_->Receive(), ReceiveStatus::kMessage);
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
  PipePool pipes_{kMaxWrite, /*soft_limit=*/0};
  std::unique_ptr<DeviceChannel> channel_;
  const std::string large_ = WriteMessage(1, RandomBytes(100'000));
};

TEST_F(DeviceChannelTest, DataOfAWriteAfterALargeWriteStaysInThePipe) {
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

TEST_F(DeviceChannelTest, OtherRequestsAreReadIntoTheMessage) {
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

TEST_F(DeviceChannelTest, UnreadDataIsDrained) {
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

TEST_F(DeviceChannelTest, APipeWithMissingDataIsReplaced) {
  EXPECT_FALSE(Receive(large_));
  ASSERT_TRUE(Receive(large_));
  // Reads data from the pipe without the channel's knowledge.
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

TEST_F(DeviceChannelTest, WrongLengthsAreDeliveredUnchanged) {
  EXPECT_FALSE(Receive(large_));
  std::string lie = large_;
  lie[0] = static_cast<char>(lie[0] + 1);
  EXPECT_TRUE(Receive(lie));
  EXPECT_EQ(InMessage(), lie.substr(0, kPrefix));
  EXPECT_EQ(channel_->payload().size(), lie.size() - kPrefix);
  for (const size_t size : {1, 39, 40, 79}) EXPECT_FALSE(Receive(large_.substr(0, size)));
}

TEST_F(DeviceChannelTest, WithoutALargePipeMessagesAreRead) {
  PipePool none(1 << 30, /*soft_limit=*/0);
  channel_->UsePipes(&none);
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(Receive(large_));
    EXPECT_EQ(InMessage(), large_);
  }
}

TEST_F(DeviceChannelTest, UsesNoPipeByDefault) {
  channel_->UsePipes(nullptr);
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(Receive(large_));
}

TEST_F(DeviceChannelTest, TheEndOfTheConnectionIsSeenByReadAndSplice) {
  EXPECT_FALSE(Receive(large_));
  sockets_.kernel.reset();
  EXPECT_EQ(channel_->Receive(), ReceiveStatus::kClosed);
}

TEST_F(DeviceChannelTest, AStopIsSeenWhileItWaitsForData) {
  EXPECT_FALSE(Receive(large_));
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

TEST_F(DeviceChannelTest, AWorkerWithoutAPipeReads) {
  std::unique_ptr<SplicePipe> taken[] = {pipes_.Take(), pipes_.Take()};
  ASSERT_NE(taken[1], nullptr);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(Receive(large_));
  pipes_.Return(std::move(taken[0]));
  EXPECT_TRUE(Receive(large_));
  pipes_.Return(std::move(taken[1]));
}

TEST_F(DeviceChannelTest, APipeIsReturnedAfterTheLastLargeWrite) {
  EXPECT_FALSE(Receive(large_));
  EXPECT_TRUE(Receive(large_));
  for (int i = 0; i < 6; ++i) EXPECT_FALSE(Receive(GetattrMessage(1)));
  std::unique_ptr<SplicePipe> taken[] = {pipes_.Take(), pipes_.Take()};
  EXPECT_NE(taken[0], nullptr);
  EXPECT_NE(taken[1], nullptr) << "the channel still has one";
  for (auto& pipe : taken) pipes_.Return(std::move(pipe));
}

TEST_F(DeviceChannelTest, AnUnusedPipeIsRecalled) {
  EXPECT_FALSE(channel_->ReleaseIdle()) << "it has none";
  EXPECT_FALSE(Receive(large_));
  EXPECT_TRUE(Receive(large_));
  EXPECT_FALSE(channel_->ReleaseIdle()) << "it was used a moment ago";
  EXPECT_TRUE(channel_->ReleaseIdle());
  EXPECT_FALSE(Receive(large_)) << "it was given back before this request";
  EXPECT_TRUE(Receive(large_));
}

// The buffer for requests cannot be written to for a while, as if the kernel had no memory for it.
TEST_F(DeviceChannelTest, AReadThatFailsForAWhileIsTriedAgain) {
  EXPECT_FALSE(Receive(GetattrMessage(1)));
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

TEST(SplicePipe, HasTheRequiredSize) {
  const std::unique_ptr<SplicePipe> pipe = SplicePipe::Make(SplicePipe::kDefaultMaxWrite);
  ASSERT_NE(pipe, nullptr);
  EXPECT_EQ(fcntl(pipe->contents()->descriptor, F_GETPIPE_SZ), 1 << 20);
  EXPECT_EQ(fcntl(pipe->contents()->descriptor, F_GETFD), FD_CLOEXEC);
}

TEST(PipePool, LimitsPipesAndClosesUnusedOnes) {
  PipePool pool(SplicePipe::kDefaultMaxWrite, /*soft_limit=*/0);
  std::unique_ptr<SplicePipe> a = pool.Take();
  std::unique_ptr<SplicePipe> b = pool.Take();
  ASSERT_NE(a, nullptr);
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(pool.Take(), nullptr);
  const int first = a->contents()->descriptor;
  const int second = b->contents()->descriptor;
  pool.Return(std::move(a));
  pool.ReleaseIdle();
  EXPECT_GE(fcntl(first, F_GETFD), 0) << "it may be wanted soon";
  a = pool.Take();
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->contents()->descriptor, first);
  pool.Return(std::move(a));
  pool.ReleaseIdle();
  pool.ReleaseIdle();
  EXPECT_EQ(fcntl(first, F_GETFD), -1);
  EXPECT_GE(fcntl(second, F_GETFD), 0);
  a = pool.Take();
  EXPECT_NE(a, nullptr) << "there may be as many as before";
  pool.GiveUp();
  pool.Return(std::move(a));
  pool.Return(std::move(b));
  EXPECT_EQ(fcntl(second, F_GETFD), -1);
  EXPECT_EQ(pool.Take(), nullptr);
}

TEST(PipePool, LeavesMostOfTheUsersPipeBuffersToOtherProcesses) {
  const auto most = [](uint64_t soft_limit) {
    PipePool pool(SplicePipe::kDefaultMaxWrite, soft_limit);
    std::vector<std::unique_ptr<SplicePipe>> taken;
    while (auto pipe = pool.Take()) taken.push_back(std::move(pipe));
    const size_t count = taken.size();
    for (auto& pipe : taken) pool.Return(std::move(pipe));
    return count;
  };
  EXPECT_EQ(most(16384), 2u) << "the usual limit";
  EXPECT_EQ(most(2 * 16 * 256 - 1), 1u);
  EXPECT_EQ(most(16 * 256 - 1), 0u);
  EXPECT_EQ(most(0), 2u) << "no limit";
}

TEST(SplicePipe, AvailableDependsOnTheSize) {
  EXPECT_TRUE(SplicePipe::Available(SplicePipe::kDefaultMaxWrite));
  EXPECT_FALSE(SplicePipe::Available(1 << 30));
  EXPECT_FALSE(SplicePipe::Available(0));
}

// Receive fails on a descriptor that splice(2) does not support, and loses no data.
TEST(SplicePipe, ReceiveFailsOnADeviceWithoutSplice) {
  const std::unique_ptr<SplicePipe> pipe = SplicePipe::Make(1 << 16);
  ASSERT_NE(pipe, nullptr);
  const base::UniqueFd directory(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_EQ(pipe->Receive(directory.get(), 1 << 16), -1);
  EXPECT_EQ(pipe->contents()->size, 0u);
}

}  // namespace
}  // namespace memfuse::transport
