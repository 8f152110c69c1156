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

#include "tests/memfs/records.h"
#include "tests/testing/stepped_process.h"

namespace memfuse::memfs {
namespace {

struct Record {
  BlockHeader header;
  uint64_t values[12];
};

void SetAll(Record* record, uint64_t value) {
  std::fill(std::begin(record->values), std::end(record->values), value);
}

// A block with values and without a kind.
Record* Allocate(RecordFile* file, uint64_t value) {
  auto* const record = static_cast<Record*>(file->Allocate(sizeof(Record)));
  SetAll(record, value);
  return record;
}

Record* NewRecord(RecordFile* file, uint64_t value) {
  Record* const record = Allocate(file, value);
  record->header.kind = kTestKind;
  return record;
}

void Publish(Transaction* change, Record* record) { change->Publish(&record->header, kTestKind); }
void Remove(Transaction* change, Record* record) { change->Remove(&record->header); }

// The values of all records, one character for each, in the order of their blocks; '?' for a record
// whose values differ.
std::string Contents(RecordFile* file) {
  std::string contents;
  file->ForEachBlock([&](BlockHeader* block) {
    const auto* const record = reinterpret_cast<const Record*>(block);
    char found = static_cast<char>(record->values[0]);
    for (const uint64_t value : record->values) {
      if (value != record->values[0]) found = '?';
    }
    contents += found;
  });
  return contents;
}

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

// A copy of the memory of a record file with one journal and one chunk, as a successor finds it.
class Copy {
 public:
  explicit Copy(int file) { Read(file); }
  // Copies again. Returns whether anything changed.
  bool Refresh(int file) {
    std::swap(content_, previous_);
    Read(file);
    return content_ != previous_;
  }
  base::UniqueFd Descriptor() const {
    base::UniqueFd copy(memfd_create("copy", MFD_CLOEXEC));
    const char* at = content_.data();
    for (const auto& [offset, length] : kRanges) {
      EXPECT_EQ(pwrite(copy.get(), at, length, offset), static_cast<ssize_t>(length));
      at += length;
    }
    return copy;
  }

 private:
  static constexpr std::pair<off_t, size_t> kRanges[] = {
      {0, kJournalsOffset + kJournalBytes}, {kFirstChunk * kChunkBytes, kReserveBytes}};
  void Read(int file) {
    content_.resize(kRanges[0].second + kRanges[1].second);
    char* at = content_.data();
    for (const auto& [offset, length] : kRanges) {
      ASSERT_EQ(pread(file, at, length, offset), static_cast<ssize_t>(length));
      at += length;
    }
  }

  std::vector<char> content_, previous_;
};

// Kills a process at each instruction of `change`, as far as the memory differs, and calls `check`
// with what a successor opens.
void KillAtEachStep(RecordFile* file, absl::FunctionRef<void()> change,
                    absl::FunctionRef<void(base::UniqueFd memory)> check) {
  Copy copy(file->descriptor());
  int states = 0;
  const uint64_t steps = test::RunInSteps(change, [&] {
    if (!copy.Refresh(file->descriptor())) return;
    ++states;
    check(copy.Descriptor());
  });
  EXPECT_GT(steps, 0u);
  EXPECT_GT(states, 10);
}

std::string ContentsOf(base::UniqueFd memory) {
  const auto opened = RecordFile::Open(std::move(memory));
  return opened.ok() ? Contents(opened->get()) : std::string(opened.status().message());
}

TEST(TransactionKillTest, ASuccessorFindsTheStateBeforeOrAfter) {
  const auto file = MakeRecords();
  Record* const a = NewRecord(file.get(), 'a');
  Record* const b = NewRecord(file.get(), 'b');
  Record* const c = NewRecord(file.get(), 'c');
  bool after = false;
  KillAtEachStep(
      file.get(),
      [&] {
        Record* const d = Allocate(file.get(), 'd');
        {
          Transaction change(file.get());
          SetAll(change.Edit(a), 'A');
          Publish(&change, d);
          Remove(&change, b);
          SetAll(change.Edit(c), 'C');
          SetAll(change.Edit(a), 'Z');
          change.Commit();
        }
      },
      [&](base::UniqueFd memory) {
        const std::string found = ContentsOf(std::move(memory));
        if (found == "ZCd") after = true;
        // After the commit there is no way back.
        EXPECT_EQ(found, after ? "ZCd" : "abc");
      });
  EXPECT_TRUE(after);
}

TEST(TransactionKillTest, ATransactionWithoutCommitLeavesNothing) {
  const auto file = MakeRecords();
  Record* const a = NewRecord(file.get(), 'a');
  Record* const b = NewRecord(file.get(), 'b');
  KillAtEachStep(
      file.get(),
      [&] {
        Record* const c = Allocate(file.get(), 'c');
        {
          Transaction change(file.get());
          SetAll(change.Edit(a), 'A');
          Publish(&change, c);
          Remove(&change, b);
        }
        file->Free(c);
      },
      [](base::UniqueFd memory) { EXPECT_EQ(ContentsOf(std::move(memory)), "ab"); });
}

// The successor is killed, too, while it opens the file.
TEST(TransactionKillTest, AnotherSuccessorCompletesWhatTheFirstOneBegan) {
  const auto file = MakeRecords();
  Record* const a = NewRecord(file.get(), 'a');
  Record* const b = NewRecord(file.get(), 'b');
  // Leaves the transaction open.
  std::optional<Transaction> change(std::in_place, file.get());
  SetAll(change->Edit(a), '1');
  SetAll(change->Edit(a), '2');
  Publish(&*change, Allocate(file.get(), 'c'));
  Remove(&*change, b);
  const Copy died(file->descriptor());
  change.reset();

  const base::UniqueFd memory = died.Descriptor();
  Copy copy(memory.get());
  const uint64_t steps =
      test::RunInSteps([&] { (void)RecordFile::Open(base::UniqueFd(dup(memory.get()))); },
                       [&] {
                         if (!copy.Refresh(memory.get())) return;
                         EXPECT_EQ(ContentsOf(copy.Descriptor()), "ab");
                       });
  EXPECT_GT(steps, 0u);
}

}  // namespace
}  // namespace memfuse::memfs
