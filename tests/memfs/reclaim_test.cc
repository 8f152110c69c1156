// The thread that frees large files, and waiting for removed inodes.

#include "src/memfs/reclaim/reclaim.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "src/base/clock.h"
#include "src/memfs/data/daemon_store.h"
#include "tests/memfs/charge.h"
#include "tests/testing/result_matchers.h"

namespace memfuse::memfs {
namespace {

using memfuse::test::Succeeds;

constexpr uint32_t kAlice = 1001;
constexpr uint32_t kBob = 1002;

bool Never() { return false; }

class BlockingThread final : public BlockingObserver {
 public:
  bool CanReplaceCallingThread() const override { return replaceable; }
  void BeginBlocking() override { ++blocked; }
  void EndBlocking() override { ++returned; }
  bool replaceable = true;
  int blocked = 0;
  int returned = 0;
};

class ReclaimTest : public testing::Test {
 protected:
  static constexpr uint64_t kLimit = uint64_t{256} << 20;

  void SetUp() override {
    auto store = DaemonStore::Make({"never", false}, resources_.records.get(), &resources_.budget);
    ASSERT_TRUE(store.ok()) << store.status();
    resources_.store = *std::move(store);
  }

  base::RefPtr<Inode> NewFile() {
    return base::RefPtr<Inode>::Adopt(resources_.store->NewRegularFile(
        &resources_,
        NewInodeRecord(resources_.records.get(), InodeNumber{++last_ino_}, S_IFREG, base::Now()),
        ChargeFor(&resources_, resources_.store->file_cost())));
  }
  static FileData* DataOf(const base::RefPtr<Inode>& file) {
    return static_cast<RegularFile*>(file.get())->data();
  }
  base::RefPtr<Inode> NewFile(uint64_t bytes) {
    base::RefPtr<Inode> file = NewFile();
    EXPECT_THAT(DataOf(file)->Allocate(0, bytes, /*keep_size=*/false), Succeeds());
    return file;
  }
  static void Write(const base::RefPtr<Inode>& file, uint64_t offset, const std::string& data) {
    EXPECT_THAT(DataOf(file)->Write(offset, absl::MakeConstSpan(data)), Succeeds());
  }
  // Waits until the condition holds; a reclaimed file makes it true.
  template <typename Condition>
  bool Await(Condition condition) {
    for (;;) {
      const uint64_t seen = resources_.removed.progress()->version();
      if (condition()) return true;
      if (!resources_.removed.progress()->WaitForChange(
              seen, base::MonotonicClock::now() + std::chrono::seconds(60))) {
        return condition();
      }
    }
  }
  bool AwaitAll() {
    return Await([this] { return !reclaim_.pending(); });
  }
  // The duration of a wait that no event ends.
  base::MonotonicClock::duration TimeOf(uint32_t owner, BlockingObserver* blocking,
                                        bool expected = true) {
    const base::MonotonicTime begin = base::MonotonicClock::now();
    EXPECT_EQ(reclaim_.Wait(owner, blocking, Never), expected);
    return base::MonotonicClock::now() - begin;
  }

  Resources resources_{kLimit, 100, MakeRecords()};
  Reclaim reclaim_{&resources_.removed};
  BlockingThread thread_;

