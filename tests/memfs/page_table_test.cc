#include "src/memfs/data/page_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "tests/memfs/records.h"

namespace memfuse::memfs {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAreArray;

constexpr uint64_t kLastIndex = (uint64_t{1} << 51) - 1;
constexpr BlockId kOwner = 7;
// The bytes charged for a map entry of the table, without its record.
constexpr uint64_t kChunk = 40;
// The blocks of records with this number of slots.
constexpr uint64_t kSlots4 = 32;
constexpr uint64_t kSlots8 = 48;
constexpr uint64_t kSlots512 = 2080;

TEST(PageSlot, HoldsNumberAndState) {
  EXPECT_TRUE(PageSlot().hole());
  const PageSlot written(Arena::kMaxPages - 1, true);
  EXPECT_FALSE(written.hole());
  EXPECT_TRUE(written.written());
  EXPECT_EQ(written.page(), Arena::kMaxPages - 1);
  const PageSlot reserved(1, false);
  EXPECT_FALSE(reserved.hole());
  EXPECT_FALSE(reserved.written());
  EXPECT_EQ(reserved.page(), 1u);
  EXPECT_TRUE(written.has_memory());
  EXPECT_FALSE(reserved.has_memory());
  EXPECT_FALSE(PageSlot().has_memory());
  const PageSlot shared(5, true, true);
  EXPECT_TRUE(shared.shared());
  EXPECT_TRUE(shared.written());
  EXPECT_TRUE(shared.has_memory());
  const PageSlot blank = PageSlot::PreallocatedAsData(Arena::kMaxPages - 1);
  EXPECT_FALSE(blank.hole());
  EXPECT_TRUE(blank.written());
  EXPECT_FALSE(blank.has_memory());
  EXPECT_FALSE(blank.shared());
  EXPECT_EQ(blank.page(), Arena::kMaxPages - 1);
}

TEST(PageTable, AnEmptyTableHasOnlyHolesAndCostsNothing) {
  const auto records = MakeRecords();
  const PageTable table(records.get(), kOwner);
  EXPECT_TRUE(table.empty());
  EXPECT_EQ(table.Cost(), 0u);
  EXPECT_TRUE(table.Get(0).hole());
  EXPECT_TRUE(table.Get(kLastIndex).hole());
  EXPECT_EQ(table.NextWritten(0), PageTable::kNone);
  EXPECT_EQ(table.NextUnwritten(7), 7u);
  EXPECT_EQ(table.CountPresent(0, kLastIndex), 0u);
}

TEST(PageTable, CostsFollowTheHighestSlotOfAChunk) {
  const auto records = MakeRecords();
  PageTable table(records.get(), kOwner);
  table.Set(2, PageSlot(1, true));
  EXPECT_EQ(table.Cost(), kChunk + kSlots4);
  table.Set(3, PageSlot(2, true));
  EXPECT_EQ(table.Cost(), kChunk + kSlots4);
  table.Set(4, PageSlot(3, true));
  EXPECT_EQ(table.Cost(), kChunk + kSlots8);
  table.Set(511, PageSlot(4, true));
  EXPECT_EQ(table.Cost(), kChunk + kSlots512);
  table.Set(512, PageSlot(5, true));
  EXPECT_EQ(table.Cost(), 2 * kChunk + kSlots512 + kSlots4);
  EXPECT_EQ(table.Get(4).page(), 3u);
}

TEST(PageTable, PrepareCostsItsEstimateAndSetAddsNothing) {
  const auto records = MakeRecords();
  PageTable table(records.get(), kOwner);
  table.Set(700, PageSlot(1, true));
  const uint64_t before = table.Cost();
  const uint64_t promised = table.PrepareCost(100, 1600);
  table.Prepare(100, 1600);
  EXPECT_EQ(table.Cost(), before + promised);
  EXPECT_EQ(table.PrepareCost(100, 1600), 0u);
  for (uint64_t i = 100; i <= 1600; ++i) table.Set(i, PageSlot(9, true));
  EXPECT_EQ(table.Cost(), before + promised);
}

TEST(PageTable, RemovesEverythingUpToNone) {
  const auto records = MakeRecords();
  PageTable table(records.get(), kOwner);
  for (const uint64_t i : {uint64_t{0}, uint64_t{5}, uint64_t{511}, uint64_t{512}, kLastIndex}) {
    table.Set(i, PageSlot(static_cast<PageNumber>(i % 1000 + 1), true));
  }
  std::vector<PageNumber> removed;
  table.Remove(5, PageTable::kNone, [&](PageNumber page) { removed.push_back(page); });
  EXPECT_THAT(removed, ElementsAre(6, 512, 513, kLastIndex % 1000 + 1));
  EXPECT_FALSE(table.Get(0).hole());
  removed.clear();
  table.Remove(0, PageTable::kNone, [&](PageNumber page) { removed.push_back(page); });
  EXPECT_THAT(removed, ElementsAre(1));
  EXPECT_TRUE(table.empty());
  EXPECT_EQ(table.Cost(), 0u);
}

TEST(PageTable, CountsUpToNone) {
  const auto records = MakeRecords();
  PageTable table(records.get(), kOwner);
  table.Set(3, PageSlot(1, true));
  table.Set(kLastIndex, PageSlot(2, false));
  EXPECT_EQ(table.CountPresent(0, PageTable::kNone), 2u);
  EXPECT_EQ(table.CountPresent(4, PageTable::kNone), 1u);
}

TEST(PageTable, DropsPreparedUnusedSlots) {
  const auto records = MakeRecords();
  PageTable table(records.get(), kOwner);
  table.Prepare(0, 2000);
  table.Set(600, PageSlot(1, true));
  table.DropUnused(0, PageTable::kNone);
  EXPECT_EQ(table.Cost(), kChunk + kSlots512);
  EXPECT_EQ(table.Get(600).page(), 1u);
  table.Prepare(0, 0);
  table.DropUnused(512, 2000);
  EXPECT_EQ(table.Cost(), 2 * kChunk + kSlots512 + kSlots4);
  EXPECT_EQ(table.PrepareCost(0, 0), 0u);
}

// Compares the table with a std::map under random operations.
class Model {
 public:
  explicit Model(unsigned seed) : random_(seed) {}

