#include "src/memfs/reaper.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "src/base/clock.h"
#include "src/memfs/arena_store.h"
#include "tests/testing/result_matchers.h"

namespace memfuse::memfs {
namespace {

using memfuse::test::Succeeds;

bool Soon(const std::function<bool()>& condition) {
  for (int i = 0; i < 20000 && !condition(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return condition();
}

class ReaperTest : public testing::Test {
 protected:
  static constexpr uint64_t kLimit = uint64_t{256} << 20;

  void SetUp() override {
    auto store = ArenaStore::Make({"never", false}, &resources_.budget);
    ASSERT_TRUE(store.ok()) << store.status();
    resources_.store = *std::move(store);
  }

  base::RefPtr<Inode> NewFile() {
    const uint32_t cost = resources_.store->file_cost();
    EXPECT_TRUE(resources_.budget.ReserveBytes(cost));
    return base::RefPtr<Inode>::Adopt(
        resources_.store->NewRegularFile(&resources_, InodeNumber{++last_ino_}, base::Now(), cost));
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
    EXPECT_THAT(DataOf(file)->Write(offset, Payload(absl::MakeConstSpan(data))), Succeeds());
  }

  Resources resources_{kLimit, 100};
  Reaper reaper_;

 private:
  uint64_t last_ino_ = 1;
};

TEST_F(ReaperTest, TakesLargeFilesOnly) {
  reaper_.Start();
  EXPECT_FALSE(reaper_.Take(NewFile(Reaper::kLarge - 4096)));
  EXPECT_TRUE(reaper_.Take(NewFile(Reaper::kLarge)));
  EXPECT_EQ(reaper_.taken(), 1u);
  EXPECT_TRUE(Soon([&] { return reaper_.finished() == 1; }));
  EXPECT_EQ(reaper_.bytes(), 0u);
  EXPECT_EQ(resources_.budget.bytes_used(), 0u);
}

TEST_F(ReaperTest, TakesNothingWithoutItsThread) {
  const base::RefPtr<Inode> file = NewFile(Reaper::kLarge);
  EXPECT_FALSE(reaper_.Take(file));
  reaper_.Start();
  reaper_.Stop();
  EXPECT_FALSE(reaper_.Take(file));
  reaper_.Start();
  EXPECT_TRUE(reaper_.Take(file));
}

TEST_F(ReaperTest, FreesPieceByPieceAndInTheEndAll) {
  reaper_.Start();
  // Over the edge of two pieces, in the middle of nowhere, and at the end of all.
  base::RefPtr<Inode> file = NewFile(uint64_t{130} << 20);
  Write(file, uint64_t{5} << 40, "far");
  Write(file, kMaxFileSize - (10 << 20), "end");
  const uint64_t used = resources_.budget.bytes_used();
  EXPECT_GT(used, uint64_t{130} << 20);
  // Whoever still uses it finds holes, before it goes.
  ASSERT_TRUE(reaper_.Take(file));
  EXPECT_TRUE(Soon([&] { return DataOf(file)->blocks() == 0; }));
  EXPECT_EQ(DataOf(file)->size(), kMaxFileSize - (10 << 20) + 3);
  EXPECT_EQ(reaper_.finished(), 0u) << "it is not gone yet";
  file = nullptr;
  EXPECT_TRUE(Soon([&] { return reaper_.finished() == 1; }));
  EXPECT_EQ(resources_.budget.bytes_used(), 0u);
  EXPECT_EQ(reaper_.bytes(), 0u);
}

TEST_F(ReaperTest, WhatItTakesIsNoOrphanAnyMore) {
  reaper_.Start();
  const base::RefPtr<Inode> file = NewFile(Reaper::kLarge);
  {
    MutexLock lock(&file->mu);
    file->NoteOrphanLocked();
  }
  EXPECT_EQ(resources_.orphans.count(), 1u);
  EXPECT_TRUE(reaper_.Take(file));
  EXPECT_EQ(resources_.orphans.count(), 0u);
  EXPECT_EQ(reaper_.taken(), 1u);
}

TEST_F(ReaperTest, WhatIsLeftAtTheEndIsFreed) {
  for (int round = 0; round < 2; ++round) {
    reaper_.Start();
    for (int i = 0; i < 20; ++i) {
      const base::RefPtr<Inode> file = NewFile(8 << 20);
      EXPECT_TRUE(reaper_.Take(file));
    }
    reaper_.Stop();
    EXPECT_EQ(reaper_.finished(), reaper_.taken());
    EXPECT_EQ(reaper_.bytes(), 0u);
    EXPECT_EQ(resources_.budget.bytes_used(), 0u);
  }
}

}  // namespace
}  // namespace memfuse::memfs
