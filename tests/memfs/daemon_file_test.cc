#include "src/memfs/data/daemon_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "src/base/clock.h"
#include "src/memfs/space/account.h"
#include "tests/memfs/records.h"
#include "tests/testing/read_sinks.h"
#include "tests/testing/result_matchers.h"

namespace memfuse::memfs {
namespace {

using test::Fails;
using test::StringSink;
using test::Succeeds;

// The bytes charged for the page table of a file whose pages are all below number four.
constexpr uint64_t kSmallTable = 40 + 32;

// While it exists, files of this process cannot be written to from byte `bytes` on (RLIMIT_FSIZE).
class MemoryFileLimit {
 public:
  explicit MemoryFileLimit(uint64_t bytes) {
    struct sigaction ignore = {};
    ignore.sa_handler = SIG_IGN;
    EXPECT_EQ(sigaction(SIGXFSZ, &ignore, &old_action_), 0);
    EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit_), 0);
    const rlimit limit = {bytes, old_limit_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  ~MemoryFileLimit() {
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &old_limit_), 0);
    EXPECT_EQ(sigaction(SIGXFSZ, &old_action_, nullptr), 0);
  }
  MemoryFileLimit(const MemoryFileLimit&) = delete;
  MemoryFileLimit& operator=(const MemoryFileLimit&) = delete;

 private:
  struct sigaction old_action_ = {};
  rlimit old_limit_ = {};
};

class DaemonFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto arena = Arena::Make();
    ASSERT_TRUE(arena.ok());
    arena_ = *std::move(arena);
    arena_->set_huge_pages(true);  // ReadTo sends pieces only with huge pages
    storage_ = {arena_.get(), records_.get()};
    file_ = NewFile();
  }

  std::unique_ptr<DaemonFile> NewFile() {
    return std::make_unique<DaemonFile>(account_.get(), NewFileRecord(records_.get()), &storage_);
  }

  // Makes the memory for small page tables and inline data available, for tests with a
  // MemoryFileLimit, which bounds the file of the records too.
  void PrepareRecords() {
    for (size_t bytes = 32; bytes <= 2080; bytes += 16) {
      records_->Free(records_->Allocate(bytes));
    }
  }

  // Reserves all but `bytes` of the budget.
  void LeaveRoomFor(uint64_t bytes) {
    ASSERT_TRUE(budget_.ReserveBytes(budget_.bytes_free() - bytes));
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
    std::string out(size, '#');
    const Result<size_t> count = file_->Read(offset, absl::MakeSpan(out.data(), out.size()));
    EXPECT_THAT(count, Succeeds());
    out.resize(count.ok() ? *count : 0);
    return out;
  }
  uint64_t Used() const { return budget_.bytes_used(); }

  Budget budget_{uint64_t{64} << 20, 1};
  Accounts accounts_{&budget_};
  AccountRef account_ = accounts_.Find({});
  const std::unique_ptr<RecordFile> records_ = MakeRecords();
  std::unique_ptr<Arena> arena_;
  DaemonStorage storage_ = {};
  std::unique_ptr<DaemonFile> file_;
};

TEST_F(DaemonFileTest, StartsEmpty) {
  EXPECT_EQ(file_->size(), 0u);
  EXPECT_EQ(file_->blocks(), 0u);
  EXPECT_EQ(Read(0, 10), "");
  EXPECT_THAT(file_->SeekData(0), Fails(ENXIO));
  EXPECT_THAT(file_->SeekHole(0), Fails(ENXIO));
  EXPECT_EQ(Used(), 0u);
}

TEST_F(DaemonFileTest, AnEmptyWriteChangesNothing) {
  const Result<size_t> written = file_->Write(100, {});
  ASSERT_THAT(written, Succeeds());
  EXPECT_EQ(*written, 0u);
  EXPECT_EQ(file_->size(), 0u);
}

TEST_F(DaemonFileTest, KeepsInlineDataOutsideTheArena) {
  EXPECT_EQ(Write(0, "hello"), 5u);
  EXPECT_EQ(arena_->pages_in_use(), 0u);
  EXPECT_EQ(file_->blocks(), 1u);
  EXPECT_EQ(Used(), 32u);
  Write(0, std::string(DaemonFile::kMaxInlineSize, 'x'));
  EXPECT_EQ(arena_->pages_in_use(), 0u);
  EXPECT_EQ(file_->blocks(), DaemonFile::kMaxInlineSize / 512);
  EXPECT_EQ(Used(), 2080u);
}

