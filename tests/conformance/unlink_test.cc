// unlink(2), unlinkat(2), remove(3).

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Unlink);
ROOT_CONFORMANCE_SUITE(UnlinkAsRoot);

TEST_P(Unlink, RemovesEveryTypeButDirectories) {
  for (const Type type : TypesWithoutPrivilege()) {
    TRACE(ToString(type));
    const std::string path = ToString(type);
    MakeObject(type, path);
    const TimeWatch parent(".");
    EXPECT_EQ(ErrnoOf(unlink(path.c_str())), type == Type::kDirectory ? EISDIR : 0);
    EXPECT_EQ(parent.Moved(), type == Type::kDirectory ? "" : "mc");
    EXPECT_EQ(Exists(path), type == Type::kDirectory);
  }
}

TEST_P(Unlink, OfALinkLeavesTheTarget) {
  MakeFile("f");
  ASSERT_EQ(symlink("f", "link"), 0);
  const TimeWatch target("f");
  EXPECT_EQ(unlink("link"), 0);
  EXPECT_TRUE(Exists("f"));
  EXPECT_EQ(target.Moved(), "");
}

TEST_P(Unlink, OfOneOfManyNamesCountsAndMovesTheChangeTime) {
  for (const Type type : TypesWithoutPrivilege()) {
    if (type == Type::kDirectory) continue;
    TRACE(ToString(type));
    MakeObject(type, "a");
    ASSERT_EQ(link("a", "b"), 0);
    ASSERT_EQ(link("a", "c"), 0);
    const TimeWatch object("b");
    EXPECT_EQ(unlink("a"), 0);
    EXPECT_EQ(LStat("b").st_nlink, 2u);
    EXPECT_EQ(object.Moved(), "c");
    EXPECT_EQ(unlink("c"), 0);
    EXPECT_EQ(LStat("b").st_nlink, 1u);
    EXPECT_EQ(unlink("b"), 0);
  }
}

TEST_P(Unlink, RemoveTakesFilesAndDirectories) {
  MakeFile("f");
  MakeDirectory("d");
  EXPECT_EQ(remove("f"), 0);
  EXPECT_EQ(remove("d"), 0);
  EXPECT_EQ(ErrnoOf(remove("f")), ENOENT);
}

TEST_P(Unlink, AFileStaysWhileItIsOpen) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  const UniqueFd reader = Open("f", O_RDONLY);
  ASSERT_EQ(unlink("f"), 0);
  EXPECT_EQ(ErrnoOf(open("f", O_RDONLY)), ENOENT);
  struct stat s;
  ASSERT_EQ(fstat(fd.get(), &s), 0);
  EXPECT_EQ(s.st_nlink, 0u);
  EXPECT_EQ(s.st_size, 7);
  EXPECT_EQ(pwrite(fd.get(), std::string(100000, 'x').data(), 100000, 7), 100000);
  char buffer[16];
  EXPECT_EQ(pread(reader.get(), buffer, sizeof(buffer), 100000), 7);
  EXPECT_EQ(ftruncate(fd.get(), 3), 0);
  EXPECT_EQ(fchmod(fd.get(), 0600), 0);
  ASSERT_EQ(fstat(reader.get(), &s), 0);
  EXPECT_EQ(s.st_size, 3);
  EXPECT_EQ(s.st_mode & 07777, mode_t{0600});
  const std::string proc = "/proc/self/fd/" + std::to_string(reader.get());
  EXPECT_EQ(ReadFile(proc), "con");
  // A removed name does not reappear.
  EXPECT_EQ(ErrnoOf(linkat(AT_FDCWD, proc.c_str(), AT_FDCWD, "n", AT_SYMLINK_FOLLOW)), ENOENT);
  MakeFile("f", "new");
  EXPECT_NE(Stat("f").st_ino, s.st_ino);
  EXPECT_EQ(ReadFile(proc), "con");
}

TEST_P(Unlink, AMappedFileStays) {
  MakeFile("f", std::string(8192, 'a'));
  char* map;
  {
    const UniqueFd fd = Open("f", O_RDWR);
    map = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
    ASSERT_NE(map, MAP_FAILED);
  }
  ASSERT_EQ(unlink("f"), 0);
  EXPECT_EQ(map[4096], 'a');
  map[4096] = 'b';
  EXPECT_EQ(map[4096], 'b');
  EXPECT_EQ(msync(map, 8192, MS_SYNC), 0);
  EXPECT_EQ(munmap(map, 8192), 0);
}

