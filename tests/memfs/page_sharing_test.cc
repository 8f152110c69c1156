// Copies inside the arena. The copies share pages until one of the files is written to.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "src/memfs/data/arena.h"
#include "src/memfs/data/daemon_file.h"
#include "src/memfs/space/account.h"
#include "tests/memfs/records.h"
#include "tests/testing/result_matchers.h"

namespace memfuse::memfs {
namespace {

using memfuse::test::Fails;
using memfuse::test::Succeeds;

constexpr uint64_t kSharingLimit = 64 << 20;

class PageSharingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto arena = Arena::Make();
    ASSERT_TRUE(arena.ok());
    arena_ = *std::move(arena);
    storage_ = {arena_.get(), records_.get()};
  }

  std::unique_ptr<DaemonFile> NewFile() {
    return std::make_unique<DaemonFile>(account_.get(), NewFileRecord(records_.get()), &storage_);
  }
  std::unique_ptr<DaemonFile> NewFile(const std::string& content) {
    auto file = NewFile();
    EXPECT_THAT(file->Write(0, content), Succeeds());
    return file;
  }
  static std::string Read(DaemonFile* file, uint64_t offset = 0, size_t size = 1 << 20) {
    // Sanitizers are slow with large strings.
    std::string data(std::min<size_t>(size, file->size() + kPageSize), '?');
    const Result<size_t> got = file->Read(offset, absl::MakeSpan(data));
    EXPECT_THAT(got, Succeeds());
    data.resize(got.ok() ? *got : 0);
    return data;
  }
  static std::string Pattern(size_t size, uint32_t seed = 1) {
    std::minstd_rand random(seed);
    std::string data(size, '\0');
    for (char& c : data) c = static_cast<char>('a' + random() % 26);
    return data;
  }
  // The first page numbers of a range that no file uses.
  PageNumber NextFree() {
    PageNumber page;
    EXPECT_THAT(arena_->Allocate(absl::MakeSpan(&page, 1)), Succeeds());
    arena_->Free(absl::MakeSpan(&page, 1));
    return page;
  }

  Budget budget_{kSharingLimit, 1};
  Accounts accounts_{&budget_};
  AccountRef account_ = accounts_.Find({});
  const std::unique_ptr<RecordFile> records_ = MakeRecords();
  DaemonStorage storage_ = {};
  std::unique_ptr<Arena> arena_;
};

TEST_F(PageSharingTest, APageIsFreedWithItsLastOwner) {
  std::vector<PageNumber> page(1);
  ASSERT_THAT(arena_->Allocate(absl::MakeSpan(page)), Succeeds());
  EXPECT_FALSE(arena_->IsShared(page[0]));
  ASSERT_THAT(arena_->Share(page), Succeeds());
  ASSERT_THAT(arena_->Share(page), Succeeds());
  EXPECT_EQ(arena_->pages_in_use(), 3u);
  ASSERT_THAT(arena_->Write(page[0], 0, "x"), Succeeds());
  for (const bool shared : {true, false}) {
    std::vector<PageNumber> again = page;
    arena_->Free(absl::MakeSpan(again));
    EXPECT_EQ(arena_->IsShared(page[0]), shared);
    char c = 0;
    ASSERT_THAT(arena_->Read(page[0], 0, absl::MakeSpan(&c, 1)), Succeeds());
    EXPECT_EQ(c, 'x');
  }
  std::vector<PageNumber> last = page;
  arena_->Free(absl::MakeSpan(last));
  EXPECT_EQ(arena_->pages_in_use(), 0u);
  EXPECT_EQ(NextFree(), page[0]);
}

TEST_F(PageSharingTest, OneListMayHoldAPageTwice) {
  std::vector<PageNumber> page(1);
  ASSERT_THAT(arena_->Allocate(absl::MakeSpan(page)), Succeeds());
  ASSERT_THAT(arena_->Share(page), Succeeds());
  std::vector<PageNumber> both = {page[0], page[0]};
  arena_->Free(absl::MakeSpan(both));
  EXPECT_EQ(arena_->pages_in_use(), 0u);
  EXPECT_EQ(NextFree(), page[0]);
}

TEST_F(PageSharingTest, SharedPagesAreChargedLikeUnsharedPages) {
  const std::string data = Pattern(40 * kPageSize);
  const auto a = NewFile(data);
  const auto b = NewFile();
  const uint64_t used = budget_.bytes_used();
  const PageNumber next = NextFree();
  EXPECT_EQ(*b->CopyFrom(a.get(), 0, 0, data.size()), data.size());
  EXPECT_EQ(NextFree(), next) << "pages were taken";
  EXPECT_EQ(Read(b.get()), data);
  EXPECT_EQ(b->blocks(), a->blocks());
  EXPECT_GE(budget_.bytes_used() - used, data.size());
}