TEST_F(DaemonFileTest, MovesInlineDataToAPageWhenItExceedsTheLimit) {
  Write(10, "hello");
  Write(DaemonFile::kMaxInlineSize - 1, "ab");
  EXPECT_EQ(arena_->pages_in_use(), 1u);
  EXPECT_EQ(file_->blocks(), 8u);
  EXPECT_EQ(Used(), kPageSize + kSmallTable);
  EXPECT_EQ(Read(0, 20), std::string(10, '\0') + "hello" + std::string(5, '\0'));
  EXPECT_EQ(Read(DaemonFile::kMaxInlineSize - 1, 10), "ab");
}

TEST_F(DaemonFileTest, HasInlineDataAgainAfterTruncateToZero) {
  Write(0, std::string(10000, 'x'));
  EXPECT_EQ(arena_->pages_in_use(), 3u);
  ASSERT_THAT(file_->Truncate(0), Succeeds());
  EXPECT_EQ(Used(), 0u);
  EXPECT_EQ(arena_->pages_in_use(), 0u);
  Write(0, "x");
  EXPECT_EQ(arena_->pages_in_use(), 0u);
}

TEST_F(DaemonFileTest, KeepsInlineDataBesideFarPages) {
  Write(uint64_t{1} << 30, "far");
  Write(5, "near");
  EXPECT_EQ(arena_->pages_in_use(), 1u);
  EXPECT_EQ(Read(0, 12), std::string(5, '\0') + "near" + std::string(3, '\0'));
  EXPECT_EQ(*file_->SeekData(0), 0u);
  EXPECT_EQ(*file_->SeekHole(0), kPageSize);
  EXPECT_EQ(*file_->SeekData(kPageSize), uint64_t{1} << 30);
}

TEST_F(DaemonFileTest, TruncatedBytesReadAsZerosWhenTheFileGrowsAgain) {
  for (const size_t size : {100, 3000, 9000}) {
    Write(0, std::string(size, 'x'));
    ASSERT_THAT(file_->Truncate(50), Succeeds());
    ASSERT_THAT(file_->Truncate(size), Succeeds());
    EXPECT_EQ(Read(0, size), std::string(50, 'x') + std::string(size - 50, '\0'));
    ASSERT_THAT(file_->Truncate(0), Succeeds());
  }
}

TEST_F(DaemonFileTest, TruncateReportsWhetherTheSizeChanged) {
  EXPECT_FALSE(file_->Truncate(0)->changed);
  EXPECT_TRUE(file_->Truncate(7)->changed);
  EXPECT_FALSE(file_->Truncate(7)->changed);
  EXPECT_TRUE(file_->Truncate(6)->changed);
}

TEST_F(DaemonFileTest, ReservedPagesReadAsZerosAndAreHolesForSeek) {
  ASSERT_THAT(file_->Allocate(0, 3 * kPageSize, /*keep_size=*/false), Succeeds());
  EXPECT_EQ(file_->blocks(), 24u);
  EXPECT_EQ(Read(100, 10), std::string(10, '\0'));
  EXPECT_THAT(file_->SeekData(0), Fails(ENXIO));
  EXPECT_EQ(*file_->SeekHole(0), 0u);
  Write(kPageSize, "x");
  EXPECT_EQ(*file_->SeekData(0), kPageSize);
  EXPECT_EQ(*file_->SeekHole(kPageSize), 2 * kPageSize);
}

TEST_F(DaemonFileTest, AWriteToReservedPagesSucceedsInAFullStore) {
  ASSERT_THAT(file_->Allocate(0, 3 * kPageSize, /*keep_size=*/true), Succeeds());
  EXPECT_EQ(file_->size(), 0u);
  LeaveRoomFor(0);
  EXPECT_EQ(Write(0, std::string(3 * kPageSize, 'x')), 3 * kPageSize);
  EXPECT_THAT(TryWrite(3 * kPageSize, "x"), Fails(ENOSPC));
}

