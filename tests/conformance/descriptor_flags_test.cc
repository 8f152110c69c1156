// Flags of an open file that fcntl(2) F_SETFL sets and clears, and epoll(7) on regular files.
// append_test.cc tests O_APPEND.

#include <sys/epoll.h>

#include <ctime>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(DescriptorFlags);

// Makes the access time older than the modification time, so that the next read moves it
// (relatime).
void MakeAccessTimeOld(const std::string& path) {
  const timespec times[2] = {{1, 0}, {2, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

// Whether a read through `fd` moves the access time of `path`.
bool ReadMovesAccessTime(const UniqueFd& fd, const std::string& path) {
  MakeAccessTimeOld(path);
  char c;
  EXPECT_EQ(pread(fd.get(), &c, 1, 0), 1);
  return Stat(path).st_atim.tv_sec != 1;
}

// With passthrough the kernel opens the backing file with the flags of open(2), and F_SETFL does
// not change the flags of the backing file. In the daemon store, reads with O_DIRECT reach the
// daemon.
TEST_P(DescriptorFlags, NoatimeCanBeSetAndCleared) {
  MakeFile("f", "content");
  const bool stays_as_opened = on_memfuse() && !daemon_serves_data();
  const UniqueFd without = Open("f", O_RDONLY | O_DIRECT);
  EXPECT_TRUE(ReadMovesAccessTime(without, "f"));
  ASSERT_EQ(fcntl(without.get(), F_SETFL, O_DIRECT | O_NOATIME), 0);
  EXPECT_EQ(ReadMovesAccessTime(without, "f"), stays_as_opened);
  const UniqueFd with = Open("f", O_RDONLY | O_DIRECT | O_NOATIME);
  EXPECT_FALSE(ReadMovesAccessTime(with, "f"));
  ASSERT_EQ(fcntl(with.get(), F_SETFL, O_DIRECT), 0);
  EXPECT_EQ(ReadMovesAccessTime(with, "f"), !stays_as_opened);
  EXPECT_EQ(fcntl(with.get(), F_GETFL) & O_NOATIME, 0);
}

TEST_P(DescriptorFlags, DirectCanBeSetAndCleared) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDWR);
  for (const int flag : {O_DIRECT, 0, O_DIRECT}) {
    ASSERT_EQ(fcntl(fd.get(), F_SETFL, flag), 0);
    EXPECT_EQ(fcntl(fd.get(), F_GETFL) & O_DIRECT, flag);
    // No alignment is necessary.
    char bytes[3] = {};
    EXPECT_EQ(pwrite(fd.get(), "abc", 3, 5), 3);
    EXPECT_EQ(pread(fd.get(), bytes, 3, 5), 3);
    EXPECT_EQ(std::string(bytes, 3), "abc");
  }
}

TEST_P(DescriptorFlags, SyncIsSetByOpenOnly) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR), synchronous = Open("f", O_RDWR | O_SYNC);
  ASSERT_EQ(fcntl(fd.get(), F_SETFL, O_SYNC | O_DSYNC), 0);
  EXPECT_EQ(fcntl(fd.get(), F_GETFL) & O_SYNC, 0);
  ASSERT_EQ(fcntl(synchronous.get(), F_SETFL, 0), 0);
  EXPECT_EQ(fcntl(synchronous.get(), F_GETFL) & O_SYNC, O_SYNC);
  EXPECT_EQ(write(synchronous.get(), "x", 1), 1);
}

TEST_P(DescriptorFlags, NonblockChangesNothingAndAsyncIsNotKept) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  ASSERT_EQ(fcntl(fd.get(), F_SETFL, O_NONBLOCK | O_ASYNC), 0);
  EXPECT_EQ(fcntl(fd.get(), F_GETFL) & (O_NONBLOCK | O_ASYNC), O_NONBLOCK);
  char c;
  EXPECT_EQ(read(fd.get(), &c, 1), 1);
  EXPECT_EQ(write(fd.get(), "x", 1), 1);
}

// The kernel's FUSE files have a poll operation, even if the server refuses FUSE_POLL.
TEST_P(DescriptorFlags, RegularFilesInAnEpollSet) {
  MakeFile("f", "content");
  const UniqueFd set(epoll_create1(EPOLL_CLOEXEC)), fd = Open("f", O_RDWR);
  epoll_event event = {};
  event.events = EPOLLIN | EPOLLOUT;
  EXPECT_EQ(ErrnoOf(epoll_ctl(set.get(), EPOLL_CTL_ADD, fd.get(), &event)),
            on_memfuse() ? 0 : EPERM);
  EXPECT_EQ(epoll_wait(set.get(), &event, 1, 0), on_memfuse() ? 1 : 0);
  const UniqueFd directory = Open(".", O_RDONLY);
  EXPECT_EQ(ErrnoOf(epoll_ctl(set.get(), EPOLL_CTL_ADD, directory.get(), &event)), EPERM);
}

}  // namespace
}  // namespace memfuse::conformance
