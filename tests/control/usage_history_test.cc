#include "src/control/usage_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace memfuse::control {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Time kStart = absl::UnixEpoch();

std::vector<int64_t> Times(const UsageHistory::Part& part) {
  std::vector<int64_t> times;
  for (const UsageHistory::Sample& sample : part.samples) times.push_back(sample.time);
  return times;
}

TEST(UsageHistoryTest, KeepsOneSampleAMinute) {
  UsageHistory history;
  EXPECT_THAT(history.From(0).samples, IsEmpty());
  EXPECT_EQ(history.From(0).next, 0u);
  for (int second = 0; second <= 180; ++second) {
    history.Offer(kStart + absl::Seconds(second), {second, 10u, 20u});
  }
  const UsageHistory::Part part = history.From(0);
  EXPECT_THAT(Times(part), ElementsAre(0, 60, 120, 180));
  EXPECT_EQ(part.next, 4u);
  EXPECT_EQ(part.samples[1].bytes, 10u);
  EXPECT_EQ(part.samples[1].inodes, 20u);
}

// Offers that come late do not shift the samples after them, unless a minute was missed.
TEST(UsageHistoryTest, DelaysDoNotAddUp) {
  UsageHistory history;
  for (const int second : {0, 65, 119, 121, 400, 459, 460}) {
    history.Offer(kStart + absl::Seconds(second), {second, 0, 0});
  }
  EXPECT_THAT(Times(history.From(0)), ElementsAre(0, 65, 121, 400, 460));
}

TEST(UsageHistoryTest, KeepsTheSamplesOfADay) {
  UsageHistory history;
  constexpr int kExtra = 5;
  const int count = static_cast<int>(UsageHistory::kCapacity) + kExtra;
  for (int minute = 0; minute < count; ++minute) {
    history.Offer(kStart + absl::Minutes(minute), {minute, 0, 0});
  }
  const UsageHistory::Part part = history.From(0);
  EXPECT_EQ(part.next, static_cast<uint64_t>(count));
  ASSERT_THAT(part.samples, SizeIs(UsageHistory::kCapacity));
  for (size_t i = 0; i < part.samples.size(); ++i) {
    EXPECT_EQ(part.samples[i].time, static_cast<int64_t>(i) + kExtra);
  }
}

TEST(UsageHistoryTest, AReaderGetsWhatItDoesNotHave) {
  UsageHistory history;
  for (int minute = 0; minute < 5; ++minute) {
    history.Offer(kStart + absl::Minutes(minute), {minute, 0, 0});
  }
  EXPECT_THAT(Times(history.From(3)), ElementsAre(3, 4));
  EXPECT_THAT(history.From(5).samples, IsEmpty());
  EXPECT_THAT(history.From(1000).samples, IsEmpty());
  EXPECT_EQ(history.From(1000).next, 5u);
}

}  // namespace
}  // namespace memfuse::control
