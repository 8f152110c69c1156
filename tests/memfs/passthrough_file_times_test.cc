// A file of the private tmpfs with passthrough reads and writes: the times that result from
// SyncFromBackingFile and SetBackingTimes.

#include <unistd.h>

#include <string>

#include "tests/memfs/passthrough_file_kernel_test_base.h"
#include "tests/testing/kernel_version.h"

namespace memfuse::memfs {
namespace {

using base::UniqueFd;

using PassthroughFileTimesTest = PassthroughFileKernelTestBase;

TEST_F(PassthroughFileTimesTest, SyncLeavesTimesAloneThatTheKernelDidNotMove) {
  const int32_t id = Open(O_RDWR);
  Write(Serve(id, O_RDWR), 0, "data");
  (void)Sync();
  const Times chosen = {kOld, Timestamp{2000, 2}, Timestamp{3000, 3}};
  times_ = chosen;
  (void)Sync();
  file_->Close(O_RDWR);
  (void)Sync();
  EXPECT_EQ(times_.atime, chosen.atime);
  EXPECT_EQ(times_.mtime, chosen.mtime);
  EXPECT_EQ(times_.ctime, chosen.ctime);
}

TEST_F(PassthroughFileTimesTest, ReadsMoveAtimeAccordingToRelatime) {
  const int32_t id = Open(O_RDWR);
  const UniqueFd served = Serve(id, O_RDWR);
  Write(served, 0, "data");
  char byte;
  // Atime is not after mtime, so an update is due.
  Choose(kOld, kOld);
  ASSERT_EQ(pread(served.get(), &byte, 1, 0), 1);
  (void)Sync();
  EXPECT_LT(kOld, times_.atime);
  EXPECT_EQ(times_.mtime, kOld);
  // Atime is after both and less than a day old, so no update is due.
  const Timestamp later{base::Now().seconds + 3600, 5};
  Choose(later, kOld);
  ASSERT_EQ(pread(served.get(), &byte, 1, 0), 1);
  (void)Sync();
  EXPECT_EQ(times_.atime, later);
}

TEST_F(PassthroughFileTimesTest, ReadsMoveNoAtimeWithNoatime) {
  file_.reset();
  PrivateTmpfsOptions options = PassthroughLimit(kLimit);
  options.noatime = true;
  MakeStore(options);
  Begin();
  const int32_t id = Open(O_RDWR);
  const UniqueFd served = Serve(id, O_RDWR);
  Write(served, 0, "data");
  Choose(kOld, kOld);
  char byte;
  ASSERT_EQ(pread(served.get(), &byte, 1, 0), 1);
  (void)Sync();
  EXPECT_EQ(times_.atime, kOld);
}

TEST_F(PassthroughFileTimesTest, CallsAloneMoveNoAtime) {
  const int32_t id = Open(O_RDWR);
  Write(Serve(id, O_RDWR), 0, "data");
  Choose(kOld, kOld);
  EXPECT_EQ(Read(file_.get(), 0, 9), "data");
  EXPECT_EQ(*NewFile()->CopyFrom(file_.get(), 0, 0, 4), 4u);
  (void)Sync();
  EXPECT_EQ(times_.atime, kOld);
}

TEST_F(PassthroughFileTimesTest, AWriteAfterAnExplicitTimeSetsItsTime) {
  const int32_t id = Open(O_RDWR);
  const UniqueFd served = Serve(id, O_RDWR);
  Write(served, 0, "data");
  const Timestamp before = times_.ctime;
  Choose(kOld, kOld);
  (void)Sync();
  EXPECT_EQ(times_.mtime, kOld);
  Write(served, 0, "more");
  (void)Sync();
  EXPECT_LE(before, times_.mtime);
  EXPECT_EQ(times_.atime, kOld);
}

TEST_F(PassthroughFileTimesTest, AnExplicitTimeHidesAnEarlierWrite) {
  const int32_t id = Open(O_RDWR);
  Write(Serve(id, O_RDWR), 0, "data");
  Choose(kOld, kOld);
  file_->Close(O_RDWR);
  (void)Sync();
  EXPECT_EQ(times_.mtime, kOld);
  EXPECT_EQ(file_->size(), 4u);
}

// The kernel computes relatime from the times of the backing file, so the store sets the inode's
// times there. An earlier write must still be visible.
TEST_F(PassthroughFileTimesTest, TimesWithoutAnExplicitSettingHideNoWrite) {
  const int32_t id = Open(O_RDWR);
  const UniqueFd served = Serve(id, O_RDWR);
  const Timestamp later{base::Now().seconds + 3600, 5};
  Choose(later, kOld);
  Write(served, 0, "data");
  times_.ctime = later;
  file_->SetBackingTimes(times_, /*chosen=*/false);
  (void)Sync();
  EXPECT_LT(kOld, times_.mtime);
  EXPECT_EQ(times_.atime, later);
}

// A backing file that is opened for the first time has the inode's atime, not that of a new file.
TEST_F(PassthroughFileTimesTest, AFileThatWasMadeByAnOpenKeepsAnAtimeThatIsNotDue) {
  const Timestamp later{base::Now().seconds + 3600, 5};
  times_ = {later, kOld, kOld};
  const int32_t id = Open(O_RDONLY);
  file_->SetBackingTimes(times_, /*chosen=*/false);
  PassATick();
  char byte;
  ASSERT_EQ(pread(Serve(id, O_RDONLY).get(), &byte, 1, 0), 0);
  (void)Sync();
  EXPECT_EQ(times_.atime, later);
  EXPECT_EQ(times_.mtime, kOld);
}

TEST_F(PassthroughFileTimesTest, AWriteInTheTickOfTheFirstOpenIsSeen) {
  times_ = {kOld, kOld, kOld};
  const int32_t id = Open(O_WRONLY);
  Write(Serve(id, O_WRONLY), 0, "data");
  (void)Sync();
  EXPECT_LT(kOld, times_.mtime);
  EXPECT_LT(kOld, times_.ctime);
  EXPECT_EQ(times_.atime, kOld);
}

// The daemon and the kernel take timestamps from the same clock.
TEST_F(PassthroughFileTimesTest, AWriteIsNotEarlierThanAnEarlierDaemonTimestamp) {
  const int32_t id = Open(O_RDWR);
  const UniqueFd served = Serve(id, O_RDWR);
  for (int i = 0; i < 500; ++i) {
    const Timestamp before = base::Now();
    times_.ctime = before;
    Write(served, 0, "data");
    (void)Sync();
    EXPECT_LE(before, times_.mtime);
    EXPECT_LE(before, times_.ctime);
    EXPECT_LE(times_.mtime, base::Now());
  }
}

TEST_F(PassthroughFileTimesTest, TheFirstWriteIsLaterThanTheCreation) {
  for (int i = 0; i < 20; ++i) {
    file_ = NewFile();
    const Timestamp created = base::Now();
    times_ = {created, created, created};
    const int32_t id = Open(O_WRONLY);
    Write(Serve(id, O_WRONLY), 0, "data");
    (void)Sync();
    file_->Close(O_WRONLY);
    if (test::KernelAtLeast(6, 13)) {
      EXPECT_LT(created, times_.mtime);
      EXPECT_LT(created, times_.ctime);
    } else {
      EXPECT_LE(created, times_.mtime);
    }
  }
}

// A rename or a new xattr moves the ctime of a closed file without fstat of the backing file.
TEST_F(PassthroughFileTimesTest, AWriteIsNotLaterThanTheChangeAfterIt) {
  for (int i = 0; i < 100; ++i) {
    const int32_t id = Open(O_RDWR);
    Write(Serve(id, O_RDWR), 0, "data");
    file_->Close(O_RDWR);
    const Timestamp renamed = base::Now();
    times_.ctime = renamed;
    (void)Sync();
    EXPECT_LE(times_.mtime, renamed);
    EXPECT_EQ(times_.ctime, renamed);
  }
}

TEST_F(PassthroughFileTimesTest, CtimeDoesNotGoBackToAnEarlierWrite) {
  const int32_t id = Open(O_RDWR);
  Write(Serve(id, O_RDWR), 0, "data");
  const Timestamp written = store_->StatFile(last_ino())->times.mtime;
  PassATick();
  const Timestamp renamed = base::Now();
  times_.ctime = renamed;
  (void)Sync();
  EXPECT_EQ(times_.ctime, renamed);
  EXPECT_EQ(times_.mtime, written);
}

// After the clock was set back, new timestamps have the earlier time.
TEST_F(PassthroughFileTimesTest, CtimeFollowsAClockThatWasSetBack) {
  const int32_t id = Open(O_RDWR);
  Write(Serve(id, O_RDWR), 0, "data");
  const Timestamp written = store_->StatFile(last_ino())->times.ctime;
  times_.ctime = {base::Now().seconds + 3600, 0};
  (void)Sync();
  EXPECT_EQ(times_.ctime, written);
}

}  // namespace
}  // namespace memfuse::memfs
