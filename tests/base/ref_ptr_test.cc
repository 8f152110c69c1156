#include "src/base/ref_ptr.h"

#include <gtest/gtest.h>

#include <thread>
#include <utility>
#include <vector>

namespace memfuse::base {
namespace {

// Counts its live objects.
class Thing : public RefCounted {
 public:
  explicit Thing(int* alive) : alive_(alive) { ++*alive_; }
  ~Thing() override { --*alive_; }

 private:
  int* const alive_;
};
class DerivedThing final : public Thing {
 public:
  using Thing::Thing;
};

TEST(RefPtr, DeletesWithTheLastOwner) {
  int alive = 0;
  {
    auto first = RefPtr<Thing>::Adopt(new Thing(&alive));
    RefPtr<Thing> second = first;
    EXPECT_EQ(second.get(), first.get());
    first = nullptr;
    EXPECT_FALSE(first);
    EXPECT_TRUE(second);
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
}

TEST(RefPtr, SharesARawPointerAndAdoptsACount) {
  int alive = 0;
  const auto owner = RefPtr<Thing>::Adopt(new Thing(&alive));
  {
    const RefPtr<Thing> shared(owner.get());
    EXPECT_EQ(shared.get(), owner.get());
  }
  EXPECT_EQ(alive, 1);
  EXPECT_TRUE(owner->unique());
  RefPtr<Thing> other(owner);
  EXPECT_FALSE(owner->unique());
  const auto adopted = RefPtr<Thing>::Adopt(other.release());
  EXPECT_FALSE(other);
  EXPECT_EQ(alive, 1);
  EXPECT_EQ(RefPtr<Thing>(static_cast<Thing*>(nullptr)).get(), nullptr);
}

TEST(RefPtr, MovesToTheSameAndToABaseClass) {
  int alive = 0;
  auto derived = RefPtr<DerivedThing>::Adopt(new DerivedThing(&alive));
  RefPtr<Thing> base = std::move(derived);
  EXPECT_EQ(derived.get(), nullptr);  // NOLINT: moved-from is empty, by contract
  RefPtr<Thing> moved = std::move(base);
  EXPECT_EQ(base.get(), nullptr);  // NOLINT
  EXPECT_EQ(alive, 1);
  moved = RefPtr<Thing>::Adopt(new Thing(&alive));
  EXPECT_EQ(alive, 1);
}

TEST(RefPtr, SurvivesAssignmentToItself) {
  int alive = 0;
  auto thing = RefPtr<Thing>::Adopt(new Thing(&alive));
  const RefPtr<Thing>& same = thing;
  thing = same;
  EXPECT_EQ(alive, 1);
  EXPECT_TRUE(thing);
}

TEST(RefPtr, CountsAcrossThreads) {
  int alive = 0;
  {
    const auto thing = RefPtr<Thing>::Adopt(new Thing(&alive));
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([mine = thing] {
        for (int i = 0; i < 10000; ++i) {
          const RefPtr<Thing> copy = mine;
          EXPECT_TRUE(copy);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace memfuse::base
