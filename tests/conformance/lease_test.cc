// Leases (F_SETLEASE) and notifications of changes (inotify, F_NOTIFY).

#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Lease);

TEST_P(Lease, ForReading) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDONLY);
  EXPECT_EQ(fcntl(fd.get(), F_GETLEASE), F_UNLCK);
  EXPECT_EQ(fcntl(fd.get(), F_SETLEASE, F_RDLCK), 0);
  EXPECT_EQ(fcntl(fd.get(), F_GETLEASE), F_RDLCK);
  EXPECT_EQ(fcntl(fd.get(), F_SETLEASE, F_UNLCK), 0);
  EXPECT_EQ(fcntl(fd.get(), F_GETLEASE), F_UNLCK);
  EXPECT_EQ(ErrnoOf(fcntl(fd.get(), F_SETLEASE, F_UNLCK)), EAGAIN);
  EXPECT_EQ(ErrnoOf(fcntl(fd.get(), F_SETLEASE, 77)), EINVAL);
}

TEST_P(Lease, ForWriting) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  EXPECT_EQ(fcntl(fd.get(), F_SETLEASE, F_WRLCK), 0);
  EXPECT_EQ(fcntl(fd.get(), F_GETLEASE), F_WRLCK);
  EXPECT_EQ(ErrnoOf(fcntl(fd.get(), F_SETLEASE, F_RDLCK)), EAGAIN);
}

TEST_P(Lease, ConflictsWithOtherOpenDescriptors) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDONLY), writer = Open("f", O_RDWR);
  EXPECT_EQ(ErrnoOf(fcntl(fd.get(), F_SETLEASE, F_RDLCK)), EAGAIN);
  EXPECT_EQ(ErrnoOf(fcntl(writer.get(), F_SETLEASE, F_WRLCK)), EAGAIN);
}

TEST_P(Lease, IsBrokenByOtherProcesses) {
  MakeFile("f", "content");
  signal(SIGIO, SIG_IGN);
  const UniqueFd fd = Open("f", O_RDONLY);
  for (const bool truncates : {false, true}) {
    ASSERT_EQ(fcntl(fd.get(), F_SETLEASE, F_RDLCK), 0);
    EXPECT_EQ(ErrnoOf(open("f", O_WRONLY | O_NONBLOCK | O_CLOEXEC)), EWOULDBLOCK);
    Process other(
        [&] { return truncates ? ErrnoOf(truncate("f", 1)) : ErrnoOf(open("f", O_RDWR)); });
    EXPECT_TRUE(other.BlocksIn({SYS_openat, SYS_truncate}));
    ASSERT_EQ(fcntl(fd.get(), F_SETLEASE, F_UNLCK), 0);
    EXPECT_EQ(other.Wait(), 0);
  }
  signal(SIGIO, SIG_DFL);
}

TEST_P(Lease, IsForRegularFiles) {
  const UniqueFd directory = Open(".", O_RDONLY);
  EXPECT_EQ(ErrnoOf(fcntl(directory.get(), F_SETLEASE, F_RDLCK)), EINVAL);
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const UniqueFd fifo = Open("p", O_RDWR);
  EXPECT_EQ(ErrnoOf(fcntl(fifo.get(), F_SETLEASE, F_RDLCK)), EINVAL);
}

// The queued events, as a mask.
uint32_t Events(int inotify) {
  alignas(inotify_event) char buffer[4096];
  uint32_t mask = 0;
  pollfd wait = {inotify, POLLIN, 0};
  while (poll(&wait, 1, 0) == 1) {
    const ssize_t n = read(inotify, buffer, sizeof(buffer));
    for (ssize_t at = 0; at < n;) {
      const auto* const event = reinterpret_cast<const inotify_event*>(buffer + at);
      mask |= event->mask;
      at += static_cast<ssize_t>(sizeof(*event) + event->len);
    }
  }
  return mask & IN_ALL_EVENTS;
}

TEST_P(Lease, InotifyReportsEventsOfAFile) {
  MakeFile("f", "content");
  const UniqueFd inotify(inotify_init1(IN_CLOEXEC));
  ASSERT_NE(inotify_add_watch(inotify.get(), "f", IN_ALL_EVENTS), -1);
  {
    const UniqueFd fd = Open("f", O_RDWR);
    EXPECT_EQ(Events(inotify.get()), IN_OPEN);
    ASSERT_EQ(write(fd.get(), "x", 1), 1);
    EXPECT_EQ(Events(inotify.get()), IN_MODIFY);
    char c;
    ASSERT_EQ(read(fd.get(), &c, 1), 1);
    EXPECT_EQ(Events(inotify.get()), IN_ACCESS);
    ASSERT_EQ(ftruncate(fd.get(), 3), 0);
    EXPECT_EQ(Events(inotify.get()), IN_MODIFY);
  }
  EXPECT_EQ(Events(inotify.get()), IN_CLOSE_WRITE);
  ASSERT_EQ(chmod("f", 0600), 0);
  EXPECT_EQ(Events(inotify.get()), IN_ATTRIB);
  ASSERT_EQ(rename("f", "g"), 0);
  EXPECT_EQ(Events(inotify.get()), IN_MOVE_SELF);
  ASSERT_EQ(unlink("g"), 0);
  EXPECT_EQ(Events(inotify.get()) & (IN_ATTRIB | IN_DELETE_SELF), IN_ATTRIB | IN_DELETE_SELF);
}

TEST_P(Lease, InotifyReportsEventsInADirectory) {
  const UniqueFd inotify(inotify_init1(IN_CLOEXEC));
  ASSERT_NE(inotify_add_watch(inotify.get(), ".", IN_CREATE | IN_DELETE | IN_MOVE | IN_ONLYDIR),
            -1);
  MakeFile("f");
  EXPECT_EQ(Events(inotify.get()), IN_CREATE);
  ASSERT_EQ(mkdir("d", 0755), 0);
  EXPECT_EQ(Events(inotify.get()), IN_CREATE);
  ASSERT_EQ(link("f", "g"), 0);
  EXPECT_EQ(Events(inotify.get()), IN_CREATE);
  ASSERT_EQ(rename("f", "d/f"), 0);
  EXPECT_EQ(Events(inotify.get()), IN_MOVED_FROM);
  ASSERT_EQ(unlink("g"), 0);
  EXPECT_EQ(Events(inotify.get()), IN_DELETE);
}

}  // namespace
}  // namespace memfuse::conformance
