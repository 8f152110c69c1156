// lseek(2), with SEEK_DATA and SEEK_HOLE.

#include <limits.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Lseek);

constexpr off_t kPage = 4096;

TEST_P(Lseek, SetsMovesAndCountsFromTheEnd) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDWR);
  EXPECT_EQ(lseek(fd.get(), 3, SEEK_SET), 3);
  EXPECT_EQ(lseek(fd.get(), 4, SEEK_CUR), 7);
  EXPECT_EQ(lseek(fd.get(), -5, SEEK_CUR), 2);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_END), 10);
  EXPECT_EQ(lseek(fd.get(), -4, SEEK_END), 6);
  EXPECT_EQ(lseek(fd.get(), 90, SEEK_END), 100);
  EXPECT_EQ(Stat("f").st_size, 10);
  char c;
  EXPECT_EQ(read(fd.get(), &c, 1), 0);
}

TEST_P(Lseek, SeesTheEndMovedByOtherDescriptors) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDONLY);
  ASSERT_EQ(truncate("f", 5000), 0);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_END), 5000);
  const UniqueFd other = Open("f", O_WRONLY | O_APPEND);
  ASSERT_EQ(write(other.get(), "x", 1), 1);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_END), 5001);
}

TEST_P(Lseek, NegativeOffsetsAreInvalid) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDONLY);
  ASSERT_EQ(lseek(fd.get(), 5, SEEK_SET), 5);
  EXPECT_EQ(ErrnoOf(lseek(fd.get(), -1, SEEK_SET)), EINVAL);
  EXPECT_EQ(ErrnoOf(lseek(fd.get(), -6, SEEK_CUR)), EINVAL);
  EXPECT_EQ(ErrnoOf(lseek(fd.get(), -11, SEEK_END)), EINVAL);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 5);
}

TEST_P(Lseek, UpToTheLargestOffset) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDONLY);
  EXPECT_EQ(lseek(fd.get(), LLONG_MAX, SEEK_SET), LLONG_MAX);
  const int over = ErrnoOf(lseek(fd.get(), 1, SEEK_CUR));
  EXPECT_TRUE(over == EINVAL || over == EOVERFLOW) << over;
  const int end = ErrnoOf(lseek(fd.get(), LLONG_MAX, SEEK_END));
  EXPECT_TRUE(end == EINVAL || end == EOVERFLOW) << end;
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), LLONG_MAX);
}

TEST_P(Lseek, UnknownOriginsAreInvalid) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDONLY);
  for (const int whence : {5, 6, 100, -1}) {
    EXPECT_EQ(ErrnoOf(lseek(fd.get(), 0, whence)), EINVAL) << whence;
  }
}

TEST_P(Lseek, NeedsAnOpenFile) {
  MakeFile("f", "0123456789");
  const UniqueFd path_only = Open("f", O_PATH);
  EXPECT_EQ(ErrnoOf(lseek(path_only.get(), 0, SEEK_SET)), EBADF);
  EXPECT_EQ(ErrnoOf(lseek(-1, 0, SEEK_SET)), EBADF);
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const UniqueFd fifo = Open("p", O_RDWR);
  for (const int whence : {SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE}) {
    EXPECT_EQ(ErrnoOf(lseek(fifo.get(), 0, whence)), ESPIPE) << whence;
  }
}

TEST_P(Lseek, MovesNoTime) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDWR);
  const TimeWatch watch("f");
  EXPECT_EQ(lseek(fd.get(), 100, SEEK_SET), 100);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_HOLE), 10);
  EXPECT_EQ(watch.Moved(/*with_atime=*/true), "");
}

TEST_P(Lseek, DataAndHolesOfAnEmptyFile) {
  MakeFile("f");
  const UniqueFd fd = Open("f", O_RDONLY);
  for (const off_t offset : {0, 1, 4096}) {
    EXPECT_EQ(ErrnoOf(lseek(fd.get(), offset, SEEK_DATA)), ENXIO) << offset;
    EXPECT_EQ(ErrnoOf(lseek(fd.get(), offset, SEEK_HOLE)), ENXIO) << offset;
  }
}

