// Holes: large files with few pages.

#include <limits.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Sparse);

char ByteAt(int fd, off_t offset) {
  char c = '?';
  EXPECT_EQ(pread(fd, &c, 1, offset), 1) << offset;
  return c;
}

TEST_P(Sparse, AWriteAtEveryPowerOfTwo) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  for (int bit = 12; bit < 63; ++bit) {
    const off_t offset = off_t{1} << bit;
    ASSERT_EQ(pwrite(fd.get(), "x", 1, offset), 1) << bit;
    ASSERT_EQ(Stat("f").st_size, offset + 1) << bit;
  }
  for (int bit = 12; bit < 63; ++bit) {
    const off_t offset = off_t{1} << bit;
    EXPECT_EQ(ByteAt(fd.get(), offset), 'x') << bit;
    EXPECT_EQ(ByteAt(fd.get(), offset - 1), '\0') << bit;
  }
  EXPECT_EQ(ByteAt(fd.get(), 0), '\0');
  EXPECT_LE(Stat("f").st_blocks, 51 * 8);
  EXPECT_EQ(ftruncate(fd.get(), 4097), 0);
  EXPECT_EQ(Stat("f").st_blocks, 8);
  EXPECT_EQ(ByteAt(fd.get(), 4096), 'x');
}

TEST_P(Sparse, AtTheLargestOffsets) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  EXPECT_EQ(pwrite(fd.get(), "ab", 2, LLONG_MAX - 2), 2);
  EXPECT_EQ(Stat("f").st_size, LLONG_MAX);
  EXPECT_LE(Stat("f").st_blocks, 8);
  EXPECT_EQ(ByteAt(fd.get(), LLONG_MAX - 1), 'b');
  EXPECT_EQ(ByteAt(fd.get(), LLONG_MAX - 3), '\0');
  char buffer[100];
  EXPECT_EQ(pread(fd.get(), buffer, 50, LLONG_MAX - 50), 50);
  EXPECT_EQ(std::string(buffer, 50), std::string(48, '\0') + "ab");
  // Offset plus count must be a valid offset.
  EXPECT_EQ(ErrnoOf(pread(fd.get(), buffer, 51, LLONG_MAX - 50)), EINVAL);
  EXPECT_EQ(ErrnoOf(pread(fd.get(), buffer, 1, LLONG_MAX)), EINVAL);
  EXPECT_EQ(unlink("f"), 0);
}

TEST_P(Sparse, ALargeHoleReadsAsZeros) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  ASSERT_EQ(ftruncate(fd.get(), 8 << 20), 0);
  EXPECT_EQ(Stat("f").st_blocks, 0);
  EXPECT_EQ(ReadFile("f"), std::string(8 << 20, '\0'));
}

TEST_P(Sparse, WritesFillHolesPageByPage) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  ASSERT_EQ(ftruncate(fd.get(), 1 << 20), 0);
  for (int page = 1; page < 256; page += 2) {
    ASSERT_EQ(pwrite(fd.get(), "x", 1, page * 4096 + 100), 1);
  }
  EXPECT_EQ(Stat("f").st_blocks, 128 * 8);
  EXPECT_EQ(Stat("f").st_size, 1 << 20);
  // A second time: no more space.
  for (int page = 1; page < 256; page += 2) {
    ASSERT_EQ(pwrite(fd.get(), "y", 1, page * 4096 + 200), 1);
  }
  EXPECT_EQ(Stat("f").st_blocks, 128 * 8);
}

TEST_P(Sparse, ZerosThatAreWrittenTakeSpace) {
  const std::string zeros(65536, '\0');
  MakeFile("f", zeros);
  EXPECT_EQ(Stat("f").st_blocks, 128);
}

TEST_P(Sparse, BytesBehindTheEndAreZeroWhenTheFileGrows) {
  MakeFile("f", std::string(4096, 'x'));
  ASSERT_EQ(truncate("f", 100), 0);
  const UniqueFd fd = Open("f", O_RDWR);
  ASSERT_EQ(pwrite(fd.get(), "y", 1, 4095), 1);
  EXPECT_EQ(ReadFile("f"), std::string(100, 'x') + std::string(3995, '\0') + "y");
}

TEST_P(Sparse, ManyLargeFilesBesideEachOther) {
  for (int i = 0; i < 50; ++i) {
    const UniqueFd fd = Open("f" + std::to_string(i), O_CREAT | O_RDWR);
    ASSERT_EQ(ftruncate(fd.get(), off_t{1} << 60), 0);
    ASSERT_EQ(pwrite(fd.get(), "x", 1, (off_t{1} << 50) * i), 1);
  }
  for (int i = 0; i < 50; ++i) {
    const UniqueFd fd = Open("f" + std::to_string(i), O_RDONLY);
    EXPECT_EQ(ByteAt(fd.get(), (off_t{1} << 50) * i), 'x');
    EXPECT_EQ(ByteAt(fd.get(), (off_t{1} << 50) * i + 1), '\0');
  }
}

}  // namespace
}  // namespace memfuse::conformance
