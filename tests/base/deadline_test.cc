#include "src/base/deadline.h"

#include <gtest/gtest.h>

namespace memfuse::base {
namespace {

TEST(DeadlineTest, ATimeoutThatIsNotPositiveHasPassed) {
  for (const absl::Duration timeout :
       {absl::ZeroDuration(), -absl::Nanoseconds(1), -absl::InfiniteDuration()}) {
    const Deadline deadline = Deadline::After(timeout);
    EXPECT_TRUE(deadline.passed());
    EXPECT_EQ(deadline.Left(), absl::ZeroDuration());
    EXPECT_EQ(deadline.PollTimeout(), 0);
  }
}

TEST(DeadlineTest, AnInfiniteTimeoutNeverPasses) {
  for (const Deadline deadline : {Deadline::Never(), Deadline::After(absl::InfiniteDuration())}) {
    EXPECT_FALSE(deadline.passed());
    EXPECT_EQ(deadline.Left(), absl::InfiniteDuration());
    EXPECT_EQ(deadline.PollTimeout(), 60'000) << "callers poll again";
  }
  EXPECT_TRUE(Deadline::Never() == Deadline::After(absl::InfiniteDuration()));
  EXPECT_TRUE(Deadline::After(absl::Hours(1)) < Deadline::Never());
}

TEST(DeadlineTest, WhatIsLeftGetsLess) {
  const Deadline deadline = Deadline::After(absl::Hours(1));
  const absl::Duration left = deadline.Left();
  EXPECT_LE(left, absl::Hours(1));
  EXPECT_GT(left, absl::ZeroDuration());
  EXPECT_LE(deadline.Left(), left);
  EXPECT_FALSE(deadline.passed());
}

// A timeout of 0 would make a busy loop of the rest of a millisecond.
TEST(DeadlineTest, ATimeoutOfPollIsRoundedUp) {
  for (int i = 0; i < 1000; ++i) {
    const Deadline deadline = Deadline::After(absl::Microseconds(500));
    const int timeout = deadline.PollTimeout();
    EXPECT_TRUE(timeout == 1 || deadline.passed());
  }
}

}  // namespace
}  // namespace memfuse::base
