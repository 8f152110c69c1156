// The operations of a worker on the contents of files.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "tests/stress/record.h"
#include "tests/stress/worker.h"

namespace memfuse::stress {
namespace {

// Most files are small. A few are large and consist mostly of holes.
constexpr uint64_t kSmallRecords = 256;
constexpr uint64_t kLargeRecords = 8192;
constexpr uint64_t kMaxWriteRecords = 64;

uint64_t InodeOf(int fd) {
  struct stat attributes;
  return fstat(fd, &attributes) == 0 ? attributes.st_ino : 0;
}

}  // namespace

int Worker::OpenLocked(int flags, int lock) {
  const std::string path = RandomPath();
  Begin(Operation::kOpen, path);
  const int fd = open(path.c_str(), flags | O_CLOEXEC, 0644);
  if (!End(fd)) return -1;
  // A directory can be opened for reading, too.
  struct stat attributes;
  if (fstat(fd, &attributes) != 0) Fail(strerror(errno));
  if (S_ISDIR(attributes.st_mode)) {
    close(fd);
    return -1;
  }
  if (flock(fd, lock) != 0) Fail(std::string("flock: ") + strerror(errno));
  return fd;
}

uint64_t Worker::CheckSize(int fd, uint64_t size) {
  struct stat attributes;
  if (fstat(fd, &attributes) != 0) Fail(std::string("fstat: ") + strerror(errno));
  const auto got = static_cast<uint64_t>(attributes.st_size);
  if (got < size || got % kRecordSize != 0) {
    Fail("size is " + std::to_string(got) + ", not " + std::to_string(size));
  }
  return got;
}

void Worker::Write() {
  const int fd = OpenLocked(O_RDWR | O_CREAT, LOCK_EX);
  if (fd < 0) return;
  const auto count = static_cast<uint32_t>(1 + Random(kMaxWriteRecords));
  const uint64_t first = Random(Random(50) == 0 ? kLargeRecords : kSmallRecords);
  const std::vector<Record> records =
      MakeRecords(InodeOf(fd), first, count, static_cast<uint32_t>(process_), ++writes_);
  const size_t bytes = records.size() * kRecordSize;
  const auto offset = static_cast<off_t>(first * kRecordSize);
  Begin(Operation::kWrite, std::string(state_->doing) + " at record " + std::to_string(first));
  const ssize_t written = pwrite(fd, records.data(), bytes, offset);
  End(written);
  if (written != static_cast<ssize_t>(bytes)) Fail("short write: " + std::to_string(written));
  CheckSize(fd, static_cast<uint64_t>(offset) + bytes);
  std::vector<Record> back(records.size());
  const ssize_t got = pread(fd, back.data(), bytes, offset);
  if (got != written || std::memcmp(back.data(), records.data(), bytes) != 0) {
    Fail("what was written is not what is read back");
  }
  close(fd);
}

void Worker::CheckWhole(int fd) {
  const uint64_t size = CheckSize(fd, 0);
  if (size == 0) return;
  const size_t count = static_cast<size_t>(size / kRecordSize);
  std::string wrong;
  if (Random(3) == 0) {
    void* const map = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    End(map == MAP_FAILED ? -1 : 0);
    wrong = CheckRecords(InodeOf(fd), static_cast<const Record*>(map), count);
    munmap(map, size);
  } else {
    std::vector<Record> records(count);
    const ssize_t got = pread(fd, records.data(), count * kRecordSize, 0);
    End(got);
    if (got != static_cast<ssize_t>(size)) {
      Fail("read " + std::to_string(got) + " of " + std::to_string(size));
    }
    wrong = CheckRecords(InodeOf(fd), records.data(), count);
  }
  if (!wrong.empty()) Fail(wrong);
}

void Worker::Read() {
  const int fd = OpenLocked(O_RDONLY, LOCK_SH);
  if (fd < 0) return;
  Begin(Operation::kRead, state_->doing);
  CheckWhole(fd);
  close(fd);
}

// Truncated data must not reappear.
void Worker::GrowBack(int fd, uint64_t size) {
  std::vector<char> tail(kMaxWriteRecords * kRecordSize);
  End(ftruncate(fd, static_cast<off_t>(size + tail.size())));
  CheckSize(fd, size + tail.size());
  const ssize_t got = pread(fd, tail.data(), tail.size(), static_cast<off_t>(size));
  if (got != static_cast<ssize_t>(tail.size())) Fail("cannot read what it grew by");
  if (std::any_of(tail.begin(), tail.end(), [](char byte) { return byte != 0; })) {
    Fail("what was cut off is back");
  }
}

void Worker::Truncate() {
  const int fd = OpenLocked(O_RDWR, LOCK_EX);
  if (fd < 0) return;
  const uint64_t size = Random(Random(20) == 0 ? kLargeRecords : kSmallRecords) * kRecordSize;
  Begin(Operation::kTruncate, std::string(state_->doing) + " to " + std::to_string(size));
  End(ftruncate(fd, static_cast<off_t>(size)));
  if (CheckSize(fd, size) != size) Fail("larger than it was cut to");
  if (Random(2) == 0) GrowBack(fd, size);
  if (Random(4) == 0) CheckWhole(fd);
  close(fd);
}

void Worker::Punch() {
  const int fd = OpenLocked(O_RDWR, LOCK_EX);
  if (fd < 0) return;
  const uint64_t first = Random(kSmallRecords);
  const uint64_t count = 1 + Random(kSmallRecords);
  Begin(Operation::kPunch, std::string(state_->doing) + " at record " + std::to_string(first));
  const uint64_t size = CheckSize(fd, 0);
  End(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                static_cast<off_t>(first * kRecordSize), static_cast<off_t>(count * kRecordSize)));
  if (CheckSize(fd, size) != size) Fail("a hole has changed the size");
  CheckWhole(fd);
  close(fd);
}

}  // namespace memfuse::stress
