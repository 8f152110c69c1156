// Compares files of the daemon store and of the passthrough store with a model (file_model.h) under
// random operations. Where the two stores differ, the model has the difference.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <tuple>

#include "src/memfs/data/arena.h"
#include "src/memfs/data/daemon_file.h"
#include "src/memfs/space/account.h"
#include "tests/memfs/file_model.h"
#include "tests/memfs/passthrough_store_test_base.h"
#include "tests/memfs/records.h"
#include "tests/testing/read_sinks.h"
#include "tests/testing/result_matchers.h"

namespace memfuse::memfs {
namespace {

using test::Fails;
using test::StringSink;
using test::Succeeds;
using Kind = FileModel::Kind;

struct Setting {
  unsigned seed;
  uint64_t base;   // offsets are near 0 and from here on
  uint64_t reach;  // how far
};

void PrintTo(const Setting& setting, std::ostream* out) {
  *out << "seed " << setting.seed << ", base " << setting.base << ", reach " << setting.reach;
}

class FileDataModelTest : public ::testing::TestWithParam<std::tuple<Kind, Setting>> {
 protected:
  void SetUp() override {
    if (kind() == Kind::kDaemon) {
      auto arena = Arena::Make();
      ASSERT_TRUE(arena.ok());
      arena_ = *std::move(arena);
      arena_->set_huge_pages(true);  // large reads are gathered
      storage_ = {arena_.get(), records_.get()};
      file_ =
          std::make_unique<DaemonFile>(account_.get(), NewFileRecord(records_.get()), &storage_);
    } else {
      ASSERT_TRUE(MayMountTmpfs()) << "needs root (CAP_SYS_ADMIN)";
      auto store = PassthroughStore::Make(PassthroughLimit(kLimit), &ids_, &budget_);
      ASSERT_TRUE(store.ok()) << store.status();
      passthrough_store_ = *std::move(store);
      file_ = std::make_unique<PassthroughFile>(
          account_.get(), NewFileRecord(records_.get(), InodeNumber{7}), passthrough_store_.get());
    }
  }
  static Kind kind() { return std::get<Kind>(GetParam()); }
  static const Setting& setting() { return std::get<Setting>(GetParam()); }

  uint64_t DataBytes() const {
    return passthrough_store_ != nullptr ? passthrough_store_->data_bytes()
                                         : arena_->pages_in_use() * kPageSize;
  }
  uint64_t Offset() {
    const uint64_t base = random_() % 2 == 0 ? 0 : setting().base;
    uint64_t offset = random_() % setting().reach;
    if (random_() % 4 == 0) offset = offset / kPageSize * kPageSize;
    return base + offset;
  }
  uint64_t Length() {
    switch (random_() % 4) {
      case 0:
        return 1 + random_() % 64;
      case 1:
        return kPageSize * (1 + random_() % 4);
      case 2:
        return 1 + random_() % (100 * kPageSize);
      default:
        return 1 + random_() % 3000;
    }
  }
  std::string Data(uint64_t length) {
    std::string data(length, '\0');
    char c = static_cast<char>('A' + random_() % 26);
    for (char& byte : data) byte = c++;
    return data;
  }

  void Step() {
    const uint64_t offset = Offset();
    const uint64_t length = Length();
    const bool keep_size = random_() % 2 == 0;
    switch (random_() % 14) {
      case 0:
        EXPECT_THAT(file_->Truncate(offset), Succeeds());
        model_.Truncate(offset);
        break;
      case 1:
        EXPECT_THAT(file_->Allocate(offset, length, keep_size), Succeeds());
        model_.Allocate(offset, length, keep_size);
        break;
      case 2:
      case 3:
        EXPECT_THAT(file_->PunchHole(offset, length), Succeeds());
        model_.Punch(offset, length);
        break;
      case 4:
        EXPECT_THAT(file_->ZeroRange(offset, length, keep_size), Succeeds());
        model_.ZeroRange(offset, length, keep_size);
        break;
      case 5:
      case 6:
        CopyWithin(offset, Offset(), length);
        break;
      default: {
        const std::string data = Data(length);
        const Result<size_t> written = file_->Write(offset, data);
        ASSERT_THAT(written, Succeeds());
        EXPECT_EQ(*written, data.size());
        model_.Write(offset, data);
      }
    }
    Compare();
  }