TEST_F(DaemonFileTest, OverwritesInPlaceInAFullStore) {
  Write(0, std::string(2 * kPageSize, 'x'));
  LeaveRoomFor(0);
  EXPECT_EQ(Write(100, std::string(5000, 'y')), 5000u);
  EXPECT_EQ(Read(99, 3), "xyy");
}

TEST_F(DaemonFileTest, AWriteIsShortWhenSpaceRunsOut) {
  LeaveRoomFor(kSmallTable + 2 * kPageSize + 100);
  EXPECT_EQ(Write(0, std::string(4 * kPageSize, 'x')), 2 * kPageSize);
  EXPECT_EQ(file_->size(), 2 * kPageSize);
  EXPECT_EQ(file_->blocks(), 16u);
  EXPECT_THAT(TryWrite(2 * kPageSize, "more"), Fails(ENOSPC));
  EXPECT_EQ(file_->size(), 2 * kPageSize);
}

TEST_F(DaemonFileTest, AWriteFromInsideAPageIsShortWhenSpaceRunsOut) {
  LeaveRoomFor(kSmallTable + kPageSize);
  EXPECT_EQ(Write(1000, std::string(kPageSize, 'x')), kPageSize - 1000);
  EXPECT_EQ(file_->size(), kPageSize);
}

TEST_F(DaemonFileTest, AWriteIntoAFullStoreKeepsNothing) {
  for (const uint64_t room : {uint64_t{0}, kSmallTable, kPageSize}) {
    SCOPED_TRACE(room);
    LeaveRoomFor(room);
    const uint64_t before = Used();
    EXPECT_THAT(TryWrite(0, std::string(kPageSize, 'x')), Fails(ENOSPC));
    EXPECT_THAT(TryWrite(uint64_t{1} << 40, "x"), Fails(ENOSPC));
    EXPECT_EQ(Used(), before);
    EXPECT_EQ(file_->size(), 0u);
    EXPECT_EQ(file_->blocks(), 0u);
    EXPECT_EQ(arena_->pages_in_use(), 0u);
    budget_.ReleaseBytes(before);
  }
}

TEST_F(DaemonFileTest, AFileWithInlineDataThatCannotGrowIsUnchanged) {
  Write(0, "tiny");
  LeaveRoomFor(kPageSize - 1);
  const uint64_t before = Used();
  EXPECT_THAT(TryWrite(0, std::string(kPageSize, 'x')), Fails(ENOSPC));
  EXPECT_EQ(Used(), before);
  EXPECT_EQ(Read(0, 10), "tiny");
  EXPECT_EQ(file_->blocks(), 1u);
}

TEST_F(DaemonFileTest, AFailedAllocationKeepsNothing) {
  Write(0, "tiny");
  LeaveRoomFor(20 * kPageSize);
  const uint64_t before = Used();
  for (const uint64_t length : {20 * kPageSize, 1000 * kPageSize, kMaxFileSize}) {
    EXPECT_THAT(file_->Allocate(0, length, /*keep_size=*/false), Fails(ENOSPC));
    EXPECT_THAT(file_->ZeroRange(0, length, /*keep_size=*/false), Fails(ENOSPC));
    EXPECT_EQ(Used(), before);
    EXPECT_EQ(file_->size(), 4u);
    EXPECT_EQ(file_->blocks(), 1u);
    EXPECT_EQ(arena_->pages_in_use(), 0u);
  }
  EXPECT_EQ(Read(0, 10), "tiny");
  EXPECT_THAT(file_->Allocate(0, 19 * kPageSize, /*keep_size=*/false), Succeeds());
  EXPECT_EQ(Read(0, 6), std::string("tiny\0\0", 6));
}

TEST_F(DaemonFileTest, WritesUpToTheLargestOffset) {
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
  EXPECT_EQ(*file_->SeekData(0), (kMaxFileSize - 1) / kPageSize * kPageSize);
  EXPECT_EQ(*file_->SeekHole(kMaxFileSize - 1), kMaxFileSize);
  EXPECT_THAT(file_->PunchHole(kMaxFileSize - 100, ~uint64_t{0}), Succeeds());
  EXPECT_EQ(Read(kMaxFileSize - 2, 10), std::string(2, '\0'));
  EXPECT_THAT(file_->PunchHole(kPageSize, ~uint64_t{0}), Succeeds());
  EXPECT_EQ(file_->size(), kMaxFileSize);
}

