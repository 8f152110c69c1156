// open(2): the effect of each flag on each type of object. open_permission_test.cc tests
// permissions.

#include <sys/sendfile.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Opening);
ROOT_CONFORMANCE_SUITE(OpeningAsRoot);

TEST_P(Opening, CreatesAnEmptyFileOfTheCaller) {
  const TimeWatch parent(".");
  const UniqueFd fd = Open("f", O_CREAT | O_WRONLY, 0640);
  const struct stat s = LStat("f");
  EXPECT_EQ(s.st_mode, S_IFREG | mode_t{0640});
  EXPECT_EQ(s.st_nlink, 1u);
  EXPECT_EQ(s.st_size, 0);
  EXPECT_EQ(s.st_blocks, 0);
  EXPECT_EQ(s.st_uid, geteuid());
  EXPECT_EQ(s.st_gid, getegid());
  EXPECT_EQ(parent.Moved(), "mc");
  // All times are the same moment, also those of the parent.
  EXPECT_EQ(s.st_mtim.tv_nsec, s.st_ctim.tv_nsec);
  EXPECT_EQ(s.st_mtim.tv_nsec, s.st_atim.tv_nsec);
}

TEST_P(Opening, TakesTheModeWithoutTheUmask) {
  for (const mode_t mask : {0, 022, 027, 077, 0777, 0400, 0123}) {
    umask(mask);
    for (const mode_t mode : {0777, 0666, 0644, 0600, 0400, 0151, 0, 07777, 04755, 01644}) {
      TRACE(std::oct << mask << " " << mode);
      const UniqueFd fd = Open("f", O_CREAT | O_EXCL | O_RDWR, mode);
      EXPECT_EQ(Permissions("f"), mode & ~mask);
      ASSERT_EQ(unlink("f"), 0);
    }
  }
}

TEST_P(Opening, TheDescriptorOfANewFileIgnoresItsMode) {
  for (const mode_t mode : {0, 0400, 0200, 0111}) {
    TRACE(std::oct << mode);
    const UniqueFd fd = Open("f", O_CREAT | O_EXCL | O_RDWR, mode);
    EXPECT_EQ(write(fd.get(), "abc", 3), 3);
    char buffer[4];
    EXPECT_EQ(pread(fd.get(), buffer, sizeof(buffer), 0), 3);
    ASSERT_EQ(unlink("f"), 0);
  }
}

TEST_P(Opening, WithExclRefusesEveryTypeAndChangesNothing) {
  for (const Type type : TypesWithoutPrivilege()) {
    TRACE(ToString(type));
    MakeObject(type, "x");
    const TimeWatch object("x"), parent(".");
    EXPECT_EQ(OpenErrno("x", O_CREAT | O_EXCL | O_WRONLY), EEXIST);
    EXPECT_EQ(OpenErrno("x", O_CREAT | O_EXCL | O_RDWR | O_TRUNC), EEXIST);
    EXPECT_EQ(OpenErrno("x", O_CREAT | O_EXCL | O_RDONLY | O_NOFOLLOW), EEXIST);
    EXPECT_EQ(object.Moved(), "");
    EXPECT_EQ(parent.Moved(), "");
    if (unlink("x") != 0) {
      ASSERT_EQ(rmdir("x"), 0);
    }
  }
}

TEST_P(Opening, WithCreatKeepsAFileThatExists) {
  MakeFile("f", "content", 0604);
  const TimeWatch file("f"), parent(".");
  EXPECT_EQ(OpenErrno("f", O_CREAT | O_RDWR, 0777), 0);
  EXPECT_EQ(ReadFile("f"), "content");
  EXPECT_EQ(Permissions("f"), mode_t{0604});
  EXPECT_EQ(file.Moved(), "");
  EXPECT_EQ(parent.Moved(), "");
}

TEST_P(Opening, WithCreatMakesTheTargetOfADanglingLink) {
  ASSERT_EQ(symlink("target", "link"), 0);
  EXPECT_EQ(OpenErrno("link", O_CREAT | O_WRONLY | O_NOFOLLOW), ELOOP);
  EXPECT_FALSE(Exists("target"));
  EXPECT_EQ(OpenErrno("link", O_CREAT | O_WRONLY), 0);
  EXPECT_TRUE(S_ISREG(LStat("target").st_mode));
  ASSERT_EQ(symlink("missing/target", "deep"), 0);
  EXPECT_EQ(OpenErrno("deep", O_CREAT | O_WRONLY), ENOENT);
}

