// A process is killed at any instruction of a transaction; its successor finds the state before or
// the state after.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/memfs/records/request_scope.h"
#include "tests/memfs/transaction_test_base.h"
#include "tests/testing/stepped_process.h"

namespace memfuse::memfs {
namespace {

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

// Expects that request 42 has this result, or that there is no completed request.
void ExpectResult(const RecordFile& file, std::optional<uint64_t> result) {
  ASSERT_EQ(file.completed().size(), result.has_value() ? 1u : 0u);
  if (!result.has_value()) return;
  EXPECT_EQ(file.completed()[0].request, 42u);
  EXPECT_EQ(file.completed()[0].result, *result);
}

// The request and its change are permanent together; the change before it is not the last one.
TEST(TransactionKillTest, ARequestIsCompletedWithItsLastChange) {
  const auto file = MakeRecords();
  Record* const a = NewRecord(file.get(), 'a');
  Record* const b = NewRecord(file.get(), 'b');
  std::optional<RequestScope> scope;
  std::string states;
  KillAtEachStep(
      file.get(),
      [&] {
        scope.emplace(file.get(), 42);
        {
          Transaction change(file.get());
          SetAll(change.Edit(a), 'A');
          change.Commit();
        }
        {
          Transaction change(file.get());
          SetAll(change.Edit(b), 'B');
          change.CommitRequest(7);
        }
        Transaction later(file.get());
        SetAll(later.Edit(a), 'Z');
      },
      [&](base::UniqueFd memory) {
        const auto opened = *RecordFile::Open(std::move(memory));
        const std::string found = Contents(opened.get());
        states += found;
        ExpectResult(*opened, found == "AB" ? std::optional<uint64_t>(7) : std::nullopt);
      });
  EXPECT_NE(states.find("Ab"), std::string::npos);
  EXPECT_NE(states.find("AB"), std::string::npos);
}

// FORGET and READDIRPLUS make several changes, each with the result so far. At no time is the
// result of an earlier change lost.
TEST(TransactionKillTest, AResultCountsUntilTheNextOneDoes) {
  const auto file = MakeRecords();
  Record* const a = NewRecord(file.get(), 'a');
  std::optional<RequestScope> scope;
  std::string states;
  KillAtEachStep(
      file.get(),
      [&] {
        scope.emplace(file.get(), 42);
        for (uint64_t result = 1; result <= 3; ++result) {
          Transaction change(file.get());
          SetAll(change.Edit(a), static_cast<char>('a' + result));
          change.CommitRequest(result);
        }
      },
      [&](base::UniqueFd memory) {
        const auto opened = *RecordFile::Open(std::move(memory));
        const std::string found = Contents(opened.get());
        states += found;
        const auto result = static_cast<uint64_t>(found[0] - 'a');
        ExpectResult(*opened, result == 0 ? std::nullopt : std::optional<uint64_t>(result));
      });
  for (const char state : std::string("abcd")) EXPECT_NE(states.find(state), std::string::npos);
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
