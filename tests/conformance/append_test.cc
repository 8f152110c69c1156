// O_APPEND, also from many processes at once.

#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include <cstring>
#include <map>
#include <memory>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Append);

TEST_P(Append, WritesAtTheEndForAnyOffset) {
  MakeFile("f", "0123");
  const UniqueFd fd = Open("f", O_RDWR | O_APPEND);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 0);
  EXPECT_EQ(write(fd.get(), "45", 2), 2);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 6);
  EXPECT_EQ(lseek(fd.get(), 1, SEEK_SET), 1);
  char c = 0;
  EXPECT_EQ(read(fd.get(), &c, 1), 1);
  EXPECT_EQ(c, '1');
  EXPECT_EQ(write(fd.get(), "6", 1), 1);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 7);
  EXPECT_EQ(ReadFile("f"), "0123456");
}

// pwrite(2), BUGS: on Linux the offset is ignored.
TEST_P(Append, PwriteAppendsToo) {
  MakeFile("f", "0123");
  const UniqueFd fd = Open("f", O_WRONLY | O_APPEND);
  EXPECT_EQ(pwrite(fd.get(), "4", 1, 0), 1);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 0);
  EXPECT_EQ(ReadFile("f"), "01234");
}

TEST_P(Append, CanBeSwitched) {
  MakeFile("f", "0123");
  const UniqueFd fd = Open("f", O_WRONLY);
  EXPECT_EQ(fcntl(fd.get(), F_SETFL, O_APPEND), 0);
  EXPECT_EQ(fcntl(fd.get(), F_GETFL) & O_APPEND, O_APPEND);
  EXPECT_EQ(write(fd.get(), "4", 1), 1);
  EXPECT_EQ(fcntl(fd.get(), F_SETFL, 0), 0);
  EXPECT_EQ(pwrite(fd.get(), "x", 1, 0), 1);
  EXPECT_EQ(ReadFile("f"), "x1234");
}

// Unpackers clear O_APPEND of standard output to leave holes: xz -dc image.xz >> disk.
TEST_P(Append, CanBeClearedAfterOpen) {
  for (const int mode : {O_WRONLY, O_RDWR}) {
    TRACE(mode);
    MakeFile("f", "0123");
    const UniqueFd fd = Open("f", mode | O_APPEND);
    EXPECT_EQ(write(fd.get(), "45", 2), 2);
    ASSERT_EQ(fcntl(fd.get(), F_SETFL, 0), 0);
    EXPECT_EQ(pwrite(fd.get(), "a", 1, 0), 1);
    EXPECT_EQ(lseek(fd.get(), 2, SEEK_SET), 2);
    EXPECT_EQ(write(fd.get(), "b", 1), 1);
    EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 3);
    const iovec part = {const_cast<char*>("c"), 1};
    EXPECT_EQ(pwritev(fd.get(), &part, 1, 4), 1);
    EXPECT_EQ(ReadFile("f"), "a1b3c5");
    // And set it again.
    ASSERT_EQ(fcntl(fd.get(), F_SETFL, O_APPEND), 0);
    EXPECT_EQ(pwrite(fd.get(), "6", 1, 0), 1);
    EXPECT_EQ(ReadFile("f"), "a1b3c56");
    ASSERT_EQ(unlink("f"), 0);
  }
}

TEST_P(Append, CanBeClearedForSpliceAndSendfile) {
  MakeFile("in", "abcdef");
  MakeFile("f", "0123456789");
  const UniqueFd in = Open("in", O_RDONLY), fd = Open("f", O_RDWR | O_APPEND);
  EXPECT_EQ(ErrnoOf(sendfile(fd.get(), in.get(), nullptr, 2)), EINVAL);
  ASSERT_EQ(fcntl(fd.get(), F_SETFL, 0), 0);
  ASSERT_EQ(lseek(fd.get(), 1, SEEK_SET), 1);
  EXPECT_EQ(sendfile(fd.get(), in.get(), nullptr, 2), 2);
  EXPECT_EQ(ReadFile("f"), "0ab3456789");
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const UniqueFd out(ends[0]), into(ends[1]);
  ASSERT_EQ(write(into.get(), "xyz", 3), 3);
  loff_t offset = 5;
  EXPECT_EQ(splice(out.get(), nullptr, fd.get(), &offset, 3, 0), 3);
  EXPECT_EQ(ReadFile("f"), "0ab34xyz89");
}

// splice(2) and sendfile(2) read through the page cache, which a kernel with passthrough writes
// does not keep coherent. They must fail, and must never return old data.
TEST_P(Append, SpliceFromAnAppendingDescriptor) {
  MakeFile("f", "0123456789");
  const UniqueFd appending = Open("f", O_RDWR | O_APPEND), plain = Open("f", O_RDWR);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const UniqueFd out(ends[0]), into(ends[1]);
  for (const char letter : {'a', 'b', 'c'}) {
    ASSERT_EQ(pwrite(plain.get(), &letter, 1, 0), 1);
    loff_t offset = 0;
    const ssize_t count = splice(appending.get(), &offset, into.get(), nullptr, 10, 0);
    if (on_memfuse() && !daemon_serves_data()) {
      EXPECT_EQ(ErrnoOf(count), EINVAL);
      continue;
    }
    ASSERT_EQ(count, 10);
    char buffer[10];
    ASSERT_EQ(read(out.get(), buffer, 10), 10);
    EXPECT_EQ(std::string(buffer, 10), letter + std::string("123456789"));
  }
  // Another descriptor behaves as on any file system.
  loff_t offset = 0;
  EXPECT_EQ(splice(plain.get(), &offset, into.get(), nullptr, 10, 0), 10);
}

