// mmap(2), mprotect(2), mremap(2), msync(2), madvise(2) of files: their arguments and errors.

#include <cstdlib>

#include "tests/conformance/conformance.h"
#include "tests/conformance/map.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(MmapCalls);

TEST_P(MmapCalls, NeedsTheAccessModeOfTheDescriptor) {
  MakeFile("f", std::string(kPage, 'x'));
  const UniqueFd reader = Open("f", O_RDONLY), writer = Open("f", O_WRONLY);
  const UniqueFd path_only = Open("f", O_PATH);
  EXPECT_EQ(Map(reader.get(), kPage, PROT_READ, MAP_SHARED).error(), 0);
  EXPECT_EQ(Map(reader.get(), kPage, kReadWrite, MAP_SHARED).error(), EACCES);
  EXPECT_EQ(Map(reader.get(), kPage, kReadWrite, MAP_PRIVATE).error(), 0);
  EXPECT_EQ(Map(writer.get(), kPage, PROT_WRITE, MAP_SHARED).error(), EACCES);
  EXPECT_EQ(Map(writer.get(), kPage, PROT_READ, MAP_PRIVATE).error(), EACCES);
  EXPECT_EQ(Map(path_only.get(), kPage, PROT_READ, MAP_PRIVATE).error(), EBADF);
  EXPECT_EQ(Map(-1, kPage, PROT_READ, MAP_PRIVATE).error(), EBADF);
}

TEST_P(MmapCalls, MprotectNeedsItToo) {
  MakeFile("f", std::string(kPage, 'x'));
  const UniqueFd reader = Open("f", O_RDONLY), both = Open("f", O_RDWR);
  const Map of_reader(reader.get(), kPage, PROT_READ, MAP_SHARED);
  EXPECT_EQ(ErrnoOf(mprotect(of_reader.data(), kPage, kReadWrite)), EACCES);
  const Map of_both(both.get(), kPage, PROT_READ, MAP_SHARED);
  EXPECT_EQ(mprotect(of_both.data(), kPage, kReadWrite), 0);
  of_both[0] = 'y';
  EXPECT_EQ(of_reader[0], 'y');
}

TEST_P(MmapCalls, IsForRegularFiles) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const UniqueFd directory = Open(".", O_RDONLY), fifo = Open("p", O_RDWR);
  EXPECT_EQ(Map(directory.get(), kPage, PROT_READ, MAP_SHARED).error(), ENODEV);
  EXPECT_EQ(Map(fifo.get(), kPage, PROT_READ, MAP_SHARED).error(), ENODEV);
}

