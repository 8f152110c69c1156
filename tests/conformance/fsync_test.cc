// fsync(2), fdatasync(2), sync_file_range(2), syncfs(2), posix_fadvise(2), readahead(2).

#include <limits.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Fsync);

TEST_P(Fsync, OfFilesAndDirectories) {
  MakeFile("f", "content");
  for (const char* name : {"f", "."}) {
    const UniqueFd fd = Open(name, O_RDONLY);
    EXPECT_EQ(fsync(fd.get()), 0) << name;
    EXPECT_EQ(fdatasync(fd.get()), 0) << name;
    EXPECT_EQ(syncfs(fd.get()), 0) << name;
  }
  const UniqueFd writer = Open("f", O_WRONLY);
  ASSERT_EQ(write(writer.get(), "x", 1), 1);
  EXPECT_EQ(fsync(writer.get()), 0);
  EXPECT_EQ(fdatasync(writer.get()), 0);
  ASSERT_EQ(unlink("f"), 0);
  EXPECT_EQ(fsync(writer.get()), 0);
}

TEST_P(Fsync, NeedsAnOpenFile) {
  MakeFile("f", "content");
  const UniqueFd path_only = Open("f", O_PATH);
  for (const int fd : {path_only.get(), -1, 100000}) {
    EXPECT_EQ(ErrnoOf(fsync(fd)), EBADF);
    EXPECT_EQ(ErrnoOf(fdatasync(fd)), EBADF);
    EXPECT_EQ(ErrnoOf(syncfs(fd)), EBADF);
    EXPECT_EQ(ErrnoOf(sync_file_range(fd, 0, 1, 0)), EBADF);
  }
}

TEST_P(Fsync, OfAPipeIsInvalid) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const UniqueFd fd = Open("p", O_RDWR);
  EXPECT_EQ(ErrnoOf(fsync(fd.get())), EINVAL);
  EXPECT_EQ(ErrnoOf(fdatasync(fd.get())), EINVAL);
  EXPECT_EQ(ErrnoOf(sync_file_range(fd.get(), 0, 1, 0)), ESPIPE);
}

TEST_P(Fsync, MovesNoTime) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  const TimeWatch watch("f");
  EXPECT_EQ(fsync(fd.get()), 0);
  EXPECT_EQ(fdatasync(fd.get()), 0);
  EXPECT_EQ(syncfs(fd.get()), 0);
  EXPECT_EQ(watch.Moved(/*with_atime=*/true), "");
}

TEST_P(Fsync, OfRanges) {
  MakeFile("f", std::string(10000, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  constexpr unsigned kAll =
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  EXPECT_EQ(sync_file_range(fd.get(), 0, 0, kAll), 0);
  EXPECT_EQ(sync_file_range(fd.get(), 100, 5000, SYNC_FILE_RANGE_WRITE), 0);
  EXPECT_EQ(sync_file_range(fd.get(), 100000, 5000, 0), 0);
  EXPECT_EQ(ErrnoOf(sync_file_range(fd.get(), 0, 0, 8)), EINVAL);
  EXPECT_EQ(ErrnoOf(sync_file_range(fd.get(), -1, 0, 0)), EINVAL);
  EXPECT_EQ(ErrnoOf(sync_file_range(fd.get(), 0, -1, 0)), EINVAL);
  EXPECT_EQ(ErrnoOf(sync_file_range(fd.get(), LLONG_MAX, 1, 0)), EINVAL);
  const UniqueFd directory = Open(".", O_RDONLY);
  EXPECT_EQ(sync_file_range(directory.get(), 0, 0, kAll), 0);
}

TEST_P(Fsync, AdviceIsTakenAndChangesNothing) {
  MakeFile("f", std::string(10000, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  for (const int advice : {POSIX_FADV_NORMAL, POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM,
                           POSIX_FADV_NOREUSE, POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED}) {
    EXPECT_EQ(posix_fadvise(fd.get(), 0, 0, advice), 0) << advice;
    EXPECT_EQ(posix_fadvise(fd.get(), 5000, 100000, advice), 0) << advice;
    EXPECT_EQ(ReadFile("f"), std::string(10000, 'x'));
  }
}

TEST_P(Fsync, AdviceIsChecked) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR), path_only = Open("f", O_PATH);
  EXPECT_EQ(posix_fadvise(fd.get(), 0, 0, 77), EINVAL);
  EXPECT_EQ(posix_fadvise(fd.get(), 0, -1, POSIX_FADV_NORMAL), EINVAL);
  EXPECT_EQ(posix_fadvise(path_only.get(), 0, 0, POSIX_FADV_NORMAL), EBADF);
  EXPECT_EQ(posix_fadvise(-1, 0, 0, POSIX_FADV_NORMAL), EBADF);
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const UniqueFd fifo = Open("p", O_RDWR);
  EXPECT_EQ(posix_fadvise(fifo.get(), 0, 0, POSIX_FADV_NORMAL), ESPIPE);
}

TEST_P(Fsync, ReadaheadReadsAhead) {
  MakeFile("f", std::string(100000, 'x'));
  const UniqueFd fd = Open("f", O_RDONLY);
  EXPECT_EQ(readahead(fd.get(), 0, 100000), 0);
  EXPECT_EQ(readahead(fd.get(), 1 << 20, 100000), 0);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 0);
  const UniqueFd write_only = Open("f", O_WRONLY), directory = Open(".", O_RDONLY);
  EXPECT_EQ(ErrnoOf(readahead(write_only.get(), 0, 1)), EBADF);
  EXPECT_EQ(ErrnoOf(readahead(directory.get(), 0, 1)), EINVAL);
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const UniqueFd fifo = Open("p", O_RDWR);
  EXPECT_EQ(ErrnoOf(readahead(fifo.get(), 0, 1)), EINVAL);
}

TEST_P(Fsync, DroppedPagesAreReadAgain) {
  MakeFile("f", std::string(100000, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  ASSERT_EQ(pwrite(fd.get(), "yz", 2, 50000), 2);
  ASSERT_EQ(fsync(fd.get()), 0);
  ASSERT_EQ(posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED), 0);
  std::string expected(100000, 'x');
  expected.replace(50000, 2, "yz");
  EXPECT_EQ(ReadFile("f"), expected);
}

}  // namespace
}  // namespace memfuse::conformance