TEST_F(DaemonFileTest, AHoleCostsNothing) {
  ASSERT_THAT(file_->Truncate(kMaxFileSize), Succeeds());
  EXPECT_EQ(Used(), 0u);
  EXPECT_EQ(file_->blocks(), 0u);
  EXPECT_EQ(Read(uint64_t{1} << 62, 5), std::string(5, '\0'));
  EXPECT_THAT(file_->SeekData(0), Fails(ENXIO));
  EXPECT_EQ(*file_->SeekHole(12345), 12345u);
}

TEST_F(DaemonFileTest, ALargeReadIsSentInContiguousPieces) {
  Write(0, std::string(80 * kPageSize, 'x'));
  ASSERT_THAT(file_->PunchHole(20 * kPageSize, 2 * kPageSize), Succeeds());
  StringSink sink(1 << 20, /*gathers=*/true);
  const Result<size_t> count = file_->ReadTo(100, &sink, /*to_page_cache=*/true, [] {});
  ASSERT_THAT(count, Succeeds());
  EXPECT_EQ(sink.Result(*count), Read(100, 1 << 20));
  EXPECT_EQ(*count, 80 * kPageSize - 100);
  EXPECT_TRUE(sink.sent());
  EXPECT_EQ(sink.pieces(), 4u);
}

TEST_F(DaemonFileTest, WithoutHugePagesALargeReadIsCopied) {
  arena_->set_huge_pages(false);
  Write(0, std::string(1 << 20, 'x'));
  StringSink sink(1 << 20, /*gathers=*/true);
  const Result<size_t> count = file_->ReadTo(0, &sink, /*to_page_cache=*/true, [] {});
  ASSERT_THAT(count, Succeeds());
  EXPECT_FALSE(sink.sent());
  EXPECT_EQ(sink.Result(*count), std::string(1 << 20, 'x'));
}

TEST_F(DaemonFileTest, OnlyAWriteToPagesHasAKernelTimestamp) {
  std::optional<Timestamp> time;
  const auto write = [&](uint64_t offset, const std::string& data) {
    time.reset();
    EXPECT_THAT(file_->WriteAndStamp(offset, data, &time), Succeeds());
    return time.has_value();
  };
  EXPECT_FALSE(write(0, "inline"));
  const Timestamp before = base::Now();
  EXPECT_TRUE(write(2 * kPageSize, "a page"));
  EXPECT_LE(before, *time);
  EXPECT_LE(*time, base::Now());
  EXPECT_FALSE(write(10, "inline"));
  EXPECT_TRUE(write(10, std::string(kPageSize, 'x')));
}

TEST_F(DaemonFileTest, SmallReadsReadsAtTheEndAndReadsWithoutPiecesAreCopied) {
  Write(0, std::string(80 * kPageSize, 'x'));
  const auto sent = [this](uint64_t offset, size_t size, bool gathers) {
    StringSink sink(size, gathers);
    const Result<size_t> count = file_->ReadTo(offset, &sink, /*to_page_cache=*/true, [] {});
    EXPECT_THAT(count, Succeeds());
    EXPECT_EQ(sink.Result(*count), Read(offset, size));
    return sink.sent();
  };
  EXPECT_FALSE(sent(0, kPageSize, true));
  EXPECT_FALSE(sent(20 * kPageSize, 1 << 20, true));
  EXPECT_FALSE(sent(80 * kPageSize, 1 << 20, true));
  EXPECT_FALSE(sent(0, 1 << 20, false));
  EXPECT_TRUE(sent(0, 1 << 20, true));
}

TEST_F(DaemonFileTest, TheLargestReadOfNoncontiguousPagesFitsASend) {
  // Two files alternate in the arena, so no two pages of a file are contiguous.
  DaemonFile other(account_.get(), NewFileRecord(records_.get()), &storage_);
  for (uint64_t page = 0; page < 300; ++page) {
    Write(page * kPageSize, std::string(kPageSize, static_cast<char>('a' + page % 26)));
    ASSERT_THAT(other.Write(page * kPageSize, std::string(kPageSize, '-')), Succeeds());
  }
  StringSink sink(1 << 20, /*gathers=*/true);
  const Result<size_t> count = file_->ReadTo(10, &sink, /*to_page_cache=*/true, [] {});
  ASSERT_THAT(count, Succeeds());
  EXPECT_TRUE(sink.sent());
  EXPECT_EQ(sink.pieces(), 257u);
  EXPECT_EQ(sink.Result(*count), Read(10, 1 << 20));
}

