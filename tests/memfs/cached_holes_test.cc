#include "src/memfs/data/cached_holes.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace memfuse::memfs {
namespace {

// The pages of the set, in order.
std::vector<uint64_t> Pages(const CachedHoles& holes) {
  std::vector<uint64_t> pages;
  for (uint64_t page = 0; (page = holes.NextPresent(page)) != CachedHoles::kNone; ++page) {
    pages.push_back(page);
  }
  return pages;
}

TEST(CachedHolesTest, StartsEmpty) {
  CachedHoles holes;
  EXPECT_TRUE(holes.empty());
  EXPECT_EQ(Pages(holes).size(), 0u);
  EXPECT_EQ(holes.NextPresent(0), CachedHoles::kNone);
  EXPECT_EQ(holes.NextMissing(7), 7u);
}

TEST(CachedHolesTest, FindsPagesAndGaps) {
  CachedHoles holes;
  holes.Add(10, 19);
  holes.Add(2, 3);
  EXPECT_EQ(Pages(holes).size(), 12u);
  EXPECT_EQ(holes.NextPresent(0), 2u);
  EXPECT_EQ(holes.NextPresent(3), 3u);
  EXPECT_EQ(holes.NextPresent(4), 10u);
  EXPECT_EQ(holes.NextPresent(15), 15u);
  EXPECT_EQ(holes.NextPresent(20), CachedHoles::kNone);
  EXPECT_EQ(holes.NextMissing(2), 4u);
  EXPECT_EQ(holes.NextMissing(9), 9u);
  EXPECT_EQ(holes.NextMissing(10), 20u);
}

TEST(CachedHolesTest, AdjacentRangesAreMerged) {
  CachedHoles holes;
  holes.Add(0, 0);
  holes.Add(2, 2);
  holes.Add(1, 1);
  EXPECT_EQ(Pages(holes).size(), 3u);
  EXPECT_EQ(holes.NextMissing(0), 3u);
  holes.Add(0, 9);
  EXPECT_EQ(Pages(holes).size(), 10u);
}

TEST(CachedHolesTest, TheClosestRangesAreMergedIfThereAreTooMany) {
  CachedHoles holes;
  for (uint64_t i = 0; i < CachedHoles::kMaxRanges; ++i) holes.Add(i * 1000, i * 1000);
  EXPECT_EQ(Pages(holes).size(), CachedHoles::kMaxRanges);
  holes.Add(5003, 5003);
  EXPECT_EQ(Pages(holes).size(), CachedHoles::kMaxRanges - 1 + 4);
  EXPECT_EQ(holes.NextMissing(5000), 5004u);
  EXPECT_EQ(holes.NextMissing(4000), 4001u);
}

// Compares the ranges with a set of pages. No page is missing, and no page is added as long as
// there are few ranges.
TEST(CachedHolesTest, KeepsAllPagesUnderRandomAdditions) {
  for (const unsigned seed : {1u, 2u, 3u}) {
    std::mt19937 random(seed);
    CachedHoles holes;
    std::set<uint64_t> model;
    for (int i = 0; i < 300; ++i) {
      const uint64_t first = random() % 2000;
      const uint64_t last = first + random() % 20;
      holes.Add(first, last);
      for (uint64_t page = first; page <= last; ++page) model.insert(page);
      if (i < static_cast<int>(CachedHoles::kMaxRanges)) {
        ASSERT_EQ(Pages(holes).size(), model.size());
      }
      for (const uint64_t page : model) {
        ASSERT_EQ(holes.NextPresent(page), page);
        ASSERT_GT(holes.NextMissing(page), page);
      }
      const uint64_t any = random() % 2100;
      if (holes.NextMissing(any) == any) {
        ASSERT_EQ(model.count(any), 0u);
      }
      if (const uint64_t next = holes.NextPresent(any); next != CachedHoles::kNone) {
        ASSERT_GE(next, any);
        ASSERT_GT(holes.NextMissing(next), next);
      }
    }
  }
}

}  // namespace
}  // namespace memfuse::memfs
