#include "src/base/mutex.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace memfuse::base {
namespace {

TEST(Mutex, IsNoLargerThanTheWrappedMutex) { EXPECT_EQ(sizeof(Mutex<1>), sizeof(absl::Mutex)); }

TEST(Mutex, ExcludesOtherThreads) {
  Mutex<1> mu;
  int count = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10000; ++i) {
        MutexLock lock(&mu);
        ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 40000);
}

TEST(Mutex, LetsReadersInTogether) {
  Mutex<1> mu;
  std::atomic<int> inside{0};
  const auto read = [&] {
    ReaderMutexLock lock(&mu);
    ++inside;
    while (inside < 2) std::this_thread::yield();  // ends only if both threads hold the lock
  };
  std::thread first(read), second(read);
  first.join();
  second.join();
  EXPECT_EQ(inside, 2);
}

TEST(Mutex, KeepsReadersFromWriters) {
  Mutex<1> mu;
  int a = 0, b = 0;
  std::atomic<bool> torn{false};
  std::thread writer([&] {
    for (int i = 0; i < 10000; ++i) {
      MutexLock lock(&mu);
      ++a;
      ++b;
    }
  });
  for (int i = 0; i < 10000; ++i) {
    ReaderMutexLock lock(&mu);
    if (a != b) torn = true;
  }
  writer.join();
  EXPECT_FALSE(torn);
}

TEST(MutexRank, RankRisesOrStaysWhereThatIsAllowed) {
  Mutex<1> low;
  Mutex<2, SameRank::kAllowed> middle, other_middle;
  Mutex<3> high;
  MutexLock a(&low);
  MutexLock b(&middle);
  ReaderMutexLock c(&other_middle);
  MutexLock d(&high);
}

TEST(MutexRank, LocksMayBeReleasedInAnyOrder) {
  Mutex<1> low;
  Mutex<2> middle;
  Mutex<3> high;
  low.Lock();
  high.Lock();
  low.Unlock();
  high.Unlock();
  MutexLock a(&low);
  MutexLock b(&middle);
}

#ifndef NDEBUG
TEST(MutexRankDeathTest, RankMustNotFall) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Mutex<1> low;
  Mutex<2> high;
  EXPECT_DEATH(
      {
        MutexLock a(&high);
        MutexLock b(&low);
      },
      "rank 1 wanted while rank 2 is held");
  EXPECT_DEATH(
      {
        ReaderMutexLock a(&high);
        ReaderMutexLock b(&low);
      },
      "rank 1 wanted while rank 2 is held");
}

TEST(MutexRankDeathTest, RankMustNotStayWhereThatIsNotAllowed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Mutex<1> first, second;
  EXPECT_DEATH(
      {
        MutexLock a(&first);
        ReaderMutexLock b(&second);
      },
      "rank 1 wanted while rank 1 is held");
}
#endif

// Abseil's detector would end this program, because the order of the two locks is reversed.
TEST(MutexRank, OrderMayBeReversedWithinARankThatAllowsSeveralLocks) {
  Mutex<1, SameRank::kAllowed> a, b;
  for (int i = 0; i < 2; ++i) {
    MutexLock first(i == 0 ? &a : &b);
    MutexLock second(i == 0 ? &b : &a);
  }
}

}  // namespace
}  // namespace memfuse::base
