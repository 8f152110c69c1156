// write(2), pwrite(2), writev(2), pwritev(2), pwritev2(2).

#include <limits.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <array>
#include <cstring>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Write);
ROOT_CONFORMANCE_SUITE(WriteAsRoot);

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

ssize_t Put(int fd, const std::string& data) { return write(fd, data.data(), data.size()); }
ssize_t PutAt(int fd, const std::string& data, off_t offset) {
  return pwrite(fd, data.data(), data.size(), offset);
}

TEST_P(Write, MovesTheOffsetAndTheEnd) {
  const UniqueFd fd = Open("f", O_CREAT | O_WRONLY);
  EXPECT_EQ(Put(fd.get(), "0123"), 4);
  EXPECT_EQ(Put(fd.get(), "45"), 2);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 6);
  EXPECT_EQ(Stat("f").st_size, 6);
  EXPECT_EQ(PutAt(fd.get(), "x", 1), 1);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 6);
  EXPECT_EQ(ReadFile("f"), "0x2345");
}

TEST_P(Write, BeyondTheEndLeavesAHole) {
  const UniqueFd fd = Open("f", O_CREAT | O_WRONLY);
  EXPECT_EQ(PutAt(fd.get(), "x", 10), 1);
  EXPECT_EQ(ReadFile("f"), std::string(10, '\0') + "x");
  EXPECT_EQ(lseek(fd.get(), 5000, SEEK_SET), 5000);
  EXPECT_EQ(Stat("f").st_size, 11);
  EXPECT_EQ(Put(fd.get(), "y"), 1);
  EXPECT_EQ(ReadFile("f"), std::string(10, '\0') + "x" + std::string(4989, '\0') + "y");
}

TEST_P(Write, InPiecesOfAllSizesMakesUpTheWhole) {
  std::string expected(70000, '.');
  MakeFile("f", expected);
  const UniqueFd fd = Open("f", O_RDWR);
  for (const size_t size : {1u, 7u, 4095u, 4096u, 4097u, 20000u}) {
    for (const size_t offset : {0u, 1u, 4095u, 4096u, 12287u, 49999u}) {
      const std::string piece(size, static_cast<char>('a' + (size + offset) % 26));
      expected.replace(offset, size, piece);
      ASSERT_EQ(PutAt(fd.get(), piece, static_cast<off_t>(offset)), static_cast<ssize_t>(size));
      ASSERT_EQ(ReadFile("f"), expected) << size << " at " << offset;
    }
  }
}

TEST_P(Write, OfNoBytesDoesNothing) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  const TimeWatch watch("f");
  EXPECT_EQ(write(fd.get(), nullptr, 0), 0);
  EXPECT_EQ(pwrite(fd.get(), "", 0, 100000), 0);
  EXPECT_EQ(lseek(fd.get(), 1000, SEEK_SET), 1000);
  EXPECT_EQ(write(fd.get(), "", 0), 0);
  EXPECT_EQ(Stat("f").st_size, 7);
  EXPECT_EQ(watch.Moved(), "");
}

TEST_P(Write, MovesTimesOfTheFileAndNotOfItsDirectory) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_WRONLY);
  const TimeWatch file("f"), directory(".");
  EXPECT_EQ(PutAt(fd.get(), "x", 3), 1);
  EXPECT_EQ(file.Moved(/*with_atime=*/true), "mc");
  EXPECT_EQ(directory.Moved(), "");
  const TimeWatch again("f");
  EXPECT_EQ(PutAt(fd.get(), "x", 3), 1);
  EXPECT_EQ(again.Moved(), "mc");
}

TEST_P(Write, ThatFailsMovesNoTime) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  const TimeWatch watch("f");
  EXPECT_EQ(ErrnoOf(pwrite(fd.get(), "x", 1, -1)), EINVAL);
  EXPECT_EQ(ErrnoOf(pwrite(fd.get(), "x", 1, LLONG_MAX)), EINVAL);
  EXPECT_EQ(watch.Moved(), "");
}

