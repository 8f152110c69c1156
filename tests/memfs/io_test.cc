// OPEN, RELEASE, READ, WRITE, FALLOCATE, LSEEK, IOCTL.

#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <string>

#include "src/base/clock.h"
#include "tests/memfs/memfs_test_base.h"
#include "tests/testing/fake_host.h"
#include "tests/testing/kernel_version.h"
#include "tests/testing/read_sinks.h"

namespace memfuse::memfs {
namespace {

constexpr uint64_t kBeyondMaxOffset = uint64_t{1} << 63;

class IoTest : public MemFsTest {
 protected:
  const InodeNumber file_ = Ino(me_.Mknod(kRootInode, "the file", 0644));
  const InodeNumber link_ = Ino(me_.Symlink(kRootInode, "the link", "to"));
  const InodeNumber fifo_ = Ino(me_.Mknod(kRootInode, "the fifo", S_IFIFO | 0600));
};

TEST_F(IoTest, OpenErrors) {
  EXPECT_THAT(me_.Open(GoneInode(), O_TRUNC), Fails(ESTALE));
  EXPECT_THAT(me_.Open(kRootInode, O_TRUNC), Fails(EISDIR));
  EXPECT_THAT(me_.Open(Ino(me_.Mknod(kRootInode, "socket", S_IFSOCK)), O_TRUNC), Fails(ENXIO));
  EXPECT_THAT(me_.Open(link_, O_TRUNC), Fails(EINVAL));
}

TEST_F(IoTest, OpenKeepsCachedPages) {
  const OpenResult open = Must(me_.Open(file_));
  EXPECT_TRUE(open.keep_cache);
  EXPECT_FALSE(open.direct_io);
  EXPECT_EQ(open.backing_id, 0);
}

TEST_F(IoTest, OpenTruncatesOnRequest) {
  ASSERT_THAT(me_.Write(file_, 0, "data"), Succeeds());
  ASSERT_THAT(me_.Chmod(file_, 06755), Succeeds());
  AgeTimes(file_);
  ASSERT_THAT(me_.Open(file_, O_RDWR), Succeeds());
  EXPECT_EQ(Stat(file_).size, 4u);
  EXPECT_EQ(MovedTimes(file_), "");
  ASSERT_THAT(me_.Open(file_, O_RDWR | O_TRUNC), Succeeds());
  EXPECT_EQ(Stat(file_).size, 0u);
  EXPECT_EQ(MovedTimes(file_), "mc");
  EXPECT_EQ(Stat(file_).mode & 07777, 06755u);
  ASSERT_THAT(me_.Open(file_, O_RDWR | O_TRUNC, /*kill_suidgid=*/true), Succeeds());
  EXPECT_EQ(Stat(file_).mode & 07777, 0755u);
}

TEST_F(IoTest, ReleaseMoreOftenThanOpenIsHarmless) {
  ASSERT_THAT(me_.Release(file_), Succeeds());
  ASSERT_THAT(me_.Open(file_), Succeeds());
  ASSERT_THAT(me_.Unlink(kRootInode, "the file"), Succeeds());
  me_.Forget(file_);
  EXPECT_THAT(me_.Getattr(file_), Succeeds());
  ASSERT_THAT(me_.Release(file_), Succeeds());
  EXPECT_THAT(me_.Getattr(file_), Fails(ESTALE));
}

TEST_F(IoTest, ReadErrors) {
  EXPECT_THAT(me_.Read(GoneInode(), 0, 1), Fails(ESTALE));
  EXPECT_THAT(me_.Read(kRootInode, 0, 1), Fails(EISDIR));
  EXPECT_THAT(me_.Read(link_, 0, 1), Fails(EINVAL));
  EXPECT_THAT(me_.Read(fifo_, 0, 1), Fails(EINVAL));
}

TEST_F(IoTest, ReadsExistingData) {
  ASSERT_THAT(me_.Write(file_, 10000, "end"), Succeeds());
  EXPECT_EQ(Must(me_.Read(file_, 9999, 100)), std::string("\0end", 4));
  EXPECT_EQ(Must(me_.Read(file_, 10003, 100)), "");
  EXPECT_EQ(Must(me_.Read(file_, ~uint64_t{0}, 100)), "");
  EXPECT_EQ(Must(me_.Read(file_, 0, 3)), std::string(3, '\0'));
}

TEST_F(IoTest, WriteErrors) {
  EXPECT_THAT(me_.Write(GoneInode(), kBeyondMaxOffset, "x"), Fails(ESTALE));
  EXPECT_THAT(me_.Write(kRootInode, kBeyondMaxOffset, "x"), Fails(EISDIR));
  EXPECT_THAT(me_.Write(link_, kBeyondMaxOffset, "x"), Fails(EINVAL));
  EXPECT_THAT(me_.Write(file_, kBeyondMaxOffset, "x"), Fails(EFBIG));
  EXPECT_THAT(me_.Write(file_, kBeyondMaxOffset - 2, "xx"), Fails(EFBIG));
  EXPECT_EQ(Stat(file_).size, 0u);
}

TEST_F(IoTest, AWriteMovesTimesAndClearsPrivileges) {
  ASSERT_THAT(me_.Chmod(file_, 06755), Succeeds());
  ASSERT_THAT(me_.Setxattr(file_, kCapabilityName, "cap"), Succeeds());
  AgeTimes(file_);
  ASSERT_THAT(me_.Write(file_, 0, "x"), Succeeds());
  EXPECT_EQ(MovedTimes(file_), "mc");
  EXPECT_EQ(Stat(file_).mode & 07777, 06755u);
  EXPECT_THAT(me_.Getxattr(file_, kCapabilityName), Fails(ENODATA));
  ASSERT_THAT(me_.Write(file_, 0, "x", /*kill_suidgid=*/true), Succeeds());
  EXPECT_EQ(Stat(file_).mode & 07777, 0755u);
}

// Writes to pages get their timestamps from another file of the kernel than other changes do.
TEST_F(IoTest, ChangesOfBothKindsHaveTimestampsInOrder) {
  const std::string data(2 * 4096, 'x');
  Timestamp last = Stat(file_).ctime;
  for (int i = 0; i < 500; ++i) {
    ASSERT_THAT(me_.Chmod(file_, 0600), Succeeds());
    const Timestamp changed = Stat(file_).ctime;
    ASSERT_LE(last, changed);
    ASSERT_THAT(me_.Write(file_, 0, data), Succeeds());
    const Attributes written = Stat(file_);
    ASSERT_EQ(written.mtime, written.ctime);
    ASSERT_LE(changed, written.mtime);
    if (test::KernelAtLeast(6, 13)) {
      ASSERT_LT(changed, written.mtime);
    }
    last = written.mtime;
  }
}

TEST_F(IoTest, AccessTimesFollowRelatime) {
  ASSERT_THAT(me_.Write(file_, 0, "data"), Succeeds());
  AgeTimes(file_);  // not after mtime
  ASSERT_THAT(me_.Read(file_, 0, 1, O_NOATIME), Succeeds());
  EXPECT_EQ(MovedTimes(file_), "");
  ASSERT_THAT(me_.Read(file_, 0, 1), Succeeds());
  EXPECT_EQ(MovedTimes(file_), "a");

  const auto set = [&](Timestamp atime) {
    SetattrRequest request{};
    request.ino = file_;
    request.atime = {TimeChange::Kind::kSet, atime};
    request.mtime = {TimeChange::Kind::kSet, kOld};
    request.ctime = kOld;
    Must(me_.Setattr(request));
  };
  // Atime is newer than mtime and ctime and less than a day old, so it stays.
  const Timestamp hour_ago{base::Now().seconds - 3600, 0};
  set(hour_ago);
  ASSERT_THAT(me_.Read(file_, 0, 1), Succeeds());
  EXPECT_EQ(Stat(file_).atime, hour_ago);
  // Atime is newer than mtime and ctime, but more than a day old.
  const Timestamp long_ago{base::Now().seconds - 25 * 3600, 0};
  set(long_ago);
  ASSERT_THAT(me_.Read(file_, 0, 1), Succeeds());
  EXPECT_NE(Stat(file_).atime, long_ago);
}

TEST_F(IoTest, ListingMovesADirectorysAccessTimeFromItsBeginningOnly) {
  AgeTimes(kRootInode);
  Listing listing;
  ASSERT_THAT(me_.Readdir(kRootInode, 2, false, &listing), Succeeds());
  EXPECT_EQ(MovedTimes(kRootInode), "");
  ASSERT_THAT(me_.Readdir(kRootInode, 0, false, &listing), Succeeds());
  EXPECT_EQ(MovedTimes(kRootInode), "a");
}

TEST_F(IoTest, FallocateErrorsComeInTheirOrder) {
  EXPECT_THAT(me_.Fallocate(GoneInode(), FALLOC_FL_COLLAPSE_RANGE, 0, 0), Fails(ESTALE));
  for (const uint32_t mode : {0u + FALLOC_FL_COLLAPSE_RANGE, 0u + FALLOC_FL_INSERT_RANGE,
                              0u + FALLOC_FL_UNSHARE_RANGE, 0u + FALLOC_FL_PUNCH_HOLE,
                              0u + (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE), 0x80000000u}) {
    EXPECT_THAT(me_.Fallocate(kRootInode, mode, 0, 0), Fails(EOPNOTSUPP)) << mode;
  }
  EXPECT_THAT(me_.Fallocate(kRootInode, 0, 0, 0), Fails(EINVAL));
  EXPECT_THAT(me_.Fallocate(kRootInode, 0, kBeyondMaxOffset, 1), Fails(EISDIR));
  EXPECT_THAT(me_.Fallocate(fifo_, 0, kBeyondMaxOffset, 1), Fails(ENODEV));
  EXPECT_THAT(me_.Fallocate(link_, 0, kBeyondMaxOffset, 1), Fails(ENODEV));
  EXPECT_THAT(me_.Fallocate(file_, 0, kBeyondMaxOffset, 1), Fails(EFBIG));
  EXPECT_THAT(me_.Fallocate(file_, 0, 1, kBeyondMaxOffset - 1), Fails(EFBIG));
  EXPECT_THAT(me_.Fallocate(file_, 0, 0, kBeyondMaxOffset - 1), Fails(ENOSPC));
  EXPECT_EQ(Stat(file_).size, 0u);
  EXPECT_EQ(Stat(file_).blocks, 0u);
}

TEST_F(IoTest, FallocateModes) {
  ASSERT_THAT(me_.Fallocate(file_, 0, 100, 5000), Succeeds());
  EXPECT_EQ(Stat(file_).size, 5100u);
  EXPECT_EQ(Stat(file_).blocks, 16u);
  ASSERT_THAT(me_.Fallocate(file_, FALLOC_FL_KEEP_SIZE, 0, 12288), Succeeds());
  EXPECT_EQ(Stat(file_).size, 5100u);
  EXPECT_EQ(Stat(file_).blocks, 24u);
  ASSERT_THAT(me_.Write(file_, 0, std::string(12288, 'x')), Succeeds());
  AgeTimes(file_);
  ASSERT_THAT(me_.Fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096),
              Succeeds());
  EXPECT_EQ(MovedTimes(file_), "mc");
  EXPECT_EQ(Stat(file_).blocks, 16u);
  EXPECT_EQ(Must(me_.Read(file_, 4095, 3)), std::string("x\0\0", 3));
  ASSERT_THAT(me_.Fallocate(file_, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 12287, 2),
              Succeeds());
  EXPECT_EQ(Stat(file_).size, 12288u);
  EXPECT_EQ(Must(me_.Read(file_, 12286, 9)), std::string("x\0", 2));
  ASSERT_THAT(me_.Fallocate(file_, FALLOC_FL_ZERO_RANGE, 0, 13000), Succeeds());
  EXPECT_EQ(Stat(file_).size, 13000u);
  EXPECT_EQ(Must(me_.Read(file_, 0, 13000)), std::string(13000, '\0'));
}

TEST_F(IoTest, LseekErrorsComeInTheirOrder) {
  EXPECT_THAT(me_.Lseek(GoneInode(), 0, SEEK_SET), Fails(ESTALE));
  EXPECT_THAT(me_.Lseek(file_, 0, SEEK_SET), Fails(EINVAL));
  EXPECT_THAT(me_.Lseek(file_, 0, SEEK_END), Fails(EINVAL));
  EXPECT_THAT(me_.Lseek(kRootInode, 0, SEEK_DATA), Fails(EINVAL));
  EXPECT_THAT(me_.Lseek(fifo_, 0, SEEK_HOLE), Fails(EINVAL));
  EXPECT_THAT(me_.Lseek(file_, 0, SEEK_DATA), Fails(ENXIO));
  EXPECT_THAT(me_.Lseek(file_, 0, SEEK_HOLE), Fails(ENXIO));
}

TEST_F(IoTest, LseekFindsDataAndHoles) {
  ASSERT_THAT(me_.Write(file_, 8192, "data"), Succeeds());
  ASSERT_THAT(me_.Truncate(file_, 100000), Succeeds());
  EXPECT_EQ(Must(me_.Lseek(file_, 0, SEEK_DATA)), 8192u);
  EXPECT_EQ(Must(me_.Lseek(file_, 8193, SEEK_DATA)), 8193u);
  EXPECT_EQ(Must(me_.Lseek(file_, 5, SEEK_HOLE)), 5u);
  EXPECT_EQ(Must(me_.Lseek(file_, 8192, SEEK_HOLE)), 12288u);
  EXPECT_THAT(me_.Lseek(file_, 12288, SEEK_DATA), Fails(ENXIO));
  EXPECT_EQ(Must(me_.Lseek(file_, 99999, SEEK_HOLE)), 99999u);
  EXPECT_THAT(me_.Lseek(file_, 100000, SEEK_HOLE), Fails(ENXIO));
}

TEST_F(IoTest, NoIoctlIsKnown) {
  IoctlRequest request{};
  request.ino = file_;
  EXPECT_THAT(fs_->Ioctl(me_.context(), request), Fails(ENOTTY));
  request.ino = GoneInode();
  EXPECT_THAT(fs_->Ioctl(me_.context(), request), Fails(ESTALE));
}

class FullIoTest : public MemFsTest {
 protected:
  FullIoTest() : MemFsTest(SmallOptions(100000)) {}
};

TEST_F(FullIoTest, AWriteIsShortWhenSpaceRunsOut) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  const size_t written = Must(me_.Write(file, 0, std::string(200000, 'x')));
  EXPECT_GT(written, 80000u);
  EXPECT_LT(written, 100000u);
  EXPECT_EQ(written % 4096, 0u);
  EXPECT_EQ(Stat(file).size, written);
  AgeTimes(file);
  EXPECT_THAT(me_.Write(file, written, "x"), Fails(ENOSPC));
  EXPECT_EQ(MovedTimes(file), "");
  EXPECT_THAT(me_.Write(file, 0, std::string(written, 'y')), Succeeds());
  ASSERT_THAT(me_.Truncate(file, 4096), Succeeds());
  EXPECT_THAT(me_.Write(file, 50000, "x"), Succeeds());
}

