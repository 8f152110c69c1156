// read(2), pread(2), readv(2), preadv(2), preadv2(2).

#include <limits.h>
#include <sys/uio.h>

#include <array>
#include <cstring>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Read);

std::string Pread(int fd, size_t size, off_t offset) {
  std::string out(size, '?');
  const ssize_t n = pread(fd, out.data(), size, offset);
  EXPECT_GE(n, 0) << strerror(errno);
  out.resize(n < 0 ? 0 : static_cast<size_t>(n));
  return out;
}

TEST_P(Read, MovesTheOffsetByWhatItReturns) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDONLY);
  char buffer[6];
  EXPECT_EQ(read(fd.get(), buffer, 6), 6);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 6);
  EXPECT_EQ(read(fd.get(), buffer, 6), 4);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 10);
  EXPECT_EQ(read(fd.get(), buffer, 6), 0);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 10);
}

TEST_P(Read, PreadLeavesTheOffset) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDONLY);
  EXPECT_EQ(Pread(fd.get(), 3, 4), "456");
  EXPECT_EQ(Pread(fd.get(), 100, 8), "89");
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 0);
}

TEST_P(Read, AtOrBeyondTheEndIsNothing) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDONLY);
  EXPECT_EQ(Pread(fd.get(), 1, 10), "");
  EXPECT_EQ(Pread(fd.get(), 1, 11), "");
  EXPECT_EQ(Pread(fd.get(), 100, off_t{1} << 40), "");
  EXPECT_EQ(Pread(fd.get(), 1, LLONG_MAX - 1), "");
  EXPECT_EQ(lseek(fd.get(), 1000, SEEK_SET), 1000);
  EXPECT_EQ(Pread(fd.get(), 1, 1000), "");
}

TEST_P(Read, OfAnEmptyFileIsNothing) {
  MakeFile("f");
  const UniqueFd fd = Open("f", O_RDONLY);
  EXPECT_EQ(Pread(fd.get(), 4096, 0), "");
}

TEST_P(Read, OfNoBytesIsNothing) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDONLY);
  EXPECT_EQ(read(fd.get(), nullptr, 0), 0);
  EXPECT_EQ(pread(fd.get(), nullptr, 0, 5), 0);
  const UniqueFd write_only = Open("f", O_WRONLY);
  EXPECT_EQ(ErrnoOf(read(write_only.get(), nullptr, 0)), EBADF);
}

TEST_P(Read, AcrossPagesOfData) {
  std::string content;
  for (int i = 0; content.size() < 300000; ++i) content += std::to_string(i) + ",";
  MakeFile("f", content);
  const UniqueFd fd = Open("f", O_RDONLY);
  for (const size_t offset : {0u, 1u, 4095u, 4096u, 4097u, 131071u, 262143u}) {
    for (const size_t size : {1u, 4095u, 4096u, 8193u, 131073u}) {
      const auto at = static_cast<off_t>(offset);
      EXPECT_EQ(Pread(fd.get(), size, at), content.substr(offset, size)) << offset << " " << size;
    }
  }
  EXPECT_EQ(ReadFile("f"), content);
}

TEST_P(Read, HolesAreZeros) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  ASSERT_EQ(pwrite(fd.get(), "end", 3, 20000), 3);
  ASSERT_EQ(pwrite(fd.get(), "x", 1, 5000), 1);
  std::string expected(20003, '\0');
  expected.replace(20000, 3, "end");
  expected[5000] = 'x';
  EXPECT_EQ(Pread(fd.get(), 30000, 0), expected);
}

TEST_P(Read, NeedsADescriptorThatIsOpenForIt) {
  MakeFile("f", "content");
  char c;
  iovec one = {&c, 1};
  const UniqueFd write_only = Open("f", O_WRONLY);
  const UniqueFd path_only = Open("f", O_PATH);
  for (const int fd : {write_only.get(), path_only.get(), -1, 100000}) {
    EXPECT_EQ(ErrnoOf(read(fd, &c, 1)), EBADF) << fd;
    EXPECT_EQ(ErrnoOf(pread(fd, &c, 1, 0)), EBADF) << fd;
    EXPECT_EQ(ErrnoOf(readv(fd, &one, 1)), EBADF) << fd;
    EXPECT_EQ(ErrnoOf(preadv(fd, &one, 1, 0)), EBADF) << fd;
  }
}

