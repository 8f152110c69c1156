// A file of the private tmpfs under the contract of file_data.h, without passthrough.

#include "src/memfs/data/passthrough_file.h"

#include <fcntl.h>

#include <memory>
#include <string>

#include "tests/memfs/passthrough_store_test_base.h"

namespace memfuse::memfs {
namespace {

using test::Fails;
using test::Succeeds;

class PassthroughFileTest : public PassthroughTestBase {
 protected:
  void SetUp() override {
    PassthroughTestBase::SetUp();
    if (store_ != nullptr) file_ = NewFile();
  }

  // Reserves all but `bytes` of the data limit.
  void LeaveRoomFor(uint64_t bytes) {
    filler_ = NewFile();
    ASSERT_THAT(filler_->Allocate(0, store_->free_bytes() - bytes, /*keep_size=*/true), Succeeds());
    ASSERT_EQ(store_->free_bytes(), bytes);
  }
  Result<size_t> TryWrite(uint64_t offset, const std::string& data) {
    return file_->Write(offset, data);
  }
  size_t Write(uint64_t offset, const std::string& data) {
    const Result<size_t> written = TryWrite(offset, data);
    EXPECT_THAT(written, Succeeds());
    return written.ok() ? *written : 0;
  }
  std::string Read(uint64_t offset, size_t size) {
    return PassthroughTestBase::Read(file_.get(), offset, size);
  }

