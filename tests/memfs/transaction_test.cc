#include "src/memfs/records/transaction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "src/memfs/records/request_scope.h"
#include "tests/memfs/transaction_test_base.h"

namespace memfuse::memfs {
namespace {

TEST(TransactionTest, ACommittedChangeStays) {
  const auto file = MakeRecords();
  Record* const a = NewRecord(file.get(), 'a');
  Record* const b = NewRecord(file.get(), 'b');
  Record* const c = Allocate(file.get(), 'c');
  {
    Transaction change(file.get());
    SetAll(change.Edit(a), 'A');
    Remove(&change, b);
    Publish(&change, c);
    change.Commit();
  }
  EXPECT_EQ(Contents(file.get()), "Ac");
}

TEST(TransactionTest, WithoutCommitEverythingIsRestored) {
  const auto file = MakeRecords();
  Record* const a = NewRecord(file.get(), 'a');
  Record* const b = NewRecord(file.get(), 'b');
  Record* const c = Allocate(file.get(), 'c');
  {
    Transaction change(file.get());
    SetAll(change.Edit(a), '1');
    SetAll(change.Edit(a), '2');
    Remove(&change, b);
    Publish(&change, c);
  }
  EXPECT_EQ(Contents(file.get()), "ab");
}

TEST(TransactionTest, APartOfARecordIsRestoredAlone) {
  const auto file = MakeRecords();
  Record* const a = NewRecord(file.get(), 'a');
  {
    Transaction change(file.get());
    *change.Edit(&a->values[1]) = 1;
    // The lock of another thread guards this one.
    a->values[0] = 2;
    a->values[2] = 3;
    char* const odd = reinterpret_cast<char*>(&a->values[3]) + 1;
    change.Save(odd, 3);
    std::memset(odd - 1, 0xff, 8);
  }
  EXPECT_THAT(std::vector<uint64_t>(a->values, a->values + 5),
              testing::ElementsAre(2, 'a', 3, 0xffffffff000000ff, 'a'));
}

TEST(TransactionTest, AJournalThatIsFullRefusesTheNextEditOnly) {
  const auto file = MakeRecords();
  std::vector<Record*> records;
  Transaction change(file.get());
  EXPECT_THROW(
      for (;;) {
        records.push_back(NewRecord(file.get(), 'a'));
        SetAll(change.Edit(records.back()), 'b');
      },
      std::bad_alloc);
  EXPECT_GT(records.size(), kMaxUndoBytes / 2 / sizeof(Record));
  EXPECT_THROW(change.Save(records[0], kMaxUndoBytes + 1), std::bad_alloc);
  change.Commit();
  EXPECT_EQ(Contents(file.get()), std::string(records.size() - 1, 'b') + "a");
}

TEST(TransactionTest, ARemovedBlockIsFreeAfterTheCommit) {
  const auto file = MakeRecords();
  Record* const a = NewRecord(file.get(), 'a');
  {
    Transaction change(file.get());
    Remove(&change, a);
    EXPECT_NE(file->Allocate(sizeof(Record)), a);
  }
  EXPECT_EQ(Contents(file.get()), "a");
  Transaction change(file.get());
  Remove(&change, a);
  change.Commit();
  EXPECT_EQ(file->Allocate(sizeof(Record)), a);
}

TEST(TransactionTest, ATransactionWaitsUntilAJournalIsFree) {
  const auto file = MakeRecords();
  std::vector<std::unique_ptr<Transaction>> open;
  for (uint32_t i = 0; i < kMaxJournals; ++i) {
    open.push_back(std::make_unique<Transaction>(file.get()));
  }
  std::atomic<bool> begun{false};
  std::thread other([&] {
    const Transaction change(file.get());
    begun.store(true);
  });
  EXPECT_FALSE(begun.load());
  open.pop_back();
  other.join();
  EXPECT_TRUE(begun.load());
}

TEST(TransactionTest, ThreadsCommitAndAbandonTransactions) {
  constexpr uint32_t kThreads = 4;
  const auto file = MakeRecords();
  std::vector<std::thread> threads;
  std::vector<Record*> owned;
  for (uint32_t t = 0; t < kThreads; ++t) owned.push_back(NewRecord(file.get(), 0));
  for (uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      uint64_t committed = 0;
      Record* spare = nullptr;
      for (uint64_t i = 1; i <= 10'000; ++i) {
        Record* const next = Allocate(file.get(), i);
        {
          Transaction change(file.get());
          SetAll(change.Edit(owned[t]), i);
          Publish(&change, next);
          if (spare != nullptr) Remove(&change, spare);
          if (i % 3 != 0) {
            change.Commit();
            committed = i;
          }
        }
        if (committed == i) {
          spare = next;
        } else {
          file->Free(next);
        }
      }
      ASSERT_EQ(owned[t]->values[5], committed);
      ASSERT_EQ(spare->values[5], committed);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Contents(file.get()).size(), 2u * kThreads);
}

std::unique_ptr<RecordFile> Successor(const RecordFile& file) {
  return *RecordFile::Open(base::UniqueFd(dup(file.descriptor())));
}

TEST(TransactionTest, ACompletedRequestIsFoundUntilItsScopeEnds) {
  const auto file = MakeRecords();
  Record* const record = NewRecord(file.get(), 'a');
  {
    const RequestScope scope(file.get(), 42);
    Transaction change(file.get());
    SetAll(change.Edit(record), 'b');
    change.CommitRequest(7);
    const auto successor = Successor(*file);
    ASSERT_EQ(successor->completed().size(), 1u);
    EXPECT_EQ(successor->completed()[0].request, 42u);
    EXPECT_EQ(successor->completed()[0].result, 7u);
  }
  EXPECT_TRUE(Successor(*file)->completed().empty());
}

TEST(TransactionTest, ARequestWithoutAScopeIsNotFound) {
  const auto file = MakeRecords();
  Transaction change(file.get());
  change.CommitRequest(7);
  EXPECT_TRUE(Successor(*file)->completed().empty());
}

// A successor keeps the place of a request until it has answered it, also from its own requests.
TEST(TransactionTest, SuccessorsHandACompletedRequestOn) {
  const auto file = MakeRecords();
  std::optional<RequestScope> lost(std::in_place, file.get(), 42);
  std::make_unique<Transaction>(file.get())->CommitRequest(7);
  const auto second = Successor(*file);
  {
    const RequestScope other(second.get(), 43);
    std::make_unique<Transaction>(second.get())->CommitRequest(8);
    const auto third = Successor(*second);
    EXPECT_EQ(third->completed().size(), 2u);
  }
  const auto third = Successor(*second);
  ASSERT_EQ(third->completed().size(), 1u);
  EXPECT_EQ(third->completed()[0].request, 42u);
  {
    RequestScope again(third.get(), 42);
    again.Adopt(third->completed()[0]);
    const auto fourth = Successor(*third);
    ASSERT_EQ(fourth->completed().size(), 1u);
    EXPECT_EQ(fourth->completed()[0].result, 7u);
  }
  EXPECT_TRUE(Successor(*third)->completed().empty());
}

}  // namespace
}  // namespace memfuse::memfs
