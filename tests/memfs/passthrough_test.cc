// MemFs over the private tmpfs, with passthrough files. The tests act as the kernel through
// FakeBackingFiles.

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "tests/memfs/passthrough_test_base.h"

namespace memfuse::memfs {
namespace {

using base::UniqueFd;

TEST_F(PassthroughTest, AttributesFollowTheKernelsWrites) {
  const CreateResult made = Create("file", O_RDWR);
  const InodeNumber file = made.entry.ino;
  AgeTimes(file);
  const UniqueFd served = Serve(made.open, O_RDWR);
  Write(served, 5, "data");
  EXPECT_EQ(MovedTimes(file), "mc");
  EXPECT_EQ(Stat(file).size, 9u);
  EXPECT_EQ(Stat(file).blocks, 8u);
  Write(served, kPageSize, "more");
  EXPECT_EQ(Must(me_.Lookup(kRootInode, "file")).attributes.size, kPageSize + 4);
  Write(served, 2 * kPageSize, "more");
  EXPECT_EQ(Must(fs_->Statx(me_.context(), {file, {}})).attributes.blocks, 24u);
  EXPECT_EQ(fs_->Usage().data_bytes, 3 * kPageSize);
  EXPECT_EQ(Must(me_.Read(file, 5, 4)), "data");
}

TEST_F(PassthroughTest, AChangeOfOwnerChargesTheKernelsLastWrites) {
  constexpr uint32_t kUid = 1000;
  EXPECT_THAT(fs_->SetQuota({QuotaKind::kUser, kUid, 32 * kPageSize, kNoQuota}), Succeeds());
  const CreateResult made = Create("file", O_WRONLY);
  const InodeNumber file = made.entry.ino;
  const UniqueFd served = Serve(made.open, O_WRONLY);
  Write(served, 0, std::string(64 * kPageSize, 'x'));
  EXPECT_THAT(me_.Chown(file, kUid, 0), Fails(EDQUOT));
  EXPECT_EQ(Stat(file).uid, 0u);
  ASSERT_EQ(ftruncate(served.get(), 16 * kPageSize), 0);
  EXPECT_THAT(me_.Chown(file, kUid, 0), Succeeds());
}

// The times of the kernel's last write stay when the quota refuses a change of owner.
TEST_F(PassthroughTest, ARefusedChangeOfOwnerKeepsTheTimesOfTheKernelsLastWrite) {
  EXPECT_THAT(fs_->SetQuota({QuotaKind::kUser, 1000, kPageSize, kNoQuota}), Succeeds());
  const CreateResult made = Create("file", O_WRONLY);
  const InodeNumber file = made.entry.ino;
  AgeTimes(file);
  const UniqueFd served = Serve(made.open, O_WRONLY);
  Write(served, 0, std::string(4 * kPageSize, 'x'));
  EXPECT_THAT(me_.Chown(file, 1000, 0), Fails(EDQUOT));
  EXPECT_EQ(MovedTimes(file), "mc");
}

TEST_F(PassthroughTest, AttributesAreNotCachedWhileAFileMayBeMapped) {
  const CreateResult made = Create("file", O_RDWR);
  const InodeNumber file = made.entry.ino;
  EXPECT_EQ(made.entry.attributes_valid, 0u);
  EXPECT_EQ(Valid(file), 0u);
  EXPECT_EQ(Must(me_.Lookup(kRootInode, "file")).attributes_valid, 0u);
  EXPECT_EQ(Must(fs_->Statx(me_.context(), {file, {}})).attributes_valid, 0u);
  EXPECT_EQ(Must(me_.Chmod(file, 0600)).attributes_valid, 0u);
  ASSERT_THAT(me_.Release(file, O_RDWR), Succeeds());
  EXPECT_EQ(Valid(file), kCacheForever);
  for (const uint32_t flags : {O_RDONLY, O_WRONLY}) {
    ASSERT_THAT(me_.Open(file, flags), Succeeds());
    EXPECT_EQ(Valid(file), kCacheForever);
    EXPECT_EQ(Must(me_.Chmod(file, 0600)).attributes_valid, kCacheForever);
    ASSERT_THAT(me_.Release(file, flags), Succeeds());
  }
  EXPECT_EQ(Create("other", O_WRONLY).entry.attributes_valid, kCacheForever);
  EXPECT_EQ(Must(me_.Tmpfile(kRootInode, 0600, 0, O_RDWR)).entry.attributes_valid, 0u);
}

TEST_F(PassthroughTest, AMappingThatOutlivesItsFileIsSeen) {
  const CreateResult made = Create("file", O_RDWR);
  const InodeNumber file = made.entry.ino;
  ASSERT_THAT(me_.Truncate(file, kPageSize), Succeeds());
  UniqueFd served = Serve(made.open, O_RDWR);
  void* const map = mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, served.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  served.reset();
  ASSERT_THAT(me_.Release(file, O_RDWR), Succeeds());
  EXPECT_EQ(Valid(file), 0u);
  EXPECT_EQ(Stat(file).blocks, 0u);
  static_cast<char*>(map)[7] = 'x';
  EXPECT_EQ(Stat(file).blocks, 8u);
  EXPECT_EQ(Must(me_.Read(file, 7, 1)), "x");
  munmap(map, kPageSize);
  EXPECT_EQ(Valid(file), kCacheForever);
}

TEST_F(PassthroughTest, AnUnlinkedFileThatIsOpenKeepsItsData) {
  const CreateResult made = Create("file", O_RDWR);
  const InodeNumber file = made.entry.ino;
  const UniqueFd served = Serve(made.open, O_RDWR);
  Write(served, 0, "before");
  ASSERT_THAT(me_.Unlink(kRootInode, "file"), Succeeds());
  me_.Forget(file);
  Write(served, 6, " and after");
  EXPECT_EQ(Stat(file).size, 16u);
  EXPECT_EQ(Stat(file).nlink, 0u);
  EXPECT_EQ(Must(me_.Read(file, 0, 99)), "before and after");
  EXPECT_EQ(fs_->Usage().data_bytes, kPageSize);
  ASSERT_THAT(me_.Release(file, O_RDWR), Succeeds());
  EXPECT_THAT(me_.Getattr(file), Fails(ESTALE));
  // A descriptor that is open in the kernel still has its page.
  EXPECT_EQ(fs_->Usage().data_bytes, kPageSize);
}

TEST_F(PassthroughTest, EverythingIsReleased) {
  for (const bool temporary : {false, true}) {
    const CreateResult made =
        temporary ? Must(me_.Tmpfile(kRootInode, 0600, 0, O_RDWR)) : Create("file", O_RDWR);
    const InodeNumber file = made.entry.ino;
    Write(Serve(made.open, O_RDWR), 0, std::string(100000, 'x'));
    ASSERT_THAT(me_.Fallocate(file, FALLOC_FL_KEEP_SIZE, 200000, 100000), Succeeds());
    ASSERT_THAT(me_.Setxattr(file, "user.a", std::string(5000, 'v')), Succeeds());
    EXPECT_GE(fs_->Usage().bytes_used, empty_.bytes_used + 200000);
    if (!temporary) {
      ASSERT_THAT(me_.Unlink(kRootInode, "file"), Succeeds());
    }
    ASSERT_THAT(me_.Release(file, O_RDWR), Succeeds());
    me_.Forget(file);
    ExpectNothingLeft();
  }
}

TEST_F(PassthroughTest, TruncateAndFallocateApplyToTheKernelsWrites) {
  const CreateResult made = Create("file", O_RDWR);
  const InodeNumber file = made.entry.ino;
  const UniqueFd served = Serve(made.open, O_RDWR);
  Write(served, 0, std::string(3 * kPageSize, 'x'));
  AgeTimes(file);
  EXPECT_EQ(Must(me_.Truncate(file, kPageSize)).attributes.size, kPageSize);
  EXPECT_EQ(MovedTimes(file), "mc");
  EXPECT_EQ(lseek(served.get(), 0, SEEK_END), static_cast<off_t>(kPageSize));
  AgeTimes(file);
  ASSERT_THAT(me_.Fallocate(file, 0, kPageSize, kPageSize), Succeeds());
  EXPECT_EQ(MovedTimes(file), "mc");
  EXPECT_EQ(Stat(file).size, 2 * kPageSize);
  EXPECT_EQ(Stat(file).blocks, 16u);
  ASSERT_THAT(me_.Fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kPageSize),
              Succeeds());
  EXPECT_EQ(Stat(file).blocks, 8u);
  char byte = '#';
  ASSERT_EQ(pread(served.get(), &byte, 1, 0), 1);
  EXPECT_EQ(byte, '\0');
  Write(served, kPageSize, "x");
  EXPECT_EQ(Must(me_.Lseek(file, 0, SEEK_DATA)), kPageSize);
  // Opened again and truncated.
  ASSERT_THAT(me_.Open(file, O_WRONLY), Succeeds());
  ASSERT_THAT(me_.Truncate(file, 0), Succeeds());
  EXPECT_EQ(Stat(file).size, 0u);
  EXPECT_EQ(lseek(served.get(), 0, SEEK_END), 0);
}

TEST_F(PassthroughTest, CopiesRecentWritesOfTheKernel) {
  const CreateResult in = Create("in", O_RDWR);
  const CreateResult out = Create("out", O_RDWR);
  Write(Serve(in.open, O_RDWR), 0, "from the kernel");
  AgeTimes(in.entry.ino);
  AgeTimes(out.entry.ino);
  EXPECT_EQ(Must(me_.Copy(in.entry.ino, 5, out.entry.ino, 0, 99)), 10u);
  EXPECT_EQ(MovedTimes(in.entry.ino), "");
  EXPECT_EQ(MovedTimes(out.entry.ino), "mc");
  EXPECT_EQ(Must(me_.Read(out.entry.ino, 0, 99)), "the kernel");
  EXPECT_EQ(Stat(out.entry.ino).size, 10u);
}

TEST_F(PassthroughTest, AFileThatCannotBeRegisteredIsNotMade) {
  backing_.FailWith(ENOMEM);
  EXPECT_THAT(me_.Create(kRootInode, "file", 0644, 0, O_RDWR), Fails(ENOMEM));
  EXPECT_THAT(me_.Tmpfile(kRootInode, 0600, 0, O_RDWR), Fails(ENOMEM));
  EXPECT_THAT(me_.Lookup(kRootInode, "file"), Fails(ENOENT));
  ExpectNothingLeft();
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  EXPECT_THAT(me_.Open(file, O_RDWR), Fails(ENOMEM));
  EXPECT_EQ(Valid(file), kCacheForever);
  ASSERT_THAT(me_.Unlink(kRootInode, "file"), Succeeds());
  me_.Forget(file);
  ExpectNothingLeft();
}

TEST_F(PassthroughTest, FreeBytesOfStatfsCanBeWritten) {
  // A file was stored and removed. Its reserved bytes count as free again.
  for (int i = 0; i < 500; ++i) {
    const std::string name = "file" + std::to_string(i);
    me_.Forget(Ino(me_.Mknod(kRootInode, name)));
  }
  for (int i = 0; i < 500; ++i) {
    ASSERT_THAT(me_.Unlink(kRootInode, "file" + std::to_string(i)), Succeeds());
  }
  const CreateResult made = Create("file", O_RDWR);
  const UniqueFd served = Serve(made.open, O_RDWR);
  const uint64_t free = Must(fs_->Statfs(me_.context(), {kRootInode})).blocks_free * kPageSize;
  EXPECT_GT(free, kLimit - 4 * kPageSize);
  ASSERT_EQ(posix_fallocate(served.get(), 0, static_cast<off_t>(free)), 0);
  EXPECT_EQ(Must(fs_->Statfs(me_.context(), {kRootInode})).blocks_free, 0u);
  EXPECT_EQ(pwrite(served.get(), "x", 1, static_cast<off_t>(free)), -1);
  EXPECT_EQ(errno, ENOSPC);
  // There is no space for names either.
  Result<Entry> more = me_.Mknod(kRootInode, "0");
  for (int i = 1; more.ok(); ++i) more = me_.Mknod(kRootInode, std::to_string(i));
  EXPECT_THAT(more, Fails(ENOSPC));
  EXPECT_LE(fs_->Usage().bytes_used, kLimit);
}

}  // namespace
}  // namespace memfuse::memfs