class NoatimeTest : public MemFsTest {
 protected:
  NoatimeTest() : MemFsTest(Options()) {}
  static MemoryFileSystemOptions Options() {
    MemoryFileSystemOptions options;
    options.noatime = true;
    return options;
  }
};

TEST_F(NoatimeTest, ReadsAndListingsMoveNothing) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  ASSERT_THAT(me_.Write(file, 0, "data"), Succeeds());
  AgeTimes(file);
  AgeTimes(kRootInode);
  ASSERT_THAT(me_.Read(file, 0, 1), Succeeds());
  Listing listing;
  ASSERT_THAT(me_.Readdir(kRootInode, 0, false, &listing), Succeeds());
  EXPECT_EQ(MovedTimes(file), "");
  EXPECT_EQ(MovedTimes(kRootInode), "");
}

class NodiratimeTest : public MemFsTest {
 protected:
  NodiratimeTest() : MemFsTest(Options()) {}
  static MemoryFileSystemOptions Options() {
    MemoryFileSystemOptions options;
    options.nodiratime = true;
    return options;
  }
};

TEST_F(NodiratimeTest, ListingsMoveNothing) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  ASSERT_THAT(me_.Write(file, 0, "data"), Succeeds());
  AgeTimes(file);
  AgeTimes(kRootInode);
  ASSERT_THAT(me_.Read(file, 0, 1), Succeeds());
  Listing listing;
  ASSERT_THAT(me_.Readdir(kRootInode, 0, false, &listing), Succeeds());
  EXPECT_EQ(MovedTimes(file), "a");
  EXPECT_EQ(MovedTimes(kRootInode), "");
}