TEST_P(Write, NeedsADescriptorThatIsOpenForIt) {
  MakeFile("f", "content");
  char c = 'c';
  const iovec one = {&c, 1};
  const UniqueFd read_only = Open("f", O_RDONLY);
  const UniqueFd path_only = Open("f", O_PATH);
  const UniqueFd directory = Open(".", O_RDONLY);
  for (const int fd : {read_only.get(), path_only.get(), directory.get(), -1, 100000}) {
    EXPECT_EQ(ErrnoOf(write(fd, &c, 1)), EBADF) << fd;
    EXPECT_EQ(ErrnoOf(write(fd, &c, 0)), EBADF) << fd;
    EXPECT_EQ(ErrnoOf(pwrite(fd, &c, 1, 0)), EBADF) << fd;
    EXPECT_EQ(ErrnoOf(writev(fd, &one, 1)), EBADF) << fd;
  }
}

TEST_P(Write, NegativeOffsetsAreInvalid) {
  const UniqueFd fd = Open("f", O_CREAT | O_WRONLY);
  char c = 'c';
  const iovec one = {&c, 1};
  EXPECT_EQ(ErrnoOf(pwrite(fd.get(), &c, 1, -1)), EINVAL);
  EXPECT_EQ(ErrnoOf(pwrite(fd.get(), &c, 1, LLONG_MIN)), EINVAL);
  EXPECT_EQ(ErrnoOf(pwritev(fd.get(), &one, 1, -1)), EINVAL);
  EXPECT_EQ(ErrnoOf(pwritev2(fd.get(), &one, 1, -2, 0)), EINVAL);
  EXPECT_EQ(Stat("f").st_size, 0);
}

TEST_P(Write, FromMemoryThatIsNotThereFaults) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_WRONLY);
  EXPECT_EQ(ErrnoOf(write(fd.get(), BadAddress(), 4)), EFAULT);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 0);
  EXPECT_EQ(ReadFile("f"), "content");
}

// EFBIG is the error for file size limits. The kernel checks earlier that offset plus count is a
// valid offset.
TEST_P(Write, BeyondTheLargestOffsetIsInvalid) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  EXPECT_EQ(ErrnoOf(pwrite(fd.get(), "x", 1, LLONG_MAX)), EINVAL);
  EXPECT_EQ(ErrnoOf(pwrite(fd.get(), "xy", 2, LLONG_MAX - 1)), EINVAL);
  EXPECT_EQ(Stat("f").st_size, 0);
  EXPECT_EQ(pwrite(fd.get(), "x", 1, LLONG_MAX - 1), 1);
  EXPECT_EQ(Stat("f").st_size, LLONG_MAX);
  char c = 0;
  EXPECT_EQ(pread(fd.get(), &c, 1, LLONG_MAX - 1), 1);
  EXPECT_EQ(c, 'x');
  EXPECT_EQ(lseek(fd.get(), LLONG_MAX, SEEK_SET), LLONG_MAX);
  EXPECT_EQ(ErrnoOf(write(fd.get(), "z", 1)), EINVAL);
  const UniqueFd append = Open("f", O_WRONLY | O_APPEND);
  EXPECT_EQ(ErrnoOf(write(append.get(), "z", 1)), EFBIG);
}

// Runs `call` with a limit on the file size; counts the signals.
volatile sig_atomic_t g_signals;
int WithFileSizeLimit(rlim_t limit, const std::function<int()>& call) {
  return InChild([&] {
    g_signals = 0;
    struct sigaction action = {};
    action.sa_handler = [](int) { g_signals = g_signals + 1; };
    sigaction(SIGXFSZ, &action, nullptr);
    const rlimit value = {limit, limit};
    if (setrlimit(RLIMIT_FSIZE, &value) != 0) return -2;
    return call();
  });
}