TEST_F(DaemonFileTest, MorePiecesThanASendAcceptsAreCopied) {
  DaemonFile other(account_.get(), NewFileRecord(records_.get()), &storage_);
  constexpr uint64_t kPages = ReadSink::kMaxPieces + 10;
  for (uint64_t page = 0; page < kPages; ++page) {
    Write(page * kPageSize, std::string(kPageSize, static_cast<char>('a' + page % 26)));
    ASSERT_THAT(other.Write(page * kPageSize, std::string(kPageSize, '-')), Succeeds());
  }
  StringSink sink(kPages * kPageSize, /*gathers=*/true);
  const Result<size_t> count = file_->ReadTo(0, &sink, /*to_page_cache=*/true, [] {});
  ASSERT_THAT(count, Succeeds());
  EXPECT_FALSE(sink.sent());
  EXPECT_EQ(sink.Result(*count), Read(0, kPages * kPageSize));
}

// Pages that fallocate(2) reserved, once or twice, have no memory. Reading them must not allocate
// any.
TEST_F(DaemonFileTest, AReadAllocatesNoMemoryForReservedPages) {
  ASSERT_THAT(file_->Allocate(0, 64 * kPageSize, /*keep_size=*/false), Succeeds());
  ASSERT_THAT(file_->Allocate(0, 32 * kPageSize, /*keep_size=*/false), Succeeds());
  Write(10 * kPageSize, std::string(kPageSize, 'x'));
  Write(40 * kPageSize, std::string(kPageSize, 'x'));
  EXPECT_EQ(*file_->SeekData(0), 0u);
  EXPECT_EQ(*file_->SeekHole(0), 32 * kPageSize);
  DaemonFile copy(account_.get(), NewFileRecord(records_.get()), &storage_);
  ASSERT_THAT(copy.CopyFrom(file_.get(), 0, 0, 64 * kPageSize), Succeeds());
  struct stat before, after;
  ASSERT_EQ(fstat(arena_->descriptor(), &before), 0);
  StringSink sink(64 * kPageSize, /*gathers=*/true);
  const Result<size_t> count = file_->ReadTo(0, &sink, /*to_page_cache=*/true, [] {});
  ASSERT_THAT(count, Succeeds());
  EXPECT_TRUE(sink.sent());
  EXPECT_EQ(sink.Result(*count), Read(0, 64 * kPageSize));
  StringSink copied(64 * kPageSize, /*gathers=*/true);
  const Result<size_t> copied_count = copy.ReadTo(0, &copied, /*to_page_cache=*/true, [] {});
  ASSERT_THAT(copied_count, Succeeds());
  EXPECT_EQ(copied.Result(*copied_count), Read(0, 64 * kPageSize));
  ASSERT_EQ(fstat(arena_->descriptor(), &after), 0);
  EXPECT_EQ(after.st_blocks, before.st_blocks);
}

// The memory file accepts a part of the data.
TEST_F(DaemonFileTest, AWriteThatTheMemoryFileCutsIsShort) {
  Write(0, std::string(kPageSize, 'a'));  // the arena grows before the limit is set
  Result<size_t> written = size_t{0}, none = size_t{0};
  {
    // Page 1 of the arena is used. Page 2 fits, and ten bytes of page 3.
    PrepareRecords();
    const MemoryFileLimit limit(3 * kPageSize + 10);
    written = TryWrite(kPageSize, std::string(4 * kPageSize, 'b'));
    none = TryWrite(8 * kPageSize, std::string(4 * kPageSize, 'b'));
  }
  ASSERT_THAT(written, Succeeds());
  EXPECT_EQ(*written, kPageSize + 10);
  EXPECT_THAT(none, Fails(ENOSPC));
  EXPECT_EQ(file_->size(), 2 * kPageSize + 10);
  EXPECT_EQ(arena_->pages_in_use(), 3u);
  EXPECT_EQ(Used(), 40 + 80 + 3 * kPageSize);  // the table has slots for twelve pages
  ASSERT_THAT(file_->Truncate(4 * kPageSize), Succeeds());
  EXPECT_EQ(Read(0, 1 << 20), std::string(kPageSize, 'a') + std::string(kPageSize + 10, 'b') +
                                  std::string(2 * kPageSize - 10, '\0'));
}