 private:
  uint64_t last_ino_ = 1;
};

TEST_F(ReclaimTest, AcceptsLargeFilesOnly) {
  reclaim_.Start();
  EXPECT_FALSE(reclaim_.FreeInBackground(NewFile(Reclaim::kLargeFile - 4096)));
  EXPECT_TRUE(reclaim_.FreeInBackground(NewFile(Reclaim::kLargeFile)));
  EXPECT_TRUE(AwaitAll());
  EXPECT_EQ(reclaim_.bytes_in_background(), 0u);
  EXPECT_EQ(resources_.budget.bytes_used(), 0u);
}

TEST_F(ReclaimTest, AcceptsNothingWithoutItsThread) {
  const base::RefPtr<Inode> file = NewFile(Reclaim::kLargeFile);
  EXPECT_FALSE(reclaim_.FreeInBackground(file));
  reclaim_.Start();
  reclaim_.Stop();
  EXPECT_FALSE(reclaim_.FreeInBackground(file));
  reclaim_.Start();
  EXPECT_TRUE(reclaim_.FreeInBackground(file));
}

TEST_F(ReclaimTest, FreesAFileInPieces) {
  reclaim_.Start();
  // Data across the border of two pieces, in the middle of a hole, and at the end.
  base::RefPtr<Inode> file = NewFile(uint64_t{130} << 20);
  Write(file, uint64_t{5} << 40, "far");
  Write(file, kMaxFileSize - (10 << 20), "end");
  EXPECT_GT(resources_.budget.bytes_used(), uint64_t{130} << 20);
  ASSERT_TRUE(reclaim_.FreeInBackground(file));
  EXPECT_TRUE(AwaitAll());
  EXPECT_EQ(DataOf(file)->blocks(), 0u);
  EXPECT_EQ(DataOf(file)->size(), kMaxFileSize - (10 << 20) + 3);
  file = nullptr;
  EXPECT_EQ(resources_.budget.bytes_used(), 0u);
  EXPECT_EQ(reclaim_.bytes_in_background(), 0u);
}

TEST_F(ReclaimTest, AnAcceptedFileCountsOnceAsPending) {
  reclaim_.Start();
  const base::RefPtr<Inode> file = NewFile(Reclaim::kLargeFile);
  {
    MutexLock lock(&file->mu);
    Transaction change(resources_.records.get());
    file->NoteRemovedLocked(&change);
    change.Commit();
  }
  EXPECT_EQ(reclaim_.pending_inodes(), 1u);
  EXPECT_GE(reclaim_.pending_bytes(), Reclaim::kLargeFile);
  EXPECT_LT(reclaim_.pending_bytes(), Reclaim::kLargeFile + 4096);
  EXPECT_TRUE(reclaim_.FreeInBackground(file));
  EXPECT_EQ(reclaim_.pending_inodes(), 0u);
  EXPECT_LE(reclaim_.pending_bytes(), Reclaim::kLargeFile);
}

TEST_F(ReclaimTest, TheDestructorFreesPendingFiles) {
  for (int round = 0; round < 2; ++round) {
    reclaim_.Start();
    for (int i = 0; i < 20; ++i) {
      const base::RefPtr<Inode> file = NewFile(8 << 20);
      EXPECT_TRUE(reclaim_.FreeInBackground(file));
    }
    reclaim_.Stop();
    EXPECT_FALSE(reclaim_.pending());
    EXPECT_EQ(reclaim_.bytes_in_background(), 0u);
    EXPECT_EQ(resources_.budget.bytes_used(), 0u);
  }
}

TEST_F(ReclaimTest, AWaitWithoutRemovedInodesReturnsAtOnce) {
  EXPECT_FALSE(reclaim_.Wait(kAlice, &thread_, Never));
  EXPECT_EQ(thread_.blocked, 0);
}

TEST_F(ReclaimTest, AWaitEndsWithTheLastInodeRemovedBeforeIt) {
  const RemovedInodes::Ticket first = resources_.removed.Add(kAlice, 1);
  const RemovedInodes::Ticket second = resources_.removed.Add(kBob, 1);
  RemovedInodes::Ticket later;
  std::thread kernel([&] {
    // Removed after the wait has begun.
    resources_.removed.Remove(first);
    later = resources_.removed.Add(kAlice, 1);
    resources_.removed.Remove(second);
  });
  while (reclaim_.pending() && resources_.removed.added(RemovedInodes::OwnerIndex(kAlice)) == 1) {
    if (!reclaim_.Wait(kAlice, &thread_, Never)) break;
  }
  kernel.join();
  EXPECT_EQ(thread_.blocked, thread_.returned);
  resources_.removed.Remove(later);
}

TEST_F(ReclaimTest, AWaitEndsWhenThereIsEnoughSpace) {
  const RemovedInodes::Ticket ticket = resources_.removed.Add(kAlice, 1);
  int looks = 0;
  EXPECT_TRUE(reclaim_.Wait(kAlice, &thread_, [&] {
    ++looks;
    return true;
  }));
  EXPECT_EQ(looks, 1);
  resources_.removed.Remove(ticket);
}

TEST_F(ReclaimTest, AWaitIncludesTheBackgroundThread) {
  reclaim_.Start();
  EXPECT_TRUE(reclaim_.FreeInBackground(NewFile(uint64_t{200} << 20)));
  (void)reclaim_.Wait(kAlice, &thread_, Never);
  EXPECT_FALSE(reclaim_.pending());
  EXPECT_EQ(resources_.budget.bytes_used(), 0u);
}

// A program keeps a removed file by a descriptor with O_PATH.
TEST_F(ReclaimTest, TheWaitForAKeptInodeIsShortAndNotRepeatedSoon) {
  const RemovedInodes::Ticket ticket = resources_.removed.Add(kAlice, 1);
  EXPECT_GE(TimeOf(kAlice, &thread_), Reclaim::kOwnTimeout);
  EXPECT_EQ(thread_.blocked, 1);
  EXPECT_EQ(thread_.returned, 1);
  EXPECT_LT(TimeOf(kAlice, &thread_, /*expected=*/false), Reclaim::kOwnTimeout);
  EXPECT_EQ(thread_.blocked, 1);
  resources_.removed.Remove(ticket);
}

TEST_F(ReclaimTest, TheWaitForAnInodeKeptByAnotherUserIsShorter) {
  const RemovedInodes::Ticket ticket = resources_.removed.Add(kAlice, 1);
  EXPECT_GE(TimeOf(kBob, &thread_), Reclaim::kOthersTimeout);
  // Bob does not wait for inodes that Alice removes now either.
  const RemovedInodes::Ticket second = resources_.removed.Add(kAlice, 1);
  (void)TimeOf(kBob, &thread_, /*expected=*/false);
  EXPECT_EQ(thread_.blocked, 1);
  resources_.removed.Remove(ticket);
  resources_.removed.Remove(second);
}

// A thread that serves a queue of io_uring, or that does not belong to a session.
TEST_F(ReclaimTest, AThreadWithoutASpareWorkerWaitsLess) {
  const RemovedInodes::Ticket ticket = resources_.removed.Add(kAlice, 1);
  thread_.replaceable = false;
  const base::MonotonicClock::duration time = TimeOf(kAlice, &thread_);
  EXPECT_GE(time, Reclaim::kOthersTimeout);
  EXPECT_LT(time, Reclaim::kOwnTimeout);
  // The thread does not wait a second time.
  (void)TimeOf(kAlice, nullptr, /*expected=*/false);
  resources_.removed.Remove(ticket);
}

TEST_F(ReclaimTest, TheNumberOfWaitingThreadsIsLimited) {
  const RemovedInodes::Ticket ticket = resources_.removed.Add(kAlice, 1);
  std::atomic<int> waiting{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < Reclaim::kMaxWaiters; ++i) {
    threads.emplace_back([&] {
      BlockingThread blocking;
      std::atomic<bool> first{true};
      EXPECT_TRUE(reclaim_.Wait(kAlice, &blocking, [&] {
        if (first.exchange(false)) waiting.fetch_add(1);
        return false;
      }));
      EXPECT_EQ(blocking.blocked, 1);
    });
  }
  while (waiting.load() < Reclaim::kMaxWaiters) std::this_thread::yield();
  EXPECT_TRUE(reclaim_.Wait(kAlice, &thread_, Never));
  EXPECT_EQ(thread_.blocked, 0);
  resources_.removed.Remove(ticket);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace memfuse::memfs
