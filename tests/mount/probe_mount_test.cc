// Mounts whose daemon answers, aborts requests, or dies. The tests need root and /dev/fuse.

#include "src/mount/probe_mount.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "src/base/unique_fd.h"
#include "tests/transport/mount_fixture.h"

namespace memfuse::mount {
namespace {

class ProbeMountTest : public transport::MountFixture {
 protected:
  void TearDown() override {
    if (daemon_.joinable()) {
      umount2(directory().c_str(), MNT_DETACH);
      daemon_.join();
    }
    device_.reset();
    MountFixture::TearDown();
  }

  // Mounts, and answers GETATTR requests with the result of `answer`: an errno, 0, or kDies. The
  // argument of `answer` is the number of the request, from 0.
  static constexpr int kDies = -1;
  void Serve(const std::function<int(int)>& answer) {
    device_ = base::UniqueFd(open("/dev/fuse", O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(device_.valid());
    const std::string options =
        "fd=" + std::to_string(device_.get()) + ",rootmode=40000,user_id=0,group_id=0";
    ASSERT_EQ(::mount("ask", directory().c_str(), "fuse", 0, options.c_str()), 0);
    daemon_ = std::thread([this, answer] {
      alignas(fuse_in_header) char request[FUSE_MIN_READ_BUFFER * 2];
      int count = 0;
      while (read(device_.get(), request, sizeof(request)) > 0) {
        fuse_in_header header;
        std::memcpy(&header, request, sizeof(header));
        if (header.opcode == FUSE_INIT) {
          fuse_init_out init = {};
          init.major = FUSE_KERNEL_VERSION;
          init.minor = FUSE_KERNEL_MINOR_VERSION;
          init.max_write = 4096;
          Reply(header.unique, 0, &init, sizeof(init));
        } else if (header.opcode != FUSE_GETATTR) {
          Reply(header.unique, ENOSYS, nullptr, 0);
        } else if (const int error = answer(count++); error == kDies) {
          device_.reset();
          return;
        } else {
          fuse_attr_out attributes = {};
          attributes.attr.ino = FUSE_ROOT_ID;
          attributes.attr.mode = S_IFDIR | 0755;
          attributes.attr.nlink = 2;
          Reply(header.unique, error, &attributes, sizeof(attributes));
        }
      }
    });
  }

  int Ask() {
    struct statx attributes = {};
    return ProbeMount(directory(), 0, &attributes);
  }

 private:
  void Reply(uint64_t id, int error, const void* body, size_t size) {
    fuse_out_header header = {};
    if (error != 0) size = 0;
    header.len = static_cast<uint32_t>(sizeof(header) + size);
    header.error = -error;
    header.unique = id;
    std::string reply(reinterpret_cast<const char*>(&header), sizeof(header));
    if (size != 0) reply.append(static_cast<const char*>(body), size);
    (void)!write(device_.get(), reply.data(), reply.size());
  }

  base::UniqueFd device_;
  std::thread daemon_;
};

TEST_F(ProbeMountTest, TheDaemonAnswers) {
  EXPECT_EQ(Ask(), 0) << "nothing is mounted";
  Serve([](int) { return 0; });
  EXPECT_EQ(Ask(), 0);
}

TEST_F(ProbeMountTest, AnotherDaemonAnswersAfterAnAbortedRequest) {
  Serve([](int count) { return count == 0 ? ECONNABORTED : count == 1 ? ECANCELED : 0; });
  EXPECT_EQ(Ask(), 0);
}

TEST_F(ProbeMountTest, ARequestAbortedByTheDaemonsDeath) {
  Serve([](int count) { return count == 0 ? ECANCELED : kDies; });
  EXPECT_EQ(Ask(), ENOTCONN);
  EXPECT_EQ(Ask(), ENOTCONN);
}

TEST_F(ProbeMountTest, ADaemonThatAbortsEachRequestIsNotDead) {
  Serve([](int) { return ECONNABORTED; });
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(Ask(), ECONNABORTED);
  EXPECT_GE(std::chrono::steady_clock::now() - before, std::chrono::seconds(2));
}

TEST_F(ProbeMountTest, OtherErrorsCountAsAnswers) {
  Serve([](int count) { return count == 0 ? EIO : 0; });
  EXPECT_EQ(Ask(), EIO);
  struct statx attributes = {};
  EXPECT_EQ(ProbeMount(directory() + "-missing", 0, &attributes), ENOENT);
}

}  // namespace
}  // namespace memfuse::mount