TEST_P(Read, OfADirectoryIsRefused) {
  char c;
  iovec one = {&c, 1};
  const UniqueFd fd = Open(".", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(ErrnoOf(read(fd.get(), &c, 1)), EISDIR);
  EXPECT_EQ(ErrnoOf(pread(fd.get(), &c, 1, 0)), EISDIR);
  EXPECT_EQ(ErrnoOf(readv(fd.get(), &one, 1)), EISDIR);
}

TEST_P(Read, NegativeOffsetsAreInvalid) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDONLY);
  char c;
  iovec one = {&c, 1};
  EXPECT_EQ(ErrnoOf(pread(fd.get(), &c, 1, -1)), EINVAL);
  EXPECT_EQ(ErrnoOf(pread(fd.get(), &c, 1, LLONG_MIN)), EINVAL);
  EXPECT_EQ(ErrnoOf(preadv(fd.get(), &one, 1, -1)), EINVAL);
  EXPECT_EQ(ErrnoOf(preadv2(fd.get(), &one, 1, -2, 0)), EINVAL);
}

TEST_P(Read, IntoMemoryThatIsNotThereFaults) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDONLY);
  char* const nowhere = BadAddress();
  EXPECT_EQ(ErrnoOf(read(fd.get(), nowhere, 4)), EFAULT);
  EXPECT_EQ(ErrnoOf(pread(fd.get(), nowhere, 4, 2)), EFAULT);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 0);
  // If there is nothing to read, the kernel does not access the memory.
  EXPECT_EQ(pread(fd.get(), nowhere, 4, 7), 0);
}

TEST_P(Read, ReadvFillsOneBufferAfterTheOther) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDONLY);
  char a[3], b[1], c[20];
  const iovec parts[] = {{a, 3}, {nullptr, 0}, {b, 1}, {c, 20}};
  EXPECT_EQ(readv(fd.get(), parts, 4), 10);
  EXPECT_EQ(std::string(a, 3) + "|" + std::string(b, 1) + "|" + std::string(c, 6), "012|3|456789");
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 10);
  EXPECT_EQ(preadv(fd.get(), parts, 1, 5), 3);
  EXPECT_EQ(std::string(a, 3), "567");
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 10);
}

TEST_P(Read, VectorsAreChecked) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDONLY);
  char c;
  const std::vector<iovec> many(IOV_MAX + 1, iovec{&c, 1});
  EXPECT_EQ(readv(fd.get(), many.data(), 0), 0);
  EXPECT_EQ(readv(fd.get(), many.data(), IOV_MAX), 10);
  EXPECT_EQ(ErrnoOf(readv(fd.get(), many.data(), IOV_MAX + 1)), EINVAL);
  EXPECT_EQ(ErrnoOf(readv(fd.get(), many.data(), MinusOne())), EINVAL);
  const iovec huge[] = {{&c, SSIZE_MAX}, {&c, size_t{SSIZE_MAX} + 1}};
  EXPECT_EQ(ErrnoOf(readv(fd.get(), huge, 2)), EINVAL);
}

TEST_P(Read, Preadv2OfMinusOneUsesAndMovesTheOffset) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDONLY);
  char buffer[4];
  const iovec one = {buffer, 4};
  EXPECT_EQ(preadv2(fd.get(), &one, 1, -1, 0), 4);
  EXPECT_EQ(preadv2(fd.get(), &one, 1, -1, RWF_HIPRI), 4);
  EXPECT_EQ(std::string(buffer, 4), "4567");
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 8);
}

TEST_P(Read, Preadv2RefusesFlagsItDoesNotKnow) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDONLY);
  char buffer[4];
  const iovec one = {buffer, 4};
  EXPECT_EQ(ErrnoOf(preadv2(fd.get(), &one, 1, 0, 1 << 30)), EOPNOTSUPP);
  const UniqueFd writable = Open("f", O_RDWR);
  EXPECT_EQ(ErrnoOf(pwritev2(writable.get(), &one, 1, 0, 1 << 30)), EOPNOTSUPP);
}

// Neither file system supports RWF_NOWAIT.
TEST_P(Read, Preadv2WithoutWaitingIsNotSupported) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDWR);
  char buffer[4] = {};
  const iovec one = {buffer, 4};
  EXPECT_EQ(ErrnoOf(preadv2(fd.get(), &one, 1, 0, RWF_NOWAIT)), EOPNOTSUPP);
  EXPECT_EQ(ErrnoOf(pwritev2(fd.get(), &one, 1, 0, RWF_NOWAIT)), EOPNOTSUPP);
  constexpr int kAtomic = 0x40;
  EXPECT_EQ(ErrnoOf(pwritev2(fd.get(), &one, 1, 0, kAtomic)), EOPNOTSUPP);
  EXPECT_EQ(ReadFile("f"), "0123456789");
}

