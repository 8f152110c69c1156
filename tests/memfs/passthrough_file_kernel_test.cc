// A file of the private tmpfs with passthrough reads and writes: Open and Close, size and blocks,
// mappings.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "tests/memfs/passthrough_file_kernel_test_base.h"

namespace memfuse::memfs {
namespace {

using base::UniqueFd;
using test::Fails;
using test::Succeeds;

class PassthroughFileKernelTest : public PassthroughFileKernelTestBase {
 protected:
  // Leaves one page of the closed file mapped for writing.
  char* LeaveMapped(uint64_t size) {
    const int32_t id = Open(O_RDWR);
    UniqueFd served = Serve(id, O_RDWR);
    EXPECT_EQ(ftruncate(served.get(), static_cast<off_t>(size)), 0);
    void* const map = mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, served.get(), 0);
    EXPECT_NE(map, MAP_FAILED);
    served.reset();
    file_->Close(O_RDWR);
    return static_cast<char*>(map);
  }
};

TEST_F(PassthroughFileKernelTest, OpensShareABackingFileThatStaysCached) {
  const int32_t first = Open(O_RDONLY);
  EXPECT_GT(first, 0);
  EXPECT_EQ(Open(O_RDWR), first);
  EXPECT_EQ(backing_.count(), 1u);
  file_->Close(O_RDONLY);
  EXPECT_EQ(backing_.count(), 1u);
  EXPECT_EQ(Open(O_WRONLY), first);
  file_->Close(O_RDWR);
  file_->Close(O_WRONLY);
  EXPECT_EQ(backing_.count(), 1u);
  EXPECT_EQ(Open(O_RDONLY), first);
  EXPECT_EQ(backing_.count(), 1u);
  file_->Close(O_RDONLY);
  file_.reset();
  EXPECT_EQ(backing_.count(), 0u);
}

TEST_F(PassthroughFileKernelTest, ANewerEntryEvictsABackingFile) {
  const uint64_t ino = ToInt(last_ino());
  const int32_t first = Open(O_RDONLY);
  file_->Close(O_RDONLY);
  PassthroughFile neighbour(account_.get(), NewFileRecord(records_.get(), InodeNumber{ino + 1}),
                            store_.get());
  PassthroughFile rival(account_.get(),
                        NewFileRecord(records_.get(), InodeNumber{ino + BackingIdCache::kPlaces}),
                        store_.get());
  FileOpen open;
  ASSERT_THAT(neighbour.Open(O_RDONLY, &open), Succeeds());
  neighbour.Close(O_RDONLY);
  EXPECT_EQ(backing_.count(), 2u);
  ASSERT_THAT(rival.Open(O_RDONLY, &open), Succeeds());
  EXPECT_EQ(backing_.count(), 3u);
  rival.Close(O_RDONLY);
  EXPECT_EQ(backing_.count(), 2u);
  EXPECT_NE(Open(O_RDONLY), first);
  EXPECT_EQ(backing_.count(), 3u);
}

TEST_F(PassthroughFileKernelTest, BackingFilesAreUnregisteredWithTheConnection) {
  (void)Open(O_RDONLY);
  const auto other = NewFile();
  FileOpen open;
  ASSERT_THAT(other->Open(O_RDONLY, &open), Succeeds());
  file_->Close(O_RDONLY);
  store_->ForgetBackingFiles();
  other->Close(O_RDONLY);
  FakeBackingFiles next;
  EXPECT_TRUE(store_->UseBackingFiles(&next).ok());
  for (FileData* file : {static_cast<FileData*>(file_.get()), other.get()}) {
    FileOpen again;
    ASSERT_THAT(file->Open(O_RDONLY, &again), Succeeds());
    EXPECT_TRUE(next.Open(again.backing_id, O_RDONLY).valid());
  }
  EXPECT_EQ(next.count(), 2u);
  store_->ForgetBackingFiles();
}

TEST_F(PassthroughFileKernelTest, EachFileHasABackingFileOfItsOwn) {
  const int32_t id = Open(O_RDWR);
  const auto other = NewFile();
  FileOpen open;
  ASSERT_THAT(other->Open(O_RDWR, &open), Succeeds());
  EXPECT_NE(open.backing_id, id);
  Write(Serve(open.backing_id, O_RDWR), 0, "other");
  EXPECT_EQ(Read(file_.get(), 0, 9), "");
  EXPECT_EQ(Read(other.get(), 0, 9), "other");
}

TEST_F(PassthroughFileKernelTest, AFailureToRegisterIsAFailureToOpen) {
  for (const int error : {EPERM, ENOMEM, ENFILE}) {
    backing_.FailWith(error);
    FileOpen open;
    EXPECT_THAT(file_->Open(O_RDWR, &open), Fails(error));
    EXPECT_EQ(open.backing_id, 0);
  }
  // None of them counts as an open for the attributes.
  (void)Sync();
  EXPECT_EQ(Sync(), kCacheForever);
  backing_.FailWith(0);
  EXPECT_GT(Open(O_RDONLY), 0);
  file_->Close(O_RDONLY);
  EXPECT_EQ(backing_.count(), 1u);
}

TEST_F(PassthroughFileKernelTest, AFullTmpfsStillOpensAFile) {
  const auto filler = NewFile();
  ASSERT_THAT(filler->Allocate(0, store_->free_bytes(), /*keep_size=*/true), Succeeds());
  EXPECT_GT(Open(O_RDWR), 0);
  file_->Close(O_RDWR);
}

TEST_F(PassthroughFileKernelTest, WithoutBackingFilesEachReadAndWriteIsARequest) {
  store_->ForgetBackingFiles();
  FileOpen open;
  ASSERT_THAT(file_->Open(O_RDWR, &open), Succeeds());
  EXPECT_TRUE(open.direct_io);
  EXPECT_EQ(open.backing_id, 0);
  EXPECT_EQ(Sync(), kCacheForever);
  file_->Close(O_RDWR);
  EXPECT_EQ(Sync(), kCacheForever);
}

TEST_F(PassthroughFileKernelTest, RefreshSeesTheKernelsWrites) {
  const int32_t id = Open(O_WRONLY);
  (void)Sync();
  times_ = {kOld, kOld, kOld};
  const UniqueFd served = Serve(id, O_WRONLY);
  Write(served, 0, std::string(kPageSize + 1, 'x'));
  EXPECT_EQ(Sync(), kCacheForever);
  EXPECT_EQ(file_->size(), kPageSize + 1);
  EXPECT_EQ(file_->blocks(), 16u);
  EXPECT_LT(kOld, times_.mtime);
  EXPECT_LT(kOld, times_.ctime);
  EXPECT_EQ(times_.atime, kOld);
  // Refresh again, while the file is open and after it was closed.
  Write(served, 0, std::string(3 * kPageSize, 'x'));
  (void)Sync();
  EXPECT_EQ(file_->size(), 3 * kPageSize);
  Write(served, 0, std::string(4 * kPageSize, 'x'));
  file_->Close(O_WRONLY);
  EXPECT_EQ(Sync(), kCacheForever);
  EXPECT_EQ(file_->size(), 4 * kPageSize);
  EXPECT_EQ(file_->blocks(), 32u);
}

TEST_F(PassthroughFileKernelTest, CallsAndTheKernelSeeEachOthersWrites) {
  const int32_t id = Open(O_RDWR);
  const UniqueFd served = Serve(id, O_RDWR);
  Write(served, 0, "kernel");
  EXPECT_EQ(Read(file_.get(), 0, 9), "kernel");
  ASSERT_THAT(file_->Write(2, std::string("call")), Succeeds());
  EXPECT_EQ(file_->size(), 6u);
  char bytes[6];
  ASSERT_EQ(pread(served.get(), bytes, 6, 0), 6);
  EXPECT_EQ(std::string(bytes, 6), "kecall");
  const Result<Resized> resized = file_->Truncate(3);
  EXPECT_TRUE(resized->changed);
  EXPECT_TRUE(resized->had_data);
  struct stat now;
  ASSERT_EQ(fstat(served.get(), &now), 0);
  EXPECT_EQ(now.st_size, 3);
}

TEST_F(PassthroughFileKernelTest, AttributesOfAFileThatMayBeMappedAreNotCached) {
  (void)Open(O_WRONLY);
  (void)Open(O_RDONLY);
  EXPECT_EQ(Sync(), kCacheForever);
  (void)Open(O_RDWR);
  EXPECT_EQ(Sync(), 0u);
  file_->Close(O_WRONLY);
  file_->Close(O_RDWR);
  // A mapping may exist while any process has the file open. The store finds out only then.
  EXPECT_EQ(Sync(), 0u);
  file_->Close(O_RDONLY);
  EXPECT_EQ(Sync(), kCacheForever);
}

TEST_F(PassthroughFileKernelTest, StoresThroughAMappingThatOutlivedTheFileAreSeen) {
  char* const map = LeaveMapped(kPageSize);
  EXPECT_EQ(Sync(), 0u);
  EXPECT_EQ(file_->size(), kPageSize);
  EXPECT_EQ(file_->blocks(), 0u);
  map[0] = 'x';
  EXPECT_EQ(Sync(), 0u);
  EXPECT_EQ(file_->blocks(), 8u);
  EXPECT_EQ(Read(file_.get(), 0, 1), "x");
  // An open and a close in between do not change this.
  (void)Open(O_RDONLY);
  file_->Close(O_RDONLY);
  EXPECT_EQ(Sync(), 0u);
  munmap(map, kPageSize);
  EXPECT_EQ(Sync(), kCacheForever);
}

TEST_F(PassthroughFileKernelTest, TheLastStoreThroughAMappingIsSeenAfterUnmap) {
  char* const map = LeaveMapped(kPageSize);
  EXPECT_EQ(Sync(), 0u);
  map[0] = 'x';
  munmap(map, kPageSize);
  EXPECT_EQ(Sync(), kCacheForever);
  EXPECT_EQ(file_->blocks(), 8u);
}

TEST_F(PassthroughFileKernelTest, AClosedFileIsNotStattedAgain) {
  char* const map = LeaveMapped(kPageSize);
  munmap(map, kPageSize);
  EXPECT_EQ(Sync(), kCacheForever);
  EXPECT_EQ(file_->size(), kPageSize);
  // No program can do this. It writes without an open that the store knows of, so only fstat would
  // show it.
  const UniqueFd behind = *store_->OpenFile(last_ino(), O_RDWR);
  ASSERT_EQ(ftruncate(behind.get(), 5), 0);
  EXPECT_EQ(Sync(), kCacheForever);
  EXPECT_EQ(file_->size(), kPageSize);
  // The next open makes the store call fstat again.
  (void)Open(O_RDONLY);
  (void)Sync();
  EXPECT_EQ(file_->size(), 5u);
}

}  // namespace
}  // namespace memfuse::memfs
