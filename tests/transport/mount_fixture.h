// A directory to mount on, which is clean again whatever happens to the test.

#ifndef MEMFUSE_TESTS_TRANSPORT_MOUNT_FIXTURE_H_
#define MEMFUSE_TESTS_TRANSPORT_MOUNT_FIXTURE_H_

#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace memfuse::transport {

// These tests need root and /dev/fuse, and fail without. A test that hangs is ended after a minute,
// and its mount with it.
class MountFixture : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  const std::string& directory() const { return directory_; }

  // The lines of /proc/self/mountinfo for the directory.
  std::string MountInfo() const;
  bool IsMounted() const { return !MountInfo().empty(); }

  // What statfs(2) on the directory says: 0 or an errno. The kernel never answers it by itself.
  int Statfs() const;

  // How many descriptors of /dev/fuse this process has; all must be close-on-exec.
  static int FuseDescriptors();

  // Makes the lowest of them something that cannot be read.
  static void BreakAFuseDescriptor();

  // Runs `body` in a child process, and returns what it returns. No thread may be running.
  static std::string InChild(const std::function<std::string()>& body);

 private:
  std::string directory_;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_TESTS_TRANSPORT_MOUNT_FIXTURE_H_
