// mknod(2), mkfifo(3).

#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Mknod);
ROOT_CONFORMANCE_SUITE(MknodAsRoot);

TEST_P(Mknod, MakesEveryTypeThatNeedsNoPrivilege) {
  ASSERT_EQ(mknod("file", S_IFREG | 0640, 0), 0);
  ASSERT_EQ(mknod("plain", 0640, 0), 0);  // no type is a regular file
  ASSERT_EQ(mknod("fifo", S_IFIFO | 0640, 0), 0);
  ASSERT_EQ(mknod("socket", S_IFSOCK | 0640, 0), 0);
  EXPECT_EQ(LStat("file").st_mode, S_IFREG | mode_t{0640});
  EXPECT_EQ(LStat("plain").st_mode, S_IFREG | mode_t{0640});
  EXPECT_EQ(LStat("fifo").st_mode, S_IFIFO | mode_t{0640});
  EXPECT_EQ(LStat("socket").st_mode, S_IFSOCK | mode_t{0640});
  for (const char* path : {"file", "plain", "fifo", "socket"}) {
    EXPECT_EQ(LStat(path).st_size, 0);
    EXPECT_EQ(LStat(path).st_rdev, 0u);
  }
}

TEST_P(Mknod, RefusesOtherTypes) {
  EXPECT_EQ(ErrnoOf(mknod("d", S_IFDIR | 0755, 0)), EPERM);
  EXPECT_EQ(ErrnoOf(mknod("l", S_IFLNK | 0777, 0)), EINVAL);
  EXPECT_EQ(ErrnoOf(mknod("x", S_IFMT | 0777, 0)), EINVAL);
  EXPECT_THAT(List("."), testing::IsEmpty());
}

TEST_P(Mknod, AFileBehavesLikeOneOfOpen) {
  ASSERT_EQ(mknod("f", S_IFREG | 0644, 0), 0);
  const UniqueFd fd = Open("f", O_RDWR);
  EXPECT_EQ(write(fd.get(), "abc", 3), 3);
  EXPECT_EQ(ReadFile("f"), "abc");
}

TEST_P(Mknod, OfTheNullDeviceNeedsNoPrivilege) {
  // A whiteout: character device 0:0.
  ASSERT_EQ(mknod("w", S_IFCHR | 0600, 0), 0);
  EXPECT_TRUE(S_ISCHR(LStat("w").st_mode));
  EXPECT_EQ(LStat("w").st_rdev, 0u);
  // fusermount3 mounts with nodev, so no device can be opened.
  const bool nodev = on_memfuse() && !RunsAsRoot();
  EXPECT_EQ(ErrnoOf(open("w", O_RDONLY | O_CLOEXEC)), nodev ? EACCES : ENXIO);
}

TEST_P(Mknod, BindMakesASocketThatOthersConnectTo) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::string("s").copy(address.sun_path, sizeof(address.sun_path));
  const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
  umask(027);
  const TimeWatch parent(".");
  const UniqueFd server(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(server.get(), generic, sizeof(address)), 0);
  EXPECT_EQ(LStat("s").st_mode, S_IFSOCK | mode_t{0750});
  EXPECT_EQ(parent.Moved(), "mc");
  ASSERT_EQ(listen(server.get(), 1), 0);
  const UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(connect(client.get(), generic, sizeof(address)), 0);
  const UniqueFd again(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(ErrnoOf(bind(again.get(), generic, sizeof(address))), EADDRINUSE);
  ASSERT_EQ(unlink("s"), 0);
  EXPECT_EQ(ErrnoOf(connect(again.get(), generic, sizeof(address))), ENOENT);
}

TEST_P(Mknod, ConnectingToAnotherTypeIsRefused) {
  MakeFile("f");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  address.sun_path[0] = 'f';
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(ErrnoOf(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address))),
            ECONNREFUSED);
}

TEST_P(MknodAsRoot, KeepsDeviceNumbers) {
  const struct {
    unsigned major, minor;
  } devices[] = {{0, 1}, {1, 0}, {1, 3}, {255, 255}, {256, 256}, {4095, 1048575}, {4095, 65536}};
  for (const mode_t type : {S_IFCHR, S_IFBLK}) {
    for (const auto& device : devices) {
      TRACE(std::oct << type << std::dec << " " << device.major << ":" << device.minor);
      ASSERT_EQ(mknod("x", type | 0640, makedev(device.major, device.minor)), 0);
      const struct stat s = LStat("x");
      EXPECT_EQ(s.st_mode, type | 0640);
      EXPECT_EQ(major(s.st_rdev), device.major);
      EXPECT_EQ(minor(s.st_rdev), device.minor);
      EXPECT_EQ(s.st_size, 0);
      ASSERT_EQ(unlink("x"), 0);
    }
  }
}

TEST_P(MknodAsRoot, IgnoresTheDeviceOfOtherTypes) {
  for (const mode_t type : {S_IFREG, S_IFIFO, S_IFSOCK}) {
    ASSERT_EQ(mknod("x", type | 0640, makedev(1, 3)), 0);
    EXPECT_EQ(LStat("x").st_rdev, 0u);
    ASSERT_EQ(unlink("x"), 0);
  }
}

TEST_P(MknodAsRoot, OfDevicesIsForRoot) {
  for (const mode_t type : {S_IFCHR, S_IFBLK}) {
    const TimeWatch parent(".");
    EXPECT_EQ(As(kAlice, [&] { return ErrnoOf(mknod("x", type | 0644, makedev(1, 3))); }), EPERM);
    EXPECT_FALSE(Exists("x"));
    EXPECT_EQ(parent.Moved(), "");
  }
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(mknod("block", S_IFBLK | 0644, 0)); }), EPERM);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(mknod("whiteout", S_IFCHR | 0644, 0)); }), 0);
}

TEST_P(MknodAsRoot, ABoundSocketIsWriteable) {
  ASSERT_EQ(mknod("s", S_IFSOCK | 0755, 0), 0);
  const auto connect_it = [] {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    address.sun_path[0] = 's';
    const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ErrnoOf(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)));
  };
  EXPECT_EQ(As(kAlice, connect_it), EACCES);
  ASSERT_EQ(chmod("s", 0722), 0);
  EXPECT_EQ(As(kAlice, connect_it), ECONNREFUSED);  // no process listens
}

}  // namespace
}  // namespace memfuse::conformance
