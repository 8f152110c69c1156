// Named pipes, fifo(7), and sockets as names.

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Pipe);
ROOT_CONFORMANCE_SUITE(PipeAsRoot);

TEST_P(Pipe, OpensWithoutBlocking) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  EXPECT_EQ(ErrnoOf(open("p", O_WRONLY | O_NONBLOCK | O_CLOEXEC)), ENXIO);
  const UniqueFd reader = Open("p", O_RDONLY | O_NONBLOCK);
  const UniqueFd writer = Open("p", O_WRONLY | O_NONBLOCK);
  char c = 0;
  EXPECT_EQ(ErrnoOf(read(reader.get(), &c, 1)), EAGAIN);
  EXPECT_EQ(write(writer.get(), "x", 1), 1);
  EXPECT_EQ(read(reader.get(), &c, 1), 1);
  EXPECT_EQ(c, 'x');
}

TEST_P(Pipe, OpenWaitsForTheOtherEnd) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  Process reader([] {
    const int fd = open("p", O_RDONLY);
    char buffer[10];
    return static_cast<int>(read(fd, buffer, sizeof(buffer)));
  });
  EXPECT_TRUE(reader.BlocksIn({SYS_openat}));
  {
    const UniqueFd writer = Open("p", O_WRONLY);
    EXPECT_EQ(write(writer.get(), "hello", 5), 5);
  }
  EXPECT_EQ(reader.Wait(), 5);
}

TEST_P(Pipe, AWriterWaitsToo) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  Process writer([] {
    const int fd = open("p", O_WRONLY);
    return static_cast<int>(write(fd, "hello", 5));
  });
  EXPECT_TRUE(writer.BlocksIn({SYS_openat}));
  const UniqueFd reader = Open("p", O_RDONLY);
  char buffer[10];
  EXPECT_EQ(read(reader.get(), buffer, 10), 5);
  EXPECT_EQ(writer.Wait(), 5);
  EXPECT_EQ(read(reader.get(), buffer, 10), 0);
}

TEST_P(Pipe, ForBothDoesNotWait) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const UniqueFd fd = Open("p", O_RDWR);
  EXPECT_EQ(write(fd.get(), "hello", 5), 5);
  int n = 0;
  EXPECT_EQ(ioctl(fd.get(), FIONREAD, &n), 0);
  EXPECT_EQ(n, 5);
  char buffer[10];
  EXPECT_EQ(read(fd.get(), buffer, 10), 5);
}

TEST_P(Pipe, ItsDataTakesNoSpaceInTheFileSystem) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const UniqueFd fd = Open("p", O_RDWR);
  const TimeWatch watch("p");
  ASSERT_EQ(write(fd.get(), "hello", 5), 5);
  EXPECT_EQ(Stat("p").st_size, 0);
  EXPECT_EQ(Stat("p").st_blocks, 0);
  EXPECT_TRUE(S_ISFIFO(Stat("p").st_mode));
}

TEST_P(Pipe, WritingWithoutAReaderFailsWithEpipe) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  UniqueFd reader = Open("p", O_RDONLY | O_NONBLOCK);
  const UniqueFd writer = Open("p", O_WRONLY);
  reader.reset();
  signal(SIGPIPE, SIG_IGN);
  EXPECT_EQ(ErrnoOf(write(writer.get(), "x", 1)), EPIPE);
  signal(SIGPIPE, SIG_DFL);
}

TEST_P(Pipe, HangsUpAndPolls) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const UniqueFd reader = Open("p", O_RDONLY | O_NONBLOCK);
  UniqueFd writer = Open("p", O_WRONLY);
  pollfd wait = {reader.get(), POLLIN, 0};
  EXPECT_EQ(poll(&wait, 1, 0), 0);
  ASSERT_EQ(write(writer.get(), "x", 1), 1);
  EXPECT_EQ(poll(&wait, 1, 0), 1);
  EXPECT_EQ(wait.revents, POLLIN);
  char c;
  ASSERT_EQ(read(reader.get(), &c, 1), 1);
  writer.reset();
  EXPECT_EQ(poll(&wait, 1, 0), 1);
  EXPECT_EQ(wait.revents, POLLHUP);
  EXPECT_EQ(read(reader.get(), &c, 1), 0);
}

