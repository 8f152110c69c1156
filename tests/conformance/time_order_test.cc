// Times of different files, also on different file systems, are in the order of events. make(1) and
// ninja(1) compare them.

#include <sys/mman.h>
#include <time.h>

#include <cstdlib>
#include <functional>
#include <map>

#include "tests/conformance/conformance.h"
#include "tests/conformance/map.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(TimeOrder);

constexpr int kRounds = 100;

int64_t Nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }
int64_t ModificationTime(const std::string& path) { return Nanoseconds(LStat(path).st_mtim); }
int64_t ChangeTime(const std::string& path) { return Nanoseconds(LStat(path).st_ctim); }

// Slightly less than a tick of the kernel's clock, and not synchronous with it, so that the rounds
// begin at different moments within a tick. The order holds after a pause of any length.
void PassATime() {
  const timespec time = {0, 1'300'000};
  nanosleep(&time, nullptr);
}

// Ways to give "source" a new mtime.
std::map<std::string, std::function<void()>> Changes() {
  const auto remake = [](const std::function<void()>& make) {
    if (Exists("source")) {
      ASSERT_EQ(remove("source"), 0);
    }
    make();
  };
  const auto make_file = [] { ASSERT_TRUE(Open("source", O_CREAT | O_EXCL | O_WRONLY).valid()); };
  return {
      {"create", [=] { remake(make_file); }},
      {"mkdir", [=] { remake([] { ASSERT_EQ(mkdir("source", 0755), 0); }); }},
      {"symlink", [=] { remake([] { ASSERT_EQ(symlink("x", "source"), 0); }); }},
      {"touch",
       [=] {
         remake(make_file);
         ASSERT_EQ(utimensat(AT_FDCWD, "source", nullptr, 0), 0);
       }},
      {"truncate",
       [=] {
         remake(make_file);
         ASSERT_EQ(truncate("source", 5), 0);
       }},
      {"write",
       [=] {
         remake(make_file);
         ASSERT_EQ(write(Open("source", O_WRONLY).get(), "x", 1), 1);
       }},
      {"fallocate",
       [=] {
         remake(make_file);
         ASSERT_EQ(fallocate(Open("source", O_WRONLY).get(), 0, 0, 4096), 0);
       }},
  };
}

TEST_P(TimeOrder, AWriteIsNotEarlierThanTheChangeOfAnotherFileBeforeIt) {
  const UniqueFd target = Open("target", O_RDWR | O_CREAT);
  for (const auto& [name, change] : Changes()) {
    TRACE(name);
    int early = 0;
    for (int i = 0; i < kRounds; ++i) {
      PassATime();
      change();
      ASSERT_EQ(pwrite(target.get(), "x", 1, 0), 1);
      if (ModificationTime("target") < ModificationTime("source")) ++early;
    }
    EXPECT_EQ(early, 0);
  }
}

TEST_P(TimeOrder, AChangeIsNotEarlierThanTheWriteOfAnotherFileBeforeIt) {
  const UniqueFd target = Open("target", O_RDWR | O_CREAT);
  for (const auto& [name, change] : Changes()) {
    TRACE(name);
    int early = 0;
    for (int i = 0; i < kRounds; ++i) {
      PassATime();
      ASSERT_EQ(pwrite(target.get(), "x", 1, 0), 1);
      change();
      if (ModificationTime("source") < ModificationTime("target")) ++early;
    }
    EXPECT_EQ(early, 0);
  }
}

// { : > dependency; echo built; } > target
TEST_P(TimeOrder, AWriteThroughAnEarlierOpenIsLater) {
  int early = 0;
  for (int i = 0; i < 40; ++i) {
    const UniqueFd target = Open("target", O_WRONLY | O_CREAT | O_TRUNC);
    ASSERT_TRUE(Open("dependency", O_WRONLY | O_CREAT | O_TRUNC).valid());
    ASSERT_EQ(write(target.get(), "built", 5), 5);
    if (ModificationTime("target") < ModificationTime("dependency")) ++early;
    ASSERT_EQ(unlink("target"), 0);
    ASSERT_EQ(unlink("dependency"), 0);
  }
  EXPECT_EQ(early, 0);
}

// A stamp file on another file system, as in a build with only its output in memory.
TEST_P(TimeOrder, HoldsBesideAnotherFileSystem) {
  char path[] = "/tmp/memfuse-time-order-XXXXXX";
  const UniqueFd stamp(mkstemp(path));
  ASSERT_TRUE(stamp.valid());
  for (const auto& [name, change] : Changes()) {
    TRACE(name);
    int early_stamps = 0;
    int early_sources = 0;
    for (int i = 0; i < kRounds / 2; ++i) {
      PassATime();
      change();
      ASSERT_EQ(pwrite(stamp.get(), "x", 1, 0), 1);
      if (ModificationTime(path) < ModificationTime("source")) ++early_stamps;
      PassATime();
      ASSERT_EQ(pwrite(stamp.get(), "x", 1, 0), 1);
      change();
      if (ModificationTime("source") < ModificationTime(path)) ++early_sources;
    }
    EXPECT_EQ(early_stamps, 0);
    EXPECT_EQ(early_sources, 0);
  }
  unlink(path);
}

TEST_P(TimeOrder, ChangesOfNamesAreInOrderWithWrites) {
  const UniqueFd target = Open("target", O_RDWR | O_CREAT);
  MakeFile("other");
  int wrong = 0;
  for (int i = 0; i < kRounds; ++i) {
    PassATime();
    ASSERT_EQ(pwrite(target.get(), "x", 1, 0), 1);
    ASSERT_EQ(rename("other", "name"), 0);
    if (ChangeTime("name") < ModificationTime("target")) ++wrong;
    ASSERT_EQ(rename("name", "other"), 0);
    ASSERT_EQ(chmod("other", i % 2 == 0 ? 0600 : 0644), 0);
    ASSERT_EQ(pwrite(target.get(), "x", 1, 0), 1);
    if (ModificationTime("target") < ChangeTime("other")) ++wrong;
  }
  EXPECT_EQ(wrong, 0);
}

// One program makes a file and closes it; another one stores to it. The test requests the times
// without atime, as stat -c %Y does, because the kernel may have cached them before.
TEST_P(TimeOrder, AStoreThroughAMappingMovesTimes) {
  MakeFile("f", std::string(4 * kPage, 'x'));
  const auto times = [] {
    struct statx x = {};
    EXPECT_EQ(statx(AT_FDCWD, "f", 0, STATX_MTIME | STATX_CTIME, &x), 0);
    return std::pair(x.stx_mtime.tv_sec * 1'000'000'000 + x.stx_mtime.tv_nsec,
                     x.stx_ctime.tv_sec * 1'000'000'000 + x.stx_ctime.tv_nsec);
  };
  for (int i = 0; i < 3; ++i) {
    const auto before = times();
    const TimeWatch watch("f");  // waits for the clock to tick
    EXPECT_EQ(InChild([] {
                const UniqueFd fd(open("f", O_RDWR));
                if (!fd.valid()) return errno;
                void* const map =
                    mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
                if (map == MAP_FAILED) return errno;
                static_cast<char*>(map)[0] = 'y';
                return munmap(map, kPage) == 0 ? 0 : errno;
              }),
              0);
    const auto after = times();
    EXPECT_LT(before.first, after.first);
    EXPECT_LT(before.second, after.second);
    EXPECT_EQ(watch.Moved(), "mc");
  }
}

}  // namespace
}  // namespace memfuse::conformance