  std::unique_ptr<FileData> file_;
  std::unique_ptr<FileData> filler_;
};

TEST_F(PassthroughFileTest, StartsEmpty) {
  EXPECT_EQ(file_->size(), 0u);
  EXPECT_EQ(file_->blocks(), 0u);
  EXPECT_EQ(Read(0, 10), "");
  EXPECT_THAT(file_->SeekData(0), Fails(ENXIO));
  EXPECT_THAT(file_->SeekHole(0), Fails(ENXIO));
  Times times;
  EXPECT_EQ(file_->SyncFromBackingFile(&times), kCacheForever);
}

// The tmpfs has no file before there is data to store.
TEST_F(PassthroughFileTest, OperationsThatChangeNothingMakeNoFile) {
  EXPECT_EQ(*file_->Write(100, {}), 0u);
  EXPECT_FALSE(file_->Truncate(0)->changed);
  EXPECT_THAT(file_->PunchHole(0, 100), Succeeds());
  EXPECT_EQ(*file_->CopyFrom(NewFile().get(), 0, 0, 100), 0u);
  EXPECT_THAT(file_->Truncate(kMaxFileSize + 1), Fails(EFBIG));
  EXPECT_EQ(file_->size(), 0u);
  EXPECT_THAT(store_->StatFile(InodeNumber{2}), Fails(EIO));
  Write(0, "x");
  EXPECT_THAT(store_->StatFile(InodeNumber{2}), Succeeds());
  file_.reset();
  EXPECT_THAT(store_->StatFile(InodeNumber{2}), Fails(EIO));
}

TEST_F(PassthroughFileTest, HolesReadAsZerosAndTakeNoSpace) {
  EXPECT_EQ(Write(3 * kPageSize + 5, "far"), 3u);
  EXPECT_EQ(Write(7, "near"), 4u);
  EXPECT_EQ(file_->size(), 3 * kPageSize + 8);
  EXPECT_EQ(file_->blocks(), 16u);
  EXPECT_EQ(store_->data_bytes(), 2 * kPageSize);
  EXPECT_EQ(Read(0, 12), std::string(7, '\0') + "near" + std::string(1, '\0'));
  EXPECT_EQ(Read(kPageSize, 10), std::string(10, '\0'));
  EXPECT_EQ(Read(3 * kPageSize, 100), std::string(5, '\0') + "far");
  EXPECT_EQ(Read(3 * kPageSize + 8, 1), "");
  EXPECT_EQ(Read(~uint64_t{0}, 1), "");
}

TEST_F(PassthroughFileTest, TruncateReportsItsChanges) {
  const auto expect = [this](uint64_t size, bool changed, bool had_data) {
    SCOPED_TRACE(size);
    const Result<Resized> resized = file_->Truncate(size);
    ASSERT_THAT(resized, Succeeds());
    EXPECT_EQ(resized->changed, changed);
    EXPECT_EQ(resized->had_data, had_data);
    EXPECT_EQ(file_->size(), size);
  };
  expect(0, false, false);
  expect(7, true, false);
  expect(7, false, false);
  expect(6, true, false);
  Write(0, "data");
  expect(6, false, true);
  expect(2, true, true);
  EXPECT_EQ(file_->blocks(), 8u);
  expect(0, true, true);
  EXPECT_EQ(file_->blocks(), 0u);
  expect(0, false, false);
  // Pages reserved beyond the end count as data, and truncation removes them.
  ASSERT_THAT(file_->Allocate(0, kPageSize, /*keep_size=*/true), Succeeds());
  expect(0, false, true);
  EXPECT_EQ(file_->blocks(), 0u);
  EXPECT_EQ(store_->data_bytes(), 0u);
}

TEST_F(PassthroughFileTest, TruncatedBytesReadAsZerosWhenTheFileGrowsAgain) {
  for (const size_t size : {100, 3000, 9000}) {
    Write(0, std::string(size, 'x'));
    ASSERT_THAT(file_->Truncate(50), Succeeds());
    ASSERT_THAT(file_->Truncate(size), Succeeds());
    EXPECT_EQ(Read(0, size), std::string(50, 'x') + std::string(size - 50, '\0'));
    ASSERT_THAT(file_->Truncate(0), Succeeds());
  }
}

TEST_F(PassthroughFileTest, ReservedPagesReadAsZerosAndAreHolesForSeek) {
  ASSERT_THAT(file_->Allocate(0, 3 * kPageSize, /*keep_size=*/false), Succeeds());
  EXPECT_EQ(file_->size(), 3 * kPageSize);
  EXPECT_EQ(file_->blocks(), 24u);
  EXPECT_EQ(Read(100, 10), std::string(10, '\0'));
  EXPECT_THAT(file_->SeekData(0), Fails(ENXIO));
  EXPECT_EQ(*file_->SeekHole(0), 0u);
  Write(kPageSize, "x");
  EXPECT_EQ(*file_->SeekData(0), kPageSize);
  EXPECT_EQ(*file_->SeekHole(kPageSize), 2 * kPageSize);
  EXPECT_THAT(file_->SeekHole(3 * kPageSize), Fails(ENXIO));
}

TEST_F(PassthroughFileTest, AWriteToReservedPagesSucceedsInAFullStore) {
  ASSERT_THAT(file_->Allocate(0, 3 * kPageSize, /*keep_size=*/true), Succeeds());
  EXPECT_EQ(file_->size(), 0u);
  LeaveRoomFor(0);
  EXPECT_EQ(Write(0, std::string(3 * kPageSize, 'x')), 3 * kPageSize);
  EXPECT_THAT(TryWrite(3 * kPageSize, "x"), Fails(ENOSPC));
  EXPECT_EQ(file_->size(), 3 * kPageSize);
}

TEST_F(PassthroughFileTest, AWriteIsShortWhenSpaceRunsOut) {
  LeaveRoomFor(2 * kPageSize);
  EXPECT_EQ(Write(1000, std::string(4 * kPageSize, 'x')), 2 * kPageSize - 1000);
  EXPECT_EQ(file_->size(), 2 * kPageSize);
  EXPECT_EQ(file_->blocks(), 16u);
  EXPECT_THAT(TryWrite(2 * kPageSize, "more"), Fails(ENOSPC));
  EXPECT_EQ(file_->size(), 2 * kPageSize);
  EXPECT_EQ(Read(2 * kPageSize - 1, 9), "x");
}

TEST_F(PassthroughFileTest, AFailedAllocationKeepsNothing) {
  Write(0, "old");
  LeaveRoomFor(20 * kPageSize);
  for (const uint64_t length : {22 * kPageSize, 1000 * kPageSize, uint64_t{1} << 50}) {
    for (const bool keep_size : {false, true}) {
      SCOPED_TRACE(length);
      EXPECT_THAT(file_->Allocate(0, length, keep_size), Fails(ENOSPC));
      EXPECT_THAT(file_->ZeroRange(0, length, keep_size), Fails(ENOSPC));
      EXPECT_EQ(file_->size(), 3u);
      EXPECT_EQ(file_->blocks(), 8u);
      EXPECT_EQ(store_->free_bytes(), 20 * kPageSize);
    }
  }
  EXPECT_EQ(Read(0, 10), "old");
  EXPECT_THAT(file_->Allocate(0, 21 * kPageSize, /*keep_size=*/false), Succeeds());
  EXPECT_EQ(Read(0, 5), std::string("old\0\0", 5));
}

// An empty file whose allocation fails is unchanged, also for Refresh.
TEST_F(PassthroughFileTest, AFailedAllocationOnANewFileMovesNoTime) {
  LeaveRoomFor(0);
  EXPECT_THAT(file_->Allocate(0, 1, /*keep_size=*/false), Fails(ENOSPC));
  const Times before{{1, 2}, {3, 4}, {5, 6}};
  Times times = before;
  (void)file_->SyncFromBackingFile(&times);
  EXPECT_EQ(times.mtime, before.mtime);
  EXPECT_EQ(times.ctime, before.ctime);
  EXPECT_EQ(times.atime, before.atime);
}

TEST_F(PassthroughFileTest, PunchingKeepsTheSizeAndReleasesPages) {
  Write(0, std::string(4 * kPageSize, 'x'));
  ASSERT_THAT(file_->PunchHole(kPageSize - 10, 2 * kPageSize), Succeeds());
  EXPECT_EQ(file_->size(), 4 * kPageSize);
  EXPECT_EQ(file_->blocks(), 24u);
  EXPECT_EQ(Read(kPageSize - 11, 12), "x" + std::string(11, '\0'));
  EXPECT_EQ(Read(3 * kPageSize - 11, 12), std::string(1, '\0') + std::string(11, 'x'));
  EXPECT_EQ(*file_->SeekHole(0), kPageSize);
  EXPECT_EQ(*file_->SeekData(kPageSize), 2 * kPageSize);
  ASSERT_THAT(file_->PunchHole(0, ~uint64_t{0}), Succeeds());
  EXPECT_EQ(file_->size(), 4 * kPageSize);
  EXPECT_EQ(store_->data_bytes(), 0u);
}

TEST_F(PassthroughFileTest, ZeroingARangeKeepsItsSpace) {
  Write(0, std::string(4 * kPageSize, 'x'));
  ASSERT_THAT(file_->ZeroRange(kPageSize, 5 * kPageSize, /*keep_size=*/true), Succeeds());
  EXPECT_EQ(file_->size(), 4 * kPageSize);
  EXPECT_EQ(file_->blocks(), 48u);
  EXPECT_EQ(Read(kPageSize - 1, 2), std::string("x\0", 2));
  EXPECT_EQ(*file_->SeekHole(0), kPageSize);
  LeaveRoomFor(0);
  EXPECT_EQ(Write(kPageSize, std::string(5 * kPageSize, 'y')), 5 * kPageSize);
  // In a full store, a range without pages can still be zeroed.
  ASSERT_THAT(file_->ZeroRange(10, 10, /*keep_size=*/false), Succeeds());
  EXPECT_EQ(Read(9, 12), "x" + std::string(10, '\0') + "x");
}

TEST_F(PassthroughFileTest, CopiesUpToTheEndOfTheSource) {
  const auto source = NewFile();
  std::string data(200000, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>('a' + i * 7 % 26);
  ASSERT_THAT(source->Write(0, data), Succeeds());
  EXPECT_EQ(*file_->CopyFrom(source.get(), 10, 5000, 1 << 20), 199990u);
  EXPECT_EQ(file_->size(), 204990u);
  EXPECT_TRUE(Read(5000, 1 << 20) == data.substr(10));
  EXPECT_EQ(*file_->CopyFrom(source.get(), 200000, 0, 10), 0u);
  EXPECT_EQ(*file_->CopyFrom(source.get(), uint64_t{1} << 62, 0, 10), 0u);
  // Within one file, between disjoint ranges.
  EXPECT_EQ(*file_->CopyFrom(file_.get(), 5000, 0, 3000), 3000u);
  EXPECT_EQ(Read(0, 3000), data.substr(10, 3000));
}

TEST_F(PassthroughFileTest, ACopyIsShortWhenSpaceRunsOut) {
  const auto source = NewFile();
  ASSERT_THAT(source->Write(0, std::string(10 * kPageSize, 'x')), Succeeds());
  ASSERT_THAT(file_->Truncate(1), Succeeds());
  LeaveRoomFor(4 * kPageSize);
  EXPECT_EQ(*file_->CopyFrom(source.get(), 0, 0, 10 * kPageSize), 4 * kPageSize);
  EXPECT_EQ(file_->size(), 4 * kPageSize);
  EXPECT_EQ(file_->blocks(), 32u);
  EXPECT_THAT(file_->CopyFrom(source.get(), 0, 4 * kPageSize, kPageSize), Fails(ENOSPC));
  EXPECT_EQ(file_->size(), 4 * kPageSize);
}

TEST_F(PassthroughFileTest, WritesUpToTheLargestOffset) {
  EXPECT_EQ(Write(kMaxFileSize - 1, "x"), 1u);
  EXPECT_EQ(file_->size(), kMaxFileSize);
  EXPECT_EQ(Read(kMaxFileSize - 2, 10), std::string("\0x", 2));
  EXPECT_THAT(TryWrite(kMaxFileSize, "x"), Fails(EFBIG));
  EXPECT_THAT(TryWrite(kMaxFileSize - 1, "xy"), Fails(EFBIG));
  EXPECT_THAT(TryWrite(~uint64_t{0}, "x"), Fails(EFBIG));
  EXPECT_THAT(file_->Truncate(kMaxFileSize + 1), Fails(EFBIG));
  EXPECT_THAT(file_->Allocate(kMaxFileSize, 1, false), Fails(EFBIG));
  EXPECT_THAT(file_->Allocate(1, ~uint64_t{0}, false), Fails(EFBIG));
  EXPECT_THAT(file_->ZeroRange(kMaxFileSize - 1, 2, false), Fails(EFBIG));
  // tmpfs itself finds no data in the very last page.
  EXPECT_EQ(*file_->SeekHole(0), 0u);
  EXPECT_THAT(file_->SeekHole(kMaxFileSize), Fails(ENXIO));
  EXPECT_THAT(file_->SeekHole(~uint64_t{0}), Fails(ENXIO));
  EXPECT_THAT(file_->PunchHole(kMaxFileSize - 100, ~uint64_t{0}), Succeeds());
  EXPECT_EQ(Read(kMaxFileSize - 2, 10), std::string(2, '\0'));
  EXPECT_THAT(file_->PunchHole(kPageSize, ~uint64_t{0}), Succeeds());
  EXPECT_THAT(file_->PunchHole(~uint64_t{0}, 1), Succeeds());
  EXPECT_EQ(file_->size(), kMaxFileSize);
}

TEST_F(PassthroughFileTest, AllocatesTheLastPage) {
  EXPECT_THAT(file_->Allocate(kMaxFileSize - 1, 1, /*keep_size=*/false), Succeeds());
  EXPECT_EQ(file_->size(), kMaxFileSize);
  EXPECT_EQ(file_->blocks(), 8u);
  EXPECT_THAT(file_->Allocate(0, kMaxFileSize, /*keep_size=*/false), Fails(ENOSPC));
}

TEST_F(PassthroughFileTest, AHoleCostsNothing) {
  ASSERT_THAT(file_->Truncate(kMaxFileSize), Succeeds());
  EXPECT_EQ(store_->data_bytes(), 0u);
  EXPECT_EQ(file_->blocks(), 0u);
  EXPECT_EQ(Read(uint64_t{1} << 62, 5), std::string(5, '\0'));
  EXPECT_THAT(file_->SeekData(0), Fails(ENXIO));
  EXPECT_EQ(*file_->SeekHole(12345), 12345u);
}

TEST_F(PassthroughFileTest, ReleasesEverythingAtTheEnd) {
  Write(0, std::string(10000, 'x'));
  Write(uint64_t{1} << 33, "x");
  ASSERT_THAT(file_->Allocate(uint64_t{1} << 50, 10000, false), Succeeds());
  file_.reset();
  EXPECT_EQ(store_->data_bytes(), 0u);
  EXPECT_EQ(store_->free_bytes(), kLimit);
}

}  // namespace
}  // namespace memfuse::memfs
