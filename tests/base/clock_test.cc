// Timestamps of the daemon and of the kernel are in the order of events.

#include "src/base/clock.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "src/base/unique_fd.h"

namespace memfuse::base {
namespace {

constexpr int kRounds = 2000;

Timestamp ModificationTime(const UniqueFd& file) {
  struct stat status = {};
  EXPECT_EQ(fstat(file.get(), &status), 0);
  return {status.st_mtim.tv_sec, static_cast<uint32_t>(status.st_mtim.tv_nsec)};
}

Timestamp Real() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return {now.tv_sec, static_cast<uint32_t>(now.tv_nsec)};
}

// A coarse clock may be one tick behind.
TEST(ClockTest, StampsAreTheTimeOfDay) {
  const Timestamp before = Real();
  const Timestamp now = Now();
  EXPECT_LE(before.seconds - 1, now.seconds);
  EXPECT_LE(now, Real());
  EXPECT_LT(now.nanoseconds, 1000000000u);
  EXPECT_LE(before.seconds - 1, WallTime().seconds);
  EXPECT_LE(WallTime(), Real());
}

TEST(ClockTest, StampsNeverGoBack) {
  Timestamp last = Now();
  for (int i = 0; i < kRounds; ++i) {
    const Timestamp now = Now();
    EXPECT_LE(last, now);
    last = now;
  }
}

// On a kernel without multigrain timestamps, the daemon's timestamps are as coarse as those of
// files.
TEST(ClockTest, StampsIncreaseStrictlyWithMultigrainTimestamps) {
  const UniqueFd file(memfd_create("file", MFD_CLOEXEC));
  ASSERT_EQ(write(file.get(), "x", 1), 1);
  const Timestamp first = ModificationTime(file);
  ASSERT_EQ(write(file.get(), "x", 1), 1);
  const bool exact = first < ModificationTime(file);
  for (int i = 0; i < kRounds; ++i) {
    ASSERT_EQ(write(file.get(), "x", 1), 1);
    const Timestamp written = ModificationTime(file);
    Timestamp other;
    std::thread([&] { other = Now(); }).join();
    const Timestamp now = Now();
    if (exact) {
      EXPECT_LT(written, other);
      EXPECT_LT(other, now);
    } else {
      EXPECT_LE(written, other);
      EXPECT_LE(other, now);
    }
  }
}

TEST(ClockTest, AWriteIsNotEarlierThanTheStampBeforeIt) {
  for (int i = 0; i < kRounds; ++i) {
    const UniqueFd file(memfd_create("file", MFD_CLOEXEC));
    const Timestamp before = Now();
    ASSERT_EQ(write(file.get(), "x", 1), 1);
    EXPECT_LE(before, ModificationTime(file));
  }
}

TEST(ClockTest, AWriteIsNotLaterThanTheStampAfterIt) {
  const UniqueFd file(memfd_create("file", MFD_CLOEXEC));
  for (int i = 0; i < kRounds; ++i) {
    // After stat, the kernel gives the next write an exact timestamp.
    ASSERT_EQ(pwrite(file.get(), "x", 1, 0), 1);
    const Timestamp written = ModificationTime(file);
    EXPECT_LE(written, Now());
  }
}

TEST(ClockTest, StampsOfThreadsAreInTheOrderOfEvents) {
  constexpr int kThreads = 4;
  for (int round = 0; round < 50; ++round) {
    const Timestamp before = Now();
    std::vector<Timestamp> stamps(kThreads);
    std::vector<std::thread> threads;
    for (Timestamp& stamp : stamps) threads.emplace_back([&stamp] { stamp = Now(); });
    for (std::thread& thread : threads) thread.join();
    const Timestamp after = Now();
    for (const Timestamp stamp : stamps) {
      EXPECT_LE(before, stamp);
      EXPECT_LE(stamp, after);
    }
  }
}

}  // namespace
}  // namespace memfuse::base
