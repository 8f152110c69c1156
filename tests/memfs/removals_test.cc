// Space of removed files, and operations that take long: what is waited for, and who leaves a seat.

#include <fcntl.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "memfuse/seat.h"
#include "tests/memfs/fake_backing_files.h"
#include "tests/memfs/memfs_test_base.h"
#include "tests/memfs/shmem_test_base.h"

namespace memfuse::memfs {
namespace {

constexpr uint64_t kLimit = uint64_t{64} << 20;
constexpr uint64_t kMost = uint64_t{60} << 20;

class CountingSeat final : public Seat {
 public:
  void Leave() override { ++left_; }
  void Return() override { ++returned_; }
  // Since it was asked last. Who left has returned.
  int Left() {
    EXPECT_EQ(left_, returned_);
    returned_ = 0;
    return left_.exchange(0);
  }

 private:
  std::atomic<int> left_{0};
  std::atomic<int> returned_{0};
};

MemoryFileSystemOptions Options(DataKind kind) {
  MemoryFileSystemOptions options = SmallOptions(kLimit);
  options.data = MayMountTmpfs() ? kind : DataKind::kDaemon;
  return options;
}

class RemovalsTest : public MemFsTest, public testing::WithParamInterface<DataKind> {
 protected:
  RemovalsTest() : MemFsTest(Options(GetParam())) { caller_.set_seat(&seat_); }
  void SetUp() override {
    ASSERT_TRUE(MayMountTmpfs()) << "needs root (CAP_SYS_ADMIN)";
    ASSERT_TRUE(fs_->Connected(&backing_).ok());
  }
  void TearDown() override { fs_->Disconnected(); }

  // A closed file of that name with that much data.
  InodeNumber NewFile(const std::string& name, uint64_t bytes) {
    const InodeNumber ino = Ino(caller_.Create(kRootInode, name, 0644, 0, O_WRONLY));
    EXPECT_THAT(caller_.Fallocate(ino, 0, 0, bytes), Succeeds()) << bytes;
    EXPECT_THAT(caller_.Release(ino, O_WRONLY), Succeeds());
    return ino;
  }
  void Remove(const std::string& name, InodeNumber ino) {
    EXPECT_THAT(caller_.Unlink(kRootInode, name), Succeeds());
    caller_.Forget(ino);
  }
  uint64_t Free() { return Must(fs_->Statfs(caller_.context(), {kRootInode})).blocks_free * 4096; }

