#include "src/base/event_count.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace memfuse::base {
namespace {

TEST(EventCountTest, ANotifyBeforeTheWaitIsNotMissed) {
  EventCount events;
  const uint64_t seen = events.version();
  events.Notify();
  events.WaitForChange(seen);
  EXPECT_TRUE(events.WaitForChange(seen, MonotonicClock::now()));
  EXPECT_FALSE(events.WaitForChange(events.version(), MonotonicClock::now()));
}

TEST(EventCountTest, TimesOut) {
  EventCount events;
  const MonotonicTime begin = MonotonicClock::now();
  const std::chrono::milliseconds timeout(20);
  EXPECT_FALSE(events.WaitForChange(events.version(), begin + timeout));
  EXPECT_GE(MonotonicClock::now() - begin, timeout);
}

// Threads pass a counter round. Each waits until it is its turn. A lost wake-up would hang.
TEST(EventCountTest, EveryThreadSeesEveryChange) {
  constexpr int kThreads = 4;
  constexpr int kTurns = 2000;
  EventCount events;
  std::atomic<int> turn{0};
  std::vector<std::thread> threads;
  for (int id = 0; id < kThreads; ++id) {
    threads.emplace_back([&, id] {
      for (int i = 0; i < kTurns; ++i) {
        for (;;) {
          const uint64_t seen = events.version();
          if (turn.load() % kThreads == id) break;
          ASSERT_TRUE(events.WaitForChange(seen, MonotonicClock::now() + std::chrono::seconds(30)));
        }
        turn.fetch_add(1);
        events.Notify();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(turn.load(), kThreads * kTurns);
}

}  // namespace
}  // namespace memfuse::base