TEST_P(MmapCalls, ArgumentsAreChecked) {
  MakeFile("f", std::string(kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  EXPECT_EQ(Map(fd.get(), 0, PROT_READ, MAP_SHARED).error(), EINVAL);
  EXPECT_EQ(Map(fd.get(), kPage, PROT_READ, MAP_SHARED, 100).error(), EINVAL);
  EXPECT_EQ(Map(fd.get(), kPage, PROT_READ, 0).error(), EINVAL);
  EXPECT_EQ(Map(fd.get(), kPage, PROT_READ, MAP_SHARED_VALIDATE).error(), 0);
  EXPECT_EQ(Map(fd.get(), kPage, PROT_READ, MAP_SHARED_VALIDATE | (1 << 25)).error(), EOPNOTSUPP);
  EXPECT_EQ(Map(fd.get(), kPage, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC).error(), EOPNOTSUPP);
}

TEST_P(MmapCalls, AtAnOffset) {
  MakeFile("f", std::string(kPage, 'a') + std::string(kPage, 'b') + std::string(kPage, 'c'));
  const UniqueFd fd = Open("f", O_RDWR);
  const Map map(fd.get(), kPage, kReadWrite, MAP_SHARED, 2 * kPage);
  EXPECT_EQ(map[0], 'c');
  map[0] = 'C';
  EXPECT_EQ(ReadFile("f")[2 * kPage], 'C');
  // An empty file can be mapped, too; the mapping has no accessible page.
  MakeFile("empty");
  const UniqueFd empty = Open("empty", O_RDONLY);
  const Map nothing(empty.get(), kPage, PROT_READ, MAP_SHARED);
  EXPECT_EQ(nothing.error(), 0);
  EXPECT_TRUE(IsBusError([&] { nothing.Load(0); }));
}

TEST_P(MmapCalls, MsyncChecksItsArguments) {
  MakeFile("f", std::string(2 * kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  const Map map(fd.get(), 2 * kPage, kReadWrite, MAP_SHARED);
  map[0] = 'y';
  for (const int flags : {MS_SYNC, MS_ASYNC, MS_SYNC | MS_INVALIDATE, MS_INVALIDATE, 0}) {
    EXPECT_EQ(msync(map.data(), 2 * kPage, flags), 0) << flags;
  }
  EXPECT_EQ(ErrnoOf(msync(map.data(), kPage, MS_SYNC | MS_ASYNC)), EINVAL);
  EXPECT_EQ(ErrnoOf(msync(map.data(), kPage, 64)), EINVAL);
  EXPECT_EQ(ErrnoOf(msync(map.data() + 1, kPage, MS_SYNC)), EINVAL);
}

TEST_P(MmapCalls, AdviceToRemovePunchesAHole) {
  MakeFile("f", std::string(4 * kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  const Map map(fd.get(), 4 * kPage, kReadWrite, MAP_SHARED);
  map[kPage] = 'y';
  EXPECT_EQ(madvise(map.data() + kPage, kPage, MADV_REMOVE), 0);
  EXPECT_EQ(Stat("f").st_blocks, 3 * 8);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_HOLE), static_cast<off_t>(kPage));
  EXPECT_EQ(map[kPage], '\0');
}

TEST_P(MmapCalls, AdviceNotToNeedKeepsSharedStoresAndDropsPrivateOnes) {
  MakeFile("f", std::string(2 * kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  const Map shared(fd.get(), 2 * kPage, kReadWrite, MAP_SHARED);
  const Map priv(fd.get(), 2 * kPage, kReadWrite, MAP_PRIVATE);
  shared[0] = 's';
  priv[kPage] = 'p';
  EXPECT_EQ(madvise(shared.data(), 2 * kPage, MADV_DONTNEED), 0);
  EXPECT_EQ(madvise(priv.data(), 2 * kPage, MADV_DONTNEED), 0);
  EXPECT_EQ(shared[0], 's');
  EXPECT_EQ(priv[kPage], 'x');
}

TEST_P(MmapCalls, CanBeMovedAndLockedAndPopulated) {
  MakeFile("f", std::string(2 * kPage, 'x') + std::string(2 * kPage, 'y'));
  const UniqueFd fd = Open("f", O_RDWR);
  char* const at =
      static_cast<char*>(mmap(nullptr, kPage, kReadWrite, MAP_SHARED | MAP_POPULATE, fd.get(), 0));
  ASSERT_NE(at, MAP_FAILED);
  char* const grown = static_cast<char*>(mremap(at, kPage, 4 * kPage, MREMAP_MAYMOVE));
  ASSERT_NE(grown, MAP_FAILED);
  EXPECT_EQ(grown[3 * kPage], 'y');
  EXPECT_EQ(mlock(grown, kPage), 0);
  grown[2 * kPage] = 'z';
  EXPECT_EQ(ReadFile("f")[2 * kPage], 'z');
  EXPECT_EQ(munmap(grown, 4 * kPage), 0);
}

TEST_P(MmapCalls, ChildrenShareIt) {
  MakeFile("f", std::string(kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  const Map shared(fd.get(), kPage, kReadWrite, MAP_SHARED);
  const Map priv(fd.get(), kPage, kReadWrite, MAP_PRIVATE);
  EXPECT_EQ(InChild([&] {
              shared[1] = 's';
              priv[2] = 'p';
              return 0;
            }),
            0);
  EXPECT_EQ(shared[1], 's');
  EXPECT_EQ(priv[2], 'x');
}

TEST_P(MmapCalls, ProgramsRunFromHere) {
  ASSERT_EQ(system("cp /bin/true program && chmod 755 program"), 0);
  EXPECT_EQ(system("./program"), 0);
  const UniqueFd fd = Open("program", O_RDONLY);
  EXPECT_EQ(Map(fd.get(), kPage, PROT_READ | PROT_EXEC, MAP_PRIVATE).error(), 0);
}

}  // namespace
}  // namespace memfuse::conformance