  FakeBackingFiles backing_;
  CountingSeat seat_;
  Caller caller_{fs_.get()};
};

TEST_P(RemovalsTest, WhoAsksWhatIsFreeWaitsForTheKernelToLetGo) {
  const uint64_t before = Free();
  const InodeNumber file = NewFile("file", 1 << 20);
  EXPECT_THAT(caller_.Unlink(kRootInode, "file"), Succeeds());
  EXPECT_EQ(seat_.Left(), 0);
  std::thread kernel([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    me_.Forget(file);
  });
  EXPECT_EQ(Free(), before);
  kernel.join();
  // Without it, the kernel might find nobody to tell.
  EXPECT_EQ(seat_.Left(), 1);
  EXPECT_EQ(Free(), before);
  EXPECT_EQ(seat_.Left(), 0);
}

TEST_P(RemovalsTest, WhoAsksWhatIsFreeWaitsForLargeFiles) {
  const uint64_t before = Free();
  for (int i = 0; i < 5; ++i) {
    Remove("file", NewFile("file", kMost));
    EXPECT_EQ(Free(), before);
  }
}

TEST_P(RemovalsTest, TheSpaceOfALargeFileIsThereForTheNext) {
  for (int i = 0; i < 5; ++i) Remove("file", NewFile("file", kMost));
}

TEST_P(RemovalsTest, TheSpaceOfAReplacedFileIsThereForTheNext) {
  const InodeNumber first = NewFile("file", kMost / 2);
  (void)NewFile("other", kMost / 2);
  EXPECT_THAT(caller_.Rename(kRootInode, "other", kRootInode, "file"), Succeeds());
  std::thread kernel([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    me_.Forget(first);
  });
  (void)NewFile("third", kMost / 2);
  kernel.join();
}

TEST_P(RemovalsTest, TheInodeOfWhatWasRemovedIsThereForTheNext) {
  EXPECT_THAT(fs_->SetLimits(0, 10), Succeeds());
  for (int i = 0; i < 8; ++i) (void)Ino(caller_.Symlink(kRootInode, std::to_string(i), "target"));
  for (const bool directory : {true, false}) {
    const InodeNumber last = directory ? Ino(caller_.Mkdir(kRootInode, "last"))
                                       : Ino(caller_.Mknod(kRootInode, "last"));
    EXPECT_THAT(caller_.Mkdir(kRootInode, "more"), Fails(ENOSPC));
    EXPECT_EQ(seat_.Left(), 0);
    EXPECT_THAT(directory ? caller_.Rmdir(kRootInode, "last") : caller_.Unlink(kRootInode, "last"),
                Succeeds());
    std::thread kernel([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      me_.Forget(last);
    });
    const InodeNumber more = Ino(caller_.Mkdir(kRootInode, "more"));
    kernel.join();
    EXPECT_EQ(seat_.Left(), 1);
    EXPECT_THAT(caller_.Rmdir(kRootInode, "more"), Succeeds());
    me_.Forget(more);
  }
}

TEST_P(RemovalsTest, LongWorkIsDoneWithoutASeat) {
  const InodeNumber file = Ino(caller_.Create(kRootInode, "file", 0644, 0, O_RDWR));
  const InodeNumber copy = Ino(caller_.Create(kRootInode, "copy", 0644, 0, O_RDWR));
  EXPECT_THAT(caller_.Fallocate(file, 0, 0, kLongWork - 1), Succeeds());
  EXPECT_EQ(seat_.Left(), 0);
  EXPECT_THAT(caller_.Fallocate(file, 0, 0, 2 * kLongWork), Succeeds());
  EXPECT_EQ(seat_.Left(), 1);
  EXPECT_THAT(caller_.Copy(file, 0, copy, 0, kLongWork), Succeeds());
  EXPECT_EQ(seat_.Left(), 1);
  EXPECT_THAT(caller_.Copy(file, 0, copy, 0, kLongWork - 1), Succeeds());
  EXPECT_EQ(seat_.Left(), 0);
  EXPECT_THAT(caller_.Truncate(file, kLongWork + 4096), Succeeds());
  EXPECT_EQ(seat_.Left(), 0);
  EXPECT_THAT(caller_.Truncate(file, 0), Succeeds());
  EXPECT_EQ(seat_.Left(), 1);
  EXPECT_THAT(caller_.Truncate(file, kLimit), Succeeds());
  EXPECT_THAT(caller_.Truncate(file, 0), Succeeds());
  EXPECT_EQ(seat_.Left(), 0) << "a hole";
  EXPECT_THAT(caller_.Open(copy, O_WRONLY | O_TRUNC), Succeeds());
  EXPECT_EQ(seat_.Left(), 1);
}

TEST_P(RemovalsTest, ACopyIsMadeInPieces) {
  const InodeNumber file = NewFile("file", kMost / 2);
  const InodeNumber copy = NewFile("copy", 4096);
  EXPECT_THAT(caller_.Write(file, kMost / 2 - 4, "last"), Succeeds());
  uint64_t done = 0;
  int calls = 0;
  for (; done < kMost / 2; ++calls) {
    const uint64_t piece = Must(caller_.Copy(file, done, copy, done, kMost / 2 - done));
    ASSERT_GT(piece, 0u);
    EXPECT_LE(piece, uint64_t{16} << 20);
    done += piece;
  }
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(Must(caller_.Read(copy, kMost / 2 - 4, 10)), "last");
}

INSTANTIATE_TEST_SUITE_P(Stores, RemovalsTest,
                         testing::Values(DataKind::kDaemon, DataKind::kPassthrough),
                         [](const testing::TestParamInfo<DataKind>& store) {
                           return store.param == DataKind::kDaemon ? "daemon" : "passthrough";
                         });

}  // namespace
}  // namespace memfuse::memfs
