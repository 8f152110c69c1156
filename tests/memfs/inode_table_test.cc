#include "src/memfs/tree/inode_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "tests/memfs/charge.h"

namespace memfuse::memfs {
namespace {

class InodeTableTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kCost = 8;

  // Charges kCost bytes during its lifetime.
  InodeRef Make(InodeNumber ino) {
    return InodeRef::Adopt(
        new Inode(&resources_, NewInodeRecord(resources_.records.get(), ino, S_IFIFO, Timestamp{}),
                  ChargeFor(&resources_, kCost)));
  }
  uint64_t Alive() const { return resources_.budget.bytes_used() / kCost; }

  Resources resources_{uint64_t{1} << 30, 1, MakeRecords()};
  std::array<uint64_t, InodeTable::kShards> assigned_{};
  InodeTable table_{assigned_.data()};
};

TEST_F(InodeTableTest, FindsInsertedInodes) {
  EXPECT_FALSE(table_.Find(kRootInode));
  const InodeRef root = Make(kRootInode);
  table_.Insert(root);
  EXPECT_EQ(table_.Find(kRootInode).get(), root.get());
  EXPECT_FALSE(table_.Find(kNoInode));
  EXPECT_FALSE(table_.Find(InodeNumber{65}));  // the same shard
  table_.Erase(kRootInode);
  EXPECT_FALSE(table_.Find(kRootInode));
  table_.Erase(kRootInode);  // a second Erase changes nothing
}

TEST_F(InodeTableTest, HoldsACountUntilItIsErased) {
  const InodeNumber ino = table_.NewNumber();
  {
    const InodeRef inode = Make(ino);
    table_.Insert(inode);
  }
  EXPECT_EQ(Alive(), 1u);
  InodeRef found = table_.Find(ino);
  table_.Erase(ino);
  EXPECT_EQ(Alive(), 1u);
  found = nullptr;
  EXPECT_EQ(Alive(), 0u);
}

TEST_F(InodeTableTest, ClearDropsAllReferences) {
  std::vector<InodeNumber> numbers;
  for (int i = 0; i < 300; ++i) {
    numbers.push_back(table_.NewNumber());
    table_.Insert(Make(numbers.back()));
  }
  EXPECT_EQ(Alive(), 300u);
  table_.Clear();
  for (const InodeNumber ino : numbers) EXPECT_FALSE(table_.Find(ino));
  EXPECT_EQ(Alive(), 0u);
}

TEST_F(InodeTableTest, StaysRightWhenItShrinks) {
  constexpr uint64_t kInodes = 80000;
  std::vector<InodeNumber> numbers;
  for (uint64_t i = 0; i < kInodes; ++i) {
    numbers.push_back(table_.NewNumber());
    table_.Insert(Make(numbers.back()));
  }
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (i % 1000 != 0) table_.Erase(numbers[i]);
  }
  for (size_t i = 0; i < numbers.size(); i += 500) {
    EXPECT_EQ(static_cast<bool>(table_.Find(numbers[i])), i % 1000 == 0);
  }
  EXPECT_EQ(Alive(), kInodes / 1000);
}

TEST_F(InodeTableTest, GivesEachNumberOnceAcrossThreads) {
  constexpr size_t kThreads = 4;
  constexpr size_t kNumbers = 20000;
  std::vector<std::vector<InodeNumber>> numbers(kThreads);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, mine = &numbers[t]] {
      for (size_t i = 0; i < kNumbers; ++i) mine->push_back(table_.NewNumber());
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<InodeNumber> all;
  for (const auto& some : numbers) all.insert(all.end(), some.begin(), some.end());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
  EXPECT_GT(all.front(), kRootInode);
}

TEST_F(InodeTableTest, AVisitEndsWhenItsVisitorReturnsFalse) {
  for (int i = 0; i < 3000; ++i) table_.Insert(Make(table_.NewNumber()));
  size_t visited = 0;
  table_.ForEach([&](const InodeRef&) { return ++visited < 10; });
  EXPECT_EQ(visited, 10u);
  visited = 0;
  table_.ForEach([&](const InodeRef&) { return ++visited != 0; });
  EXPECT_EQ(visited, 3000u);
  table_.Clear();
}

TEST_F(InodeTableTest, FindsWhileOthersInsertAndErase) {
  std::atomic<bool> done{false};
  const InodeRef lasting = Make(table_.NewNumber());
  table_.Insert(lasting);
  std::atomic<int> missed{0};
  std::thread reader([&] {
    while (!done) {
      if (table_.Find(lasting->ino).get() != lasting.get()) ++missed;
    }
  });
  std::vector<std::thread> writers;
  for (int t = 0; t < 2; ++t) {
    writers.emplace_back([&] {
      for (int i = 0; i < 10000; ++i) {
        const InodeRef inode = Make(table_.NewNumber());
        table_.Insert(inode);
        if (table_.Find(inode->ino).get() != inode.get()) ++missed;
        table_.Erase(inode->ino);
        if (table_.Find(inode->ino)) ++missed;
      }
    });
  }
  for (std::thread& thread : writers) thread.join();
  done = true;
  reader.join();
  EXPECT_EQ(missed, 0);
  EXPECT_EQ(Alive(), 1u);
}

}  // namespace
}  // namespace memfuse::memfs