TEST_P(Opening, WithTruncEmptiesTheFileAndMovesItsTimes) {
  for (const char* content : {"content", ""}) {
    TRACE(content);
    MakeFile("f", content);
    const TimeWatch file("f");
    EXPECT_EQ(OpenErrno("f", O_WRONLY | O_TRUNC), 0);
    EXPECT_EQ(Stat("f").st_size, 0);
    EXPECT_EQ(Stat("f").st_blocks, 0);
    EXPECT_EQ(file.Moved(), "mc");
    ASSERT_EQ(unlink("f"), 0);
  }
  MakeFile("f", "content");
  EXPECT_EQ(OpenErrno("f", O_RDWR | O_CREAT | O_TRUNC), 0);
  EXPECT_EQ(Stat("f").st_size, 0);
}

TEST_P(Opening, WithTruncForReadingTruncates) {
  MakeFile("f", "content");
  EXPECT_EQ(OpenErrno("f", O_RDONLY | O_TRUNC), 0);
  EXPECT_EQ(Stat("f").st_size, 0);
}

TEST_P(Opening, WithTruncIsSeenByOpenDescriptors) {
  MakeFile("f", "content");
  const UniqueFd other = Open("f", O_RDWR);
  char buffer[16];
  ASSERT_EQ(pread(other.get(), buffer, sizeof(buffer), 0), 7);
  ASSERT_EQ(OpenErrno("f", O_WRONLY | O_TRUNC), 0);
  EXPECT_EQ(pread(other.get(), buffer, sizeof(buffer), 0), 0);
  EXPECT_EQ(pwrite(other.get(), "x", 1, 3), 1);
  EXPECT_EQ(ReadFile("f"), std::string("\0\0\0x", 4));
}

TEST_P(Opening, MovesNoTime) {
  MakeFile("f", "content");
  MakeDirectory("d");
  const TimeWatch file("f"), dir("d");
  for (const int flags : {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_APPEND, O_PATH}) {
    EXPECT_EQ(OpenErrno("f", flags), 0);
  }
  EXPECT_EQ(OpenErrno("d", O_RDONLY), 0);
  EXPECT_EQ(file.Moved(true), "");
  EXPECT_EQ(dir.Moved(true), "");
}

TEST_P(Opening, OfADirectoryIsForReading) {
  MakeDirectory("d");
  EXPECT_EQ(OpenErrno("d", O_RDONLY), 0);
  EXPECT_EQ(OpenErrno("d", O_RDONLY | O_DIRECTORY), 0);
  EXPECT_EQ(OpenErrno("d", O_WRONLY), EISDIR);
  EXPECT_EQ(OpenErrno("d", O_RDWR), EISDIR);
  EXPECT_EQ(OpenErrno("d", O_RDONLY | O_TRUNC), EISDIR);
  EXPECT_EQ(OpenErrno("d", O_RDONLY | O_CREAT), EISDIR);
  EXPECT_EQ(OpenErrno("d", O_WRONLY | O_CREAT), EISDIR);
  EXPECT_EQ(OpenErrno("d", O_RDWR | O_DIRECTORY), EISDIR);
  const UniqueFd fd = Open("d", O_RDONLY);
  char buffer[16];
  EXPECT_EQ(ErrnoOf(read(fd.get(), buffer, sizeof(buffer))), EISDIR);
  EXPECT_EQ(ErrnoOf(write(fd.get(), "x", 1)), EBADF);
  EXPECT_EQ(ErrnoOf(ftruncate(fd.get(), 0)), EINVAL);
}

TEST_P(Opening, WithDirectoryNeedsADirectory) {
  for (const Type type : TypesWithoutPrivilege()) {
    TRACE(ToString(type));
    MakeObject(type, ToString(type));
    if (type == Type::kDirectory) continue;
    const int expected = type == Type::kSymlink ? ENOENT : ENOTDIR;
    EXPECT_EQ(OpenErrno(ToString(type), O_RDONLY | O_DIRECTORY | O_NONBLOCK), expected);
    EXPECT_EQ(OpenErrno(ToString(type), O_PATH | O_DIRECTORY), expected);
  }
  ASSERT_EQ(symlink("directory", "link"), 0);
  EXPECT_EQ(OpenErrno("link", O_RDONLY | O_DIRECTORY), 0);
  EXPECT_EQ(OpenErrno("link", O_RDONLY | O_DIRECTORY | O_NOFOLLOW), ENOTDIR);
  EXPECT_EQ(OpenErrno("new", O_RDONLY | O_DIRECTORY | O_CREAT), EINVAL);
  EXPECT_FALSE(Exists("new"));
}

