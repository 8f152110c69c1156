#include "src/memfs/data/passthrough_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/memfs/fake_backing_files.h"
#include "tests/memfs/passthrough_store_test_base.h"

namespace memfuse::memfs {
namespace {

using test::Fails;
using test::Succeeds;
using ::testing::HasSubstr;

size_t OpenDescriptors() {
  size_t count = 0;
  DIR* const dir = opendir("/proc/self/fd");
  while (readdir(dir) != nullptr) ++count;  // NOLINT(concurrency-mt-unsafe): the stream is local
  closedir(dir);
  return count;
}

class PassthroughStoreTest : public PassthroughTestBase {
 protected:
  // The bytes that Grow has granted, and the size of the tmpfs.
  uint64_t Sum() const {
    return budget_.bytes_used() + budget_.bytes_free() + store_->data_bytes() +
           store_->free_bytes();
  }
  // Fills the tmpfs to the last page through a separate file.
  std::unique_ptr<FileData> Fill() {
    std::unique_ptr<FileData> file = NewFile();
    const std::string data(1 << 20, 'x');
    Result<size_t> more = size_t{0};
    for (uint64_t offset = 0; more.ok(); offset += *more) {
      more = file->Write(offset, data);
      if (!more.ok()) break;
    }
    EXPECT_THAT(more, Fails(ENOSPC));
    EXPECT_EQ(store_->free_bytes(), 0u);
    return file;
  }
};

TEST_F(PassthroughStoreTest, TakesTheOptionsOfTmpfs) {
  for (const char* huge : {"never", "within_size", "advise", "always"}) {
    // A kernel without huge pages accepts only "never".
    if (std::string(huge) != "never" && access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0) {
      continue;
    }
    SCOPED_TRACE(huge);
    PrivateTmpfsOptions options = PassthroughLimit(kLimit);
    options.huge = huge;
    MakeStore(options);
    const auto file = NewFile();
    EXPECT_THAT(file->Write(0, std::string("data")), Succeeds());
    EXPECT_EQ(Read(file.get(), 0, 9), "data");
  }
}

TEST_F(PassthroughStoreTest, RefusesAHugeThatTmpfsDoesNotKnow) {
  store_.reset();
  PrivateTmpfsOptions options = PassthroughLimit(kLimit);
  options.huge = "sometimes";
  const absl::Status status = PassthroughStore::Make(options, &ids_, &budget_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("huge=sometimes"));
  // The budget has its own limit.
  EXPECT_EQ(budget_.bytes_free(), kLimit);
}

// A remount without the option would count as a change, and the kernel would refuse it.
TEST_F(PassthroughStoreTest, GrowsWithNoswapToo) {
  PrivateTmpfsOptions options = PassthroughLimit(kLimit);
  options.noswap = true;
  store_.reset();
  auto store = PassthroughStore::Make(options, &ids_, &budget_);
  if (!store.ok()) {  // Linux before 6.4 lacks the option; the error says so
    EXPECT_EQ(store.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(store.status().message()), HasSubstr("noswap"));
    return;
  }
  ASSERT_TRUE(store.ok()) << store.status();
  store_ = *std::move(store);
  EXPECT_TRUE(budget_.ReserveBytes(kLimit / 2));
  EXPECT_LE(store_->free_bytes(), kLimit / 2);
  EXPECT_EQ(Sum(), kLimit);
  budget_.ReleaseBytes(kLimit / 2);
}

TEST_F(PassthroughStoreTest, BeginsWithTheBytesOfTheBudget) {
  store_.reset();
  EXPECT_EQ(budget_.bytes_free(), kLimit);
  ASSERT_TRUE(budget_.ReserveBytes(5 * kPageSize + 1));
  MakeStore(PassthroughLimit(kLimit));
  EXPECT_EQ(store_->free_bytes(), kLimit - 6 * kPageSize);
  EXPECT_EQ(Sum(), kLimit);
  store_.reset();
  EXPECT_EQ(budget_.bytes_free(), kLimit - 5 * kPageSize - 1);
}

TEST_F(PassthroughStoreTest, KeepsALimitThatIsNoMultipleOfThePageSize) {
  for (const uint64_t limit : {100 * kPageSize + 1, 101 * kPageSize - 1}) {
    MakeStore(PassthroughLimit(limit));
    EXPECT_LE(Sum(), limit);
    ASSERT_TRUE(budget_.ReserveBytes(3 * kPageSize));
    EXPECT_LE(Sum(), limit);
    budget_.ReleaseBytes(3 * kPageSize);
    store_.reset();
  }
}

TEST_F(PassthroughStoreTest, RefusesALimitWithoutRoomForAPage) {
  store_.reset();
  for (const uint64_t limit : {uint64_t{0}, uint64_t{1}, kPageSize - 1}) {
    EXPECT_EQ(PassthroughStore::Make(PassthroughLimit(limit), &ids_, &budget_).status().code(),
              absl::StatusCode::kInvalidArgument)
        << limit;
  }
  MakeStore(PassthroughLimit(kPageSize));
  EXPECT_EQ(Sum(), kPageSize);
  store_.reset();
  ASSERT_TRUE(budget_.ReserveBytes(1));
  EXPECT_EQ(PassthroughStore::Make(PassthroughLimit(kPageSize), &ids_, &budget_).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(budget_.bytes_free(), kLimit - 1);
}

TEST_F(PassthroughStoreTest, AllFreePagesCanBeWrittenAndNoMore) {
  const auto file = NewFile();
  const uint64_t free = store_->free_bytes();
  EXPECT_EQ(free, kLimit);
  for (uint64_t offset = 0; offset < free; offset += 1 << 20) {
    ASSERT_EQ(*file->Write(offset, std::string(1 << 20, 'x')), uint64_t{1} << 20);
  }
  EXPECT_EQ(store_->free_bytes(), 0u);
  EXPECT_EQ(store_->data_bytes(), free);
  EXPECT_THAT(file->Write(free, std::string("y")), Fails(ENOSPC));
  auto other = NewFile();
  EXPECT_THAT(other->Write(0, std::string("y")), Fails(ENOSPC));
  EXPECT_EQ(other->blocks(), 0u);
  // An existing page can be overwritten. A released page can be used again, once.
  EXPECT_THAT(file->Write(free - 1, std::string("y")), Succeeds());
  ASSERT_THAT(file->PunchHole(0, kPageSize), Succeeds());
  EXPECT_EQ(store_->free_bytes(), kPageSize);
  EXPECT_THAT(other->Write(0, std::string("y")), Succeeds());
  EXPECT_THAT(file->Write(0, std::string("y")), Fails(ENOSPC));
  other.reset();
  EXPECT_THAT(file->Write(0, std::string("y")), Succeeds());
}

TEST_F(PassthroughStoreTest, ADeletedFileReleasesItsPages) {
  auto file = Fill();
  file.reset();
  EXPECT_EQ(store_->data_bytes(), 0u);
  EXPECT_EQ(store_->free_bytes(), kLimit);
}

TEST_F(PassthroughStoreTest, BytesReservedByTheBudgetAreNotFreeForData) {
  ASSERT_TRUE(budget_.ReserveBytes(kLimit / 2));
  EXPECT_LE(store_->free_bytes(), kLimit / 2);
  EXPECT_EQ(Sum(), kLimit);
  auto file = Fill();
  EXPECT_EQ(Sum(), kLimit);
  file.reset();
  budget_.ReleaseBytes(kLimit / 2);
  // The store takes nothing back before data needs it.
  EXPECT_LE(store_->free_bytes(), kLimit / 2);
  store_->ReleaseUnused(/*all=*/true);
  EXPECT_EQ(store_->free_bytes(), kLimit);
  EXPECT_EQ(budget_.bytes_free(), 0u);
}

TEST_F(PassthroughStoreTest, TheLimitChangesWithGrantedBytes) {
  ASSERT_TRUE(budget_.ReserveBytes(kLimit / 2));
  EXPECT_THAT(store_->SetSizeLimit(kLimit / 2), Fails(EINVAL));  // no room for a page of data
  EXPECT_EQ(Sum(), kLimit);
  EXPECT_EQ(budget_.total(), kLimit);
  budget_.ReleaseBytes(kLimit / 2);
  // Granted unused bytes are no reason to refuse.
  EXPECT_THAT(store_->SetSizeLimit(kLimit / 4), Succeeds());
  EXPECT_EQ(Sum(), kLimit / 4);
  EXPECT_EQ(budget_.total(), kLimit / 4);
  EXPECT_FALSE(budget_.ReserveBytes(kLimit / 4));
  auto file = Fill();
  EXPECT_THAT(store_->SetSizeLimit(kLimit / 4 - kPageSize), Fails(EINVAL));
  EXPECT_EQ(Sum(), kLimit / 4);
  EXPECT_THAT(store_->SetSizeLimit(2 * kLimit), Succeeds());
  EXPECT_EQ(Sum(), 2 * kLimit);
  EXPECT_TRUE(budget_.ReserveBytes(kLimit));
  EXPECT_EQ(Sum(), 2 * kLimit);
  budget_.ReleaseBytes(kLimit);
}

TEST_F(PassthroughStoreTest, GrowsAheadUnlessAllIsRequested) {
  ASSERT_TRUE(budget_.ReserveBytes(kLimit / 2));
  budget_.ReleaseBytes(kLimit / 2);
  store_->ReleaseUnused(/*all=*/false);
  const uint64_t kept = budget_.bytes_free();
  EXPECT_GT(kept, 0u);
  EXPECT_LT(kept, kLimit / 100);
  EXPECT_EQ(store_->free_bytes(), kLimit - kept);
  store_->ReleaseUnused(/*all=*/true);
  EXPECT_EQ(store_->free_bytes(), kLimit);
}

TEST_F(PassthroughStoreTest, GrowFailsWithAFullTmpfs) {
  ASSERT_TRUE(budget_.ReserveBytes(100));
  auto file = Fill();
  // Bytes that were granted before are available.
  const uint64_t granted = budget_.bytes_free();
  EXPECT_FALSE(budget_.ReserveBytes(granted + 1));
  EXPECT_EQ(budget_.bytes_free(), granted);
  EXPECT_TRUE(budget_.ReserveBytes(granted));
  EXPECT_FALSE(budget_.ReserveBytes(1));
  EXPECT_EQ(Sum(), kLimit);
  // Data that shrinks by one page makes one more page available to other uses.
  ASSERT_THAT(file->PunchHole(0, kPageSize), Succeeds());
  EXPECT_FALSE(budget_.ReserveBytes(kPageSize + 1));
  EXPECT_TRUE(budget_.ReserveBytes(kPageSize));
  EXPECT_FALSE(budget_.ReserveBytes(1));
  EXPECT_EQ(store_->free_bytes(), 0u);
  EXPECT_EQ(Sum(), kLimit);
  file.reset();
  EXPECT_TRUE(budget_.ReserveBytes(kLimit / 2));
}

TEST_F(PassthroughStoreTest, GrowGrantsAllButOnePageAndRefusesHugeAmounts) {
  EXPECT_FALSE(budget_.ReserveBytes(kLimit - kPageSize + 1));
  EXPECT_FALSE(budget_.ReserveBytes(~uint64_t{0}));
  EXPECT_FALSE(budget_.ReserveBytes(~uint64_t{0} - kPageSize));
  EXPECT_EQ(budget_.bytes_used(), 0u);
  // A size of 0 would mean no limit to tmpfs.
  EXPECT_TRUE(budget_.ReserveBytes(kLimit - kPageSize));
  EXPECT_EQ(store_->free_bytes(), kPageSize);
}

// Data and other uses take and release by turns. The sum stays the limit.
TEST_F(PassthroughStoreTest, TheSumOfDataAndReservationsIsTheLimit) {
  constexpr uint64_t kSmall = uint64_t{8} << 20;
  MakeStore(PassthroughLimit(kSmall));
  const auto file = NewFile();
  std::mt19937_64 random(1);
  std::vector<uint64_t> reserved;
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    const uint64_t amount = 1 + random() % 300000;
    switch (random() % 5) {
      case 0:
      case 1:
        if (budget_.ReserveBytes(amount)) {
          reserved.push_back(amount);
        } else {
          ++refused;
        }
        break;
      case 2:
        if (reserved.empty()) break;
        budget_.ReleaseBytes(reserved.back());
        reserved.pop_back();
        break;
      case 3:
        if (!file->Allocate(random() % kSmall, amount, /*keep_size=*/true).ok()) ++refused;
        break;
      default:
        ASSERT_THAT(file->PunchHole(random() % kSmall, amount), Succeeds());
        store_->ReleaseUnused(random() % 2 == 0);
    }
    ASSERT_EQ(Sum(), kSmall) << "in step " << i;
  }
  EXPECT_GT(refused, 10);
}

TEST_F(PassthroughStoreTest, ManyFilesUseNoDescriptors) {
  const size_t before = OpenDescriptors();
  std::vector<std::unique_ptr<FileData>> files;
  for (int i = 0; i < 10000; ++i) {
    files.push_back(NewFile());
    ASSERT_THAT(files.back()->Write(0, std::to_string(i)), Succeeds());
  }
  EXPECT_EQ(OpenDescriptors(), before);
  EXPECT_EQ(store_->data_bytes(), 10000 * kPageSize);
  EXPECT_EQ(Read(files[1234].get(), 0, 9), "1234");
  files.clear();
  EXPECT_EQ(store_->data_bytes(), 0u);
}

TEST_F(PassthroughStoreTest, HasWritersSeesOpenFilesAndMappings) {
  const InodeNumber ino{7};
  base::UniqueFd writer = *store_->CreateFile(ino, O_RDWR);
  ASSERT_EQ(ftruncate(writer.get(), kPageSize), 0);
  EXPECT_TRUE(store_->HasWriters(ino));
  void* const map = mmap(nullptr, kPageSize, PROT_READ, MAP_SHARED, writer.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  writer.reset();
  // A program can make the mapping writable.
  EXPECT_TRUE(store_->HasWriters(ino));
  munmap(map, kPageSize);
  EXPECT_FALSE(store_->HasWriters(ino));
  const base::UniqueFd reader = *store_->OpenFile(ino, O_RDONLY);
  EXPECT_FALSE(store_->HasWriters(ino));
  writer = *store_->OpenFile(ino, O_WRONLY);
  EXPECT_TRUE(store_->HasWriters(ino));
  // If the kernel cannot answer, the file counts as written to.
  EXPECT_TRUE(store_->HasWriters(InodeNumber{8}));
}

TEST_F(PassthroughStoreTest, AFileIsThereUntilItIsRemoved) {
  const InodeNumber ino{7};
  EXPECT_THAT(store_->StatFile(ino), Fails(EIO));
  EXPECT_THAT(store_->OpenFile(ino, O_RDONLY), Fails(EIO));
  ASSERT_THAT(store_->CreateFile(ino, O_RDONLY), Succeeds());
  EXPECT_THAT(store_->StatFile(ino), Succeeds());
  EXPECT_THAT(store_->OpenFile(ino, O_RDONLY), Succeeds());
  store_->RemoveFile(ino);
  EXPECT_THAT(store_->StatFile(ino), Fails(EIO));
}

TEST_F(PassthroughStoreTest, TestsBackingFilesBeforeItUsesThem) {
  FakeBackingFiles backing;
  backing.FailWith(EPERM);
  absl::Status status = store_->UseBackingFiles(&backing);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "it needs CAP_SYS_ADMIN in the initial user namespace");
  backing.FailWith(ELOOP);
  status = store_->UseBackingFiles(&backing);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the kernel refuses backing files: "));
  EXPECT_EQ(store_->backing_files(), nullptr);

  backing.FailWith(0);
  EXPECT_TRUE(store_->UseBackingFiles(&backing).ok());
  EXPECT_EQ(store_->backing_files(), &backing);
  // The test of backing files leaves nothing behind.
  EXPECT_EQ(backing.count(), 0u);
  EXPECT_THAT(store_->StatFile(kNoInode), Fails(EIO));
  store_->ForgetBackingFiles();
  EXPECT_EQ(store_->backing_files(), nullptr);
}

}  // namespace
}  // namespace memfuse::memfs
