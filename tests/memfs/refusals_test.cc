#include "src/memfs/space/refusals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace memfuse::memfs {
namespace {

Refusal OfUser(uint32_t id, uint64_t asked = 1) {
  Refusal refusal;
  refusal.owner = Refusal::Owner::kUser;
  refusal.id = id;
  refusal.asked = asked;
  return refusal;
}

TEST(RefusalList, CountsByLimitAndListsTheLatestFirst) {
  RefusalList list;
  EXPECT_TRUE(list.List().empty());
  list.Add(OfUser(1));
  list.Add(OfUser(2));
  list.Add(OfUser(1, 7));
  Refusal inodes = OfUser(1);
  inodes.limit = Refusal::Limit::kInodes;
  list.Add(inodes);
  const std::vector<Refusal> entries = list.List();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].limit, Refusal::Limit::kInodes);
  EXPECT_EQ(entries[0].count, 1u);
  EXPECT_EQ(entries[1].id, 1u);
  EXPECT_EQ(entries[1].count, 2u);
  EXPECT_EQ(entries[1].asked, 7u);
  EXPECT_EQ(entries[2].id, 2u);
}

TEST(RefusalList, ReplacesTheEntryThatWasNotUsedForLongest) {
  RefusalList list;
  for (uint32_t id = 0; id < kMaxRefusals; ++id) list.Add(OfUser(id));
  list.Add(OfUser(0));
  list.Add(OfUser(1000));
  const std::vector<Refusal> entries = list.List();
  ASSERT_EQ(entries.size(), kMaxRefusals);
  EXPECT_EQ(entries[0].id, 1000u);
  EXPECT_EQ(entries[1].id, 0u);
  EXPECT_EQ(entries[1].count, 2u);
  for (const Refusal& entry : entries) EXPECT_NE(entry.id, 1u);
}

}  // namespace
}  // namespace memfuse::memfs
