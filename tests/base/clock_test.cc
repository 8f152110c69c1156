#include "src/base/clock.h"

#include <gtest/gtest.h>

#include <ctime>

namespace memfuse::base {
namespace {

TEST(Clock, IsTheTimeOfDay) {
  timespec before, after;
  clock_gettime(CLOCK_REALTIME, &before);
  const Timestamp now = Now();
  clock_gettime(CLOCK_REALTIME, &after);
  EXPECT_LE((Timestamp{before.tv_sec, static_cast<uint32_t>(before.tv_nsec)}), now);
  EXPECT_LE(now, (Timestamp{after.tv_sec, static_cast<uint32_t>(after.tv_nsec)}));
  EXPECT_LT(now.nanoseconds, 1000000000u);
}

}  // namespace
}  // namespace memfuse::base
