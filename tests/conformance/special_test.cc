// FIFOs, sockets and devices with names in the file system: fifo(7), unix(7), null(4).

#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "tests/conformance/conformance.h"
#include "tests/conformance/mounts.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Fifo);
CONFORMANCE_SUITE(UnixSocket);
ROOT_CONFORMANCE_SUITE(UnixSocketAsRoot);
ROOT_CONFORMANCE_SUITE(Device);

sockaddr_un Address(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  return address;
}

UniqueFd Socket(int type = SOCK_STREAM) {
  return UniqueFd(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
}

int Bind(const UniqueFd& fd, const std::string& path) {
  const sockaddr_un address = Address(path);
  return ErrnoOf(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
}

int Connect(const UniqueFd& fd, const std::string& path) {
  const sockaddr_un address = Address(path);
  return ErrnoOf(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
}

TEST_P(Fifo, CarriesDataBetweenDescriptors) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  EXPECT_EQ(ErrnoOf(open("p", O_WRONLY | O_NONBLOCK)), ENXIO) << "no reader";
  const UniqueFd reader = Open("p", O_RDONLY | O_NONBLOCK);
  char buffer[16];
  EXPECT_EQ(read(reader.get(), buffer, sizeof(buffer)), 0) << "no writer";
  {
    const UniqueFd writer = Open("p", O_WRONLY | O_NONBLOCK);
    EXPECT_EQ(ErrnoOf(read(reader.get(), buffer, sizeof(buffer))), EAGAIN);
    EXPECT_EQ(write(writer.get(), "hello", 5), 5);
    pollfd readable = {reader.get(), POLLIN, 0};
    EXPECT_EQ(poll(&readable, 1, 0), 1);
    EXPECT_EQ(read(reader.get(), buffer, sizeof(buffer)), 5);
    EXPECT_EQ(ErrnoOf(lseek(reader.get(), 0, SEEK_SET)), ESPIPE);
  }
  EXPECT_EQ(read(reader.get(), buffer, sizeof(buffer)), 0);
  EXPECT_EQ(Stat("p").st_size, 0);
}

TEST_P(Fifo, IsOneThroughAllItsNames) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  ASSERT_EQ(link("p", "q"), 0);
  const UniqueFd both = Open("p", O_RDWR);
  const UniqueFd other = Open("q", O_RDWR | O_NONBLOCK);
  ASSERT_EQ(write(both.get(), "x", 1), 1);
  ASSERT_EQ(unlink("p"), 0);
  ASSERT_EQ(rename("q", "r"), 0);
  char byte;
  EXPECT_EQ(read(other.get(), &byte, 1), 1);
  // A new FIFO of the same name is another pipe.
  ASSERT_EQ(write(both.get(), "x", 1), 1);
  ASSERT_EQ(unlink("r"), 0);
  ASSERT_EQ(mkfifo("r", 0644), 0);
  const UniqueFd fresh = Open("r", O_RDWR | O_NONBLOCK);
  EXPECT_EQ(ErrnoOf(read(fresh.get(), &byte, 1)), EAGAIN);
}

TEST_P(Fifo, WritersAndReadersWaitForEachOther) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const pid_t child = fork();
  if (child == 0) {
    const int fd = open("p", O_WRONLY);
    _exit(write(fd, "x", 1) == 1 ? 0 : 1);
  }
  const UniqueFd reader = Open("p", O_RDONLY);
  char byte = 0;
  EXPECT_EQ(read(reader.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
  EXPECT_EQ(read(reader.get(), &byte, 1), 0);
}

TEST_P(Fifo, WritingMovesItsTimes) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const UniqueFd fd = Open("p", O_RDWR);
  const TimeWatch fifo("p");
  ASSERT_EQ(write(fd.get(), "x", 1), 1);
  // The kernel implements pipes itself, and sends a FUSE server no request for their data.
  EXPECT_EQ(fifo.Moved(), on_memfuse() ? "" : "mc");
}

TEST_P(UnixSocket, BindingMakesASocket) {
  umask(0027);
  const UniqueFd fd = Socket();
  const TimeWatch parent(".");
  EXPECT_EQ(Bind(fd, "s"), 0);
  EXPECT_EQ(parent.Moved(), "mc");
  EXPECT_TRUE(S_ISSOCK(LStat("s").st_mode));
  EXPECT_EQ(Permissions("s"), 0750u);
  EXPECT_EQ(LStat("s").st_uid, geteuid());
  sockaddr_un name = {};
  socklen_t size = sizeof(name);
  ASSERT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &size), 0);
  EXPECT_STREQ(name.sun_path, "s");
}

