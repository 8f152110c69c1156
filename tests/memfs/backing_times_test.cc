// When BackingTimes asks for the status of a backing file, and which times result.

#include "src/memfs/data/backing_times.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "src/base/clock.h"

namespace memfuse::memfs {
namespace {

constexpr Timestamp kBirth{1000, 0};

Timestamp At(int64_t seconds) { return {kBirth.seconds + seconds, 0}; }

class BackingTimesTest : public ::testing::Test {
 protected:
  // Syncs as SyncFromBackingFile does. looks_ counts the calls of fstat.
  CacheSeconds Sync() {
    if (!state_.BeginLook([this] {
          ++questions_;
          return has_writers_;
        })) {
      return kCacheForever;
    }
    ++looks_;
    return state_.Merge(file_, &times_);
  }
  // Whether a Sync asks for the status.
  bool Looks() {
    const int before = looks_;
    (void)Sync();
    return looks_ > before;
  }
  // Simulates a write by the kernel at that time.
  void Write(Timestamp time) {
    file_.size = 1;
    file_.times.mtime = file_.times.ctime = time;
  }

  BackingTimes state_;
  BackingState file_{0, 0, {kBirth, kBirth, kBirth}, kBirth};
  Times times_{kBirth, kBirth, kBirth};
  bool has_writers_ = false;
  int looks_ = 0;
  int questions_ = 0;
};

// What a successor finds of a file of which the server has died.
PackedTimes Adopted(Times known, const BackingState& found) {
  BackingTimes state;
  PackedTimes times(known);
  state.Adopt(found, &times, /*opens=*/0, /*writable_opens=*/0);
  return times;
}

TEST(BackingTimesAdoptTest, ALaterTimeIsCopied) {
  const BackingState found{5, 8, {At(7), At(8), At(9)}, kBirth};
  const PackedTimes times = Adopted({At(1), At(2), At(3)}, found);
  EXPECT_EQ(Timestamp(times.atime), At(7));
  EXPECT_EQ(Timestamp(times.mtime), At(8));
  EXPECT_EQ(Timestamp(times.ctime), At(9));
}

TEST(BackingTimesAdoptTest, AnEarlierTimeIsNot) {
  const BackingState found{5, 8, {At(1), At(2), At(3)}, kBirth};
  const PackedTimes times = Adopted({At(7), At(8), At(9)}, found);
  EXPECT_EQ(Timestamp(times.atime), At(7));
  EXPECT_EQ(Timestamp(times.mtime), At(8));
  EXPECT_EQ(Timestamp(times.ctime), At(9));
}

TEST(BackingTimesAdoptTest, ATimeInTheFutureIsReplacedByAnother) {
  const Timestamp now = base::WallTime();
  const Timestamp future{now.seconds + 1000, 5};
  const BackingState written{5, 8, {now, now, now}, kBirth};
  EXPECT_EQ(Timestamp(Adopted({future, future, now}, written).mtime), now);
  EXPECT_EQ(Timestamp(Adopted({future, future, now}, written).atime), now);
  // The backing file has the time that a program has chosen.
  const BackingState unchanged{5, 8, {future, future, now}, kBirth};
  EXPECT_EQ(Timestamp(Adopted({future, future, now}, unchanged).mtime), future);
  // A file that was made after a program has chosen the time.
  const BackingState made{0, 0, {now, now, now}, now};
  EXPECT_EQ(Timestamp(Adopted({future, future, now}, made).mtime), future);
  EXPECT_EQ(Timestamp(Adopted({future, future, now}, made).atime), future);
}

TEST_F(BackingTimesTest, ACleanFileIsNotStatted) {
  EXPECT_FALSE(Looks());
  EXPECT_EQ(state_.Validity(), kCacheForever);
}

TEST_F(BackingTimesTest, ADirtyFileIsStattedOnce) {
  state_.NoteChange();
  EXPECT_TRUE(Looks());
  EXPECT_FALSE(Looks());
}

TEST_F(BackingTimesTest, AnOpenFileIsStattedEachTimeAndMayBeCached) {
  for (const uint32_t flags : {O_RDONLY, O_WRONLY, O_WRONLY | O_APPEND}) {
    state_.NoteOpen(flags);
    EXPECT_TRUE(state_.open());
    EXPECT_TRUE(Looks());
    EXPECT_TRUE(Looks());
    EXPECT_EQ(Sync(), kCacheForever);
    EXPECT_EQ(state_.Validity(), kCacheForever);
    state_.NoteClose(flags);
    EXPECT_FALSE(state_.open());
    // Sees what was written between the last status and the close.
    EXPECT_TRUE(Looks());
    EXPECT_FALSE(Looks());
  }
  EXPECT_EQ(questions_, 0);
}

TEST_F(BackingTimesTest, AWritableFileIsNotCached) {
  state_.NoteOpen(O_RDWR);
  EXPECT_EQ(state_.Validity(), 0u);
  EXPECT_EQ(Sync(), 0u);
  state_.NoteOpen(O_RDWR);
  state_.NoteClose(O_RDWR);
  EXPECT_EQ(Sync(), 0u);
  EXPECT_EQ(questions_, 0);
}

TEST_F(BackingTimesTest, AMappingBeyondTheLastCloseIsTrackedUntilUnmapped) {
  state_.NoteOpen(O_RDWR);
  state_.NoteClose(O_RDWR);
  has_writers_ = true;
  EXPECT_EQ(Sync(), 0u);
  EXPECT_EQ(Sync(), 0u);
  EXPECT_EQ(questions_, 2);
  EXPECT_EQ(looks_, 2);
  has_writers_ = false;
  // One more status: the program may have stored just before the mapping ended.
  EXPECT_EQ(Sync(), kCacheForever);
  EXPECT_EQ(looks_, 3);
  EXPECT_FALSE(Looks());
  EXPECT_EQ(questions_, 3);
}

TEST_F(BackingTimesTest, AMappingIsAssumedWhileAnotherOpenHidesIt) {
  state_.NoteOpen(O_RDWR);
  state_.NoteOpen(O_RDONLY);
  state_.NoteClose(O_RDWR);
  EXPECT_EQ(Sync(), 0u);
  EXPECT_EQ(questions_, 0);
  state_.NoteClose(O_RDONLY);
  EXPECT_EQ(Sync(), kCacheForever);
  EXPECT_EQ(questions_, 1);
}

TEST_F(BackingTimesTest, AWriteMovesMtimeAndCtime) {
  state_.NoteOpen(O_WRONLY);
  Write(At(5));
  (void)Sync();
  EXPECT_EQ(times_.mtime, At(5));
  EXPECT_EQ(times_.ctime, At(5));
  EXPECT_EQ(times_.atime, kBirth);
}

TEST_F(BackingTimesTest, AWriteWithTheTimestampOfTheCreationCounts) {
  times_ = {At(-9), At(-9), At(-9)};
  state_.NoteOpen(O_WRONLY);
  Write(kBirth);
  (void)Sync();
  EXPECT_EQ(times_.mtime, kBirth);
  EXPECT_EQ(times_.ctime, kBirth);
}

TEST_F(BackingTimesTest, AnEmptyFileThatWasJustMadeMovesNothing) {
  times_ = {At(-9), At(-9), At(-9)};
  state_.NoteOpen(O_WRONLY);
  (void)Sync();
  EXPECT_EQ(times_.mtime, At(-9));
  EXPECT_EQ(times_.ctime, At(-9));
  EXPECT_EQ(times_.atime, At(-9));
}

TEST_F(BackingTimesTest, ALaterCtimeOfTheInodeStays) {
  state_.NoteOpen(O_WRONLY);
  Write(At(5));
  times_.ctime = At(7);
  (void)Sync();
  EXPECT_EQ(times_.mtime, At(5));
  EXPECT_EQ(times_.ctime, At(7));
}

// The coarse clock may be in the second before.
TEST_F(BackingTimesTest, ACtimeOneTickAheadStays) {
  state_.NoteOpen(O_WRONLY);
  Write(At(5));
  const Timestamp ahead{base::WallTime().seconds + 1, 1000};
  times_.ctime = ahead;
  (void)Sync();
  EXPECT_EQ(times_.ctime, ahead);
}

TEST_F(BackingTimesTest, ACtimeInTheFutureIsReplaced) {
  state_.NoteOpen(O_WRONLY);
  Write(At(5));
  times_.ctime = {base::WallTime().seconds + 3600, 0};
  (void)Sync();
  EXPECT_EQ(times_.ctime, At(5));
}

TEST_F(BackingTimesTest, TimesThatTheKernelDidNotMoveStay) {
  state_.NoteOpen(O_WRONLY);
  Write(At(5));
  (void)Sync();
  times_ = {At(-1), At(-2), At(-3)};
  (void)Sync();
  EXPECT_EQ(times_.atime, At(-1));
  EXPECT_EQ(times_.mtime, At(-2));
  EXPECT_EQ(times_.ctime, At(-3));
}

TEST_F(BackingTimesTest, AnExplicitMtimeHidesAnEarlierWrite) {
  state_.NoteOpen(O_WRONLY);
  Write(At(5));
  // The daemon passes utimensat(2) on to the backing file.
  times_ = {At(1), At(2), At(6)};
  file_.times = {At(1), At(2), At(6)};
  state_.NoteTimesSet(file_, &file_.times.mtime);
  (void)Sync();
  EXPECT_EQ(times_.mtime, At(2));
  Write(At(8));
  (void)Sync();
  EXPECT_EQ(times_.mtime, At(8));
}

TEST_F(BackingTimesTest, AnExplicitMtimeHidesNoStoreRightAfterIt) {
  state_.NoteOpen(O_RDWR);
  times_ = {At(1), At(2), At(6)};
  const Timestamp chosen = times_.mtime;
  Write(At(7));
  state_.NoteTimesSet(file_, &chosen);
  (void)Sync();
  EXPECT_EQ(times_.mtime, At(7));
}

TEST_F(BackingTimesTest, AnExplicitAtimeHidesNoWrite) {
  state_.NoteOpen(O_WRONLY);
  Write(At(5));
  times_.atime = file_.times.atime = At(9);
  state_.NoteTimesSet(file_, /*mtime=*/nullptr);
  (void)Sync();
  EXPECT_EQ(times_.mtime, At(5));
  EXPECT_EQ(times_.atime, At(9));
}

TEST_F(BackingTimesTest, AReadMovesAtimeAccordingToRelatime) {
  EXPECT_TRUE(state_.ReadMovesAtime(At(0)));
  file_.times = {At(9), At(5), At(5)};
  state_.NoteTimesSet(file_, &file_.times.mtime);
  EXPECT_FALSE(state_.ReadMovesAtime(At(10)));
  file_.times.mtime = At(9);
  state_.NoteTimesSet(file_, &file_.times.mtime);
  EXPECT_TRUE(state_.ReadMovesAtime(At(10)));
}

}  // namespace
}  // namespace memfuse::memfs
