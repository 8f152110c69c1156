// A directory to mount on. It is cleaned up in every case.

#ifndef MEMFUSE_TESTS_TRANSPORT_MOUNT_FIXTURE_H_
#define MEMFUSE_TESTS_TRANSPORT_MOUNT_FIXTURE_H_

#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace memfuse::transport {

// These tests need root and /dev/fuse, and fail without them. A test that hangs is ended after a
// minute, together with its mount.
class MountFixture : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  const std::string& directory() const { return directory_; }

  // The lines of /proc/self/mountinfo for the directory.
  std::string MountInfo() const;
  bool IsMounted() const { return !MountInfo().empty(); }
  // Returns when nothing is mounted on the directory any more.
  void AwaitUnmount() const;

  // The result of statfs(2) on the directory: 0 or an errno. The kernel never answers it by itself.
  int Statfs() const;

  // The number of descriptors of /dev/fuse in this process. All must be close-on-exec.
  static int FuseDescriptors();

  // Replaces the lowest of them with a descriptor that cannot be read.
  static void BreakAFuseDescriptor();

  // Runs `body` in a child process; returns its result. No other thread may be running.
  static std::string InChild(const std::function<std::string()>& body);

 private:
  std::string directory_;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_TESTS_TRANSPORT_MOUNT_FIXTURE_H_
