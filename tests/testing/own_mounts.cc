// Linked into programs that mount. It moves them to their own mount namespace. A copy of the mount
// in another namespace (of another test, a container or a service) would keep the mount alive after
// umount, and its daemon waiting.

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace memfuse::test {
namespace {

class OwnMounts : public testing::Environment {
 public:
  void SetUp() override {
    if (geteuid() != 0) return;  // the tests report the missing privilege
    ASSERT_EQ(unshare(CLONE_NEWNS), 0) << std::strerror(errno);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0)
        << std::strerror(errno);
  }
};

const testing::Environment* const own_mounts = testing::AddGlobalTestEnvironment(new OwnMounts);

}  // namespace
}  // namespace memfuse::test
