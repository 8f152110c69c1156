// Limits, STATFS, and properties of every operation.

#include "memfuse/memory_filesystem.h"

#include <unistd.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "src/memfs/data/arena.h"
#include "tests/memfs/memfs_test_base.h"

namespace memfuse::memfs {
namespace {

class MemoryFileSystemTest : public MemFsTest {
 protected:
  MemoryFileSystemTest() : MemFsTest(SmallOptions(1000 * kPageSize + 5, 100)) {}

  FileSystemStatistics Statfs() const { return Must(fs_->Statfs(me_.context(), {kRootInode})); }
};

TEST(MakeMemoryFileSystem, RefusesLimitsTooSmallForTheRoot) {
  for (const uint64_t bytes : {0, 1, 100}) {
    EXPECT_EQ(MemoryFileSystem::Make(SmallOptions(bytes)).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bytes;
  }
  EXPECT_EQ(MemoryFileSystem::Make(SmallOptions(1 << 20, 0)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(MemoryFileSystem::Make(SmallOptions(4096, 1)).ok());
}

TEST(MakeMemoryFileSystem, TheRootHasTheAttributesOfTheOptions) {
  MemoryFileSystemOptions options;
  options.root_mode = S_IFREG | 01750;
  options.root_uid = 12;
  options.root_gid = 34;
  const auto fs = MakeMemFs(options);
  const Attributes root = Must(Caller(fs.get()).Getattr(kRootInode)).attributes;
  EXPECT_EQ(root.ino, kRootInode);
  EXPECT_EQ(root.mode, static_cast<uint32_t>(S_IFDIR | 01750));
  EXPECT_EQ(root.uid, 12u);
  EXPECT_EQ(root.gid, 34u);
  EXPECT_EQ(root.nlink, 2u);
}

TEST(MakeMemoryFileSystem, TheDestructorDropsExistingFiles) {
  const auto fs = MakeMemFs({});
  const Caller me(fs.get());
  const InodeNumber dir = Ino(me.Mkdir(kRootInode, "dir"));
  const InodeNumber file = Ino(me.Create(dir, "file"));
  ASSERT_THAT(me.Write(file, 0, std::string(100000, 'x')), Succeeds());
  ASSERT_THAT(me.Link(file, kRootInode, "other"), Succeeds());
  ASSERT_THAT(me.Tmpfile(dir), Succeeds());
  ASSERT_THAT(me.Rmdir(kRootInode, "dir"), Fails(ENOTEMPTY));
}

TEST_F(MemoryFileSystemTest, StatfsMatchesTheUsage) {
  const FileSystemStatistics empty = Statfs();
  EXPECT_EQ(empty.block_size, 4096u);
  EXPECT_EQ(empty.name_max, 255u);
  EXPECT_EQ(empty.blocks, 1000u);
  EXPECT_EQ(empty.blocks_free, (1000 * kPageSize + 5 - empty_.bytes_used) / kPageSize);
  EXPECT_EQ(empty.blocks_available, empty.blocks_free);
  EXPECT_EQ(empty.inodes, 100u);
  EXPECT_EQ(empty.inodes_free, 99u);

  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  ASSERT_THAT(me_.Write(file, 0, std::string(100 * kPageSize, 'x')), Succeeds());
  const FileSystemStatistics used = Statfs();
  EXPECT_EQ(used.inodes_free, 98u);
  EXPECT_EQ(used.blocks_free, (1000 * kPageSize + 5 - fs_->Usage().bytes_used) / kPageSize);
  EXPECT_LE(used.blocks_free, empty.blocks_free - 100);

  // Exactly the bytes that statfs reports as free can be written, except for the file's page table.
  uint64_t written = 0;
  Result<size_t> more = size_t{0};
  while ((more = me_.Write(file, 100 * kPageSize + written, std::string(50000, 'y'))).ok()) {
    written += *more;
  }
  EXPECT_EQ(more.error_or_zero(), ENOSPC);
  EXPECT_LE(written / kPageSize, used.blocks_free);
  EXPECT_GE(written / kPageSize, used.blocks_free - 2);
  EXPECT_EQ(Statfs().blocks_free, 0u);
}

TEST_F(MemoryFileSystemTest, UsageCountsUnlinkedFilesThatAreOpen) {
  const InodeNumber file = Ino(me_.Create(kRootInode, "file"));
  ASSERT_THAT(me_.Write(file, 0, std::string(100 * kPageSize, 'x')), Succeeds());
  ASSERT_THAT(me_.Unlink(kRootInode, "file"), Succeeds());
  me_.Forget(file);
  EXPECT_EQ(fs_->Usage().inodes_used, 2u);
  EXPECT_EQ(fs_->Usage().data_bytes, 100u * 4096);
  EXPECT_EQ(Statfs().inodes_free, 98u);
  ASSERT_THAT(me_.Release(file), Succeeds());
  EXPECT_EQ(Statfs().inodes_free, 99u);
  ExpectEmpty();
}

TEST_F(MemoryFileSystemTest, ReleasingMemoryKeepsStoredData) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  ASSERT_THAT(me_.Write(file, 0, "data"), Succeeds());
  const MemoryFileSystemUsage used = fs_->Usage();
  for (int i = 0; i < 3; ++i) fs_->ReleaseUnusedMemory();
  EXPECT_EQ(fs_->Usage().bytes_used, used.bytes_used);
  EXPECT_EQ(Must(me_.Read(file, 0, 9)), "data");
}

TEST_F(MemoryFileSystemTest, EveryOperationFailsWithEstaleForARemovedInode) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  for (const InodeNumber gone : {GoneInode(), kNoInode, InodeNumber{~uint64_t{0}}}) {
    const RequestContext& context = me_.context();
    Listing listing;
    const std::vector<std::pair<std::string, int>> results = {
        {"lookup", me_.Lookup(gone, "file").error_or_zero()},
        {"getattr", me_.Getattr(gone).error_or_zero()},
        {"setattr", me_.Chmod(gone, 0).error_or_zero()},
        {"statx", fs_->Statx(context, {gone, {}}).error_or_zero()},
        {"access", fs_->Access(context, {gone, R_OK}).error_or_zero()},
        {"readlink", me_.Readlink(gone).error_or_zero()},
        {"symlink", me_.Symlink(gone, "new", "to").error_or_zero()},
        {"mknod", me_.Mknod(gone, "new").error_or_zero()},
        {"mkdir", me_.Mkdir(gone, "new").error_or_zero()},
        {"create", me_.Create(gone, "new").error_or_zero()},
        {"tmpfile", me_.Tmpfile(gone).error_or_zero()},
        {"link from", me_.Link(gone, kRootInode, "new").error_or_zero()},
        {"link to", me_.Link(file, gone, "new").error_or_zero()},
        {"unlink", me_.Unlink(gone, "file").error_or_zero()},
        {"rmdir", me_.Rmdir(gone, "file").error_or_zero()},
        {"rename from", me_.Rename(gone, "file", kRootInode, "new").error_or_zero()},
        {"rename to", me_.Rename(kRootInode, "file", gone, "new").error_or_zero()},
        {"open", me_.Open(gone).error_or_zero()},
        {"release", me_.Release(gone).error_or_zero()},
        {"read", me_.Read(gone, 0, 1).error_or_zero()},
        {"write", me_.Write(gone, 0, "x").error_or_zero()},
        {"fallocate", me_.Fallocate(gone, 0, 0, 1).error_or_zero()},
        {"lseek", me_.Lseek(gone, 0, SEEK_DATA).error_or_zero()},
        {"copy from", me_.Copy(gone, 0, file, 0, 1).error_or_zero()},
        {"copy to", me_.Copy(file, 0, gone, 0, 1).error_or_zero()},
        {"readdir", me_.Readdir(gone, 0, false, &listing).error_or_zero()},
        {"setxattr", me_.Setxattr(gone, "user.a", "v").error_or_zero()},
        {"getxattr", me_.Getxattr(gone, "user.a").error_or_zero()},
        {"listxattr", me_.Listxattr(gone).error_or_zero()},
        {"removexattr", me_.Removexattr(gone, "user.a").error_or_zero()},
        {"ioctl", fs_->Ioctl(context, {gone, {}, 0, 0, {}, 0, false}).error_or_zero()},
    };
    for (const auto& [operation, error] : results) EXPECT_EQ(error, ESTALE) << operation;
  }
}

}  // namespace
}  // namespace memfuse::memfs
