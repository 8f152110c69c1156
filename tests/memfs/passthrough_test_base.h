// MemFs over the private tmpfs, with passthrough files. A test acts as the kernel through
// FakeBackingFiles.

#ifndef MEMFUSE_TESTS_MEMFS_PASSTHROUGH_TEST_BASE_H_
#define MEMFUSE_TESTS_MEMFS_PASSTHROUGH_TEST_BASE_H_

#include <unistd.h>

#include <cstdint>
#include <string>

#include "tests/memfs/fake_backing_files.h"
#include "tests/memfs/memfs_test_base.h"
#include "tests/memfs/passthrough_store_test_base.h"

namespace memfuse::memfs {

// Fails if no tmpfs can be mounted.
class PassthroughTest : public MemFsTest {
 protected:
  static constexpr uint64_t kLimit = uint64_t{16} << 20;

  PassthroughTest() : MemFsTest(Options()) {}
  void SetUp() override {
    ASSERT_TRUE(MayMountTmpfs()) << "needs root (CAP_SYS_ADMIN)";
    ASSERT_TRUE(fs_->Connected({&backing_}).ok());
  }
  void TearDown() override { fs_->Disconnected(); }

  CreateResult Create(const char* name, uint32_t flags) {
    const CreateResult made = Must(me_.Create(kRootInode, name, 0644, 0, flags));
    EXPECT_GT(made.open.backing_id, 0);
    return made;
  }
  // Opens the file as the kernel does after a reply to OPEN or CREATE.
  base::UniqueFd Serve(const OpenResult& open, int flags) {
    base::UniqueFd file = backing_.Open(open.backing_id, flags);
    EXPECT_TRUE(file.valid());
    return file;
  }
  static void Write(const base::UniqueFd& file, off_t offset, const std::string& data) {
    ASSERT_EQ(pwrite(file.get(), data.data(), data.size(), offset),
              static_cast<ssize_t>(data.size()));
  }
  CacheSeconds Valid(InodeNumber ino) { return Must(me_.Getattr(ino)).attributes_valid; }
  // Waits until the usage is that of an empty file system.
  void ExpectNothingLeft() {
    EXPECT_EQ(backing_.count(), 0u);
    ExpectEmpty();
    EXPECT_EQ(Must(fs_->Statfs(me_.context(), {kRootInode})).blocks_free,
              (kLimit - empty_.bytes_used) / kPageSize);
  }

  FakeBackingFiles backing_;

 private:
  static MemoryFileSystemOptions Options() {
    MemoryFileSystemOptions options = SmallOptions(kLimit);
    // Without the privilege to mount, only the fixture exists and there is nothing to test.
    options.data = MayMountTmpfs() ? DataKind::kPassthrough : DataKind::kDaemon;
    return options;
  }
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_TESTS_MEMFS_PASSTHROUGH_TEST_BASE_H_
