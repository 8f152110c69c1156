// copy_file_range(2), sendfile(2), splice(2), ioctl_ficlonerange(2).

#include <limits.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Copy);
ROOT_CONFORMANCE_SUITE(CopyAsRoot);

std::string Pattern(size_t size) {
  std::string data;
  for (int i = 0; data.size() < size; ++i) data += std::to_string(i) + ";";
  data.resize(size);
  return data;
}

TEST_P(Copy, MovesBothOffsets) {
  MakeFile("a", "0123456789");
  const UniqueFd in = Open("a", O_RDONLY), out = Open("b", O_CREAT | O_RDWR);
  ASSERT_EQ(lseek(in.get(), 2, SEEK_SET), 2);
  EXPECT_EQ(copy_file_range(in.get(), nullptr, out.get(), nullptr, 5, 0), 5);
  EXPECT_EQ(lseek(in.get(), 0, SEEK_CUR), 7);
  EXPECT_EQ(lseek(out.get(), 0, SEEK_CUR), 5);
  EXPECT_EQ(ReadFile("b"), "23456");
}

TEST_P(Copy, UsesOffsetsThatAreGiven) {
  MakeFile("a", "0123456789");
  MakeFile("b", "abcdefghij");
  const UniqueFd in = Open("a", O_RDONLY), out = Open("b", O_RDWR);
  off_t from = 3, to = 8;
  EXPECT_EQ(copy_file_range(in.get(), &from, out.get(), &to, 4, 0), 4);
  EXPECT_EQ(from, 7);
  EXPECT_EQ(to, 12);
  EXPECT_EQ(lseek(in.get(), 0, SEEK_CUR), 0);
  EXPECT_EQ(lseek(out.get(), 0, SEEK_CUR), 0);
  EXPECT_EQ(ReadFile("b"), "abcdefgh3456");
}

TEST_P(Copy, EndsAtTheEndOfTheSource) {
  MakeFile("a", "0123456789");
  const UniqueFd in = Open("a", O_RDONLY), out = Open("b", O_CREAT | O_RDWR);
  EXPECT_EQ(copy_file_range(in.get(), nullptr, out.get(), nullptr, 1000, 0), 10);
  EXPECT_EQ(copy_file_range(in.get(), nullptr, out.get(), nullptr, 1000, 0), 0);
  off_t beyond = 1 << 20;
  EXPECT_EQ(copy_file_range(in.get(), &beyond, out.get(), nullptr, 1000, 0), 0);
  EXPECT_EQ(copy_file_range(in.get(), nullptr, out.get(), nullptr, 0, 0), 0);
  EXPECT_EQ(Stat("b").st_size, 10);
}

TEST_P(Copy, OfLargeFiles) {
  const std::string content = Pattern(3 << 20);
  MakeFile("a", content);
  const UniqueFd in = Open("a", O_RDONLY), out = Open("b", O_CREAT | O_RDWR);
  size_t copied = 0;
  ssize_t n;
  while ((n = copy_file_range(in.get(), nullptr, out.get(), nullptr, SIZE_MAX / 4, 0)) > 0) {
    copied += static_cast<size_t>(n);
  }
  EXPECT_EQ(n, 0) << errno;
  EXPECT_EQ(copied, content.size());
  EXPECT_EQ(ReadFile("b"), content);
}

TEST_P(Copy, InsideOneFile) {
  MakeFile("a", Pattern(20000));
  const UniqueFd fd = Open("a", O_RDWR);
  std::string expected = Pattern(20000);
  off_t from = 100, to = 10000;
  EXPECT_EQ(copy_file_range(fd.get(), &from, fd.get(), &to, 5000, 0), 5000);
  expected.replace(10000, 5000, expected.substr(100, 5000));
  EXPECT_EQ(ReadFile("a"), expected);
  // Adjacent ranges.
  from = 0;
  to = 1000;
  EXPECT_EQ(copy_file_range(fd.get(), &from, fd.get(), &to, 1000, 0), 1000);
  expected.replace(1000, 1000, expected.substr(0, 1000));
  EXPECT_EQ(ReadFile("a"), expected);
}

TEST_P(Copy, OverlappingRangesAreInvalid) {
  MakeFile("a", Pattern(20000));
  const UniqueFd fd = Open("a", O_RDWR), other = Open("a", O_RDWR);
  for (const int out : {fd.get(), other.get()}) {
    off_t from = 0, to = 999;
    EXPECT_EQ(ErrnoOf(copy_file_range(fd.get(), &from, out, &to, 1000, 0)), EINVAL);
    from = 999;
    to = 0;
    EXPECT_EQ(ErrnoOf(copy_file_range(fd.get(), &from, out, &to, 1000, 0)), EINVAL);
    from = to = 0;
    EXPECT_EQ(ErrnoOf(copy_file_range(fd.get(), &from, out, &to, 10, 0)), EINVAL);
  }
  // The range beyond the end is not copied, so it does not overlap.
  off_t from = 19000, to = 20000;
  EXPECT_EQ(copy_file_range(fd.get(), &from, fd.get(), &to, 5000, 0), 1000);
  EXPECT_EQ(Stat("a").st_size, 21000);
}