TEST_P(UnixSocket, StreamsConnect) {
  const UniqueFd server = Socket();
  ASSERT_EQ(Bind(server, "s"), 0);
  EXPECT_EQ(Connect(Socket(), "s"), ECONNREFUSED) << "it does not listen";
  ASSERT_EQ(listen(server.get(), 5), 0);
  const UniqueFd client = Socket();
  EXPECT_EQ(Connect(client, "s"), 0);
  const UniqueFd accepted(accept(server.get(), nullptr, nullptr));
  ASSERT_TRUE(accepted.valid());
  EXPECT_EQ(write(client.get(), "x", 1), 1);
  char byte;
  EXPECT_EQ(read(accepted.get(), &byte, 1), 1);
  // Names can be made and removed; the connection stays.
  ASSERT_EQ(rename("s", "t"), 0);
  EXPECT_EQ(Connect(Socket(), "s"), ENOENT);
  EXPECT_EQ(Connect(Socket(), "t"), 0);
  ASSERT_EQ(link("t", "u"), 0);
  EXPECT_EQ(Connect(Socket(), "u"), 0);
  ASSERT_EQ(symlink("u", "v"), 0);
  EXPECT_EQ(Connect(Socket(), "v"), 0);
  ASSERT_EQ(unlink("t"), 0);
  ASSERT_EQ(unlink("u"), 0);
  EXPECT_EQ(write(client.get(), "y", 1), 1);
  EXPECT_EQ(read(accepted.get(), &byte, 1), 1);
}

TEST_P(UnixSocket, DatagramsArrive) {
  const UniqueFd server = Socket(SOCK_DGRAM), client = Socket(SOCK_DGRAM);
  ASSERT_EQ(Bind(server, "s"), 0);
  EXPECT_EQ(Connect(client, "s"), 0);
  EXPECT_EQ(send(client.get(), "x", 1, 0), 1);
  char byte;
  EXPECT_EQ(recv(server.get(), &byte, 1, 0), 1);
  EXPECT_EQ(Connect(Socket(SOCK_STREAM), "s"), EPROTOTYPE);
}

TEST_P(UnixSocket, Errors) {
  {
    const UniqueFd fd = Socket();
    ASSERT_EQ(Bind(fd, "s"), 0);
  }
  MakeFile("f");
  ASSERT_EQ(mkdir("d", 0755), 0);
  ASSERT_EQ(symlink("dangling", "l"), 0);
  ASSERT_EQ(symlink("loop", "loop"), 0);
  EXPECT_EQ(Connect(Socket(), "s"), ECONNREFUSED) << "the file outlives its socket";
  EXPECT_EQ(Connect(Socket(), "f"), ECONNREFUSED);
  EXPECT_EQ(Connect(Socket(), "d"), ECONNREFUSED);
  EXPECT_EQ(Connect(Socket(), "missing"), ENOENT);
  EXPECT_EQ(Connect(Socket(), "f/x"), ENOTDIR);
  EXPECT_EQ(Connect(Socket(), "loop"), ELOOP);
  EXPECT_EQ(Bind(Socket(), "s"), EADDRINUSE);
  EXPECT_EQ(Bind(Socket(), "f"), EADDRINUSE);
  EXPECT_EQ(Bind(Socket(), "d"), EADDRINUSE);
  EXPECT_EQ(Bind(Socket(), "l"), EADDRINUSE);
  EXPECT_EQ(Bind(Socket(), "missing/s"), ENOENT);
  EXPECT_EQ(Bind(Socket(), "f/s"), ENOTDIR);
  const UniqueFd twice = Socket();
  ASSERT_EQ(Bind(twice, "t"), 0);
  EXPECT_EQ(Bind(twice, "u"), EINVAL);
  EXPECT_EQ(ErrnoOf(open("t", O_RDONLY)), ENXIO);
  EXPECT_EQ(ErrnoOf(open("t", O_WRONLY)), ENXIO);
  EXPECT_EQ(ErrnoOf(open("t", O_PATH)), 0);
}