class StrictatimeTest : public MemFsTest {
 protected:
  StrictatimeTest() : MemFsTest(Options()) {}
  static MemoryFileSystemOptions Options() {
    MemoryFileSystemOptions options;
    options.strictatime = true;
    return options;
  }
};

TEST_F(StrictatimeTest, EveryReadMovesTheAccessTime) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  ASSERT_THAT(me_.Write(file, 0, "data"), Succeeds());
  // Atime is newer than mtime and ctime and less than a day old. Relatime would keep it.
  const Timestamp hour_ago{base::Now().seconds - 3600, 0};
  SetattrRequest request{};
  request.ino = file;
  request.atime = {TimeChange::Kind::kSet, hour_ago};
  request.mtime = {TimeChange::Kind::kSet, kOld};
  request.ctime = kOld;
  Must(me_.Setattr(request));
  ASSERT_THAT(me_.Read(file, 0, 1), Succeeds());
  EXPECT_GT(Stat(file).atime.seconds, hour_ago.seconds);
}

// The kernel treats a short count of a write-back as success. The remaining data would be lost
// silently.
TEST_F(IoTest, WriteBackIsNeverShort) {
  MemoryFileSystemOptions options;
  options.size_limit = 1 << 20;
  const auto fs = MakeMemFs(options);
  const Caller me(fs.get());
  const InodeNumber file = Ino(me.Mknod(kRootInode, "file"));
  const std::string data(2 << 20, 'x');
  WriteRequest request;
  request.ino = file;
  request.data = absl::MakeConstSpan(data);
  request.from_page_cache = true;
  EXPECT_THAT(fs->Write({}, request), Fails(ENOSPC));
  request.from_page_cache = false;
  const Result<size_t> written = fs->Write({}, request);
  ASSERT_THAT(written, Succeeds());
  EXPECT_LT(*written, data.size());
}

