// fallocate(2), posix_fallocate(3).

#include <limits.h>
#include <linux/falloc.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Fallocate);
ROOT_CONFORMANCE_SUITE(FallocateAsRoot);

constexpr off_t kPage = 4096;
constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

TEST_P(Fallocate, ExtendsWithZerosThatTakeSpace) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  EXPECT_EQ(fallocate(fd.get(), 0, 100, 20000), 0);
  EXPECT_EQ(Stat("f").st_size, 20100);
  EXPECT_EQ(Stat("f").st_blocks, 5 * 8);
  EXPECT_EQ(ReadFile("f"), "content" + std::string(20093, '\0'));
}

TEST_P(Fallocate, InsideTheFileLeavesTheContent) {
  const std::string content(10000, 'x');
  MakeFile("f", content);
  const UniqueFd fd = Open("f", O_RDWR);
  EXPECT_EQ(fallocate(fd.get(), 0, 0, 5000), 0);
  EXPECT_EQ(fallocate(fd.get(), 0, 5000, 1), 0);
  EXPECT_EQ(ReadFile("f"), content);
}

TEST_P(Fallocate, FillsHoles) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  ASSERT_EQ(pwrite(fd.get(), "x", 1, 5 * kPage), 1);
  EXPECT_EQ(fallocate(fd.get(), 0, 0, 6 * kPage), 0);
  EXPECT_EQ(Stat("f").st_blocks, 6 * 8);
  EXPECT_EQ(ReadFile("f"), std::string(5 * kPage, '\0') + "x" + std::string(kPage - 1, '\0'));
}

TEST_P(Fallocate, KeepsTheSizeIfAsked) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  EXPECT_EQ(fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, 40000), 0);
  EXPECT_EQ(Stat("f").st_size, 7);
  EXPECT_EQ(Stat("f").st_blocks, 10 * 8);
  EXPECT_EQ(ReadFile("f"), "content");
  ASSERT_EQ(ftruncate(fd.get(), 20000), 0);
  EXPECT_EQ(ReadFile("f"), "content" + std::string(19993, '\0'));
}

TEST_P(Fallocate, ATruncateRemovesSpaceReservedBeyondTheEnd) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, 40000), 0);
  ASSERT_EQ(ftruncate(fd.get(), 7), 0);
  EXPECT_EQ(Stat("f").st_blocks, 8);
}