TEST_P(Lseek, DataAndHolesOfAFileWithoutHoles) {
  for (const off_t size : {off_t{1}, off_t{100}, off_t{3000}, kPage, 3 * kPage, 3 * kPage + 5}) {
    const std::string name = "f" + std::to_string(size);
    MakeFile(name, std::string(static_cast<size_t>(size), 'x'));
    const UniqueFd fd = Open(name, O_RDONLY);
    for (const off_t offset : {off_t{0}, size / 2, size - 1}) {
      EXPECT_EQ(lseek(fd.get(), offset, SEEK_DATA), offset) << size;
      EXPECT_EQ(lseek(fd.get(), offset, SEEK_HOLE), size) << size;
    }
    for (const off_t offset : {size, size + 1, size + 100000}) {
      EXPECT_EQ(ErrnoOf(lseek(fd.get(), offset, SEEK_DATA)), ENXIO) << size;
      EXPECT_EQ(ErrnoOf(lseek(fd.get(), offset, SEEK_HOLE)), ENXIO) << size;
    }
  }
}

TEST_P(Lseek, DataAndHolesOfNothingButAHole) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  for (const off_t size : {off_t{10}, kPage, 5 * kPage + 7, off_t{1} << 40}) {
    ASSERT_EQ(ftruncate(fd.get(), size), 0);
    for (const off_t offset : {off_t{0}, size / 2, size - 1}) {
      EXPECT_EQ(ErrnoOf(lseek(fd.get(), offset, SEEK_DATA)), ENXIO) << size;
      EXPECT_EQ(lseek(fd.get(), offset, SEEK_HOLE), offset) << size;
    }
    EXPECT_EQ(ErrnoOf(lseek(fd.get(), size, SEEK_HOLE)), ENXIO) << size;
  }
}

TEST_P(Lseek, NegativeOffsetsHaveNeitherDataNorHoles) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDONLY);
  EXPECT_EQ(ErrnoOf(lseek(fd.get(), -1, SEEK_DATA)), ENXIO);
  EXPECT_EQ(ErrnoOf(lseek(fd.get(), -1, SEEK_HOLE)), ENXIO);
  EXPECT_EQ(ErrnoOf(lseek(fd.get(), LLONG_MIN, SEEK_HOLE)), ENXIO);
}

TEST_P(Lseek, AFailureLeavesTheOffset) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDONLY);
  ASSERT_EQ(lseek(fd.get(), 5, SEEK_SET), 5);
  EXPECT_EQ(ErrnoOf(lseek(fd.get(), 10, SEEK_DATA)), ENXIO);
  EXPECT_EQ(ErrnoOf(lseek(fd.get(), 10, SEEK_HOLE)), ENXIO);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 5);
  EXPECT_EQ(lseek(fd.get(), 2, SEEK_HOLE), 10);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 10);
}

// "d" is a page with data, "." one without. The file may end inside the last page.
void CheckShape(const std::string& shape, off_t tail) {
  SCOPED_TRACE(shape + " " + std::to_string(tail));
  const std::string name = "shape" + shape + std::to_string(tail);
  const UniqueFd fd = Open(name, O_CREAT | O_RDWR);
  const auto pages = static_cast<off_t>(shape.size());
  const off_t size = (pages - 1) * kPage + tail;
  ASSERT_EQ(ftruncate(fd.get(), size), 0);
  for (off_t i = 0; i < pages; ++i) {
    if (shape[static_cast<size_t>(i)] == 'd') {
      ASSERT_EQ(pwrite(fd.get(), "x", 1, i * kPage), 1);
    }
  }
  for (off_t offset = 0; offset < size; offset += 1000) {
    const auto next = [&](char kind) {
      off_t page = offset / kPage;
      if (page < pages && shape[static_cast<size_t>(page)] == kind) return offset;
      while (page < pages && shape[static_cast<size_t>(page)] != kind) ++page;
      return page == pages ? off_t{-1} : page * kPage;
    };
    const off_t data = next('d');
    const off_t hole = next('.');
    EXPECT_EQ(lseek(fd.get(), offset, SEEK_DATA), data) << offset;
    EXPECT_EQ(lseek(fd.get(), offset, SEEK_HOLE), hole == -1 ? size : hole) << offset;
  }
}