TEST_P(Opening, WithNofollowRefusesALinkAtTheEndOnly) {
  MakeDirectory("d");
  MakeFile("d/f", "content");
  ASSERT_EQ(symlink("d", "dir link"), 0);
  ASSERT_EQ(symlink("d/f", "link"), 0);
  ASSERT_EQ(symlink("missing", "dangling"), 0);
  EXPECT_EQ(OpenErrno("link", O_RDONLY | O_NOFOLLOW), ELOOP);
  EXPECT_EQ(OpenErrno("link", O_WRONLY | O_TRUNC | O_NOFOLLOW), ELOOP);
  EXPECT_EQ(OpenErrno("dir link", O_RDONLY | O_NOFOLLOW), ELOOP);
  EXPECT_EQ(OpenErrno("dangling", O_RDONLY | O_NOFOLLOW), ELOOP);
  EXPECT_EQ(OpenErrno("dir link/f", O_RDONLY | O_NOFOLLOW), 0);
  EXPECT_EQ(ReadFile("d/f"), "content");
}

TEST_P(Opening, WithPathGivesAHandleOnEveryType) {
  for (const Type type : TypesWithoutPrivilege()) {
    TRACE(ToString(type));
    MakeObject(type, ToString(type));
    const UniqueFd fd = Open(ToString(type), O_PATH | O_NOFOLLOW);
    struct stat s;
    ASSERT_EQ(fstat(fd.get(), &s), 0);
    EXPECT_EQ(s.st_ino, LStat(ToString(type)).st_ino);
    char buffer[16];
    EXPECT_EQ(ErrnoOf(read(fd.get(), buffer, sizeof(buffer))), EBADF);
    EXPECT_EQ(ErrnoOf(write(fd.get(), "x", 1)), EBADF);
    EXPECT_EQ(ErrnoOf(fchmod(fd.get(), 0600)), EBADF);
    EXPECT_EQ(ErrnoOf(fchown(fd.get(), -1, -1)), EBADF);
    EXPECT_EQ(ErrnoOf(ftruncate(fd.get(), 0)), EBADF);
    EXPECT_EQ(ErrnoOf(fsync(fd.get())), EBADF);
    EXPECT_EQ(fchownat(fd.get(), "", -1, -1, AT_EMPTY_PATH), 0);
    const ssize_t length = readlinkat(fd.get(), "", buffer, sizeof(buffer));
    EXPECT_EQ(length, type == Type::kSymlink ? 6 : -1);
    // Opening it again checks permissions again.
    if (type != Type::kFile) continue;
    const std::string again = "/proc/self/fd/" + std::to_string(fd.get());
    EXPECT_EQ(OpenErrno(again, O_RDWR), 0);
  }
}

TEST_P(Opening, OfAFifoWaitsForTheOtherEnd) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  EXPECT_EQ(OpenErrno("p", O_WRONLY | O_NONBLOCK), ENXIO);
  const TimeWatch fifo("p");
  const UniqueFd read_end = Open("p", O_RDONLY | O_NONBLOCK);
  const UniqueFd write_end = Open("p", O_WRONLY | O_NONBLOCK);
  EXPECT_EQ(write(write_end.get(), "abc", 3), 3);
  char buffer[16];
  EXPECT_EQ(read(read_end.get(), buffer, sizeof(buffer)), 3);
  EXPECT_EQ(ErrnoOf(read(read_end.get(), buffer, sizeof(buffer))), EAGAIN);
  EXPECT_EQ(ErrnoOf(lseek(write_end.get(), 0, SEEK_SET)), ESPIPE);
  EXPECT_EQ(ErrnoOf(ftruncate(write_end.get(), 0)), EINVAL);
  EXPECT_EQ(Stat("p").st_size, 0);
  EXPECT_EQ(OpenErrno("p", O_RDWR | O_TRUNC), 0);
  EXPECT_EQ(InChild([] {
              // The reader is open, so the writer does not block.
              return OpenErrno("p", O_WRONLY);
            }),
            0);
}

TEST_P(Opening, OfASocketFailsWithEnxio) {
  ASSERT_EQ(mknod("s", S_IFSOCK | 0666, 0), 0);
  for (const int flags : {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_CREAT, O_WRONLY | O_TRUNC}) {
    EXPECT_EQ(OpenErrno("s", flags), ENXIO);
  }
  EXPECT_EQ(OpenErrno("s", O_PATH), 0);
}