TEST_P(Fallocate, PunchesHoles) {
  MakeFile("f", std::string(5 * kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  EXPECT_EQ(fallocate(fd.get(), kPunch, kPage - 10, kPage + 20), 0);
  EXPECT_EQ(Stat("f").st_size, 5 * kPage);
  EXPECT_EQ(Stat("f").st_blocks, 4 * 8);
  std::string expected(5 * kPage, 'x');
  expected.replace(kPage - 10, kPage + 20, kPage + 20, '\0');
  EXPECT_EQ(ReadFile("f"), expected);
}

TEST_P(Fallocate, PunchesInsideOnePage) {
  MakeFile("f", std::string(3 * kPage, 'x'));
  MakeFile("tiny", std::string(100, 'x'));
  const UniqueFd fd = Open("f", O_RDWR), inline_data = Open("tiny", O_RDWR);
  EXPECT_EQ(fallocate(fd.get(), kPunch, kPage + 100, 50), 0);
  EXPECT_EQ(fallocate(inline_data.get(), kPunch, 10, 50), 0);
  EXPECT_EQ(Stat("f").st_blocks, 3 * 8);
  EXPECT_EQ(ReadFile("tiny"), std::string(10, 'x') + std::string(50, '\0') + std::string(40, 'x'));
  std::string expected(3 * kPage, 'x');
  expected.replace(kPage + 100, 50, 50, '\0');
  EXPECT_EQ(ReadFile("f"), expected);
}

TEST_P(Fallocate, PunchesBeyondTheEnd) {
  MakeFile("f", std::string(2 * kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  EXPECT_EQ(fallocate(fd.get(), kPunch, kPage, LLONG_MAX - kPage), 0);
  EXPECT_EQ(Stat("f").st_size, 2 * kPage);
  EXPECT_EQ(Stat("f").st_blocks, 8);
  EXPECT_EQ(fallocate(fd.get(), kPunch, 100 * kPage, kPage), 0);
  EXPECT_EQ(Stat("f").st_size, 2 * kPage);
  EXPECT_EQ(ReadFile("f"), std::string(kPage, 'x') + std::string(kPage, '\0'));
}

TEST_P(Fallocate, PunchedHolesAreSeenByMapsAndOtherDescriptors) {
  MakeFile("f", std::string(2 * kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR), other = Open("f", O_RDONLY);
  char c;
  ASSERT_EQ(pread(other.get(), &c, 1, kPage), 1);
  EXPECT_EQ(fallocate(fd.get(), kPunch, kPage, kPage), 0);
  ASSERT_EQ(pread(other.get(), &c, 1, kPage), 1);
  EXPECT_EQ(c, '\0');
}

TEST_P(Fallocate, ZeroesRanges) {
  MakeFile("f", std::string(3 * kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  // tmpfs does not support it.
  const int expected = on_memfuse() ? 0 : EOPNOTSUPP;
  EXPECT_EQ(ErrnoOf(fallocate(fd.get(), FALLOC_FL_ZERO_RANGE, 100, 2 * kPage)), expected);
  EXPECT_EQ(
      ErrnoOf(fallocate(fd.get(), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, kPage, 9 * kPage)),
      expected);
  EXPECT_EQ(Stat("f").st_size, 3 * kPage);
  EXPECT_EQ(ErrnoOf(fallocate(fd.get(), FALLOC_FL_ZERO_RANGE, kPage, 9 * kPage)), expected);
  if (!on_memfuse()) return;
  EXPECT_EQ(Stat("f").st_size, 10 * kPage);
  EXPECT_EQ(Stat("f").st_blocks, 10 * 8);
  EXPECT_EQ(ReadFile("f"), std::string(100, 'x') + std::string(10 * kPage - 100, '\0'));
}

TEST_P(Fallocate, OtherModesAreNotSupported) {
  MakeFile("f", std::string(5 * kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  constexpr int kUnshare = 0x40;
  for (const int mode :
       {FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE, kUnshare, FALLOC_FL_NO_HIDE_STALE, 0x100,
        static_cast<int>(FALLOC_FL_PUNCH_HOLE), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE,
        kPunch | FALLOC_FL_ZERO_RANGE, kPunch | FALLOC_FL_COLLAPSE_RANGE,
        FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_KEEP_SIZE, 1 << 30}) {
    const int error = ErrnoOf(fallocate(fd.get(), mode, kPage, kPage));
    EXPECT_TRUE(error == EOPNOTSUPP || error == EINVAL) << mode << " " << error;
  }
  EXPECT_EQ(ErrnoOf(fallocate(fd.get(), FALLOC_FL_COLLAPSE_RANGE, kPage, kPage)), EOPNOTSUPP);
  EXPECT_EQ(ReadFile("f"), std::string(5 * kPage, 'x'));
}

TEST_P(Fallocate, RangesAreChecked) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  for (const int mode : {0, static_cast<int>(FALLOC_FL_KEEP_SIZE), kPunch}) {
    EXPECT_EQ(ErrnoOf(fallocate(fd.get(), mode, 0, 0)), EINVAL) << mode;
    EXPECT_EQ(ErrnoOf(fallocate(fd.get(), mode, 0, -1)), EINVAL) << mode;
    EXPECT_EQ(ErrnoOf(fallocate(fd.get(), mode, -1, 10)), EINVAL) << mode;
    EXPECT_EQ(ErrnoOf(fallocate(fd.get(), mode, 1, LLONG_MAX)), EFBIG) << mode;
    EXPECT_EQ(ErrnoOf(fallocate(fd.get(), mode, LLONG_MAX, 1)), EFBIG) << mode;
  }
  EXPECT_EQ(Stat("f").st_size, 0);
}

TEST_P(Fallocate, AFailedAllocationKeepsNothing) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  for (const int mode : {0, static_cast<int>(FALLOC_FL_KEEP_SIZE)}) {
    EXPECT_EQ(ErrnoOf(fallocate(fd.get(), mode, 0, off_t{1} << 40)), ENOSPC) << mode;
    EXPECT_EQ(ErrnoOf(fallocate(fd.get(), mode, 0, LLONG_MAX)), ENOSPC) << mode;
    EXPECT_EQ(Stat("f").st_size, 7);
    EXPECT_LE(Stat("f").st_blocks, 8);
  }
  EXPECT_EQ(ReadFile("f"), "content");
}

TEST_P(Fallocate, NeedsADescriptorThatIsOpenForWriting) {
  MakeFile("f", "content");
  const UniqueFd read_only = Open("f", O_RDONLY), path_only = Open("f", O_PATH);
  const UniqueFd directory = Open(".", O_RDONLY);
  for (const int fd : {read_only.get(), path_only.get(), directory.get(), -1}) {
    EXPECT_EQ(ErrnoOf(fallocate(fd, 0, 0, 10)), EBADF) << fd;
    EXPECT_EQ(ErrnoOf(fallocate(fd, kPunch, 0, 10)), EBADF) << fd;
  }
}

TEST_P(Fallocate, IsForRegularFiles) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const UniqueFd fifo = Open("p", O_RDWR);
  EXPECT_EQ(ErrnoOf(fallocate(fifo.get(), 0, 0, 10)), ESPIPE);
}

TEST_P(FallocateAsRoot, OfADeviceIsRefused) {
  MakeObject(Type::kCharDevice, "null");
  const UniqueFd fd = Open("null", O_RDWR);
  EXPECT_EQ(ErrnoOf(fallocate(fd.get(), 0, 0, 10)), ENODEV);
}

TEST_P(Fallocate, MovesTimes) {
  MakeFile("f", std::string(2 * kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  const TimeWatch extending("f");
  ASSERT_EQ(fallocate(fd.get(), 0, 0, 3 * kPage), 0);
  const std::string moved = extending.Moved();
  const TimeWatch punching("f");
  ASSERT_EQ(fallocate(fd.get(), kPunch, 0, kPage), 0);
  EXPECT_EQ(punching.Moved(), "mc");
  EXPECT_EQ(moved, on_memfuse() ? "mc" : moved);
}

TEST_P(Fallocate, PosixFallocate) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  EXPECT_EQ(posix_fallocate(fd.get(), 0, 10000), 0);
  EXPECT_EQ(Stat("f").st_size, 10000);
  EXPECT_GE(Stat("f").st_blocks, 20);
  EXPECT_EQ(posix_fallocate(fd.get(), 0, 100), 0);
  EXPECT_EQ(Stat("f").st_size, 10000);
  EXPECT_EQ(posix_fallocate(fd.get(), -1, 100), EINVAL);
  EXPECT_EQ(posix_fallocate(fd.get(), 0, 0), EINVAL);
  EXPECT_EQ(posix_fallocate(fd.get(), LLONG_MAX, 10), EFBIG);
  EXPECT_EQ(posix_fallocate(fd.get(), 0, off_t{1} << 40), ENOSPC);
  EXPECT_EQ(posix_fallocate(-1, 0, 10), EBADF);
  EXPECT_EQ(posix_fallocate(Open("f", O_RDONLY).get(), 0, 10), EBADF);
  ASSERT_EQ(mkfifo("p", 0644), 0);
  EXPECT_EQ(posix_fallocate(Open("p", O_RDWR).get(), 0, 10), ESPIPE);
}

TEST_P(Fallocate, OfAnUnlinkedFile) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  ASSERT_EQ(unlink("f"), 0);
  EXPECT_EQ(fallocate(fd.get(), 0, 0, 10000), 0);
  EXPECT_EQ(fallocate(fd.get(), kPunch, 0, 10000), 0);
  struct stat s;
  ASSERT_EQ(fstat(fd.get(), &s), 0);
  EXPECT_EQ(s.st_size, 10000);
}

TEST_P(FallocateAsRoot, ByAStrangerClearsSetIdBits) {
  MakeFile("f", "content");
  for (const int mode : {0, kPunch}) {
    ASSERT_EQ(chmod("f", 06777), 0);
    EXPECT_EQ(As(kStranger,
                 [&] {
                   const int fd = open("f", O_RDWR);
                   return ErrnoOf(fallocate(fd, mode, 0, 100));
                 }),
              0);
    EXPECT_EQ(Permissions("f"), 0777u) << mode;
  }
}

}  // namespace
}  // namespace memfuse::conformance