TEST_P(Pipe, WorksThroughAllItsNamesAndWithoutOne) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  ASSERT_EQ(link("p", "q"), 0);
  ASSERT_EQ(symlink("p", "l"), 0);
  const UniqueFd reader = Open("q", O_RDONLY | O_NONBLOCK);
  const UniqueFd writer = Open("l", O_WRONLY);
  ASSERT_EQ(unlink("p"), 0);
  ASSERT_EQ(unlink("q"), 0);
  EXPECT_EQ(write(writer.get(), "x", 1), 1);
  char c;
  EXPECT_EQ(read(reader.get(), &c, 1), 1);
}

TEST_P(Pipe, SurvivesARename) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const UniqueFd reader = Open("p", O_RDONLY | O_NONBLOCK);
  ASSERT_EQ(rename("p", "q"), 0);
  const UniqueFd writer = Open("q", O_WRONLY | O_NONBLOCK);
  EXPECT_EQ(write(writer.get(), "x", 1), 1);
  char c;
  EXPECT_EQ(read(reader.get(), &c, 1), 1);
}

TEST_P(Pipe, HasNoOffset) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const UniqueFd fd = Open("p", O_RDWR);
  char c;
  EXPECT_EQ(ErrnoOf(pread(fd.get(), &c, 1, 0)), ESPIPE);
  EXPECT_EQ(ErrnoOf(pwrite(fd.get(), &c, 1, 0)), ESPIPE);
  EXPECT_EQ(ErrnoOf(ftruncate(fd.get(), 0)), EINVAL);
  EXPECT_EQ(Open("p", O_RDWR | O_TRUNC).valid(), true);
}

TEST_P(Pipe, TwoFilesOfOneNameAreTwoPipes) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const UniqueFd old = Open("p", O_RDWR | O_NONBLOCK);
  ASSERT_EQ(unlink("p"), 0);
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const UniqueFd fresh = Open("p", O_RDWR | O_NONBLOCK);
  ASSERT_EQ(write(old.get(), "x", 1), 1);
  char c;
  EXPECT_EQ(ErrnoOf(read(fresh.get(), &c, 1)), EAGAIN);
}

TEST_P(PipeAsRoot, PermissionsAreChecked) {
  ASSERT_EQ(mkfifo("p", 0600), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(open("p", O_RDONLY | O_NONBLOCK)); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(open("p", O_WRONLY | O_NONBLOCK)); }), EACCES);
  ASSERT_EQ(chmod("p", 0604), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(open("p", O_RDONLY | O_NONBLOCK)); }), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(open("p", O_RDWR | O_NONBLOCK)); }), EACCES);
}

sockaddr_un Address(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

TEST_P(Pipe, SocketsAreBoundAndConnectedByName) {
  const UniqueFd server(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un address = Address("s");
  const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
  ASSERT_EQ(bind(server.get(), generic, sizeof(address)), 0);
  EXPECT_TRUE(S_ISSOCK(Stat("s").st_mode));
  const UniqueFd again(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(ErrnoOf(bind(again.get(), generic, sizeof(address))), EADDRINUSE);
  const UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(ErrnoOf(connect(client.get(), generic, sizeof(address))), ECONNREFUSED);
  ASSERT_EQ(listen(server.get(), 1), 0);
  EXPECT_EQ(connect(client.get(), generic, sizeof(address)), 0);
  EXPECT_EQ(ErrnoOf(open("s", O_RDWR | O_CLOEXEC)), ENXIO);
  ASSERT_EQ(rename("s", "t"), 0);
  const sockaddr_un moved = Address("t");
  const UniqueFd late(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(connect(late.get(), reinterpret_cast<const sockaddr*>(&moved), sizeof(moved)), 0);
  MakeFile("f");
  const sockaddr_un file = Address("f");
  const UniqueFd wrong(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(ErrnoOf(connect(wrong.get(), reinterpret_cast<const sockaddr*>(&file), sizeof(file))),
            ECONNREFUSED);
}

}  // namespace
}  // namespace memfuse::conformance