// Descriptors of every kind for one file at the same time.
TEST_P(Append, WorksBesideOtherDescriptors) {
  MakeFile("f", "0123");
  const UniqueFd appending = Open("f", O_RDWR | O_APPEND), plain = Open("f", O_RDWR);
  void* const mapping = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, appending.get(), 0);
  ASSERT_NE(mapping, MAP_FAILED);
  char* const map = static_cast<char*>(mapping);
  EXPECT_EQ(pwrite(plain.get(), "a", 1, 0), 1);
  EXPECT_EQ(write(appending.get(), "4", 1), 1);
  EXPECT_EQ(std::string(map, 5), "a1234");
  map[1] = 'b';
  char buffer[8] = {};
  EXPECT_EQ(pread(appending.get(), buffer, 8, 0), 5);
  EXPECT_STREQ(buffer, "ab234");
  EXPECT_EQ(pwrite(plain.get(), "5", 1, 5), 1);
  EXPECT_EQ(write(appending.get(), "6", 1), 1);
  EXPECT_EQ(pread(plain.get(), buffer, 8, 0), 7);
  EXPECT_STREQ(buffer, "ab23456");
  ASSERT_EQ(ftruncate(plain.get(), 3), 0);
  EXPECT_EQ(write(appending.get(), "c", 1), 1);
  EXPECT_EQ(std::string(map, 4), "ab2c");
  munmap(mapping, 4096);
}

TEST_P(Append, FollowsOtherChangesOfTheEnd) {
  MakeFile("f", "0123");
  const UniqueFd fd = Open("f", O_WRONLY | O_APPEND);
  ASSERT_EQ(truncate("f", 2), 0);
  EXPECT_EQ(write(fd.get(), "a", 1), 1);
  ASSERT_EQ(truncate("f", 5000), 0);
  EXPECT_EQ(write(fd.get(), "b", 1), 1);
  EXPECT_EQ(ReadFile("f"), "01a" + std::string(4997, '\0') + "b");
}

TEST_P(Append, WithDirectIo) {
  NEEDS_DIRECT_IO();
  MakeFile("f", "0123");
  const UniqueFd fd = Open("f", O_WRONLY | O_APPEND | O_DIRECT);
  EXPECT_EQ(write(fd.get(), "45", 2), 2);
  EXPECT_EQ(write(fd.get(), "67", 2), 2);
  EXPECT_EQ(ReadFile("f"), "01234567");
}

// Each record consists of its writer's letter and ends in a newline.
void Race(int flags, size_t record_size, int records, bool own_descriptors) {
  constexpr int kWriters = 4;
  MakeFile("log");
  const UniqueFd shared = Open("log", O_WRONLY | flags);
  std::vector<std::unique_ptr<Process>> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.push_back(std::make_unique<Process>([&, i] {
      const int fd = own_descriptors ? open("log", O_WRONLY | flags) : shared.get();
      std::string record(record_size, static_cast<char>('a' + i));
      record.back() = '\n';
      for (int n = 0; n < records; ++n) {
        if (write(fd, record.data(), record.size()) != static_cast<ssize_t>(record.size())) {
          return errno == 0 ? -1 : errno;
        }
      }
      return 0;
    }));
  }
  for (const auto& writer : writers) EXPECT_EQ(writer->Wait(), 0);

  const std::string log = ReadFile("log");
  ASSERT_EQ(log.size(), record_size * static_cast<size_t>(records) * kWriters);
  std::map<char, int> counts;
  for (size_t at = 0; at < log.size(); at += record_size) {
    const std::string record = log.substr(at, record_size);
    ASSERT_EQ(record, std::string(record_size - 1, record[0]) + "\n") << "torn at " << at;
    ++counts[record[0]];
  }
  for (const auto& [letter, count] : counts) EXPECT_EQ(count, records) << letter;
}

TEST_P(Append, ByManyProcessesLosesNothing) { Race(O_APPEND, 100, 300, true); }
TEST_P(Append, ByManyProcessesOfLargeRecordsTearsNothing) { Race(O_APPEND, 70001, 20, true); }
TEST_P(Append, ByManyProcessesWithDirectIoLosesNothing) {
  NEEDS_DIRECT_IO();
  Race(O_APPEND | O_DIRECT, 512, 200, true);
}
TEST_P(Append, ByManyProcessesWithOneDescriptorLosesNothing) { Race(O_APPEND, 99, 200, false); }
// write(2): the offset of an open file description is updated atomically.
TEST_P(Append, ASharedOffsetLosesNoWrite) { Race(0, 99, 200, false); }

TEST_P(Append, MovesTimes) {
  MakeFile("f", "0123");
  const UniqueFd fd = Open("f", O_WRONLY | O_APPEND);
  const TimeWatch watch("f");
  EXPECT_EQ(write(fd.get(), "x", 1), 1);
  EXPECT_EQ(watch.Moved(), "mc");
}

}  // namespace
}  // namespace memfuse::conformance