TEST_P(UnixSocketAsRoot, ConnectingNeedsWritePermission) {
  const UniqueFd server = Socket();
  ASSERT_EQ(Bind(server, "s"), 0);
  ASSERT_EQ(listen(server.get(), 5), 0);
  const auto go = [] { return Connect(Socket(), "s"); };
  ASSERT_EQ(chmod("s", 0755), 0);
  EXPECT_EQ(As(kAlice, go), EACCES);
  ASSERT_EQ(chmod("s", 0702), 0);
  EXPECT_EQ(As(kAlice, go), 0);
  ASSERT_EQ(mkdir("d", 0755), 0);
  EXPECT_EQ(As(kAlice, [] { return Bind(Socket(), "d/s"); }), EACCES);
  ASSERT_EQ(chmod("d", 01777), 0);
  EXPECT_EQ(As(kAlice, [] { return Bind(Socket(), "d/s"); }), 0);
  EXPECT_EQ(LStat("d/s").st_uid, kAlice.uid);
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(unlink("d/s")); }), EPERM);
}

TEST_P(Device, NullZeroAndFullWork) {
  ASSERT_EQ(mknod("null", S_IFCHR | 0666, makedev(1, 3)), 0);
  ASSERT_EQ(mknod("zero", S_IFCHR | 0666, makedev(1, 5)), 0);
  ASSERT_EQ(mknod("full", S_IFCHR | 0666, makedev(1, 7)), 0);
  char buffer[100];
  const UniqueFd null = Open("null", O_RDWR), zero = Open("zero", O_RDWR),
                 full = Open("full", O_RDWR);
  EXPECT_EQ(read(null.get(), buffer, sizeof(buffer)), 0);
  EXPECT_EQ(write(null.get(), buffer, sizeof(buffer)), 100);
  memset(buffer, 'x', sizeof(buffer));
  EXPECT_EQ(read(zero.get(), buffer, sizeof(buffer)), 100);
  EXPECT_EQ(std::string(buffer, 100), std::string(100, '\0'));
  EXPECT_EQ(ErrnoOf(write(full.get(), buffer, 1)), ENOSPC);
  EXPECT_EQ(Stat("null").st_size, 0);
  EXPECT_EQ(ErrnoOf(ftruncate(null.get(), 0)), EINVAL);
  EXPECT_EQ(ErrnoOf(open("null", O_WRONLY | O_TRUNC)), 0);
  ASSERT_EQ(unlink("zero"), 0);
  EXPECT_EQ(read(zero.get(), buffer, sizeof(buffer)), 100);
}

TEST_P(Device, PermissionsAreThoseOfTheName) {
  ASSERT_EQ(mknod("null", S_IFCHR | 0640, makedev(1, 3)), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(open("null", O_RDONLY)); }), EACCES);
  ASSERT_EQ(chown("null", kAlice.uid, 0), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(open("null", O_RDWR)); }), 0);
}

TEST_P(Device, NumbersWithoutADriver) {
  ASSERT_EQ(mknod("c", S_IFCHR | 0666, makedev(4000, 77)), 0);
  ASSERT_EQ(mknod("b", S_IFBLK | 0666, makedev(4000, 77)), 0);
  EXPECT_EQ(ErrnoOf(open("c", O_RDONLY)), ENXIO);
  EXPECT_EQ(ErrnoOf(open("b", O_RDONLY)), ENXIO);
  ASSERT_EQ(mknod("whiteout", S_IFCHR, makedev(0, 0)), 0);
  EXPECT_EQ(ErrnoOf(open("whiteout", O_RDONLY)), ENXIO);
}

TEST_P(Device, NodevMounts) {
  ASSERT_EQ(mknod("null", S_IFCHR | 0666, makedev(1, 3)), 0);
  ASSERT_EQ(mkfifo("p", 0666), 0);
  const PrivateMounts mounts;
  ASSERT_EQ(BindAt(".", "m", MS_NODEV), 0);
  EXPECT_EQ(ErrnoOf(open("m/null", O_RDWR)), EACCES);
  EXPECT_EQ(ErrnoOf(open("m/null", O_PATH)), 0);
  EXPECT_EQ(ErrnoOf(open("m/p", O_RDWR)), 0) << "a fifo is no device";
  EXPECT_EQ(ErrnoOf(open("null", O_RDWR)), 0);
}

TEST_P(Device, MakingThemIsForThePrivileged) {
  for (const mode_t type : {S_IFCHR, S_IFBLK}) {
    EXPECT_EQ(As(kAlice, [&] { return ErrnoOf(mknod("x", type | 0666, makedev(1, 3))); }), EPERM);
  }
  // A whiteout grants nothing, and every user may make one.
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(mknod("w", S_IFCHR, makedev(0, 0))); }), 0);
}

}  // namespace
}  // namespace memfuse::conformance
