#include "src/base/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <utility>

namespace memfuse::base {
namespace {

int OpenSomething() {
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_GE(fd, 0);
  return fd;
}
bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }

TEST(UniqueFd, ClosesWithItsOwner) {
  const int raw = OpenSomething();
  {
    const UniqueFd fd(raw);
    EXPECT_TRUE(fd.valid());
    EXPECT_EQ(fd.get(), raw);
    EXPECT_TRUE(IsOpen(raw));
  }
  EXPECT_FALSE(IsOpen(raw));
}

TEST(UniqueFd, AnEmptyOneOwnsNothing) {
  UniqueFd fd;
  EXPECT_FALSE(fd.valid());
  EXPECT_EQ(fd.release(), -1);
  EXPECT_FALSE(UniqueFd(-1).valid());
}

TEST(UniqueFd, ReleaseHandsOver) {
  UniqueFd fd(OpenSomething());
  const int raw = fd.release();
  EXPECT_FALSE(fd.valid());
  fd.reset();
  EXPECT_TRUE(IsOpen(raw));
  close(raw);
}

TEST(UniqueFd, MovesAndReplaces) {
  const int first = OpenSomething();
  const int second = OpenSomething();
  UniqueFd a(first);
  UniqueFd b(std::move(a));
  EXPECT_FALSE(a.valid());  // NOLINT: moved-from is empty, by contract
  EXPECT_EQ(b.get(), first);
  b = UniqueFd(second);
  EXPECT_FALSE(IsOpen(first));
  EXPECT_TRUE(IsOpen(second));
  b.reset();
  EXPECT_FALSE(IsOpen(second));
}

}  // namespace
}  // namespace memfuse::base
