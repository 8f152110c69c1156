// Sessions with requests through io_uring. They need a kernel with FUSE over io_uring, and root to
// enable it.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "memfuse/session.h"
#include "src/base/unique_fd.h"
#include "src/transport/ring_channel.h"
#include "tests/testing/sleeping_thread.h"
#include "tests/transport/fake_filesystem.h"
#include "tests/transport/gate.h"
#include "tests/transport/mount_fixture.h"

namespace memfuse::transport {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr char kSwitch[] = "/sys/module/fuse/parameters/enable_uring";

TEST(RingChannelTest, EveryPossibleCpuHasAQueue) {
  EXPECT_GE(RingChannel::QueueCount(), static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
}

TEST(RingChannelTest, FailsWhereTheDeviceTakesNoEntries) {
  const base::UniqueFd file(memfd_create("no-fuse", MFD_CLOEXEC));
  const std::atomic<bool> stop{false};
  auto channel = RingChannel::Make(file.get(), 0, 1 << 20, &stop);
  ASSERT_TRUE(channel.ok()) << channel.status();
  std::thread([&] {
    (*channel)->Enter();
    EXPECT_EQ((*channel)->Receive(), ReceiveStatus::kFailed);
  }).join();
}

// Moves the calling thread.
bool RunOnCpu(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  return sched_setaffinity(0, sizeof(set), &set) == 0;
}

class SessionUringTest : public MountFixture {
 protected:
  void SetUp() override {
    MountFixture::SetUp();
    std::ifstream(kSwitch) >> before_;
    Switch('Y');
  }
  void TearDown() override {
    MountFixture::TearDown();
    Switch(before_);
  }
  static void Switch(char value) { std::ofstream(kSwitch) << value; }

  std::unique_ptr<Session> Mount() {
    MountOptions mount;
    mount.mount_point = directory();
    SessionOptions options;
    options.threads = 3;
    options.io_uring = true;
    absl::StatusOr<std::unique_ptr<Session>> session = Session::Mount(mount, options, &fs_);
    EXPECT_TRUE(session.ok()) << session.status();
    return session.ok() ? *std::move(session) : nullptr;
  }
  std::string Path(const char* name) const { return directory() + "/" + name; }
  int Stat(const char* name) const {
    struct stat st;
    return stat(Path(name).c_str(), &st) == 0 ? 0 : errno;
  }

  char before_ = 'N';
  FakeFileSystem fs_;
};

TEST_F(SessionUringTest, CarriesDataBothWays) {
  std::mutex mu;
  std::string file(5 << 20, '\0');
  fs_.file_size = file.size();
  fs_.on_write = [&](const WriteRequest& request) -> Result<size_t> {
    const std::lock_guard<std::mutex> lock(mu);
    std::copy(request.data.begin(), request.data.end(), &file[request.offset]);
    return request.data.size();
  };
  fs_.on_read = [&](const ReadRequest& request, ReadSink* sink) -> Result<size_t> {
    const std::lock_guard<std::mutex> lock(mu);
    EXPECT_FALSE(sink->gathers());
    const absl::Span<char> out = sink->buffer();
    const size_t count = std::min<size_t>(out.size(), file.size() - request.offset);
    std::memcpy(out.data(), file.data() + request.offset, count);
    return count;
  };
  const auto session = Mount();
  ASSERT_NE(session, nullptr);
  EXPECT_TRUE(session->uses_io_uring());
  EXPECT_THAT(session->DescribeTransport(), StartsWith("io_uring, "));
  std::string data(file.size(), '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 31 + i / 4096);
  const base::UniqueFd fd(open(Path("file").c_str(), O_RDWR | O_DIRECT));
  ASSERT_TRUE(fd.valid());
  // Pieces of every size up to the largest request and beyond.
  size_t at = 0;
  for (size_t size = 1; at < data.size(); size = size * 3 + 1) {
    const size_t piece = std::min(size, data.size() - at);
    ASSERT_EQ(pwrite(fd.get(), data.data() + at, piece, static_cast<off_t>(at)),
              static_cast<ssize_t>(piece));
    at += piece;
  }
  EXPECT_TRUE(file == data);
  std::string back(data.size(), '#');
  ASSERT_EQ(pread(fd.get(), back.data(), back.size(), 0), static_cast<ssize_t>(back.size()));
  EXPECT_TRUE(back == data);
}

TEST_F(SessionUringTest, CarriesAnswersOfEverySize) {
  const auto session = Mount();
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(Stat("missing"), ENOENT);
  EXPECT_EQ(Stat("there"), 0);
  for (const size_t size : {0, 1, 4095, 4096, 65536}) {
    fs_.xattr.assign(size, 'x');
    char value[65536];
    EXPECT_EQ(getxattr(Path("there").c_str(), "user.a", value, sizeof(value)),
              static_cast<ssize_t>(size));
  }
  fs_.xattr_list.clear();
  EXPECT_EQ(listxattr(Path("there").c_str(), nullptr, 0), 0);
  char target[100];
  fs_.on_call = [] { throw std::bad_alloc(); };
  EXPECT_EQ(readlink(Path("there").c_str(), target, sizeof(target)), -1);
  struct statfs s;
  EXPECT_EQ(statfs(directory().c_str(), &s), -1);
  EXPECT_EQ(errno, ENOMEM);
  fs_.on_call = [] {};
  EXPECT_EQ(statfs(directory().c_str(), &s), 0);
}

TEST_F(SessionUringTest, ServesEveryCpuAndUnmountsWhileItDoes) {
  const auto session = Mount();
  ASSERT_NE(session, nullptr);
  const int cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  std::atomic<bool> done{false};
  Gate served;
  served.Open();
  std::vector<std::thread> threads;
  for (int i = 0; i < 2 * cpus; ++i) {
    threads.emplace_back([&, i] {
      RunOnCpu(i % cpus);
      bool first = true;
      while (!done) {
        if (Statfs() == 0 && std::exchange(first, false)) served.Pass();
      }
    });
  }
  EXPECT_TRUE(served.AwaitArrivals(2 * cpus));
  EXPECT_TRUE(session->Unmount(absl::Seconds(10)).ok());
  EXPECT_FALSE(IsMounted());
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(fs_.opens, 0);
}

// The worker that serves the queue of a CPU. The first worker, "memfuse-0", serves /dev/fuse.
pid_t WorkerOfCpu(int cpu) {
  const std::string name = "memfuse-" + std::to_string(1 + cpu);
  // Its thread may not have its name yet.
  EXPECT_TRUE(test::AwaitState([&] { return !test::ThreadsWithName(name).empty(); })) << name;
  const std::vector<pid_t> threads = test::ThreadsWithName(name);
  return threads.empty() ? -1 : threads.front();
}

// Other programs may use the CPUs, so a worker may change its policy at any time. A worker does so
// before it sends the reply to a request. If each request of a CPU is followed by a look at the
// policy, no policy of its worker is missed.
TEST_F(SessionUringTest, WorkersUseSchedIdleUnlessTheirCpusAreBusy) {
  const auto session = Mount();
  ASSERT_NE(session, nullptr);
  const int cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  // On each CPU, makes requests until its worker has had that policy after one of them. If it never
  // has, the fixture ends the test.
  const auto await_policy = [&](int policy) {
    std::vector<std::thread> threads;
    for (int cpu = 0; cpu < cpus; ++cpu) {
      threads.emplace_back([&, cpu] {
        ASSERT_TRUE(RunOnCpu(cpu)) << cpu;
        const pid_t worker = WorkerOfCpu(cpu);
        do {
          ASSERT_EQ(Statfs(), 0);
        } while (sched_getscheduler(worker) != policy);
      });
    }
    for (std::thread& thread : threads) thread.join();
  };
  await_policy(SCHED_IDLE);
  std::atomic<bool> busy{true};
  std::vector<std::thread> hogs;
  for (int cpu = 0; cpu < cpus; ++cpu) {
    hogs.emplace_back([&busy, cpu] {
      RunOnCpu(cpu);
      while (busy) {
      }
    });
  }
  await_policy(SCHED_OTHER);
  busy = false;
  for (std::thread& hog : hogs) hog.join();
  await_policy(SCHED_IDLE);
}

// The kernel rejects a reply. Neither its caller nor later callers may wait forever.
TEST_F(SessionUringTest, AQueueThatFailsEndsTheMount) {
  const auto session = Mount();
  ASSERT_NE(session, nullptr);
  ASSERT_TRUE(session->uses_io_uring());
  BreakAFuseDescriptor();
  std::thread caller([this] { EXPECT_NE(Statfs(), 0); });
  EXPECT_TRUE(session->WaitFor(absl::Seconds(20)));
  EXPECT_TRUE(session->failed());
  EXPECT_TRUE(session->Unmount(absl::Seconds(10)).ok());
  EXPECT_FALSE(IsMounted());
  caller.join();
}

TEST_F(SessionUringTest, WithoutUringTheDeviceServes) {
  Switch('N');
  const auto session = Mount();
  ASSERT_NE(session, nullptr);
  EXPECT_FALSE(session->uses_io_uring());
  EXPECT_EQ(session->DescribeTransport(),
            "/dev/fuse, 3 threads; no io_uring: no administrator has switched it on");
  EXPECT_EQ(Stat("there"), 0);
}

}  // namespace
}  // namespace memfuse::transport
