// mmap(2): a file and its mappings have the same data.

#include <sys/socket.h>

#include <cstring>

#include "tests/conformance/conformance.h"
#include "tests/conformance/map.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Mmap);

TEST_P(Mmap, SharedStoresAreReadByOthers) {
  MakeFile("f", std::string(3 * kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR), other = Open("f", O_RDONLY);
  const Map map(fd.get(), 3 * kPage, kReadWrite, MAP_SHARED);
  ASSERT_EQ(map.error(), 0);
  char c = 0;
  ASSERT_EQ(pread(other.get(), &c, 1, kPage), 1);
  map[kPage] = 'y';
  map[2 * kPage + 7] = 'z';
  ASSERT_EQ(pread(other.get(), &c, 1, kPage), 1);
  EXPECT_EQ(c, 'y');
  ASSERT_EQ(pread(other.get(), &c, 1, 2 * kPage + 7), 1);
  EXPECT_EQ(c, 'z');
}

TEST_P(Mmap, WritesAreSeenInMaps) {
  MakeFile("f", std::string(2 * kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  const Map shared(fd.get(), 2 * kPage, PROT_READ, MAP_SHARED);
  const Map priv(fd.get(), 2 * kPage, PROT_READ, MAP_PRIVATE);
  EXPECT_EQ(shared[10], 'x');
  for (char value = 'a'; value < 'k'; ++value) {
    ASSERT_EQ(pwrite(fd.get(), &value, 1, 10), 1);
    EXPECT_EQ(shared[10], value);
    EXPECT_EQ(priv[10], value);
    EXPECT_EQ(ReadFile("f")[10], value);
  }
}

TEST_P(Mmap, DirectIoAndMapsAgree) {
  NEEDS_DIRECT_IO();
  MakeFile("f", std::string(2 * kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR), direct = Open("f", O_RDWR | O_DIRECT);
  const Map map(fd.get(), 2 * kPage, kReadWrite, MAP_SHARED);
  alignas(4096) static char page[kPage];
  std::memset(page, 'd', kPage);
  map[kPage + 1] = 'm';
  ASSERT_EQ(pread(direct.get(), page, kPage, kPage), static_cast<ssize_t>(kPage));
  EXPECT_EQ(page[1], 'm');
  std::memset(page, 'w', kPage);
  ASSERT_EQ(pwrite(direct.get(), page, kPage, kPage), static_cast<ssize_t>(kPage));
  EXPECT_EQ(map[kPage + 1], 'w');
}

TEST_P(Mmap, PrivateStoresStayPrivate) {
  MakeFile("f", std::string(kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDONLY);
  const Map map(fd.get(), kPage, kReadWrite, MAP_PRIVATE);
  ASSERT_EQ(map.error(), 0);
  map[5] = 'y';
  EXPECT_EQ(map[5], 'y');
  EXPECT_EQ(ReadFile("f"), std::string(kPage, 'x'));
}

TEST_P(Mmap, SharedBetweenProcesses) {
  MakeFile("f", std::string(kPage, '\0'));
  const UniqueFd fd = Open("f", O_RDWR);
  const Map map(fd.get(), kPage, kReadWrite, MAP_SHARED);
  // Through the sockets the other process tells that it has the page in its map, and this process
  // that it has stored to the page.
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd mine(ends[0]);
  UniqueFd others(ends[1]);
  char byte = 0;
  Process other([&] {
    const int own_fd = open("f", O_RDWR);
    const Map own(own_fd, kPage, kReadWrite, MAP_SHARED);
    if (own.error() != 0) return own.error();
    if (own[0] != 0 || write(ends[1], "m", 1) != 1) return -1;
    if (read(ends[1], &byte, 1) != 1 || own[0] != 'q') return -2;
    own[1] = 'a';
    return 0;
  });
  others.reset();
  ASSERT_EQ(read(mine.get(), &byte, 1), 1);
  map[0] = 'q';
  ASSERT_EQ(write(mine.get(), "s", 1), 1);
  EXPECT_EQ(other.Wait(), 0);
  EXPECT_EQ(map[1], 'a');
  EXPECT_EQ(ReadFile("f").substr(0, 2), "qa");
}

TEST_P(Mmap, OutlivesDescriptorAndName) {
  MakeFile("f", std::string(kPage, 'x'));
  UniqueFd fd = Open("f", O_RDWR);
  const Map map(fd.get(), kPage, kReadWrite, MAP_SHARED);
  fd.reset();
  ASSERT_EQ(unlink("f"), 0);
  map[100] = 'y';
  EXPECT_EQ(map[99], 'x');
  EXPECT_EQ(map[100], 'y');
  EXPECT_EQ(msync(map.data(), kPage, MS_SYNC), 0);
}

TEST_P(Mmap, StoresOutliveTheMap) {
  NEEDS_DIRECT_IO();
  MakeFile("f", std::string(100 * kPage, 'x'));
  {
    const UniqueFd fd = Open("f", O_RDWR);
    const Map map(fd.get(), 100 * kPage, kReadWrite, MAP_SHARED);
    for (size_t page = 0; page < 100; page += 3) map.Store(page * kPage + 50, "stored");
  }
  const std::string content = ReadFile("f");
  ASSERT_EQ(content.size(), 100 * kPage);
  for (size_t page = 0; page < 100; ++page) {
    EXPECT_EQ(content.substr(page * kPage + 50, 6), page % 3 == 0 ? "stored" : "xxxxxx") << page;
  }
  const UniqueFd direct = Open("f", O_RDONLY | O_DIRECT);
  char text[6];
  EXPECT_EQ(pread(direct.get(), text, 6, 3 * kPage + 50), 6);
  EXPECT_EQ(std::string(text, 6), "stored");
}

TEST_P(Mmap, TheRestOfTheLastPageIsZerosAndIsNotKept) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  {
    const Map map(fd.get(), kPage, kReadWrite, MAP_SHARED);
    EXPECT_EQ(map.Text(0, 10), std::string("content\0\0\0", 10));
    map[3] = 'X';
    map[100] = 'y';
    ASSERT_EQ(msync(map.data(), kPage, MS_SYNC), 0);
  }
  EXPECT_EQ(Stat("f").st_size, 7);
  EXPECT_EQ(ReadFile("f"), "conXent");
  // tmpfs before Linux 6.19 keeps the bytes as long as the page is in memory.
  ASSERT_EQ(ftruncate(fd.get(), 200), 0);
  EXPECT_EQ(ReadFile("f").substr(0, 100), "conXent" + std::string(93, '\0'));
  if (daemon_serves_data()) {
    EXPECT_EQ(ReadFile("f"), "conXent" + std::string(193, '\0'));
  }
}

TEST_P(Mmap, BeyondTheEndIsABusError) {
  MakeFile("f", std::string(kPage + 1, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  const Map map(fd.get(), 4 * kPage, kReadWrite, MAP_SHARED);
  const Map priv(fd.get(), 4 * kPage, kReadWrite, MAP_PRIVATE);
  for (const Map* m : {&map, &priv}) {
    EXPECT_FALSE(IsBusError([&] { m->Load(2 * kPage - 1); }));
    EXPECT_TRUE(IsBusError([&] { m->Load(2 * kPage); }));
    EXPECT_TRUE(IsBusError([&] { (*m)[3 * kPage] = 'y'; }));
  }
  EXPECT_EQ(Stat("f").st_size, static_cast<off_t>(kPage + 1));
}

TEST_P(Mmap, AfterTruncateIsABusErrorAndZerosWhenTheFileGrows) {
  MakeFile("f", std::string(4 * kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  const Map map(fd.get(), 4 * kPage, kReadWrite, MAP_SHARED);
  for (size_t page = 0; page < 4; ++page) map[page * kPage] = 'y';
  ASSERT_EQ(ftruncate(fd.get(), kPage + 10), 0);
  EXPECT_EQ(map[kPage], 'y');
  EXPECT_EQ(map[kPage + 9], 'x');
  EXPECT_EQ(map[kPage + 10], '\0');
  EXPECT_TRUE(IsBusError([&] { map.Load(2 * kPage); }));
  EXPECT_TRUE(IsBusError([&] { map[3 * kPage] = 'z'; }));
  ASSERT_EQ(ftruncate(fd.get(), 4 * kPage), 0);
  EXPECT_EQ(map[kPage + 10], '\0');
  EXPECT_EQ(map[2 * kPage], '\0');
  EXPECT_EQ(map[3 * kPage], '\0');
  map[3 * kPage] = 'w';
  EXPECT_EQ(ReadFile("f"), "y" + std::string(kPage - 1, 'x') + "y" + std::string(9, 'x') +
                               std::string(2 * kPage - 10, '\0') + "w" +
                               std::string(kPage - 1, '\0'));
}

TEST_P(Mmap, AGrownFileIsAccessible) {
  MakeFile("f", "x");
  const UniqueFd fd = Open("f", O_RDWR);
  const Map map(fd.get(), 4 * kPage, PROT_READ, MAP_SHARED);
  EXPECT_TRUE(IsBusError([&] { map.Load(kPage); }));
  ASSERT_EQ(pwrite(fd.get(), "y", 1, 2 * kPage), 1);
  EXPECT_EQ(map[kPage], '\0');
  EXPECT_EQ(map[2 * kPage], 'y');
}

TEST_P(Mmap, OfPunchedHolesIsZeros) {
  MakeFile("f", std::string(4 * kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  const Map map(fd.get(), 4 * kPage, kReadWrite, MAP_SHARED);
  map[kPage + 5] = 'y';
  ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kPage, 2 * kPage), 0);
  EXPECT_EQ(map[kPage + 5], '\0');
  EXPECT_EQ(map[3 * kPage], 'x');
  map[kPage + 6] = 'z';
  EXPECT_EQ(ReadFile("f").substr(kPage, 8), std::string("\0\0\0\0\0\0z\0", 8));
}

TEST_P(Mmap, StoresIntoHoles) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  ASSERT_EQ(ftruncate(fd.get(), 1 << 20), 0);
  const Map map(fd.get(), 1 << 20, kReadWrite, MAP_SHARED);
  map[100 * kPage + 3] = 'x';
  EXPECT_EQ(map[50 * kPage], '\0');
  ASSERT_EQ(msync(map.data(), 1 << 20, MS_SYNC), 0);
  char c = 0;
  ASSERT_EQ(pread(fd.get(), &c, 1, 100 * kPage + 3), 1);
  EXPECT_EQ(c, 'x');
  EXPECT_GE(Stat("f").st_blocks, 8);
}

TEST_P(Mmap, AStoreMovesTimes) {
  MakeFile("f", std::string(kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  const Map map(fd.get(), kPage, kReadWrite, MAP_SHARED);
  const TimeWatch watch("f");
  map[0] = 'y';
  ASSERT_EQ(msync(map.data(), kPage, MS_SYNC), 0);
  EXPECT_EQ(watch.Moved(), "mc");
}

TEST_P(Mmap, ALoadMovesNeitherMtimeNorCtime) {
  MakeFile("f", std::string(kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  const TimeWatch watch("f");
  const Map map(fd.get(), kPage, kReadWrite, MAP_SHARED);
  EXPECT_EQ(map[0], 'x');
  EXPECT_EQ(watch.Moved(), "");
}

// A read whose buffer is a mapping of the same file, not yet in memory.
TEST_P(Mmap, IsABufferOfItsOwnFile) {
  MakeFile("f", std::string(2 * kPage, 'a') + std::string(2 * kPage, 'b'));
  const UniqueFd fd = Open("f", O_RDWR);
  const Map map(fd.get(), 4 * kPage, kReadWrite, MAP_SHARED);
  EXPECT_EQ(pread(fd.get(), map.data(), 2 * kPage, 2 * kPage), static_cast<ssize_t>(2 * kPage));
  EXPECT_EQ(ReadFile("f"), std::string(4 * kPage, 'b'));
  std::memset(map.data(), 'c', 2 * kPage);
  EXPECT_EQ(pwrite(fd.get(), map.data(), 2 * kPage, 2 * kPage), static_cast<ssize_t>(2 * kPage));
  EXPECT_EQ(ReadFile("f"), std::string(4 * kPage, 'c'));
}

}  // namespace
}  // namespace memfuse::conformance