  void CopyWithin(uint64_t offset_in, uint64_t offset_out, uint64_t length) {
    // The ranges are disjoint, and the copy does not extend the source.
    if (offset_in >= model_.size()) return;
    length = std::min({length, model_.size() - offset_in,
                       std::max(offset_in, offset_out) - std::min(offset_in, offset_out)});
    const Result<uint64_t> copied = file_->CopyFrom(file_.get(), offset_in, offset_out, length);
    ASSERT_THAT(copied, Succeeds());
    EXPECT_EQ(*copied, model_.Copy(offset_in, offset_out, length));
  }

  void Compare() {
    ASSERT_EQ(file_->size(), model_.size());
    ASSERT_EQ(file_->blocks(), model_.blocks());
    ASSERT_EQ(DataBytes(), model_.page_count() * kPageSize);
    const uint64_t offset = Offset();
    const uint64_t length = Length();
    const uint64_t memory = MemoryBlocks();
    for (const bool gathers : {false, true}) {
      StringSink sink(length, gathers);
      const Result<size_t> count = file_->ReadTo(offset, &sink, /*to_page_cache=*/true, [] {});
      ASSERT_THAT(count, Succeeds());
      const std::string expected = model_.Read(offset, length);
      ASSERT_TRUE(sink.Result(*count) == expected)
          << "at " << offset << ", " << expected.size() << " bytes";
      sent_ += sink.sent() ? 1 : 0;
    }
    ASSERT_EQ(MemoryBlocks(), memory) << "a read took memory";
    CompareSeek(Offset());
  }
  // The memory that the kernel has allocated for the arena.
  uint64_t MemoryBlocks() const {
    struct stat st = {};
    if (arena_ != nullptr) {
      EXPECT_EQ(fstat(arena_->descriptor(), &st), 0);
    }
    return static_cast<uint64_t>(st.st_blocks);
  }

  void CompareSeek(uint64_t offset) {
    if (offset >= model_.size()) {
      ASSERT_THAT(file_->SeekData(offset), Fails(ENXIO));
      ASSERT_THAT(file_->SeekHole(offset), Fails(ENXIO));
      return;
    }
    const Result<uint64_t> hole = file_->SeekHole(offset);
    ASSERT_THAT(hole, Succeeds());
    ASSERT_EQ(*hole, model_.SeekHole(offset));
    const Result<uint64_t> data = file_->SeekData(offset);
    ASSERT_EQ(data.ok() ? *data : ~uint64_t{0}, model_.SeekData(offset));
  }

  std::mt19937_64 random_{setting().seed};
  static constexpr uint64_t kLimit = uint64_t{1} << 30;
  Budget budget_{kLimit, 1};
  CachedBackingIds ids_ = {};
  Accounts accounts_{&budget_};
  AccountRef account_ = accounts_.Find({});
  const std::unique_ptr<RecordFile> records_ = MakeRecords();
  DaemonStorage storage_ = {};
  std::unique_ptr<Arena> arena_;
  std::unique_ptr<PassthroughStore> passthrough_store_;
  std::unique_ptr<FileData> file_;
  FileModel model_{kind(), setting().base};
  int sent_ = 0;  // reads that were answered from the pages
};

TEST_P(FileDataModelTest, BehavesAsAVectorOfBytes) {
  for (int i = 0; i < 600; ++i) {
    Step();
    ASSERT_FALSE(HasFailure()) << "in step " << i;
  }
  if (kind() == Kind::kDaemon && setting().reach > 100000) {
    EXPECT_GT(sent_, 10);
  }
  file_.reset();
  EXPECT_EQ(budget_.bytes_used(), 0u);
  EXPECT_EQ(DataBytes(), 0u);
}

constexpr uint64_t kFar = uint64_t{1} << 40;
// The last bytes that a file can have, with room for the longest operation.
constexpr uint64_t kFarthest = (kMaxFileSize - (uint64_t{4} << 20)) / kPageSize * kPageSize;

constexpr Setting kSettings[] = {
    {1, 0, 3000},         {2, 0, 10000},           {3, 0, 200000},
    {4, 0, 3 << 20},      {5, kFar, 5000},         {6, kFar, 3 << 20},
    {7, kFarthest, 8000}, {8, kFarthest, 3 << 20}, {9, (2 << 20) - 9000, 30000}};

INSTANTIATE_TEST_SUITE_P(Arena, FileDataModelTest,
                         ::testing::Combine(::testing::Values(Kind::kDaemon),
                                            ::testing::ValuesIn(kSettings)));
INSTANTIATE_TEST_SUITE_P(Passthrough, FileDataModelTest,
                         ::testing::Combine(::testing::Values(Kind::kPassthrough),
                                            ::testing::ValuesIn(kSettings)));

}  // namespace
}  // namespace memfuse::memfs