TEST_F(DaemonFileTest, AShortWriteLeavesNothingInReservedPages) {
  // The file has pages 1 to 4 of the arena.
  ASSERT_THAT(file_->Allocate(0, 4 * kPageSize, /*keep_size=*/true), Succeeds());
  ASSERT_THAT(file_->Allocate(0, 4 * kPageSize, /*keep_size=*/true), Succeeds());
  Result<size_t> written = size_t{0};
  {
    PrepareRecords();
    const MemoryFileLimit limit(2 * kPageSize + 10);
    written = TryWrite(0, std::string(3 * kPageSize, 'x'));
  }
  ASSERT_THAT(written, Succeeds());
  EXPECT_EQ(*written, kPageSize + 10);
  Write(4 * kPageSize - 1, "y");
  EXPECT_EQ(Read(0, 1 << 20),
            std::string(kPageSize + 10, 'x') + std::string(3 * kPageSize - 11, '\0') + "y");
}

TEST_F(DaemonFileTest, AShortWriteKeepsSharedPagesThatItDidNotFill) {
  const std::string old(4 * kPageSize, 'o');
  Write(0, old);
  DaemonFile other(account_.get(), NewFileRecord(records_.get()), &storage_);
  ASSERT_THAT(other.CopyFrom(file_.get(), 0, 0, old.size()), Succeeds());
  const uint64_t used = Used();
  Result<size_t> written = size_t{0};
  {
    // Pages 1 to 4 of the arena are shared. All of the data of pages 0 and 1 of the file is
    // written, to pages 5 and 6, and only ten bytes of page 2.
    PrepareRecords();
    const MemoryFileLimit limit(7 * kPageSize + 10);
    written = TryWrite(100, std::string(4 * kPageSize - 100, 'x'));
  }
  ASSERT_THAT(written, Succeeds());
  EXPECT_EQ(*written, 2 * kPageSize - 100);
  EXPECT_EQ(Read(0, 1 << 20), std::string(100, 'o') + std::string(2 * kPageSize - 100, 'x') +
                                  old.substr(2 * kPageSize));
  EXPECT_EQ(Used(), used);
  std::string copy(old.size(), '#');
  ASSERT_THAT(other.Read(0, absl::MakeSpan(copy.data(), copy.size())), Succeeds());
  EXPECT_EQ(copy, old);
  EXPECT_EQ(arena_->pages_in_use(), 8u);
}

