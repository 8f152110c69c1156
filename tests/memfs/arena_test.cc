#include "src/memfs/data/arena.h"

#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "src/memfs/data/private_tmpfs.h"
#include "tests/testing/result_matchers.h"

namespace memfuse::memfs {
namespace {

using test::Fails;
using test::Succeeds;

// The arena's memory file: the newest descriptor of this process with that name.
int ArenaDescriptor() {
  int found = -1;
  DIR* const directory = opendir("/proc/self/fd");
  while (const dirent* entry = readdir(directory)) {
    char target[256] = {};
    const std::string path = std::string("/proc/self/fd/") + entry->d_name;
    if (readlink(path.c_str(), target, sizeof(target) - 1) < 0) continue;
    if (std::string(target).find("memfuse-arena") == std::string::npos) continue;
    found = std::max(found, std::stoi(entry->d_name));
  }
  closedir(directory);
  return found;
}

class ArenaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Make({});
    descriptor_ = ArenaDescriptor();
    ASSERT_GE(descriptor_, 0);
  }
  void Make(base::UniqueFd file) {
    descriptor_ = file.get();
    auto arena = Arena::Make(std::move(file));
    ASSERT_TRUE(arena.ok()) << arena.status();
    arena_ = *std::move(arena);
  }

  std::vector<PageNumber> Allocate(size_t count) {
    std::vector<PageNumber> pages(count);
    EXPECT_THAT(arena_->Allocate(absl::MakeSpan(pages)), Succeeds());
    return pages;
  }
  void Fill(PageNumber page, char byte) {
    const std::string data(kPageSize, byte);
    EXPECT_THAT(arena_->Write(page, 0, data), Succeeds());
  }
  std::string Read(PageNumber first, uint64_t offset, size_t size) {
    std::string out(size, '#');
    EXPECT_THAT(arena_->Read(first, offset, absl::MakeSpan(out.data(), out.size())), Succeeds());
    return out;
  }
  // The number of pages of memory that the kernel has allocated for the arena.
  uint64_t MemoryPages() const {
    struct stat st;
    EXPECT_EQ(fstat(descriptor_, &st), 0);
    return static_cast<uint64_t>(st.st_blocks) * 512 / kPageSize;
  }

  std::unique_ptr<Arena> arena_;
  int descriptor_ = -1;
};

TEST_F(ArenaTest, AllocatesEachPageOnceAndNeverPageZero) {
  std::set<PageNumber> seen;
  for (const size_t count : {1, 2, 509, 3, 600, 1}) {
    for (const PageNumber page : Allocate(count)) {
      EXPECT_NE(page, 0u);
      EXPECT_LT(page, Arena::kMaxPages);
      EXPECT_TRUE(seen.insert(page).second) << page;
    }
  }
  EXPECT_EQ(arena_->pages_in_use(), seen.size());
}

TEST_F(ArenaTest, AllocatesContiguousPagesIfPossible) {
  const std::vector<PageNumber> pages = Allocate(256);
  for (size_t i = 1; i < pages.size(); ++i) EXPECT_EQ(pages[i], pages[0] + i);
}

TEST_F(ArenaTest, AllocatesNothingForAnEmptyRequest) {
  EXPECT_THAT(arena_->Allocate({}), Succeeds());
  arena_->Free(absl::Span<PageNumber>());
  EXPECT_EQ(arena_->pages_in_use(), 0u);
}

TEST_F(ArenaTest, AllocatesMemoryForWrittenPagesOnly) {
  const std::vector<PageNumber> pages = Allocate(1000);
  EXPECT_EQ(MemoryPages(), 0u);
  EXPECT_EQ(Read(pages[7], 0, kPageSize), std::string(kPageSize, '\0'));
  Fill(pages[0], 'a');
  Fill(pages[999], 'b');
  EXPECT_EQ(MemoryPages(), 2u);
}

