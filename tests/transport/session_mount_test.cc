// Sessions on real mounts.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "memfuse/session.h"
#include "src/protocol/encode.h"
#include "src/transport/device_channel.h"
#include "tests/transport/fake_filesystem.h"
#include "tests/transport/mount_fixture.h"

namespace memfuse::transport {
namespace {

using testing::HasSubstr;

class SessionMountTest : public MountFixture {
 protected:
  MountOptions Where() const {
    MountOptions options;
    options.mount_point = directory();
    return options;
  }

  std::unique_ptr<Session> Mount(const MountOptions& mount, int threads) {
    SessionOptions options;
    options.threads = threads;
    absl::StatusOr<std::unique_ptr<Session>> session = Session::Mount(mount, options, &fs_);
    EXPECT_TRUE(session.ok()) << session.status();
    return session.ok() ? *std::move(session) : nullptr;
  }

  // A second session on a descriptor of the same connection.
  std::unique_ptr<Session> AdoptClone(Session* first, const std::string& mount_point) {
    absl::StatusOr<int> clone = first->CloneDescriptor();
    EXPECT_TRUE(clone.ok()) << clone.status();
    if (!clone.ok()) return nullptr;
    Session::AdoptOptions adopt;
    adopt.descriptors = {*clone};
    adopt.initialized = first->parameters();
    adopt.mount_point = mount_point;
    absl::StatusOr<std::unique_ptr<Session>> session =
        Session::Adopt(adopt, SessionOptions{}, &fs_);
    EXPECT_TRUE(session.ok()) << session.status();
    return session.ok() ? *std::move(session) : nullptr;
  }