  void Run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      switch (random_() % 6) {
        case 0:
          Remove();
          break;
        case 1:
          Look();
          break;
        default:
          Set();
      }
      if (i % 16 == 0) CheckCost();
    }
    CheckAll();
  }

 private:
  // Dense slots, chunk borders and single pages at large offsets.
  uint64_t Index() {
    static constexpr uint64_t kBases[] = {
        0, 505, 1020, uint64_t{1} << 20, uint64_t{1} << 40, kLastIndex - 1200};
    return kBases[random_() % 6] + random_() % (random_() % 2 == 0 ? 12 : 1200);
  }
  std::pair<uint64_t, uint64_t> Range() {
    const uint64_t a = Index();
    const uint64_t b = random_() % 8 == 0 ? Index() : a + random_() % 600;
    return {std::min(a, b), std::max(a, b)};
  }

  void Set() {
    const uint64_t index = Index();
    const PageSlot slot(static_cast<PageNumber>(1 + random_() % (Arena::kMaxPages - 1)),
                        random_() % 3 != 0);
    const uint64_t before = table_.Cost();
    const uint64_t bound = table_.PrepareCost(index, index);
    table_.Set(index, slot);
    EXPECT_EQ(table_.Cost(), before + bound);
    model_[index] = slot;
    uint64_t& top = tops_[index / PageTable::kChunkPages];
    top = std::max(top, index % PageTable::kChunkPages);
  }

  void Remove() {
    auto [first, last] = Range();
    if (random_() % 16 == 0) last = PageTable::kNone;
    std::vector<PageNumber> expected, removed;
    auto it = model_.lower_bound(first);
    while (it != model_.end() && it->first <= last) {
      expected.push_back(it->second.page());
      it = model_.erase(it);
    }
    table_.Remove(first, last, [&](PageNumber page) { removed.push_back(page); });
    EXPECT_EQ(removed, expected);
    // Chunks without a page are removed, together with their slots.
    std::set<uint64_t> alive;
    for (const auto& [index, slot] : model_) alive.insert(index / PageTable::kChunkPages);
    for (auto top = tops_.begin(); top != tops_.end();) {
      top = alive.count(top->first) != 0 ? std::next(top) : tops_.erase(top);
    }
  }

  void Look() {
    const auto [first, last] = Range();
    uint64_t count = 0;
    for (auto it = model_.lower_bound(first); it != model_.end() && it->first <= last; ++it) {
      ++count;
    }
    EXPECT_EQ(table_.CountPresent(first, last), count);

    uint64_t written = PageTable::kNone;
    for (auto it = model_.lower_bound(first); it != model_.end(); ++it) {
      if (!it->second.written()) continue;
      written = it->first;
      break;
    }
    EXPECT_EQ(table_.NextWritten(first), written);

    uint64_t unwritten = first;
    for (auto it = model_.find(first); it != model_.end(); it = model_.find(++unwritten)) {
      if (!it->second.written()) break;
    }
    EXPECT_EQ(table_.NextUnwritten(first), unwritten);
    if (unwritten <= last) {
      EXPECT_EQ(table_.NextUnwritten(first, last), unwritten);
    } else {
      EXPECT_GT(table_.NextUnwritten(first, last), last);
    }
  }

  void CheckCost() {
    uint64_t cost = 0;
    for (const auto& [chunk, top] : tops_) {
      uint64_t capacity = 4;
      while (capacity <= top) capacity *= 2;
      cost += kChunk + RecordFile::BlockBytes(PageTableRecord::Bytes(capacity));
    }
    EXPECT_EQ(table_.Cost(), cost);
    EXPECT_EQ(table_.empty(), model_.empty());
  }

  void CheckAll() {
    for (const auto& [index, slot] : model_) {
      EXPECT_EQ(table_.Get(index).page(), slot.page());
      EXPECT_EQ(table_.Get(index).written(), slot.written());
      EXPECT_EQ(table_.Get(index + 1).hole(), model_.count(index + 1) == 0);
    }
    std::vector<PageNumber> removed, expected;
    for (const auto& [index, slot] : model_) expected.push_back(slot.page());
    table_.Remove(0, PageTable::kNone, [&](PageNumber page) { removed.push_back(page); });
    EXPECT_THAT(removed, UnorderedElementsAreArray(expected));
    EXPECT_EQ(table_.Cost(), 0u);
  }

  std::mt19937 random_;
  const std::unique_ptr<RecordFile> records_ = MakeRecords();
  PageTable table_{records_.get(), kOwner};
  std::map<uint64_t, PageSlot> model_;
  std::map<uint64_t, uint64_t> tops_;  // chunk -> highest slot that was ever set
};

class PageTableModelTest : public ::testing::TestWithParam<unsigned> {};

TEST_P(PageTableModelTest, BehavesAsAMap) { Model(GetParam()).Run(2500); }

INSTANTIATE_TEST_SUITE_P(Seeds, PageTableModelTest, ::testing::Values(1, 2, 3, 4, 5, 6));

}  // namespace
}  // namespace memfuse::memfs
