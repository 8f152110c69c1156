// Data that a program stored through a shared mapping, and that is not written back yet, as seen by
// lseek(2) SEEK_DATA and SEEK_HOLE, and by stat(2).

#include <sys/mman.h>

#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/conformance/map.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(MappedData);

constexpr off_t kSize = 4 << 20;
constexpr off_t kStep = 256 << 10;

// A copy of the file, made from the ranges that SEEK_DATA and SEEK_HOLE report as data.
std::string CopyData(int fd) {
  std::string copy(kSize, '\0');
  for (off_t at = 0; at < kSize;) {
    const off_t data = lseek(fd, at, SEEK_DATA);
    if (data < 0) {
      EXPECT_EQ(errno, ENXIO);
      break;
    }
    const off_t hole = lseek(fd, data, SEEK_HOLE);
    EXPECT_GT(hole, data);
    if (hole <= data) break;
    EXPECT_EQ(pread(fd, copy.data() + data, static_cast<size_t>(hole - data), data), hole - data);
    at = hole;
  }
  return copy;
}

void StoreAtSteps(const Map& map) {
  for (off_t at = 0; at < kSize; at += kStep) memcpy(map.data() + at, "memory", 6);
}

std::string WithStores() {
  std::string expected(kSize, '\0');
  for (off_t at = 0; at < kSize; at += kStep)
    expected.replace(static_cast<size_t>(at), 6, "memory");
  return expected;
}

TEST_P(MappedData, IsDataForItsOwnDescriptor) {
  const UniqueFd fd = Open("f", O_RDWR | O_CREAT);
  ASSERT_EQ(ftruncate(fd.get(), kSize), 0);
  const Map map(fd.get(), kSize, kReadWrite, MAP_SHARED);
  StoreAtSteps(map);
  EXPECT_EQ(CopyData(fd.get()), WithStores());
}

TEST_P(MappedData, IsDataForOthers) {
  const UniqueFd fd = Open("f", O_RDWR | O_CREAT);
  ASSERT_EQ(ftruncate(fd.get(), kSize), 0);
  const Map map(fd.get(), kSize, kReadWrite, MAP_SHARED);
  // Attributes that the kernel may have cached before the store.
  EXPECT_EQ(Stat("f").st_blocks, 0);
  StoreAtSteps(map);
  EXPECT_GT(Stat("f").st_blocks, 0);
  struct statx blocks = {};
  ASSERT_EQ(statx(AT_FDCWD, "f", 0, STATX_BLOCKS, &blocks), 0);
  EXPECT_GT(blocks.stx_blocks, 0u);
  EXPECT_EQ(CopyData(Open("f", O_RDONLY).get()), WithStores());
}

TEST_P(MappedData, StaysDataWhenTheDescriptorIsClosed) {
  UniqueFd fd = Open("f", O_RDWR | O_CREAT);
  ASSERT_EQ(ftruncate(fd.get(), kSize), 0);
  const Map map(fd.get(), kSize, kReadWrite, MAP_SHARED);
  fd.reset();
  StoreAtSteps(map);
  EXPECT_EQ(CopyData(Open("f", O_RDONLY).get()), WithStores());
}

// The kernel may have read the hole for another process. A mapping then causes no request.
TEST_P(MappedData, IsDataWhereTheHoleWasReadBefore) {
  {
    const UniqueFd fd = Open("f", O_RDWR | O_CREAT);
    ASSERT_EQ(ftruncate(fd.get(), kSize), 0);
  }
  EXPECT_EQ(ReadFile("f"), std::string(kSize, '\0'));
  const UniqueFd fd = Open("f", O_RDWR);
  const Map map(fd.get(), kSize, kReadWrite, MAP_SHARED);
  StoreAtSteps(map);
  EXPECT_GT(Stat("f").st_blocks, 0);
  EXPECT_EQ(CopyData(Open("f", O_RDONLY).get()), WithStores());
}

TEST_P(MappedData, IsDataInReservedRanges) {
  const UniqueFd fd = Open("f", O_RDWR | O_CREAT);
  ASSERT_EQ(fallocate(fd.get(), 0, 0, kSize), 0);
  const Map map(fd.get(), kSize, kReadWrite, MAP_SHARED);
  StoreAtSteps(map);
  EXPECT_EQ(CopyData(fd.get()), WithStores());
}

TEST_P(MappedData, ManyPlacesOfALargeHole) {
  constexpr off_t kLarge = off_t{1} << 36;
  const UniqueFd fd = Open("f", O_RDWR | O_CREAT);
  ASSERT_EQ(ftruncate(fd.get(), kLarge), 0);
  std::vector<off_t> stores;
  for (int i = 0; i < 40; ++i) stores.push_back((kLarge / 40 * i) & ~off_t{kPage - 1});
  std::vector<std::unique_ptr<Map>> maps;
  for (const off_t at : stores) {
    maps.push_back(std::make_unique<Map>(fd.get(), kPage, kReadWrite, MAP_SHARED, at));
    (*maps.back())[0] = 'x';
  }
  for (const off_t at : stores) EXPECT_EQ(lseek(fd.get(), at, SEEK_DATA), at);
}

TEST_P(MappedData, HolesAreHolesOnceItIsUnmapped) {
  {
    const UniqueFd fd = Open("f", O_RDWR | O_CREAT);
    ASSERT_EQ(ftruncate(fd.get(), kSize), 0);
    const Map map(fd.get(), kSize, kReadWrite, MAP_SHARED);
    memcpy(map.data() + kStep, "memory", 6);
  }
  const UniqueFd fd = Open("f", O_RDONLY);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_DATA), kStep);
  // The kernel releases the mapping a moment after munmap(2).
  EXPECT_TRUE(Eventually([&] { return lseek(fd.get(), kStep, SEEK_HOLE) == kStep + kPage; }));
  EXPECT_TRUE(Eventually([&] { return Stat("f").st_blocks == 8; }));
}

TEST_P(MappedData, HolesOfAFileThatIsOnlyOpenAreHoles) {
  const UniqueFd fd = Open("f", O_RDWR | O_CREAT);
  ASSERT_EQ(ftruncate(fd.get(), off_t{1} << 40), 0);
  ASSERT_EQ(pwrite(fd.get(), "x", 1, off_t{1} << 39), 1);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_DATA), off_t{1} << 39);
  EXPECT_EQ(lseek(fd.get(), off_t{1} << 39, SEEK_HOLE), (off_t{1} << 39) + kPage);
  EXPECT_EQ(Stat("f").st_blocks, 8);
}

}  // namespace
}  // namespace memfuse::conformance