TEST_P(Lseek, DataAndHolesInAllShapes) {
  for (const char* shape : {"d", ".", "d.", ".d", "d.d", ".d.", "dd..", "..dd", "d..d", ".dd.",
                            "d.d.d.", ".......d", "d.......", "dd.dd.dd"}) {
    for (const off_t tail : {off_t{1}, off_t{100}, kPage}) CheckShape(shape, tail);
  }
}

TEST_P(Lseek, ALateHoleAfterPunching) {
  MakeFile("f", std::string(5 * kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kPage, 2 * kPage), 0);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_HOLE), kPage);
  EXPECT_EQ(lseek(fd.get(), kPage, SEEK_DATA), 3 * kPage);
  EXPECT_EQ(lseek(fd.get(), 3 * kPage, SEEK_HOLE), 5 * kPage);
  // A partial page is zeroed, not freed.
  ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 1000), 0);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_DATA), 0);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_HOLE), kPage);
  // The end of the file.
  ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * kPage, kPage), 0);
  EXPECT_EQ(lseek(fd.get(), 3 * kPage, SEEK_HOLE), 4 * kPage);
  EXPECT_EQ(ErrnoOf(lseek(fd.get(), 4 * kPage, SEEK_DATA)), ENXIO);
  EXPECT_EQ(Stat("f").st_size, 5 * kPage);
}

TEST_P(Lseek, ReservedSpaceIsAHoleUntilItIsWritten) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  ASSERT_EQ(fallocate(fd.get(), 0, 0, 4 * kPage), 0);
  EXPECT_EQ(ErrnoOf(lseek(fd.get(), 0, SEEK_DATA)), ENXIO);
  EXPECT_EQ(lseek(fd.get(), 100, SEEK_HOLE), 100);
  ASSERT_EQ(pwrite(fd.get(), "x", 1, 2 * kPage), 1);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_DATA), 2 * kPage);
  EXPECT_EQ(lseek(fd.get(), 2 * kPage, SEEK_HOLE), 3 * kPage);
}

TEST_P(Lseek, AcrossVeryLargeHoles) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  const off_t far = off_t{1} << 61;
  ASSERT_EQ(pwrite(fd.get(), "x", 1, far), 1);
  ASSERT_EQ(pwrite(fd.get(), "x", 1, kPage), 1);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_DATA), kPage);
  EXPECT_EQ(lseek(fd.get(), 2 * kPage, SEEK_DATA), far);
  EXPECT_EQ(lseek(fd.get(), far, SEEK_HOLE), far + 1);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_HOLE), 0);
}

TEST_P(Lseek, DataAndHolesAreCorrectAfterTruncate) {
  MakeFile("f", std::string(4 * kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  ASSERT_EQ(ftruncate(fd.get(), kPage + 1), 0);
  ASSERT_EQ(ftruncate(fd.get(), 4 * kPage), 0);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_HOLE), 2 * kPage);
  EXPECT_EQ(ErrnoOf(lseek(fd.get(), 2 * kPage, SEEK_DATA)), ENXIO);
}

TEST_P(Lseek, OfAnUnlinkedFile) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  ASSERT_EQ(ftruncate(fd.get(), 4 * kPage), 0);
  ASSERT_EQ(unlink("f"), 0);
  ASSERT_EQ(pwrite(fd.get(), "x", 1, 2 * kPage), 1);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_DATA), 2 * kPage);
}

}  // namespace
}  // namespace memfuse::conformance