TEST_F(PageSharingTest, AWriteToOneFileIsNotSeenInTheOther) {
  std::string data = Pattern(10 * kPageSize);
  const auto a = NewFile(data);
  const auto b = NewFile();
  ASSERT_EQ(*b->CopyFrom(a.get(), 0, 0, data.size()), data.size());
  std::string changed = data;
  ASSERT_THAT(b->Write(5000, std::string("inside a page")), Succeeds());
  changed.replace(5000, 13, "inside a page");
  ASSERT_THAT(b->Write(2 * kPageSize, Pattern(2 * kPageSize, 7)), Succeeds());
  changed.replace(2 * kPageSize, 2 * kPageSize, Pattern(2 * kPageSize, 7));
  EXPECT_EQ(Read(b.get()), changed);
  EXPECT_EQ(Read(a.get()), data);
  ASSERT_THAT(a->Write(9 * kPageSize + 1, std::string("x")), Succeeds());
  data[9 * kPageSize + 1] = 'x';
  EXPECT_EQ(Read(b.get()), changed);
  EXPECT_EQ(Read(a.get()), data);
}

TEST_F(PageSharingTest, TruncatePunchAndZeroKeepTheOtherFile) {
  const std::string data = Pattern(10 * kPageSize);
  const auto a = NewFile(data);
  for (int kind = 0; kind < 5; ++kind) {
    const auto b = NewFile();
    ASSERT_EQ(*b->CopyFrom(a.get(), 0, 0, data.size()), data.size());
    switch (kind) {
      case 0:
        ASSERT_THAT(b->Truncate(kPageSize + 1), Succeeds());
        ASSERT_THAT(b->Truncate(3 * kPageSize), Succeeds());
        EXPECT_EQ(Read(b.get(), kPageSize), data[kPageSize] + std::string(2 * kPageSize - 1, '\0'));
        break;
      case 1:
        ASSERT_THAT(b->PunchHole(100, 3 * kPageSize), Succeeds());
        EXPECT_EQ(Read(b.get(), 100, 3 * kPageSize), std::string(3 * kPageSize, '\0'));
        break;
      case 2:
        ASSERT_THAT(b->ZeroRange(100, 3 * kPageSize, true), Succeeds());
        EXPECT_EQ(Read(b.get(), 100, 3 * kPageSize), std::string(3 * kPageSize, '\0'));
        EXPECT_EQ(Read(b.get(), 100 + 3 * kPageSize), data.substr(100 + 3 * kPageSize));
        break;
      case 3:
        ASSERT_THAT(b->Allocate(0, 20 * kPageSize, true), Succeeds());
        ASSERT_THAT(b->Write(0, std::string("y")), Succeeds());
        EXPECT_EQ(Read(b.get()), "y" + data.substr(1));
        break;
      default:
        break;  // the file is only destroyed
    }
    EXPECT_EQ(Read(a.get()), data) << kind;
  }
}

TEST_F(PageSharingTest, ZeroRangeCopiesNoSharedPage) {
  const std::string data = Pattern(200 * kPageSize);
  const auto a = NewFile(data);
  const auto b = NewFile();
  ASSERT_EQ(*b->CopyFrom(a.get(), 0, 0, data.size()), data.size());
  const uint64_t used = budget_.bytes_used();
  const uint64_t pages = arena_->pages_in_use();
  const auto memory = [&] {
    struct stat now;
    EXPECT_EQ(fstat(arena_->descriptor(), &now), 0);
    return now.st_blocks;
  };
  const auto before = memory();
  ASSERT_THAT(b->ZeroRange(0, data.size(), /*keep_size=*/true), Succeeds());
  EXPECT_EQ(memory(), before);
  EXPECT_EQ(budget_.bytes_used(), used);
  EXPECT_EQ(arena_->pages_in_use(), pages);
  EXPECT_EQ(Read(b.get()), std::string(data.size(), '\0'));
  EXPECT_THAT(b->SeekData(0), Fails(ENXIO));
  EXPECT_EQ(Read(a.get()), data);
  EXPECT_EQ(b->blocks(), a->blocks());
}

TEST_F(PageSharingTest, TheLastPageIsSharedOnlyIfNoDataFollowsIt) {
  const std::string data = Pattern(2 * kPageSize + 100);
  const auto a = NewFile(data);
  const auto longer = NewFile(Pattern(4 * kPageSize, 3));
  ASSERT_EQ(*longer->CopyFrom(a.get(), 0, 0, data.size()), data.size());
  EXPECT_EQ(Read(longer.get()), data + Pattern(4 * kPageSize, 3).substr(data.size()));
  const auto part = NewFile();
  ASSERT_EQ(*part->CopyFrom(a.get(), 0, 0, kPageSize + 10), kPageSize + 10);
  EXPECT_EQ(Read(part.get()), data.substr(0, kPageSize + 10));
  ASSERT_THAT(part->Truncate(2 * kPageSize), Succeeds());
  EXPECT_EQ(Read(part.get(), kPageSize + 10), std::string(kPageSize - 10, '\0'));
  const auto exact = NewFile();
  ASSERT_EQ(*exact->CopyFrom(a.get(), 0, 0, data.size()), data.size());
  ASSERT_THAT(exact->Truncate(3 * kPageSize), Succeeds());
  EXPECT_EQ(Read(exact.get()), data + std::string(kPageSize - 100, '\0'));
  EXPECT_EQ(Read(a.get()), data);
}