TEST_P(Copy, ToBeyondTheEndLeavesAHole) {
  MakeFile("a", "0123456789");
  const UniqueFd in = Open("a", O_RDONLY), out = Open("b", O_CREAT | O_RDWR);
  off_t to = 10000;
  EXPECT_EQ(copy_file_range(in.get(), nullptr, out.get(), &to, 10, 0), 10);
  EXPECT_EQ(ReadFile("b"), std::string(10000, '\0') + "0123456789");
}

TEST_P(Copy, OfHolesReadsAsZeros) {
  const UniqueFd in = Open("a", O_CREAT | O_RDWR), out = Open("b", O_CREAT | O_RDWR);
  ASSERT_EQ(pwrite(in.get(), "x", 1, 9000), 1);
  ASSERT_EQ(ftruncate(in.get(), 20000), 0);
  EXPECT_EQ(copy_file_range(in.get(), nullptr, out.get(), nullptr, 20000, 0), 20000);
  EXPECT_EQ(ReadFile("b"), std::string(9000, '\0') + "x" + std::string(10999, '\0'));
}

TEST_P(Copy, SeesRecentWrites) {
  const UniqueFd in = Open("a", O_CREAT | O_RDWR), out = Open("b", O_CREAT | O_RDWR);
  for (int i = 0; i < 20; ++i) {
    const std::string text = "round " + std::to_string(i + 100);
    ASSERT_EQ(pwrite(in.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    ASSERT_EQ(pwrite(out.get(), "garbage that is cached", 22, 0), 22);
    off_t from = 0, to = 0;
    ASSERT_EQ(copy_file_range(in.get(), &from, out.get(), &to, text.size(), 0),
              static_cast<ssize_t>(text.size()));
    EXPECT_EQ(ReadFile("b").substr(0, text.size()), text);
  }
}

TEST_P(Copy, DescriptorsAreChecked) {
  MakeFile("a", "0123456789");
  MakeFile("b", "0123456789");
  const UniqueFd in = Open("a", O_RDONLY), out = Open("b", O_WRONLY);
  const UniqueFd append = Open("b", O_WRONLY | O_APPEND), path_only = Open("a", O_PATH);
  const auto copy = [](int from, int to) {
    return ErrnoOf(copy_file_range(from, nullptr, to, nullptr, 5, 0));
  };
  EXPECT_EQ(copy(out.get(), out.get()), EBADF);
  EXPECT_EQ(copy(in.get(), in.get()), EBADF);
  EXPECT_EQ(copy(in.get(), append.get()), EBADF);
  EXPECT_EQ(copy(path_only.get(), out.get()), EBADF);
  EXPECT_EQ(copy(in.get(), path_only.get()), EBADF);
  EXPECT_EQ(copy(-1, out.get()), EBADF);
  EXPECT_EQ(copy(in.get(), -1), EBADF);
}

TEST_P(Copy, IsForRegularFiles) {
  MakeFile("a", "0123456789");
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const UniqueFd file = Open("a", O_RDWR), directory = Open(".", O_RDONLY);
  const UniqueFd fifo = Open("p", O_RDWR);
  const auto copy = [](int from, int to) {
    return ErrnoOf(copy_file_range(from, nullptr, to, nullptr, 5, 0));
  };
  EXPECT_EQ(copy(directory.get(), file.get()), EISDIR);
  EXPECT_EQ(copy(fifo.get(), file.get()), EINVAL);
  EXPECT_EQ(copy(file.get(), fifo.get()), EINVAL);
}

TEST_P(Copy, ArgumentsAreChecked) {
  MakeFile("a", "0123456789");
  const UniqueFd in = Open("a", O_RDONLY), out = Open("b", O_CREAT | O_RDWR);
  EXPECT_EQ(ErrnoOf(copy_file_range(in.get(), nullptr, out.get(), nullptr, 5, 1)), EINVAL);
  off_t negative = -1;
  EXPECT_EQ(ErrnoOf(copy_file_range(in.get(), &negative, out.get(), nullptr, 5, 0)), EOVERFLOW);
  EXPECT_EQ(ErrnoOf(copy_file_range(in.get(), nullptr, out.get(), &negative, 5, 0)), EOVERFLOW);
  off_t largest = LLONG_MAX;
  EXPECT_EQ(ErrnoOf(copy_file_range(in.get(), nullptr, out.get(), &largest, 5, 0)), EFBIG);
  auto* const nowhere = reinterpret_cast<off_t*>(BadAddress());
  EXPECT_EQ(ErrnoOf(copy_file_range(in.get(), nowhere, out.get(), nullptr, 5, 0)), EFAULT);
  EXPECT_EQ(Stat("b").st_size, 0);
}

TEST_P(Copy, AtTheLargestSizeIsCut) {
  MakeFile("a", "0123456789");
  const UniqueFd in = Open("a", O_RDONLY), out = Open("b", O_CREAT | O_RDWR);
  off_t to = LLONG_MAX - 5;
  EXPECT_EQ(copy_file_range(in.get(), nullptr, out.get(), &to, 5, 0), 5);
  EXPECT_EQ(Stat("b").st_size, LLONG_MAX);
}

TEST_P(Copy, MovesTimesOfTheTarget) {
  MakeFile("a", "0123456789");
  const UniqueFd in = Open("a", O_RDONLY), out = Open("b", O_CREAT | O_RDWR);
  const TimeWatch source("a"), target("b");
  EXPECT_EQ(copy_file_range(in.get(), nullptr, out.get(), nullptr, 10, 0), 10);
  EXPECT_EQ(source.Moved(), "");
  EXPECT_EQ(target.Moved(), "mc");
}

TEST_P(Copy, BetweenFileSystemsOfDifferentTypes) {
  MakeFile("a", "0123456789");
  char path[] = "/var/tmp/conformance-XXXXXX";
  const UniqueFd other(mkstemp(path));
  ASSERT_TRUE(other.valid());
  ASSERT_EQ(unlink(path), 0);
  const UniqueFd file = Open("a", O_RDWR);
  EXPECT_EQ(ErrnoOf(copy_file_range(file.get(), nullptr, other.get(), nullptr, 5, 0)), EXDEV);
  EXPECT_EQ(ErrnoOf(copy_file_range(other.get(), nullptr, file.get(), nullptr, 5, 0)), EXDEV);
}

TEST_P(CopyAsRoot, ByAStrangerClearsSetIdBits) {
  MakeFile("a", "0123456789", 0666);
  MakeFile("b", "0123456789");
  ASSERT_EQ(chmod("b", 06777), 0);
  EXPECT_EQ(As(kStranger,
               [] {
                 const int in = open("a", O_RDONLY), out = open("b", O_RDWR);
                 return ErrnoOf(copy_file_range(in, nullptr, out, nullptr, 5, 0));
               }),
            0);
  EXPECT_EQ(Permissions("b"), 0777u);
}

TEST_P(Copy, SendfileCopiesFromAndToFiles) {
  const std::string content = Pattern(200000);
  MakeFile("a", content);
  const UniqueFd in = Open("a", O_RDONLY), out = Open("b", O_CREAT | O_RDWR);
  off_t from = 1000;
  ssize_t n;
  while ((n = sendfile(out.get(), in.get(), &from, 1 << 20)) > 0) {
  }
  EXPECT_EQ(n, 0);
  EXPECT_EQ(from, 200000);
  EXPECT_EQ(lseek(in.get(), 0, SEEK_CUR), 0);
  EXPECT_EQ(ReadFile("b"), content.substr(1000));
  const UniqueFd append = Open("b", O_WRONLY | O_APPEND);
  EXPECT_EQ(ErrnoOf(sendfile(append.get(), in.get(), nullptr, 10)), EINVAL);
  EXPECT_EQ(ErrnoOf(sendfile(in.get(), in.get(), nullptr, 10)), EBADF);
}

TEST_P(Copy, SpliceMovesThroughPipes) {
  const std::string content = Pattern(100000);
  MakeFile("a", content);
  const UniqueFd in = Open("a", O_RDONLY), out = Open("b", O_CREAT | O_RDWR);
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]), write_end(ends[1]);
  ssize_t n;
  while ((n = splice(in.get(), nullptr, write_end.get(), nullptr, 65536, 0)) > 0) {
    while (n > 0) {
      const ssize_t moved =
          splice(read_end.get(), nullptr, out.get(), nullptr, static_cast<size_t>(n), 0);
      ASSERT_GT(moved, 0) << errno;
      n -= moved;
    }
  }
  EXPECT_EQ(n, 0);
  EXPECT_EQ(ReadFile("b"), content);
  EXPECT_EQ(ErrnoOf(splice(in.get(), nullptr, out.get(), nullptr, 10, 0)), EINVAL);
  const UniqueFd append = Open("b", O_WRONLY | O_APPEND);
  ASSERT_EQ(write(write_end.get(), "x", 1), 1);
  EXPECT_EQ(ErrnoOf(splice(read_end.get(), nullptr, append.get(), nullptr, 1, 0)), EINVAL);
}

TEST_P(Copy, ReflinksAreNotSupported) {
  MakeFile("a", std::string(8192, 'x'));
  const UniqueFd in = Open("a", O_RDONLY), out = Open("b", O_CREAT | O_RDWR);
  EXPECT_EQ(ErrnoOf(ioctl(out.get(), FICLONE, in.get())), EOPNOTSUPP);
  file_clone_range range = {in.get(), 0, 4096, 0};
  EXPECT_EQ(ErrnoOf(ioctl(out.get(), FICLONERANGE, &range)), EOPNOTSUPP);
  EXPECT_EQ(ErrnoOf(ioctl(in.get(), FICLONE, out.get())), EBADF);
}

}  // namespace
}  // namespace memfuse::conformance
