// mmap(2), msync(2), mprotect(2) of files.

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Mmap);

constexpr size_t kPage = 4096;

class Map {
 public:
  Map(int fd, size_t length, int protection, int flags, off_t offset = 0)
      : length_(length), at_(mmap(nullptr, length, protection, flags, fd, offset)), error_(errno) {}
  ~Map() {
    if (at_ != MAP_FAILED) munmap(at_, length_);
  }
  Map(const Map&) = delete;
  Map& operator=(const Map&) = delete;
  int error() const { return at_ == MAP_FAILED ? error_ : 0; }
  char* data() const { return static_cast<char*>(at_); }
  volatile char& operator[](size_t i) const { return static_cast<volatile char*>(at_)[i]; }
  char Load(size_t i) const { return (*this)[i]; }
  std::string Text(size_t from, size_t size) const { return std::string(data() + from, size); }
  void Store(size_t at, const std::string& text) const {
    std::memcpy(data() + at, text.data(), text.size());
  }

 private:
  size_t length_;
  void* at_;
  int error_;
};

sigjmp_buf g_jump;
// Whether `access` is answered with SIGBUS.
bool IsBusError(const std::function<void()>& access) {
  struct sigaction action = {}, old;
  action.sa_handler = [](int) { siglongjmp(g_jump, 1); };
  sigaction(SIGBUS, &action, &old);
  volatile bool fault = false;
  if (sigsetjmp(g_jump, 1) == 0) {
    access();
  } else {
    fault = true;
  }
  sigaction(SIGBUS, &old, nullptr);
  return fault;
}

constexpr int kReadWrite = PROT_READ | PROT_WRITE;

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
  Process other([] {
    const int own_fd = open("f", O_RDWR);
    const Map own(own_fd, kPage, kReadWrite, MAP_SHARED);
    if (own.error() != 0) return own.error();
    for (int i = 0; own[0] != 'q'; ++i) {
      if (i > 10000) return -1;
      usleep(1000);
    }
    own[1] = 'a';
    return 0;
  });
  map[0] = 'q';
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
  // tmpfs before Linux 6.19 keeps it until the page goes.
  ASSERT_EQ(ftruncate(fd.get(), 200), 0);
  EXPECT_EQ(ReadFile("f").substr(0, 100), "conXent" + std::string(93, '\0'));
  if (on_memfuse()) {
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

TEST_P(Mmap, AFileThatGrewIsThere) {
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

TEST_P(Mmap, WantsTheAccessThatTheDescriptorHas) {
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

TEST_P(Mmap, MprotectWantsItToo) {
  MakeFile("f", std::string(kPage, 'x'));
  const UniqueFd reader = Open("f", O_RDONLY), both = Open("f", O_RDWR);
  const Map of_reader(reader.get(), kPage, PROT_READ, MAP_SHARED);
  EXPECT_EQ(ErrnoOf(mprotect(of_reader.data(), kPage, kReadWrite)), EACCES);
  const Map of_both(both.get(), kPage, PROT_READ, MAP_SHARED);
  EXPECT_EQ(mprotect(of_both.data(), kPage, kReadWrite), 0);
  of_both[0] = 'y';
  EXPECT_EQ(of_reader[0], 'y');
}

TEST_P(Mmap, IsForRegularFiles) {
  ASSERT_EQ(mkfifo("p", 0644), 0);
  const UniqueFd directory = Open(".", O_RDONLY), fifo = Open("p", O_RDWR);
  EXPECT_EQ(Map(directory.get(), kPage, PROT_READ, MAP_SHARED).error(), ENODEV);
  EXPECT_EQ(Map(fifo.get(), kPage, PROT_READ, MAP_SHARED).error(), ENODEV);
}

TEST_P(Mmap, ArgumentsAreChecked) {
  MakeFile("f", std::string(kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  EXPECT_EQ(Map(fd.get(), 0, PROT_READ, MAP_SHARED).error(), EINVAL);
  EXPECT_EQ(Map(fd.get(), kPage, PROT_READ, MAP_SHARED, 100).error(), EINVAL);
  EXPECT_EQ(Map(fd.get(), kPage, PROT_READ, 0).error(), EINVAL);
  EXPECT_EQ(Map(fd.get(), kPage, PROT_READ, MAP_SHARED_VALIDATE).error(), 0);
  EXPECT_EQ(Map(fd.get(), kPage, PROT_READ, MAP_SHARED_VALIDATE | (1 << 25)).error(), EOPNOTSUPP);
  EXPECT_EQ(Map(fd.get(), kPage, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC).error(), EOPNOTSUPP);
}

TEST_P(Mmap, AtAnOffset) {
  MakeFile("f", std::string(kPage, 'a') + std::string(kPage, 'b') + std::string(kPage, 'c'));
  const UniqueFd fd = Open("f", O_RDWR);
  const Map map(fd.get(), kPage, kReadWrite, MAP_SHARED, 2 * kPage);
  EXPECT_EQ(map[0], 'c');
  map[0] = 'C';
  EXPECT_EQ(ReadFile("f")[2 * kPage], 'C');
  // An empty file can be mapped too, there is just nothing.
  MakeFile("empty");
  const UniqueFd empty = Open("empty", O_RDONLY);
  const Map nothing(empty.get(), kPage, PROT_READ, MAP_SHARED);
  EXPECT_EQ(nothing.error(), 0);
  EXPECT_TRUE(IsBusError([&] { nothing.Load(0); }));
}

TEST_P(Mmap, MsyncChecksItsArguments) {
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

TEST_P(Mmap, ProgramsRunFromHere) {
  ASSERT_EQ(system("cp /bin/true program && chmod 755 program"), 0);
  EXPECT_EQ(system("./program"), 0);
  const UniqueFd fd = Open("program", O_RDONLY);
  EXPECT_EQ(Map(fd.get(), kPage, PROT_READ | PROT_EXEC, MAP_PRIVATE).error(), 0);
}

}  // namespace
}  // namespace memfuse::conformance