TEST_F(ArenaTest, ReadsAndWritesAcrossContiguousPages) {
  const std::vector<PageNumber> pages = Allocate(4);
  std::string data(2 * kPageSize + 100, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>('a' + i % 26);
  ASSERT_THAT(arena_->Write(pages[0], 4000, data), Succeeds());
  EXPECT_EQ(Read(pages[0], 4000, data.size()), data);
  EXPECT_EQ(Read(pages[1], 0, 10), data.substr(96, 10));
  EXPECT_EQ(Read(pages[0], 0, 4000), std::string(4000, '\0'));
}

TEST_F(ArenaTest, FreeReleasesMemoryAndReusedPagesReadAsZeros) {
  std::vector<PageNumber> pages = Allocate(600);
  for (const PageNumber page : pages) Fill(page, 'x');
  EXPECT_EQ(MemoryPages(), 600u);
  arena_->Free(absl::MakeSpan(pages));
  EXPECT_EQ(MemoryPages(), 0u);
  EXPECT_EQ(arena_->pages_in_use(), 0u);
  const std::vector<PageNumber> again = Allocate(600);
  EXPECT_THAT(again, ::testing::UnorderedElementsAreArray(pages));
  for (const PageNumber page : again) {
    EXPECT_EQ(Read(page, 0, kPageSize), std::string(kPageSize, '\0'));
  }
}

TEST_F(ArenaTest, FreesNoncontiguousPages) {
  const std::vector<PageNumber> pages = Allocate(100);
  for (const PageNumber page : pages) Fill(page, 'x');
  std::vector<PageNumber> odd;
  for (size_t i = 1; i < pages.size(); i += 2) odd.push_back(pages[i]);
  std::reverse(odd.begin(), odd.end());
  arena_->Free(absl::MakeSpan(odd));
  EXPECT_EQ(MemoryPages(), 50u);
  for (size_t i = 0; i < pages.size(); i += 2) {
    EXPECT_EQ(Read(pages[i], 0, kPageSize), std::string(kPageSize, 'x'));
  }
  EXPECT_THAT(Allocate(50), ::testing::UnorderedElementsAreArray(odd));
}

TEST_F(ArenaTest, ClearKeepsThePagesAndReleasesTheirMemory) {
  const std::vector<PageNumber> pages = Allocate(3);
  for (const PageNumber page : pages) Fill(page, 'x');
  EXPECT_THAT(arena_->Clear(pages[0], 2), Succeeds());
  EXPECT_EQ(MemoryPages(), 1u);
  EXPECT_EQ(arena_->pages_in_use(), 3u);
  EXPECT_EQ(Read(pages[0], 0, 2 * kPageSize), std::string(2 * kPageSize, '\0'));
  EXPECT_EQ(Read(pages[2], 0, kPageSize), std::string(kPageSize, 'x'));
  EXPECT_THAT(Allocate(10), ::testing::Each(::testing::Gt(pages[2])));
}

// Replaces the arena's memory file by a read-only one for the lifetime of the object.
class WithoutWriting {
 public:
  explicit WithoutWriting(int descriptor)
      : descriptor_(descriptor), file_(fcntl(descriptor, F_DUPFD_CLOEXEC, 0)) {
    const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
    const base::UniqueFd only_read(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_TRUE(only_read.valid());
    EXPECT_EQ(dup3(only_read.get(), descriptor_, O_CLOEXEC), descriptor_);
  }
  ~WithoutWriting() { EXPECT_EQ(dup3(file_.get(), descriptor_, O_CLOEXEC), descriptor_); }

 private:
  const int descriptor_;
  const base::UniqueFd file_;
};

TEST_F(ArenaTest, APageThatCannotBeClearedIsNotReused) {
  std::vector<PageNumber> pages = Allocate(200);
  for (const PageNumber page : pages) Fill(page, 'x');
  std::vector<PageNumber> freed;
  for (size_t i = 0; i < pages.size(); i += 2) freed.push_back(pages[i]);
  std::vector<PageNumber> list = freed;
  {
    const WithoutWriting broken(descriptor_);
    EXPECT_THAT(arena_->Clear(pages[1], 1), Fails(ENOSPC));
    arena_->Free(absl::MakeSpan(list));
    arena_->ReleaseEmptyGroups();  // tries again and fails
    EXPECT_EQ(arena_->pages_in_use(), 100u);
    // Allocates all pages that the arena has without growing. The arena cannot grow.
    for (const PageNumber page : Allocate(511 - 200)) {
      EXPECT_THAT(freed, ::testing::Not(::testing::Contains(page)));
    }
  }
  arena_->ReleaseEmptyGroups();
  EXPECT_EQ(MemoryPages(), 100u);
  std::vector<PageNumber> again = Allocate(100);
  EXPECT_THAT(again, ::testing::UnorderedElementsAreArray(freed));
  for (const PageNumber page : again) {
    EXPECT_EQ(Read(page, 0, kPageSize), std::string(kPageSize, '\0'));
  }
}

TEST_F(ArenaTest, GrowsOnlyWhenItIsFull) {
  std::vector<PageNumber> pages = Allocate(5000);
  struct stat before, after;
  ASSERT_EQ(fstat(descriptor_, &before), 0);
  arena_->Free(absl::MakeSpan(pages));
  Allocate(5000);
  ASSERT_EQ(fstat(descriptor_, &after), 0);
  EXPECT_EQ(before.st_size, after.st_size);
  EXPECT_GE(static_cast<uint64_t>(after.st_size), 5001 * kPageSize);
}

TEST_F(ArenaTest, MapsItsPages) {
  const std::vector<PageNumber> pages = Allocate(600);
  Fill(pages[0], 'a');
  Fill(pages[1], 'b');
  Fill(pages[599], 'c');
  const auto mapped = [this](PageNumber page, uint64_t offset, size_t size) {
    const absl::Span<const char> found = arena_->Map(page, offset, size);
    return std::string(found.begin(), found.end());
  };
  EXPECT_EQ(mapped(pages[0], kPageSize - 2, 4), "aabb");
  EXPECT_EQ(mapped(pages[599], 0, kPageSize), std::string(kPageSize, 'c'));
  EXPECT_EQ(MemoryPages(), 3u);
  Fill(pages[1], 'B');
  EXPECT_EQ(mapped(pages[1], 5, 2), "BB");
}

TEST_F(ArenaTest, TheMappingAddsLittleToTheResidentSetSize) {
  constexpr size_t kPages = 65536;
  const std::vector<PageNumber> pages = Allocate(kPages);
  for (const PageNumber page : pages) Fill(page, 'x');
  constexpr size_t kStep = 256;  // the largest READ
  constexpr uint64_t kMaxResident = (20 << 20) / kPageSize;
  const auto look = [&](size_t i) {
    const absl::Span<const char> found = arena_->Map(pages[i], 0, kStep * kPageSize);
    EXPECT_EQ(std::count(found.begin(), found.end(), 'x'), kStep * kPageSize);
  };
  const auto shared_pages = [] {
    uint64_t size = 0, resident = 0, shared = 0;
    std::ifstream("/proc/self/statm") >> size >> resident >> shared;
    return shared;
  };
  const uint64_t before = shared_pages();
  for (size_t i = 0; i < kPages; i += kStep) {
    look(i);
    ASSERT_LT(shared_pages(), before + kMaxResident) << "after " << i << " pages";
  }
  EXPECT_GT(shared_pages(), before + kStep) << "what was read last can be read again";
  for (size_t i = kPages; i > 0; i -= kStep) {
    look(i - kStep);
    ASSERT_LT(shared_pages(), before + kMaxResident);
  }
  arena_->ForgetMappings();
  EXPECT_LT(shared_pages(), before + kStep);
  look(0);
  EXPECT_GT(shared_pages(), before);
}

TEST_F(ArenaTest, AMappedRangeEndsWithItsWindow) {
  constexpr PageNumber kWindowPages = (1 << 30) / kPageSize;
  const std::vector<PageNumber> pages = Allocate(kWindowPages + 2);
  ASSERT_EQ(pages[kWindowPages - 1], kWindowPages);
  for (const PageNumber page : {kWindowPages - 1, kWindowPages, kWindowPages + 1}) Fill(page, 'x');
  const absl::Span<const char> before = arena_->Map(kWindowPages - 1, 100, 2 * kPageSize);
  EXPECT_EQ(std::string(before.begin(), before.end()), std::string(kPageSize - 100, 'x'));
  const absl::Span<const char> behind = arena_->Map(kWindowPages, 0, 2 * kPageSize);
  EXPECT_EQ(std::string(behind.begin(), behind.end()), std::string(2 * kPageSize, 'x'));
}

TEST_F(ArenaTest, WithoutAddressSpaceReadsUseTheMemoryFile) {
  // Runs in a child process, because the limit applies to the whole process.
  const pid_t child = fork();
  if (child == 0) {
    rlimit none = {0, 0};
    if (setrlimit(RLIMIT_AS, &none) != 0) _exit(2);
    PageNumber page;
    char out = 0;
    const bool fine = arena_->Allocate(absl::MakeSpan(&page, 1)).ok() &&
                      arena_->Write(page, 0, absl::MakeConstSpan("x", 1)).ok() &&
                      arena_->Map(page, 0, 1).empty() &&
                      arena_->Read(page, 0, absl::MakeSpan(&out, 1)).ok() && out == 'x';
    _exit(fine ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// Several threads allocate and free pages at random. A page belongs to one thread at a time, and
// reads as zeros when it is allocated. That holds for each order of frees, and whether or not the
// kernel could split the huge pages.
TEST_F(ArenaTest, ReleasesTheMemoryOfHugePages) {
  PrivateTmpfsOptions options;
  options.huge = "within_size";
  auto file = MakePrivateFile(options);
  ASSERT_TRUE(file.ok()) << file.status();
  Make(*std::move(file));
  std::vector<PageNumber> pages = Allocate(3000);
  for (const PageNumber page : pages) Fill(page, 'x');
  EXPECT_GE(MemoryPages(), pages.size());
  std::shuffle(pages.begin(), pages.end(), std::mt19937(1));
  for (PageNumber& page : pages) arena_->Free(absl::MakeSpan(&page, 1));
  arena_->ReleaseEmptyGroups();
  EXPECT_EQ(MemoryPages(), 0u);
  EXPECT_EQ(arena_->pages_in_use(), 0u);
  for (const PageNumber page : Allocate(3000)) {
    EXPECT_EQ(Read(page, 0, kPageSize), std::string(kPageSize, '\0'));
  }
}

TEST_F(ArenaTest, UsedPagesStayWhenEmptyGroupsAreReleased) {
  std::vector<PageNumber> pages = Allocate(2000);
  for (const PageNumber page : pages) Fill(page, static_cast<char>(page));
  const PageNumber kept = pages[700];
  pages.erase(pages.begin() + 700);
  arena_->Free(absl::MakeSpan(pages));
  arena_->ReleaseEmptyGroups();
  arena_->ReleaseEmptyGroups();
  EXPECT_EQ(Read(kept, 0, 1)[0], static_cast<char>(kept));
  const std::vector<PageNumber> again = Allocate(4000);
  std::set<PageNumber> seen(again.begin(), again.end());
  EXPECT_EQ(seen.size(), 4000u);
  EXPECT_EQ(seen.count(kept), 0u);
}

TEST_F(ArenaTest, ThreadsNeverShareAPage) {
  const auto work = [this](unsigned seed, bool* fine) {
    std::mt19937 random(seed);
    std::vector<PageNumber> mine;
    for (int round = 0; round < 300; ++round) {
      for (const PageNumber page : Allocate(1 + random() % 20)) {
        if (Read(page, 0, 1) != std::string(1, '\0')) *fine = false;
        const char mark = static_cast<char>(seed);
        if (!arena_->Write(page, 0, absl::MakeConstSpan(&mark, 1)).ok()) *fine = false;
        mine.push_back(page);
      }
      std::shuffle(mine.begin(), mine.end(), random);
      const size_t drop = std::min<size_t>(mine.size(), random() % 25);
      std::vector<PageNumber> dropped(mine.end() - static_cast<std::ptrdiff_t>(drop), mine.end());
      for (const PageNumber page : dropped) {
        if (Read(page, 0, 1)[0] != static_cast<char>(seed)) *fine = false;
      }
      mine.resize(mine.size() - drop);
      arena_->Free(absl::MakeSpan(dropped));
      if (round % 40 == 0) {  // sometimes all pages of the thread
        arena_->Free(absl::MakeSpan(mine));
        mine.clear();
      }
      if (round % 10 == 0) arena_->ReleaseEmptyGroups();
    }
    arena_->Free(absl::MakeSpan(mine));
  };
  bool fine[3] = {true, true, true};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 3; ++t) threads.emplace_back(work, t + 1, &fine[t]);
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(fine, ::testing::Each(true));
  EXPECT_EQ(arena_->pages_in_use(), 0u);
  EXPECT_EQ(MemoryPages(), 0u);
}

}  // namespace
}  // namespace memfuse::memfs