TEST_P(Write, IsCutAtTheLimitOfTheProcess) {
  const UniqueFd fd = Open("f", O_CREAT | O_WRONLY);
  const int wrong = WithFileSizeLimit(6000, [&] {
    const std::string data(4096, 'x');
    if (Put(fd.get(), data) != 4096) return 1;
    if (Put(fd.get(), data) != 6000 - 4096) return 2;
    if (g_signals != 0) return 3;
    if (ErrnoOf(Put(fd.get(), data)) != EFBIG || g_signals != 1) return 4;
    if (ErrnoOf(PutAt(fd.get(), "x", 6000)) != EFBIG || g_signals != 2) return 5;
    if (PutAt(fd.get(), "x", 5999) != 1) return 6;
    if (PutAt(fd.get(), "", 9000) != 0 || g_signals != 2) return 7;
    return 0;
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(Stat("f").st_size, 6000);
}

TEST_P(Write, AboveTheLimitTheSignalKillsByDefault) {
  const UniqueFd fd = Open("f", O_CREAT | O_WRONLY);
  const pid_t child = fork();
  if (child == 0) {
    const rlimit none = {0, 0}, limit = {10, 10};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGXFSZ, SIG_DFL);
    setrlimit(RLIMIT_FSIZE, &limit);
    (void)!pwrite(fd.get(), "x", 1, 10);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ) << status;
}

TEST_P(Write, OtherCallsAboveTheLimitAreTooBig) {
  const UniqueFd fd = Open("f", O_CREAT | O_WRONLY);
  const int wrong = WithFileSizeLimit(6000, [&] {
    if (ftruncate(fd.get(), 6000) != 0) return 1;
    if (ErrnoOf(ftruncate(fd.get(), 6001)) != EFBIG || g_signals != 1) return 2;
    if (ErrnoOf(truncate("f", 6001)) != EFBIG || g_signals != 2) return 3;
    if (ErrnoOf(fallocate(fd.get(), 0, 0, 6001)) != EFBIG || g_signals != 3) return 4;
    const int in = open("f", O_RDONLY);
    off_t from = 0, to = 5990;
    if (copy_file_range(in, &from, fd.get(), &to, 100, 0) != 10) return 5;
    if (ErrnoOf(copy_file_range(in, &from, fd.get(), &to, 100, 0)) != EFBIG) return 6;
    return g_signals == 4 ? 0 : 7;
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(Stat("f").st_size, 6000);
}

TEST_P(Write, WritevGathers) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  char a[] = "abc", b[] = "d", c[] = "efgh";
  const iovec parts[] = {{a, 3}, {nullptr, 0}, {b, 1}, {c, 4}};
  EXPECT_EQ(writev(fd.get(), parts, 4), 8);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 8);
  EXPECT_EQ(pwritev(fd.get(), parts, 3, 6), 4);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 8);
  EXPECT_EQ(ReadFile("f"), "abcdefabcd");
}

TEST_P(Write, VectorsAreChecked) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  char c = 'c';
  const std::vector<iovec> many(IOV_MAX + 1, iovec{&c, 1});
  EXPECT_EQ(writev(fd.get(), many.data(), 0), 0);
  EXPECT_EQ(writev(fd.get(), many.data(), IOV_MAX), IOV_MAX);
  EXPECT_EQ(ErrnoOf(writev(fd.get(), many.data(), IOV_MAX + 1)), EINVAL);
  EXPECT_EQ(ErrnoOf(writev(fd.get(), many.data(), MinusOne())), EINVAL);
  const iovec huge[] = {{&c, SSIZE_MAX}, {&c, size_t{SSIZE_MAX} + 1}};
  EXPECT_EQ(ErrnoOf(writev(fd.get(), huge, 2)), EINVAL);
  EXPECT_EQ(Stat("f").st_size, IOV_MAX);
}