// The kernel may have cached attributes that are not valid any more once it may write by itself.
TEST(AttributeNotifications, OpensForWritingWithCollectedWritesSendThem) {
  MemoryFileSystemOptions options = SmallOptions(uint64_t{1} << 20);
  options.data = DataKind::kDaemon;
  options.writeback_cache = true;
  const std::unique_ptr<MemFs> fs = MakeMemFs(options);
  test::RecordingNotifier notifier;
  Host host;
  host.notifier = &notifier;
  ASSERT_TRUE(fs->Connected(host).ok());
  const Caller caller(fs.get());
  const InodeNumber file = Ino(caller.Mknod(kRootInode, "file"));
  Must(caller.Open(file, O_RDONLY));
  EXPECT_THAT(notifier.TakeAttributes(), testing::IsEmpty());
  Must(caller.Open(file, O_RDWR));
  EXPECT_THAT(notifier.TakeAttributes(), testing::ElementsAre(file));
  fs->Disconnected();
}

TEST(AttributeNotifications, TheFirstReadOfAHoleThatAProgramMayFillSendsThem) {
  MemoryFileSystemOptions options = SmallOptions(uint64_t{1} << 20);
  options.data = DataKind::kDaemon;
  const std::unique_ptr<MemFs> fs = MakeMemFs(options);
  test::RecordingNotifier notifier;
  Host host;
  host.notifier = &notifier;
  ASSERT_TRUE(fs->Connected(host).ok());
  const Caller caller(fs.get());
  const InodeNumber file = Ino(caller.Mknod(kRootInode, "file"));
  EXPECT_THAT(caller.Truncate(file, 64 * 4096), Succeeds());
  Must(caller.Open(file, O_RDWR));
  const auto read = [&](uint64_t offset) {
    ReadRequest request{};
    request.ino = file;
    request.offset = offset;
    request.to_page_cache = true;
    test::StringSink sink(4096);
    EXPECT_EQ(Must(fs->Read(caller.context(), request, &sink)), 4096u);
  };
  (void)notifier.TakeAttributes();
  read(0);
  EXPECT_THAT(notifier.TakeAttributes(), testing::ElementsAre(file));
  read(0);
  EXPECT_THAT(notifier.TakeAttributes(), testing::IsEmpty());
  fs->Disconnected();
}

}  // namespace
}  // namespace memfuse::memfs