  FakeFileSystem fs_;
};

// The data of buffered writes arrives unchanged, wherever it begins in a page.
TEST_F(SessionMountTest, TheDataOfBufferedWritesArrives) {
  std::mutex mu;
  std::string file(3 << 20, '\0');
  int large = 0;
  fs_.on_write = [&](const WriteRequest& request) -> Result<size_t> {
    const size_t size = request.data.size();
    const std::lock_guard<std::mutex> lock(mu);
    EXPECT_LE(request.offset + size, file.size());
    // Every third large write is short.
    const bool cut = size >= 32'768 && ++large % 3 == 2;
    const absl::Span<const char> taken = request.data.first(cut ? size / 2 : size);
    std::copy(taken.begin(), taken.end(), &file[request.offset]);
    return taken.size();
  };
  const std::unique_ptr<Session> session = Mount(Where(), 2);
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(session->parameters().max_write, 1u << 20);
  EXPECT_EQ(session->parameters().max_pages, 256u);
  std::string data(3 << 20, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i / 3 + i / 4099);
  const base::UniqueFd fd(open((directory() + "/name").c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(fd.valid());
  for (const size_t begin : {0, 5, 4096, 4095, 100'001}) {
    std::fill(file.begin(), file.end(), '\0');
    size_t at = begin;
    while (at < data.size()) {
      const ssize_t n = pwrite(fd.get(), &data[at], data.size() - at, static_cast<off_t>(at));
      ASSERT_GT(n, 0) << at << ": " << std::strerror(errno);
      at += static_cast<size_t>(n);
    }
    const std::lock_guard<std::mutex> lock(mu);
    ASSERT_TRUE(file.substr(begin) == data.substr(begin)) << begin;
  }
  EXPECT_GT(large, 10);
}

TEST_F(SessionMountTest, AReadIsSentInManyPieces) {
  std::string file(1 << 20, '\0');
  fs_.file_size = file.size();
  for (size_t i = 0; i < file.size(); ++i) file[i] = static_cast<char>(i / 3 + i / 4099);
  fs_.on_read = [&](const ReadRequest& request, ReadSink* sink) -> Result<size_t> {
    EXPECT_TRUE(sink->gathers());
    std::vector<ReadSink::Piece> pieces;
    const size_t end = std::min<size_t>(file.size(), request.offset + sink->buffer().size());
    for (size_t at = request.offset; at < end;) {
      const size_t size = std::min<size_t>(end - at, 2'111 + at % 7);
      pieces.emplace_back(&file[at], size);
      at += size;
    }
    sink->Send(pieces);
    return end - request.offset;
  };
  const std::unique_ptr<Session> session = Mount(Where(), 2);
  ASSERT_NE(session, nullptr);
  const base::UniqueFd fd(open((directory() + "/name").c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
  ASSERT_TRUE(fd.valid());
  for (const size_t begin : {0, 4096, 512}) {
    std::string out(1 << 20, '#');
    ASSERT_EQ(pread(fd.get(), out.data(), out.size(), static_cast<off_t>(begin)),
              static_cast<ssize_t>(file.size() - begin));
    out.resize(file.size() - begin);
    EXPECT_TRUE(out == file.substr(begin)) << begin;
  }
}

TEST_F(SessionMountTest, WithoutPermissionChecksOnlyForRootAlone) {
  SessionOptions unchecked;
  unchecked.kernel_permissions = false;
  MountOptions mount = Where();
  mount.allow_other = true;
  EXPECT_EQ(Session::Mount(mount, unchecked, &fs_).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(MountInfo(), testing::IsEmpty());
  mount.allow_other = false;
  for (const bool helper : {false, true}) {
    mount.force_helper = helper;
    absl::StatusOr<std::unique_ptr<Session>> session = Session::Mount(mount, unchecked, &fs_);
    ASSERT_TRUE(session.ok()) << session.status();
    // The kernel turns the checks on by itself if POSIX ACLs are negotiated.
    EXPECT_THAT(MountInfo(), testing::Not(HasSubstr("default_permissions")));
    EXPECT_THAT(MountInfo(), testing::Not(HasSubstr("allow_other")));
    EXPECT_EQ(Statfs(), 0);
    EXPECT_TRUE((*session)->Unmount(absl::Seconds(5)).ok());
  }
}

TEST_F(SessionMountTest, MountsServesAndUnmounts) {
  const std::unique_ptr<Session> session = Mount(Where(), 3);
  ASSERT_NE(session, nullptr);
  EXPECT_THAT(MountInfo(), HasSubstr(" - fuse.memfuse memfuse "));
  EXPECT_THAT(MountInfo(), HasSubstr("default_permissions,allow_other"));
  EXPECT_EQ(FuseDescriptors(), 3);
  EXPECT_EQ(Statfs(), 0);
  struct stat status;
  ASSERT_EQ(stat(directory().c_str(), &status), 0);
  EXPECT_EQ(status.st_ino, 1u);
  ASSERT_EQ(stat((directory() + "/name").c_str(), &status), 0);
  EXPECT_EQ(status.st_ino, 2u);
  EXPECT_EQ(stat((directory() + "/missing").c_str(), &status), -1);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_GE(session->Statistics()[17 /* STATFS */].requests, 1u);
  EXPECT_GE(session->parameters().minor, 31u);

  EXPECT_TRUE(session->Unmount(absl::Seconds(10)).ok());
  EXPECT_FALSE(IsMounted());
  EXPECT_EQ(FuseDescriptors(), 0);
  EXPECT_TRUE(session->WaitFor(absl::ZeroDuration()));
  EXPECT_TRUE(session->Unmount(absl::Seconds(10)).ok());
}

TEST_F(SessionMountTest, TheDestructorUnmounts) {
  { const std::unique_ptr<Session> session = Mount(Where(), 1); }
  EXPECT_FALSE(IsMounted());
  EXPECT_EQ(FuseDescriptors(), 0);
}

TEST_F(SessionMountTest, MountsAndUnmountsManyTimes) {
  for (int i = 0; i < 20; ++i) {
    const std::unique_ptr<Session> session = Mount(Where(), 1 + i % 4);
    ASSERT_NE(session, nullptr);
    if (i % 2 == 0) {
      EXPECT_EQ(Statfs(), 0);
    }
    EXPECT_TRUE(session->Unmount(absl::Seconds(10)).ok());
    EXPECT_FALSE(IsMounted());
  }
}

TEST_F(SessionMountTest, FlagsAndFsnameAreShown) {
  for (const bool helper : {false, true}) {
    MountOptions options = Where();
    options.fsname = "a,b\\c";
    options.read_only = options.nosuid = options.nodev = options.noexec = options.noatime = true;
    options.force_helper = helper;
    const std::unique_ptr<Session> session = Mount(options, 1);
    ASSERT_NE(session, nullptr);
    EXPECT_THAT(MountInfo(), HasSubstr(" ro,nosuid,nodev,noexec,noatime "));
    EXPECT_THAT(MountInfo(), HasSubstr(" - fuse.memfuse a,b\\134c "));
    EXPECT_TRUE(session->Unmount(absl::Seconds(10)).ok());
    EXPECT_FALSE(IsMounted());
  }
}

TEST_F(SessionMountTest, TheHelperMountsAndUnmounts) {
  MountOptions options = Where();
  options.force_helper = true;
  const std::unique_ptr<Session> session = Mount(options, 2);
  ASSERT_NE(session, nullptr);
  EXPECT_THAT(MountInfo(), HasSubstr(" - fuse.memfuse memfuse "));
  EXPECT_EQ(FuseDescriptors(), 2);
  EXPECT_EQ(Statfs(), 0);
  EXPECT_TRUE(session->Unmount(absl::Seconds(10)).ok());
  EXPECT_FALSE(IsMounted());
}

TEST_F(SessionMountTest, TheHelperDetachesABusyMount) {
  MountOptions options = Where();
  options.force_helper = true;
  const std::unique_ptr<Session> session = Mount(options, 2);
  ASSERT_NE(session, nullptr);
  const int file = open((directory() + "/name").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(file, 0);
  EXPECT_TRUE(session->Unmount(absl::Milliseconds(200)).ok());
  EXPECT_FALSE(IsMounted());
  close(file);
}

TEST_F(SessionMountTest, TwoRequestsAreServedAtTheSameTime) {
  std::mutex mu;
  std::condition_variable both_here;
  int inside = 0;
  std::atomic<int> met{0};
  fs_.on_call = [&] {
    std::unique_lock<std::mutex> lock(mu);
    ++inside;
    both_here.notify_all();
    if (both_here.wait_for(lock, std::chrono::seconds(20), [&] { return inside >= 2; })) ++met;
  };
  const std::unique_ptr<Session> session = Mount(Where(), 2);
  ASSERT_NE(session, nullptr);
  std::thread first([&] { EXPECT_EQ(Statfs(), 0); });
  std::thread second([&] { EXPECT_EQ(Statfs(), 0); });
  first.join();
  second.join();
  EXPECT_EQ(met, 2);
  for (const uint64_t count : session->WorkerRequestCounts()) EXPECT_GE(count, 1u);
  // Ends before the objects that the workers use are destroyed.
  EXPECT_TRUE(session->Unmount(absl::Seconds(10)).ok());
}

TEST_F(SessionMountTest, AddsWorkersWhileItServes) {
  const std::unique_ptr<Session> session = Mount(Where(), 1);
  ASSERT_NE(session, nullptr);
  ASSERT_TRUE(session->AddWorker().ok());
  ASSERT_TRUE(session->AddWorker().ok());
  EXPECT_EQ(FuseDescriptors(), 3);
  EXPECT_EQ(session->WorkerRequestCounts().size(), 3u);
  EXPECT_EQ(Statfs(), 0);
}

TEST_F(SessionMountTest, AClonedDescriptorIsServedByAnotherSession) {
  const std::unique_ptr<Session> first = Mount(Where(), 2);
  ASSERT_NE(first, nullptr);
  const std::unique_ptr<Session> second = AdoptClone(first.get(), directory());
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(Statfs(), 0);
  // The connection outlives the session that mounted it.
  first->Stop();
  EXPECT_EQ(FuseDescriptors(), 1);
  const uint64_t before = second->WorkerRequestCounts()[0];
  EXPECT_EQ(Statfs(), 0);
  EXPECT_GT(second->WorkerRequestCounts()[0], before);
  ASSERT_TRUE(second->AddWorker().ok());
  EXPECT_EQ(Statfs(), 0);
  EXPECT_TRUE(second->Unmount(absl::Seconds(10)).ok());
  EXPECT_FALSE(IsMounted());
}

TEST_F(SessionMountTest, UnmountingEndsEverySessionOfTheConnection) {
  const std::unique_ptr<Session> first = Mount(Where(), 2);
  ASSERT_NE(first, nullptr);
  const std::unique_ptr<Session> second = AdoptClone(first.get(), "");
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(Statfs(), 0);
  EXPECT_FALSE(second->WaitFor(absl::ZeroDuration()));
  EXPECT_TRUE(first->Unmount(absl::Seconds(10)).ok());
  EXPECT_TRUE(second->WaitFor(absl::Seconds(20)));
}

TEST_F(SessionMountTest, AnotherProcessUnmounts) {
  const std::unique_ptr<Session> session = Mount(Where(), 3);
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(Statfs(), 0);
  EXPECT_FALSE(session->WaitFor(absl::ZeroDuration()));
  ASSERT_EQ(umount2(directory().c_str(), 0), 0);
  EXPECT_TRUE(session->WaitFor(absl::Seconds(20)));
  EXPECT_FALSE(session->AddWorker().ok());
  EXPECT_TRUE(session->Unmount(absl::Seconds(10)).ok());
  EXPECT_EQ(FuseDescriptors(), 0);
}

TEST_F(SessionMountTest, AForeignMountInItsPlaceIsNotUnmounted) {
  const std::unique_ptr<Session> session = Mount(Where(), 1);
  ASSERT_NE(session, nullptr);
  ASSERT_EQ(umount2(directory().c_str(), 0), 0);
  ASSERT_TRUE(session->WaitFor(absl::Seconds(20)));
  // The new mount gets the IDs that have just become free.
  const std::unique_ptr<Session> foreign = Mount(Where(), 1);
  ASSERT_NE(foreign, nullptr);
  EXPECT_TRUE(session->Unmount(absl::Seconds(10)).ok());
  EXPECT_TRUE(IsMounted());
  EXPECT_EQ(Statfs(), 0);
}

TEST_F(SessionMountTest, AMountOnTopOfItIsNotUnmounted) {
  const std::unique_ptr<Session> session = Mount(Where(), 1);
  ASSERT_NE(session, nullptr);
  ASSERT_EQ(::mount("none", directory().c_str(), "tmpfs", 0, nullptr), 0);
  EXPECT_TRUE(session->Unmount(absl::Milliseconds(100)).ok());
  EXPECT_THAT(MountInfo(), HasSubstr(" - tmpfs "));
}

TEST_F(SessionMountTest, AMountInUseIsDetachedAndEnded) {
  const std::unique_ptr<Session> session = Mount(Where(), 2);
  ASSERT_NE(session, nullptr);
  const int file = open((directory() + "/name").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(file, 0);
  // Would not return if it waited for the file to be closed.
  EXPECT_TRUE(session->Unmount(absl::Milliseconds(300)).ok());
  EXPECT_FALSE(IsMounted());
  EXPECT_EQ(FuseDescriptors(), 0);
  struct statfs status;
  EXPECT_EQ(fstatfs(file, &status), -1);
  EXPECT_EQ(errno, ENOTCONN);
  close(file);
}

TEST_F(SessionMountTest, AMountInUseEndsWithItsLastUser) {
  const std::unique_ptr<Session> session = Mount(Where(), 2);
  ASSERT_NE(session, nullptr);
  const int file = open((directory() + "/name").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(file, 0);
  std::thread user([&] {
    AwaitUnmount();
    close(file);
  });
  EXPECT_TRUE(session->Unmount(absl::Seconds(50)).ok());
  user.join();
}

TEST_F(SessionMountTest, AnAbortedConnectionEndsAndItsMountIsCleared) {
  const std::unique_ptr<Session> session = Mount(Where(), 2);
  ASSERT_NE(session, nullptr);
  struct stat status;
  ASSERT_EQ(stat(directory().c_str(), &status), 0);
  const std::string control = "/tmp/memfuse-transport-control-" + std::to_string(getpid());
  ASSERT_EQ(mkdir(control.c_str(), 0700), 0);
  ASSERT_EQ(::mount("none", control.c_str(), "fusectl", 0, nullptr), 0);
  std::ofstream(control + "/" + std::to_string(minor(status.st_dev)) + "/abort") << "1";
  EXPECT_EQ(umount2(control.c_str(), MNT_DETACH), 0);
  EXPECT_EQ(rmdir(control.c_str()), 0);
  EXPECT_TRUE(session->WaitFor(absl::Seconds(20)));
  EXPECT_EQ(Statfs(), ENOTCONN);
  EXPECT_TRUE(IsMounted());
  EXPECT_TRUE(session->Unmount(absl::Seconds(10)).ok());
  EXPECT_FALSE(IsMounted());
}

// The worker that can no longer read notices it after its next request. Its reply is lost, but the
// caller must not wait forever.
TEST_F(SessionMountTest, AWorkerThatCannotReadEndsTheMount) {
  const std::unique_ptr<Session> session = Mount(Where(), 3);
  ASSERT_NE(session, nullptr);
  BreakAFuseDescriptor();
  std::vector<std::thread> callers;
  // The kernel gives each request to the worker that has waited longest, if that worker is fast
  // enough.
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] {
      while (!session->failed()) Statfs();
    });
  }
  EXPECT_TRUE(session->WaitFor(absl::Seconds(20)));
  EXPECT_TRUE(session->failed());
  EXPECT_TRUE(session->Unmount(absl::Seconds(10)).ok());
  EXPECT_FALSE(IsMounted());
  for (std::thread& caller : callers) caller.join();
}

TEST_F(SessionMountTest, RepliesThatTheKernelDoesNotWaitFor) {
  const std::unique_ptr<Session> session = Mount(Where(), 1);
  ASSERT_NE(session, nullptr);
  absl::StatusOr<int> clone = session->CloneDescriptor();
  ASSERT_TRUE(clone.ok());
  std::atomic<bool> stop{false};
  auto channel = DeviceChannel::Make(base::UniqueFd(*clone), 4096, &stop);
  ASSERT_TRUE(channel.ok());
  char reply[protocol::kReplyHeaderSize];
  protocol::EncodeReplyHeader(RequestId{uint64_t{1} << 50}, 0, 0, absl::MakeSpan(reply));
  EXPECT_EQ((*channel)->Send(reply, {}), SendStatus::kAbandoned);
  // The length field is wrong.
  protocol::EncodeReplyHeader(RequestId{uint64_t{1} << 50}, 0, 100, absl::MakeSpan(reply));
  EXPECT_EQ((*channel)->Send(reply, {}), SendStatus::kRefused);
  EXPECT_EQ(Statfs(), 0);
}

}  // namespace
}  // namespace memfuse::transport