TEST_P(Write, Pwritev2Appends) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDWR);
  char text[] = "ab";
  const iovec one = {text, 2};
  EXPECT_EQ(pwritev2(fd.get(), &one, 1, 0, RWF_APPEND), 2);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 0);
  EXPECT_EQ(pwritev2(fd.get(), &one, 1, -1, RWF_APPEND), 2);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 14);
  EXPECT_EQ(pwritev2(fd.get(), &one, 1, 1, RWF_SYNC | RWF_DSYNC), 2);
  EXPECT_EQ(ReadFile("f"), "0ab3456789abab");
}

TEST_P(Write, Pwritev2OverridesAppend) {
  if (!KernelAtLeast(6, 9)) GTEST_SKIP() << "Linux has no RWF_NOAPPEND before 6.9";
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_WRONLY | O_APPEND);
  char text[] = "ab";
  const iovec one = {text, 2};
  EXPECT_EQ(pwritev2(fd.get(), &one, 1, 3, RWF_NOAPPEND), 2);
  EXPECT_EQ(ErrnoOf(pwritev2(fd.get(), &one, 1, 3, RWF_NOAPPEND | RWF_APPEND)), EINVAL);
  EXPECT_EQ(ReadFile("f"), "012ab56789");
}

TEST_P(Write, SynchronouslyWritesTheSame) {
  NEEDS_DIRECT_IO();
  for (const int flag : {O_SYNC, O_DSYNC, O_DIRECT, O_DIRECT | O_SYNC, O_NONBLOCK}) {
    const std::string name = "f" + std::to_string(flag);
    const UniqueFd fd = Open(name, O_CREAT | O_RDWR | flag);
    alignas(4096) static std::array<char, 8192> page;
    page.fill('p');
    EXPECT_EQ(write(fd.get(), page.data(), 8192), 8192);
    EXPECT_EQ(PutAt(fd.get(), "odd", 8191), 3);
    EXPECT_EQ(ReadFile(name), std::string(8191, 'p') + "odd");
  }
}

TEST_P(Write, ClearsSetIdBitsWithoutCapFsetid) {
  MakeFile("f", "content");
  ASSERT_EQ(chmod("f", 06755), 0);
  const UniqueFd fd = Open("f", O_WRONLY);
  ASSERT_EQ(write(fd.get(), "x", 0), 0);
  EXPECT_EQ(Permissions("f"), 06755u);
  ASSERT_EQ(write(fd.get(), "x", 1), 1);
  EXPECT_EQ(Permissions("f"), RunsAsRoot() ? 06755u : 0755u);
}

TEST_P(WriteAsRoot, ByAStrangerClearsSetIdBits) {
  for (const mode_t mode : {06777u, 04777u, 02777u, 06767u, 02767u}) {
    const std::string name = "f" + std::to_string(mode);
    MakeFile(name, "content");
    ASSERT_EQ(chmod(name.c_str(), mode), 0);
    EXPECT_EQ(As(kStranger,
                 [&] {
                   const int fd = open(name.c_str(), O_WRONLY);
                   return ErrnoOf(write(fd, "x", 1));
                 }),
              0);
    // If the group may not execute, only a user outside the group clears S_ISGID.
    EXPECT_EQ(Permissions(name), mode & 0777u) << std::oct << mode;
  }
}

TEST_P(WriteAsRoot, ADescriptorKeepsItsWritePermission) {
  MakeFile("f", "content", 0666);
  EXPECT_EQ(As(kAlice,
               [] {
                 const int fd = open("f", O_WRONLY);
                 return fd < 0 ? errno : 0;
               }),
            0);
  const UniqueFd fd = Open("f", O_WRONLY);
  ASSERT_EQ(chmod("f", 0), 0);
  EXPECT_EQ(As(kAlice, [&] { return ErrnoOf(write(fd.get(), "x", 1)); }), 0);
  EXPECT_EQ(As(kAlice, [&] { return ErrnoOf(open("f", O_WRONLY)); }), EACCES);
  ASSERT_EQ(chmod("f", 0644), 0);
  EXPECT_EQ(ReadFile("f"), "xontent");
}

}  // namespace
}  // namespace memfuse::conformance