TEST_P(Unlink, AFifoStaysWhileItIsOpen) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const UniqueFd fd = Open("p", O_RDWR);
  ASSERT_EQ(unlink("p"), 0);
  EXPECT_EQ(write(fd.get(), "abc", 3), 3);
  char buffer[4];
  EXPECT_EQ(read(fd.get(), buffer, sizeof(buffer)), 3);
  struct stat s;
  ASSERT_EQ(fstat(fd.get(), &s), 0);
  EXPECT_EQ(s.st_nlink, 0u);
}

TEST_P(Unlink, AnOPathDescriptorStaysValid) {
  for (const Type type : TypesWithoutPrivilege()) {
    TRACE(ToString(type));
    MakeObject(type, "x");
    const struct stat before = LStat("x");
    const UniqueFd fd = Open("x", O_PATH | O_NOFOLLOW);
    ASSERT_EQ(type == Type::kDirectory ? rmdir("x") : unlink("x"), 0);
    struct stat s;
    ASSERT_EQ(fstat(fd.get(), &s), 0);
    EXPECT_EQ(s.st_nlink, 0u);
    EXPECT_EQ(s.st_ino, before.st_ino);
    EXPECT_EQ(s.st_mode, before.st_mode);
    EXPECT_EQ(s.st_size, type == Type::kDirectory ? s.st_size : before.st_size);
    if (type != Type::kSymlink) continue;
    char target[16];
    EXPECT_EQ(readlinkat(fd.get(), "", target, sizeof(target)), 6);
  }
}

TEST_P(Unlink, ConnectionsOfASocketStay) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  address.sun_path[0] = 's';
  const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
  const UniqueFd server(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(server.get(), generic, sizeof(address)), 0);
  ASSERT_EQ(listen(server.get(), 1), 0);
  const UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(client.get(), generic, sizeof(address)), 0);
  ASSERT_EQ(unlink("s"), 0);
  const UniqueFd accepted(accept(server.get(), nullptr, nullptr));
  EXPECT_EQ(write(client.get(), "abc", 3), 3);
  char buffer[4];
  EXPECT_EQ(read(accepted.get(), buffer, sizeof(buffer)), 3);
}

TEST_P(Unlink, MovesTheChangeTimeOfAnOpenFile) {
  MakeFile("f");
  const UniqueFd fd = Open("f", O_RDONLY);
  struct stat before, after;
  ASSERT_EQ(fstat(fd.get(), &before), 0);
  const TimeWatch tick(".");
  ASSERT_EQ(unlink("f"), 0);
  ASSERT_EQ(fstat(fd.get(), &after), 0);
  EXPECT_TRUE(before.st_ctim.tv_sec != after.st_ctim.tv_sec ||
              before.st_ctim.tv_nsec != after.st_ctim.tv_nsec);
  EXPECT_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

TEST_P(Unlink, AFailureMovesNothing) {
  MakeDirectory("d");
  const TimeWatch dir("d"), parent(".");
  EXPECT_EQ(ErrnoOf(unlink("missing")), ENOENT);
  EXPECT_EQ(ErrnoOf(unlink("d")), EISDIR);
  EXPECT_EQ(dir.Moved(), "");
  EXPECT_EQ(parent.Moved(), "");
}

TEST_P(UnlinkAsRoot, RemovesDevices) {
  for (const Type type : {Type::kCharDevice, Type::kBlockDevice}) {
    MakeObject(type, "x");
    EXPECT_EQ(unlink("x"), 0);
    EXPECT_FALSE(Exists("x"));
  }
}

TEST_P(UnlinkAsRoot, NeedsToWriteAndSearchTheParentOnly) {
  MakeDirectory("p");
  ASSERT_EQ(chown("p", kAlice.uid, kShared), 0);
  const struct {
    User user;
    int shift;
  } roles[] = {{kAlice, 6}, {kBob, 3}, {kStranger, 0}};
  for (const auto& role : roles) {
    for (mode_t bits = 0; bits < 8; ++bits) {
      TRACE(role.user.uid << " " << bits);
      if (!Exists("p/f")) MakeFile("p/f", "", 0);  // owned by root, without permissions
      ASSERT_EQ(chmod("p", bits << role.shift), 0);
      EXPECT_EQ(As(role.user, [] { return ErrnoOf(unlink("p/f")); }), (bits & 3) == 3 ? 0 : EACCES);
    }
  }
}

TEST_P(UnlinkAsRoot, PermissionComesBeforeTheType) {
  MakeDirectory("p", 0755);
  MakeDirectory("p/d");
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(unlink("p/d")); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(unlink("p/missing")); }), ENOENT);
}

}  // namespace
}  // namespace memfuse::conformance
