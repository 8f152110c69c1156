// Readers and writers of one file at the same time.

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(ConcurrentIo);

constexpr size_t kRecord = 4096;
constexpr int kRecords = 16;

// A flag that several processes share.
class Flag {
 public:
  Flag()
      : value_(static_cast<volatile int*>(
            mmap(nullptr, kRecord, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  ~Flag() { munmap(const_cast<int*>(value_), kRecord); }
  Flag(const Flag&) = delete;
  Flag& operator=(const Flag&) = delete;
  void Set() { *value_ = 1; }
  bool IsSet() const { return *value_ != 0; }

 private:
  volatile int* const value_;
};

// Repeatedly writes records that consist of one byte value each.
int WriteRecords(int flags, int seed, int rounds) {
  const int fd = open("f", O_RDWR | flags);
  alignas(4096) static char record[kRecord];
  for (int i = 0; i < rounds; ++i) {
    std::memset(record, 'a' + (i * 7 + seed) % 26, kRecord);
    const off_t at = static_cast<off_t>(kRecord) * ((i * 5 + seed) % kRecords);
    if (pwrite(fd, record, kRecord, at) != static_cast<ssize_t>(kRecord)) return errno;
  }
  return 0;
}

// Writers hold the inode's lock, so each write is atomic with respect to other writes, as POSIX
// requires. tmpfs does the same. (tmpfs does not make reads atomic.)
void WritersDoNotMix(int flags) {
  MakeFile("f", std::string(kRecord * kRecords, 'a'));
  std::vector<std::unique_ptr<Process>> writers;
  for (int seed = 0; seed < 3; ++seed) {
    writers.push_back(std::make_unique<Process>([=] { return WriteRecords(flags, seed, 400); }));
  }
  for (const auto& writer : writers) EXPECT_EQ(writer->Wait(), 0);
  const std::string content = ReadFile("f");
  ASSERT_EQ(content.size(), kRecord * kRecords);
  for (size_t at = 0; at < content.size(); at += kRecord) {
    EXPECT_EQ(content.substr(at, kRecord), std::string(kRecord, content[at])) << at;
  }
}

TEST_P(ConcurrentIo, WritersDoNotMix) { WritersDoNotMix(0); }
TEST_P(ConcurrentIo, DirectWritersDoNotMix) {
  NEEDS_DIRECT_IO();
  WritersDoNotMix(O_DIRECT);
}

TEST_P(ConcurrentIo, LargeWritesDoNotMix) {
  constexpr size_t kLarge = 100000;
  MakeFile("f", std::string(kLarge, 'a'));
  std::vector<std::unique_ptr<Process>> writers;
  for (int seed = 0; seed < 3; ++seed) {
    writers.push_back(std::make_unique<Process>([=] {
      const int fd = open("f", O_RDWR);
      for (int i = 0; i < 50; ++i) {
        const std::string data(kLarge, static_cast<char>('a' + (seed * 50 + i) % 26));
        if (pwrite(fd, data.data(), kLarge, 0) != static_cast<ssize_t>(kLarge)) return errno;
      }
      return 0;
    }));
  }
  for (const auto& writer : writers) EXPECT_EQ(writer->Wait(), 0);
  const std::string content = ReadFile("f");
  EXPECT_EQ(content, std::string(kLarge, content[0]));
}

// Every 8 bytes that a reader sees are from one write, and no older than those that it saw before.
TEST_P(ConcurrentIo, ReadersNeverSeeOlderData) {
  MakeFile("f", std::string(kRecord, '\0'));
  Flag done;
  Process writer([&] {
    const int fd = open("f", O_RDWR);
    for (uint64_t i = 1; i <= 3000; ++i) {
      if (pwrite(fd, &i, sizeof(i), 512) != static_cast<ssize_t>(sizeof(i))) return errno;
    }
    done.Set();
    return 0;
  });
  std::vector<std::unique_ptr<Process>> readers;
  for (const int flags : {0, O_DIRECT}) {
    readers.push_back(std::make_unique<Process>([&, flags] {
      const int fd = open("f", O_RDONLY | flags);
      uint64_t last = 0;
      while (!done.IsSet()) {
        uint64_t value = 0;
        if (pread(fd, &value, sizeof(value), 512) != static_cast<ssize_t>(sizeof(value))) return 1;
        if (value < last || value > 3000) return 2;
        last = value;
      }
      return 0;
    }));
  }
  EXPECT_EQ(writer.Wait(), 0);
  for (const auto& reader : readers) EXPECT_EQ(reader->Wait(), 0);
}

// A file grows by appends only. Bytes that were read once never change later, not even to zeros.
TEST_P(ConcurrentIo, ReadersOfALogSeeWholeBytes) {
  MakeFile("f");
  Flag done;
  Process writer([&] {
    const int fd = open("f", O_WRONLY | O_APPEND);
    const std::string line(777, 'x');
    for (int i = 0; i < 500; ++i) {
      if (write(fd, line.data(), line.size()) != 777) return errno;
    }
    done.Set();
    return 0;
  });
  Process reader([&] {
    const int fd = open("f", O_RDONLY);
    off_t total = 0;
    char buffer[10000];
    for (;;) {
      const bool last = done.IsSet();
      const ssize_t n = read(fd, buffer, sizeof(buffer));
      if (n < 0) return errno;
      if (std::count(buffer, buffer + n, 'x') != n) return 1001;
      total += n;
      if (n == 0 && last) return total == 777 * 500 ? 0 : 1002;
    }
  });
  EXPECT_EQ(writer.Wait(), 0);
  EXPECT_EQ(reader.Wait(), 0);
}

TEST_P(ConcurrentIo, TruncateAndWriteLeaveOneOfBothResults) {
  MakeFile("f");
  Flag done;
  Process truncater([&] {
    for (int i = 0; i < 500; ++i) {
      if (truncate("f", i % 2 == 0 ? 0 : 20000) != 0) return errno;
    }
    done.Set();
    return 0;
  });
  Process writer([&] {
    const int fd = open("f", O_WRONLY);
    const std::string data(10000, 'x');
    while (!done.IsSet()) {
      if (pwrite(fd, data.data(), data.size(), 5000) != 10000) return errno;
    }
    return 0;
  });
  EXPECT_EQ(truncater.Wait(), 0);
  EXPECT_EQ(writer.Wait(), 0);
  const std::string content = ReadFile("f");
  EXPECT_EQ(static_cast<off_t>(content.size()), Stat("f").st_size);
  for (size_t i = 0; i < content.size(); ++i) {
    ASSERT_TRUE(content[i] == '\0' || (content[i] == 'x' && i >= 5000 && i < 15000)) << i;
  }
}

TEST_P(ConcurrentIo, MappedAndWrittenPagesAgreeInTheEnd) {
  MakeFile("f", std::string(kRecord * kRecords, 'a'));
  Process mapper([] {
    const int fd = open("f", O_RDWR);
    auto* const map = static_cast<volatile char*>(
        mmap(nullptr, kRecord * kRecords, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    if (map == MAP_FAILED) return errno;
    for (int i = 0; i < 20000; ++i)
      map[kRecord * (i % kRecords) + 1] = static_cast<char>('A' + i % 26);
    for (int i = 0; i < kRecords; ++i) map[kRecord * i + 1] = 'M';
    return 0;
  });
  Process writer([] {
    const int fd = open("f", O_RDWR);
    for (int i = 0; i < 1000; ++i) {
      if (pwrite(fd, "w", 1, static_cast<off_t>(kRecord) * (i % kRecords) + 2) != 1) return errno;
    }
    return 0;
  });
  EXPECT_EQ(mapper.Wait(), 0);
  EXPECT_EQ(writer.Wait(), 0);
  const std::string content = ReadFile("f");
  for (int i = 0; i < kRecords; ++i) {
    EXPECT_EQ(content.substr(kRecord * static_cast<size_t>(i), 4), "aMwa") << i;
  }
}

}  // namespace
}  // namespace memfuse::conformance