TEST_F(DaemonFileTest, ZeroRangeFailsIfAPageCannotBeCleared) {
  base::UniqueFd file(memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_TRUE(file.valid());
  const int descriptor = file.get();
  file_.reset();
  auto arena = Arena::Make(std::move(file));
  ASSERT_TRUE(arena.ok());
  arena_ = *std::move(arena);
  storage_ = {arena_.get(), records_.get()};
  file_ = NewFile();
  Write(0, std::string(3 * kPageSize, 'x'));
  ASSERT_EQ(fcntl(descriptor, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
  EXPECT_THAT(file_->ZeroRange(0, 3 * kPageSize, /*keep_size=*/false), Fails(ENOSPC));
  EXPECT_EQ(Read(0, 1 << 20), std::string(3 * kPageSize, 'x'));
  file_.reset();
}

TEST_F(DaemonFileTest, ReleasesEverythingAtTheEnd) {
  Write(0, std::string(10000, 'x'));
  Write(uint64_t{1} << 33, "x");
  ASSERT_THAT(file_->Allocate(uint64_t{1} << 50, 10000, false), Succeeds());
  file_.reset();
  EXPECT_EQ(Used(), 0u);
  EXPECT_EQ(arena_->pages_in_use(), 0u);
  file_ = NewFile();
  Write(7, "tiny");
  file_.reset();
  EXPECT_EQ(Used(), 0u);
}

// Reads as the kernel does to fill its page cache; returns whether the kernel must drop its cached
// attributes.
bool FillCache(DaemonFile* file, uint64_t offset, size_t size) {
  StringSink sink(size);
  bool attributes_stale = false;
  EXPECT_THAT(file->ReadTo(offset, &sink, /*to_page_cache=*/true, [&] { attributes_stale = true; }),
              Succeeds());
  return attributes_stale;
}

// The result of SEEK_DATA and SEEK_HOLE in pages: "0-3 8-9".
std::string DataPages(DaemonFile* file) {
  std::string pages;
  uint64_t at = 0;
  for (;;) {
    const Result<uint64_t> data = file->SeekData(at);
    if (!data.ok()) break;
    const Result<uint64_t> hole = file->SeekHole(*data);
    EXPECT_THAT(hole, Succeeds());
    EXPECT_GT(*hole, *data);
    absl::StrAppend(&pages, pages.empty() ? "" : " ", *data / kPageSize, "-",
                    (*hole - 1) / kPageSize);
    at = *hole;
  }
  return pages;
}

TEST_F(DaemonFileTest, HolesThatTheKernelReadAreDataWhileTheFileMayBeMapped) {
  FileOpen open;
  ASSERT_THAT(file_->Truncate(64 * kPageSize), Succeeds());
  Write(20 * kPageSize, std::string(kPageSize, 'x'));
  ASSERT_THAT(file_->Open(O_RDWR, &open), Succeeds());
  EXPECT_TRUE(open.keep_cache);
  EXPECT_EQ(DataPages(file_.get()), "20-20");
  EXPECT_EQ(file_->Validity(), kCacheForever);
  EXPECT_TRUE(FillCache(file_.get(), 4 * kPageSize, 4 * kPageSize));
  // The kernel no longer caches the attributes.
  EXPECT_FALSE(FillCache(file_.get(), 8 * kPageSize, kPageSize));
  EXPECT_FALSE(FillCache(file_.get(), 20 * kPageSize, kPageSize));
  EXPECT_EQ(file_->Validity(), 0u);
  EXPECT_EQ(DataPages(file_.get()), "4-8 20-20");
  EXPECT_EQ(*file_->SeekData(5 * kPageSize + 7), 5 * kPageSize + 7);
  EXPECT_EQ(*file_->SeekHole(6 * kPageSize), 9 * kPageSize);
  // A second open for reading and writing keeps this state.
  ASSERT_THAT(file_->Open(O_RDWR, &open), Succeeds());
  file_->Close(O_RDWR);
  EXPECT_EQ(DataPages(file_.get()), "4-8 20-20");
  file_->Close(O_RDWR);
  EXPECT_EQ(DataPages(file_.get()), "20-20");
  EXPECT_EQ(file_->Validity(), kCacheForever);
}

TEST_F(DaemonFileTest, HolesThatAProgramReadAreHoles) {
  FileOpen open;
  ASSERT_THAT(file_->Truncate(64 * kPageSize), Succeeds());
  ASSERT_THAT(file_->Open(O_RDWR, &open), Succeeds());
  StringSink sink(4 * kPageSize);
  EXPECT_THAT(file_->ReadTo(0, &sink, /*to_page_cache=*/false, [] {}), Succeeds());
  EXPECT_EQ(DataPages(file_.get()), "");
}

TEST_F(DaemonFileTest, AnEmptyLookingFileHasABlockWhileTheKernelMayHoldData) {
  FileOpen open;
  ASSERT_THAT(file_->Truncate(64 * kPageSize), Succeeds());
  ASSERT_THAT(file_->Open(O_RDWR, &open), Succeeds());
  EXPECT_EQ(file_->blocks(), 0u);
  FillCache(file_.get(), 0, kPageSize);
  EXPECT_EQ(file_->blocks(), 8u);
  file_->Close(O_RDWR);
  EXPECT_EQ(file_->blocks(), 0u);
}

TEST_F(DaemonFileTest, AFileWithInlineDataHasNoFurtherBlocksForReadHoles) {
  FileOpen open;
  Write(0, std::string(600, 'x'));
  ASSERT_THAT(file_->Truncate(64 * kPageSize), Succeeds());
  ASSERT_THAT(file_->Open(O_RDWR, &open), Succeeds());
  EXPECT_EQ(file_->blocks(), 2u);
  FillCache(file_.get(), kPageSize, kPageSize);
  EXPECT_EQ(file_->blocks(), 8u);
  file_->Close(O_RDWR);
  EXPECT_EQ(file_->blocks(), 2u);
}

TEST_F(DaemonFileTest, ReservedPagesThatTheKernelReadAreDataToo) {
  FileOpen open;
  ASSERT_THAT(file_->Allocate(0, 8 * kPageSize, false), Succeeds());
  ASSERT_THAT(file_->Open(O_RDWR, &open), Succeeds());
  FillCache(file_.get(), 2 * kPageSize, 2 * kPageSize);
  EXPECT_EQ(DataPages(file_.get()), "2-3");
}

TEST_F(DaemonFileTest, OpensThatCannotMapForWritingLeaveHolesAlone) {
  ASSERT_THAT(file_->Truncate(64 * kPageSize), Succeeds());
  for (const uint32_t flags : {O_RDONLY, O_WRONLY}) {
    FileOpen open;
    ASSERT_THAT(file_->Open(flags, &open), Succeeds());
    EXPECT_TRUE(open.keep_cache);
    EXPECT_FALSE(FillCache(file_.get(), 0, 4 * kPageSize));
    EXPECT_EQ(DataPages(file_.get()), "");
    file_->Close(flags);
  }
}

// Through the page cache, a program can map what the kernel has read for another program, without a
// request.
TEST_F(DaemonFileTest, AnOpenForWritingDropsHolesThatTheKernelReadBefore) {
  FileOpen open;
  ASSERT_THAT(file_->Truncate(64 * kPageSize), Succeeds());
  FillCache(file_.get(), 0, kPageSize);
  ASSERT_THAT(file_->Open(O_RDWR, &open), Succeeds());
  EXPECT_FALSE(open.keep_cache);
  FillCache(file_.get(), 2 * kPageSize, kPageSize);
  EXPECT_EQ(DataPages(file_.get()), "2-2");
  file_->Close(O_RDWR);
  FileOpen again;
  ASSERT_THAT(file_->Open(O_RDWR, &again), Succeeds());
  EXPECT_FALSE(again.keep_cache);
  EXPECT_EQ(DataPages(file_.get()), "");
  file_->Close(O_RDWR);
  // The kernel has read nothing in between.
  FileOpen third;
  ASSERT_THAT(file_->Open(O_RDWR, &third), Succeeds());
  EXPECT_TRUE(third.keep_cache);
}

TEST_F(DaemonFileTest, AFileWithoutHolesKeepsItsCache) {
  Write(0, std::string(8 * kPageSize, 'x'));
  FillCache(file_.get(), 0, 8 * kPageSize);
  FileOpen open;
  ASSERT_THAT(file_->Open(O_RDWR, &open), Succeeds());
  EXPECT_TRUE(open.keep_cache);
  FillCache(file_.get(), 0, 8 * kPageSize);
  EXPECT_EQ(file_->Validity(), kCacheForever);
}

TEST_F(DaemonFileTest, WithCollectedWritesAnyDataMayBeInTheKernel) {
  arena_->set_writeback_cache(true);
  ASSERT_THAT(file_->Truncate(64 * kPageSize), Succeeds());
  Write(20 * kPageSize, std::string(kPageSize, 'x'));
  for (const uint32_t flags : {O_WRONLY, O_RDWR}) {
    FileOpen open;
    ASSERT_THAT(file_->Open(flags, &open), Succeeds());
    EXPECT_TRUE(open.attributes_stale);
    EXPECT_EQ(file_->Validity(), 0u);
    EXPECT_EQ(file_->blocks(), 64u * 8);
    EXPECT_THAT(file_->SeekData(0), Fails(EINVAL));
    EXPECT_THAT(file_->SeekHole(0), Fails(EINVAL));
    file_->Close(flags);
    EXPECT_EQ(file_->Validity(), kCacheForever);
    EXPECT_EQ(file_->blocks(), 8u);
    EXPECT_EQ(DataPages(file_.get()), "20-20");
  }
  FileOpen open;
  ASSERT_THAT(file_->Open(O_RDONLY, &open), Succeeds());
  EXPECT_FALSE(open.attributes_stale);
  EXPECT_EQ(DataPages(file_.get()), "20-20");
}

}  // namespace
}  // namespace memfuse::memfs