TEST_F(PageSharingTest, InlineDataIsReplaced) {
  const std::string data = Pattern(kPageSize);
  const auto a = NewFile(data);
  const auto b = NewFile("tiny");
  const uint64_t used = budget_.bytes_used();
  ASSERT_EQ(*b->CopyFrom(a.get(), 0, 0, kPageSize), kPageSize);
  EXPECT_EQ(Read(b.get()), data);
  EXPECT_GT(budget_.bytes_used(), used);
}

TEST_F(PageSharingTest, IsShortWhenSpaceRunsOut) {
  const std::string data = Pattern(20 * kPageSize);
  const auto a = NewFile(data);
  const auto b = NewFile(Pattern(kPageSize, 9));
  ASSERT_TRUE(budget_.ReserveBytes(budget_.bytes_free() - 6 * kPageSize));
  const Result<uint64_t> copied = b->CopyFrom(a.get(), 0, kPageSize, data.size());
  ASSERT_THAT(copied, Succeeds());
  EXPECT_GE(*copied, 5 * kPageSize);
  EXPECT_LE(*copied, 6 * kPageSize);
  EXPECT_EQ(Read(b.get()), Pattern(kPageSize, 9) + data.substr(0, *copied));
  EXPECT_THAT(b->CopyFrom(a.get(), 0, 10 * kPageSize, data.size()), Fails(ENOSPC));
  EXPECT_EQ(Read(b.get()), Pattern(kPageSize, 9) + data.substr(0, *copied));
}

// Copies between the files, writes and truncations, compared with plain strings.
TEST_F(PageSharingTest, BehavesAsStringsDo) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    std::array<std::unique_ptr<DaemonFile>, 3> files;
    std::array<std::string, 3> model;
    for (auto& file : files) file = NewFile();
    const auto place = [&](uint64_t limit) {
      const uint64_t at = random() % limit;
      return random() % 3 != 0 ? at / kPageSize * kPageSize : at;
    };
    for (int step = 0; step < 400; ++step) {
      const size_t f = random() % 3;
      std::string& text = model[f];
      const uint64_t offset = place(12 * kPageSize);
      switch (random() % 6) {
        case 0: {
          const std::string data = Pattern(1 + random() % 9000, random());
          ASSERT_THAT(files[f]->Write(offset, data), Succeeds());
          if (text.size() < offset + data.size()) text.resize(offset + data.size());
          text.replace(offset, data.size(), data);
          break;
        }
        case 1:
          ASSERT_THAT(files[f]->Truncate(offset), Succeeds());
          text.resize(offset);
          break;
        case 2: {
          const uint64_t length = 1 + random() % 9000;
          ASSERT_THAT(files[f]->PunchHole(offset, length), Succeeds());
          for (uint64_t i = offset; i < std::min<uint64_t>(text.size(), offset + length); ++i) {
            text[i] = '\0';
          }
          break;
        }
        default: {
          const size_t g = random() % 3;
          const uint64_t from = place(12 * kPageSize);
          if (from >= model[g].size()) break;
          const uint64_t length =
              std::min<uint64_t>(model[g].size() - from, random() % (9 * kPageSize));
          if (length == 0 || (f == g && from < offset + length && offset < from + length)) break;
          const Result<uint64_t> copied = files[f]->CopyFrom(files[g].get(), from, offset, length);
          ASSERT_THAT(copied, Succeeds());
          ASSERT_EQ(*copied, length);
          const std::string data = model[g].substr(from, length);
          if (text.size() < offset + length) text.resize(offset + length);
          text.replace(offset, length, data);
        }
      }
      for (size_t i = 0; i < files.size(); ++i) {
        ASSERT_EQ(files[i]->size(), model[i].size()) << seed << " " << step;
        ASSERT_TRUE(Read(files[i].get()) == model[i]) << seed << " " << step << " file " << i;
      }
    }
    for (auto& file : files) file.reset();
    ASSERT_EQ(arena_->pages_in_use(), 0u);
    ASSERT_EQ(budget_.bytes_used(), 0u);
  }
}

TEST_F(PageSharingTest, FromManyThreads) {
  const std::string data = Pattern(8 * kPageSize);
  const auto source = NewFile(data);
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::minstd_rand random(t + 1);
      for (int i = 0; i < 300; ++i) {
        const auto copy = NewFile();
        EXPECT_EQ(*copy->CopyFrom(source.get(), 0, 0, data.size()), data.size());
        const uint64_t at = random() % data.size();
        EXPECT_THAT(copy->Write(at, std::string("!")), Succeeds());
        std::string expected = data;
        expected[at] = '!';
        EXPECT_TRUE(Read(copy.get()) == expected);
        // Writes the same bytes again, so that BreakCow runs for each page of the source from time
        // to time.
        const uint64_t own = random() % data.size();
        EXPECT_THAT(source->Write(own, absl::MakeConstSpan(&data[own], 1)), Succeeds());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Read(source.get()), data);
  EXPECT_EQ(arena_->pages_in_use(), 8u);
}

}  // namespace
}  // namespace memfuse::memfs