TEST_P(Read, WithDirectIoSeesTheSame) {
  NEEDS_DIRECT_IO();
  const std::string content(10000, 'd');
  MakeFile("f", content);
  const UniqueFd fd = Open("f", O_RDONLY | O_DIRECT);
  alignas(4096) static std::array<char, 12288> buffer;
  EXPECT_EQ(pread(fd.get(), buffer.data(), 4096, 0), 4096);
  EXPECT_EQ(std::string(buffer.data(), 4096), content.substr(0, 4096));
  EXPECT_EQ(pread(fd.get(), buffer.data(), 12288, 0), 10000);
  EXPECT_EQ(pread(fd.get(), buffer.data(), 4096, 12288), 0);
  // No alignment is necessary.
  EXPECT_EQ(pread(fd.get(), buffer.data() + 1, 100, 9950), 50);
}

TEST_P(Read, WithDirectIoMovesTheAccessTimeAfterAChange) {
  NEEDS_DIRECT_IO();
  MakeFile("f", "content");
  const TimeWatch watch("f");
  char c;
  const UniqueFd fd = Open("f", O_RDONLY | O_DIRECT);
  ASSERT_EQ(read(fd.get(), &c, 1), 1);
  EXPECT_EQ(watch.Moved(/*with_atime=*/true), "a");
}

TEST_P(Read, MovesTheAccessTimeAfterAChange) {
  MakeFile("f", "content");
  const TimeWatch watch("f");
  EXPECT_EQ(ReadFile("f"), "content");
  EXPECT_EQ(watch.Moved(/*with_atime=*/true), "a");
}

TEST_P(Read, FromThePageCacheMovesTheAccessTimeAfterAChange) {
  MakeFile("f", std::string(4096, 'x'));
  const TimeWatch watch("f");
  char c;
  ASSERT_EQ(read(Open("f", O_RDONLY).get(), &c, 1), 1);
  // The kernel sends no request for reads from the page cache.
  EXPECT_EQ(watch.Moved(/*with_atime=*/true), daemon_serves_data() ? "" : "a");
}

TEST_P(Read, WithNoatimeMovesNoTime) {
  NEEDS_DIRECT_IO();
  MakeFile("f", "content");
  const TimeWatch watch("f");
  char c;
  const UniqueFd fd = Open("f", O_RDONLY | O_NOATIME | O_DIRECT);
  ASSERT_EQ(read(fd.get(), &c, 1), 1);
  EXPECT_EQ(watch.Moved(/*with_atime=*/true), "");
}

TEST_P(Read, OfNothingMovesNoTime) {
  MakeFile("f", "content");
  const TimeWatch watch("f");
  char c;
  const UniqueFd fd = Open("f", O_RDONLY);
  ASSERT_EQ(read(fd.get(), &c, 0), 0);
  // tmpfs updates atime even for that, contrary to POSIX.
  EXPECT_EQ(watch.Moved(/*with_atime=*/true), on_memfuse() ? "" : "a");
}

TEST_P(Read, SeesRecentWritesOfAnotherDescriptor) {
  NEEDS_DIRECT_IO();
  const UniqueFd writer = Open("f", O_CREAT | O_WRONLY);
  const UniqueFd reader = Open("f", O_RDONLY);
  const UniqueFd direct = Open("f", O_RDONLY | O_DIRECT);
  for (int i = 0; i < 50; ++i) {
    const std::string text = std::to_string(i * 1000003);
    ASSERT_EQ(pwrite(writer.get(), text.data(), text.size(), 4090),
              static_cast<ssize_t>(text.size()));
    EXPECT_EQ(Pread(reader.get(), text.size(), 4090), text);
    EXPECT_EQ(Pread(direct.get(), text.size(), 4090), text);
  }
}

TEST_P(Read, DuplicatesAndChildrenShareTheOffset) {
  MakeFile("f", "0123456789");
  const UniqueFd fd = Open("f", O_RDONLY);
  const UniqueFd copy(dup(fd.get()));
  char c;
  ASSERT_EQ(read(fd.get(), &c, 1), 1);
  ASSERT_EQ(read(copy.get(), &c, 1), 1);
  EXPECT_EQ(c, '1');
  EXPECT_EQ(InChild([&] { return static_cast<int>(read(fd.get(), &c, 1)); }), 1);
  ASSERT_EQ(read(fd.get(), &c, 1), 1);
  EXPECT_EQ(c, '3');
}

}  // namespace
}  // namespace memfuse::conformance
