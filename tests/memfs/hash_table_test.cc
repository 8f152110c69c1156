#include "src/memfs/space/hash_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <new>
#include <random>
#include <set>

#include "absl/container/btree_set.h"
#include "absl/hash/hash.h"
#include "src/memfs/space/node_reserve.h"
#include "tests/testing/allocation_failure.h"

namespace memfuse::memfs {
namespace {

using test::AllocationFailure;

// Counts how often elements are moved.
struct Number {
  explicit Number(uint64_t number) : value(number) {}
  Number(const Number& other) noexcept : value(other.value) { ++moves; }
  // Not inline, because gcc 14 wrongly warns that the table moves places without an element.
  [[gnu::noinline]] Number(Number&& other) noexcept : value(other.value) { ++moves; }
  uint64_t value;
  static inline uint64_t moves = 0;
};
struct NumberHash {
  using is_transparent = void;
  size_t operator()(uint64_t number) const { return absl::Hash<uint64_t>()(number); }
  size_t operator()(const Number& number) const { return (*this)(number.value); }
};
struct NumberEq {
  using is_transparent = void;
  static uint64_t Value(uint64_t number) { return number; }
  static uint64_t Value(const Number& number) { return number.value; }
  template <typename A, typename B>
  bool operator()(const A& a, const B& b) const {
    return Value(a) == Value(b);
  }
};
using Table = GrowSafeHashSet<Number, NumberHash, NumberEq>;

bool TryInsert(Table* table, uint64_t number) {
  const AllocationFailure failure(1, AllocationFailure::Kind::kRest);
  try {
    table->Insert(Number(number));
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

TEST(GrowSafeHashSet, AFailedInsertionChangesNothing) {
  Table table;
  uint64_t failures = 0;
  for (uint64_t i = 0; i < 5000; ++i) {
    if (TryInsert(&table, i)) continue;
    ++failures;
    ASSERT_EQ(table.size(), i);
    ASSERT_FALSE(table.contains(i));
    for (uint64_t j = 0; j < i; ++j) ASSERT_TRUE(table.contains(j));
    table.Insert(Number(i));
  }
  EXPECT_EQ(failures, 13u);  // 1, 3, 7, 14, ..., 7168 places
}

TEST(GrowSafeHashSet, ASmallTableTakesLittle) {
  Table table;
  EXPECT_EQ(table.capacity(), 0u);
  table.Insert(Number(1));
  EXPECT_EQ(table.capacity(), 1u);
  table.Insert(Number(2));
  EXPECT_EQ(table.capacity(), 3u);
  table.Erase(table.find(1));
  table.Erase(table.find(2));
  EXPECT_EQ(table.capacity(), 0u);
}

TEST(GrowSafeHashSet, InsertionsTakeConstantTimeHoweverTheyAlternateWithErasures) {
  for (const uint64_t size : {1, 2, 6, 7, 13, 14, 27, 28, 100, 447, 448, 3583, 3584}) {
    Table table;
    for (uint64_t i = 0; i < size; ++i) table.Insert(Number(i));
    const size_t capacity = table.capacity();
    constexpr uint64_t kRounds = 20000;
    Number::moves = 0;
    for (uint64_t i = 0; i < kRounds; ++i) {
      table.Erase(table.find(i));
      table.Insert(Number(size + i));
    }
    // The insertion itself moves two elements. The other elements are moved at most once per four
    // insertions.
    EXPECT_LE(Number::moves, 8 * kRounds + 2 * size) << size;
    EXPECT_LE(table.capacity(), 2 * capacity + 1) << size;
    EXPECT_EQ(table.size(), size);
    for (uint64_t i = 0; i < size; ++i) EXPECT_TRUE(table.contains(kRounds + i));
  }
}

TEST(GrowSafeHashSet, ShrinksAndToleratesFailureToShrink) {
  Table table;
  for (uint64_t i = 0; i < 10000; ++i) table.Insert(Number(i));
  const size_t large = table.capacity();
  {
    const AllocationFailure failure(1, AllocationFailure::Kind::kRest);
    for (uint64_t i = 0; i < 9990; ++i) table.Erase(table.find(i));
  }
  EXPECT_EQ(table.capacity(), large);
  for (uint64_t i = 9990; i < 10000; ++i) EXPECT_TRUE(table.contains(i));
  table.Erase(table.find(9990));
  EXPECT_LE(table.capacity(), 31u);
  for (uint64_t i = 9991; i < 10000; ++i) EXPECT_TRUE(table.contains(i));
}

// With the reserve, an insertion that has begun cannot fail, regardless of how many nodes it
// splits.
TEST(NodeReserve, AnInsertionWithReserveDoesNotFail) {
  absl::btree_set<uint64_t, std::less<>, NodeAllocator<uint64_t>> tree;
  std::set<uint64_t> expected;
  std::mt19937_64 random(1);
  for (int i = 0; i < 100000; ++i) {
    const uint64_t number = i < 50000 ? static_cast<uint64_t>(i) : random();
    const NodeReserve reserve(tree.size());
    {
      const AllocationFailure failure(1, AllocationFailure::Kind::kRest);
      tree.insert(number);
    }
    expected.insert(number);
  }
  EXPECT_TRUE(std::equal(tree.begin(), tree.end(), expected.begin(), expected.end()));
}

TEST(NodeReserve, FailsBeforeTheInsertion) {
  bool threw = false;
  {
    const AllocationFailure failure(1, AllocationFailure::Kind::kRest);
    try {
      // More than the remainder of any reserve.
      const NodeReserve reserve(~size_t{0});
    } catch (const std::bad_alloc&) {
      threw = true;
    }
  }
  EXPECT_EQ(threw, AllocationFailure::InterposesMalloc());
}

}  // namespace
}  // namespace memfuse::memfs
