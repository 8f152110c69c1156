// A file of the private tmpfs with passthrough reads and writes. A test acts as the kernel through
// FakeBackingFiles, and as the inode, whose times the fixture keeps.

#ifndef MEMFUSE_TESTS_MEMFS_PASSTHROUGH_FILE_KERNEL_TEST_BASE_H_
#define MEMFUSE_TESTS_MEMFS_PASSTHROUGH_FILE_KERNEL_TEST_BASE_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>

#include "src/base/clock.h"
#include "src/memfs/data/passthrough_file.h"
#include "tests/memfs/fake_backing_files.h"
#include "tests/memfs/passthrough_store_test_base.h"

namespace memfuse::memfs {

class PassthroughFileKernelTestBase : public PassthroughTestBase {
 protected:
  void SetUp() override {
    PassthroughTestBase::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    Begin();
  }
  void TearDown() override { store_->ForgetBackingFiles(); }
  void Begin() {
    ASSERT_TRUE(store_->UseBackingFiles(&backing_).ok());
    file_ = NewFile();
    const Timestamp now = base::Now();
    times_ = {now, now, now};
  }

  int32_t Open(uint32_t flags) {
    FileOpen open;
    EXPECT_THAT(file_->Open(flags, &open), test::Succeeds());
    EXPECT_EQ(open.direct_io, (flags & O_APPEND) != 0);
    return open.backing_id;
  }
  CacheSeconds Sync() { return file_->SyncFromBackingFile(&times_); }
  // utimensat(2), as the inode implements it.
  void Choose(Timestamp atime, Timestamp mtime) {
    (void)Sync();
    times_ = {atime, mtime, base::Now()};
    file_->SetBackingTimes(times_, /*chosen=*/true);
  }
  // Opens the file as the kernel does after a reply to OPEN.
  base::UniqueFd Serve(int32_t id, int flags) {
    base::UniqueFd file = backing_.Open(id, flags);
    EXPECT_TRUE(file.valid());
    return file;
  }
  static void Write(const base::UniqueFd& file, off_t offset, const std::string& data) {
    ASSERT_EQ(pwrite(file.get(), data.data(), data.size(), offset),
              static_cast<ssize_t>(data.size()));
  }
  static constexpr Timestamp kOld{1000, 1};

  FakeBackingFiles backing_;
  std::unique_ptr<FileData> file_;
  Times times_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_TESTS_MEMFS_PASSTHROUGH_FILE_KERNEL_TEST_BASE_H_