TEST_P(OpeningAsRoot, OfADeviceUsesTheDriver) {
  ASSERT_EQ(mknod("null", S_IFCHR | 0666, makedev(1, 3)), 0);
  ASSERT_EQ(mknod("zero", S_IFCHR | 0666, makedev(1, 5)), 0);
  ASSERT_EQ(mknod("nobody", S_IFCHR | 0666, makedev(4095, 12345)), 0);
  ASSERT_EQ(mknod("block", S_IFBLK | 0666, makedev(4095, 12345)), 0);
  const UniqueFd null = Open("null", O_RDWR | O_TRUNC);
  EXPECT_EQ(write(null.get(), "abc", 3), 3);
  char buffer[16] = {1};
  EXPECT_EQ(read(null.get(), buffer, sizeof(buffer)), 0);
  const UniqueFd zero = Open("zero", O_RDONLY);
  EXPECT_EQ(read(zero.get(), buffer, sizeof(buffer)), 16);
  EXPECT_EQ(buffer[0], 0);
  EXPECT_EQ(OpenErrno("nobody", O_RDONLY), ENXIO);
  EXPECT_EQ(OpenErrno("block", O_RDONLY), ENXIO);
  EXPECT_EQ(As(kAlice, [] { return OpenErrno("null", O_RDWR); }), 0);
}

TEST_P(Opening, ADescriptorOutlivesPermissionsAndNames) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  ASSERT_EQ(chmod("f", 0), 0);
  EXPECT_EQ(pwrite(fd.get(), "C", 1, 0), 1);
  ASSERT_EQ(unlink("f"), 0);
  char buffer[8] = {};
  EXPECT_EQ(pread(fd.get(), buffer, sizeof(buffer), 0), 7);
  EXPECT_STREQ(buffer, "Content");
  EXPECT_EQ(ftruncate(fd.get(), 3), 0);
  EXPECT_EQ(fchmod(fd.get(), 0600), 0);
  struct stat s;
  ASSERT_EQ(fstat(fd.get(), &s), 0);
  EXPECT_EQ(s.st_nlink, 0u);
  EXPECT_EQ(s.st_size, 3);
}

TEST_P(Opening, TheAccessModeLimitsTheDescriptor) {
  MakeFile("f", "content");
  const UniqueFd reading = Open("f", O_RDONLY);
  const UniqueFd writing = Open("f", O_WRONLY);
  char buffer[8];
  EXPECT_EQ(ErrnoOf(write(reading.get(), "x", 1)), EBADF);
  EXPECT_EQ(ErrnoOf(ftruncate(reading.get(), 0)), EINVAL);
  EXPECT_EQ(posix_fallocate(reading.get(), 0, 1), EBADF);
  EXPECT_EQ(ErrnoOf(read(writing.get(), buffer, 1)), EBADF);
  EXPECT_EQ(ReadFile("f"), "content");
}

TEST_P(Opening, OfARunningProgramForWritingIsBusy) {
  {
    const UniqueFd in(open("/bin/cat", O_RDONLY | O_CLOEXEC));
    const UniqueFd out = Open("program", O_CREAT | O_EXCL | O_WRONLY, 0755);
    struct stat s;
    ASSERT_EQ(fstat(in.get(), &s), 0);
    for (off_t left = s.st_size; left > 0;) {
      const ssize_t n = sendfile(out.get(), in.get(), nullptr, static_cast<size_t>(left));
      ASSERT_GT(n, 0);
      left -= n;
    }
    // The file is open for writing, so execve(2) fails.
    EXPECT_EQ(InChild([] { return ErrnoOf(execl("program", "program", nullptr)); }), ETXTBSY);
  }
  int to_child[2], from_child[2];
  ASSERT_EQ(pipe(to_child), 0);
  ASSERT_EQ(pipe(from_child), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(to_child[0], 0);
    dup2(from_child[1], 1);
    for (const int fd : {to_child[0], to_child[1], from_child[0], from_child[1]}) close(fd);
    execl("program", "program", nullptr);
    _exit(1);
  }
  close(to_child[0]);
  close(from_child[1]);
  char byte = 'x';
  EXPECT_EQ(write(to_child[1], &byte, 1), 1);
  EXPECT_EQ(read(from_child[0], &byte, 1), 1);  // it runs
  EXPECT_EQ(OpenErrno("program", O_WRONLY), ETXTBSY);
  EXPECT_EQ(OpenErrno("program", O_RDWR | O_TRUNC), ETXTBSY);
  EXPECT_EQ(ErrnoOf(truncate("program", 0)), ETXTBSY);
  EXPECT_EQ(OpenErrno("program", O_RDONLY), 0);
  EXPECT_EQ(chmod("program", 0700), 0);
  EXPECT_EQ(rename("program", "other"), 0);
  EXPECT_EQ(unlink("other"), 0);
  close(to_child[1]);
  close(from_child[0]);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace memfuse::conformance
