// Fixture of the tests that drive MemFs through the FileSystem interface.

#ifndef MEMFUSE_TESTS_MEMFS_MEMFS_TEST_BASE_H_
#define MEMFUSE_TESTS_MEMFS_MEMFS_TEST_BASE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "src/memfs/ops/memfs.h"
#include "tests/testing/caller.h"
#include "tests/testing/listing.h"
#include "tests/testing/result_matchers.h"

namespace memfuse::memfs {

using memfuse::test::Caller;
using memfuse::test::Fails;
using memfuse::test::Listing;
using memfuse::test::Succeeds;

// Unwraps the result of a set-up step; ends the test program if the step failed.
template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) {
    ADD_FAILURE() << "a set-up step failed: " << result.error().value();
    std::abort();
  }
  return *std::move(result);
}
inline InodeNumber Ino(const Result<Entry>& entry) { return Must(entry).ino; }
inline InodeNumber Ino(const Result<CreateResult>& made) { return Must(made).entry.ino; }

inline std::unique_ptr<MemFs> MakeMemFs(const MemoryFileSystemOptions& options) {
  auto fs = MemFs::Make(options);
  if (!fs.ok()) {
    ADD_FAILURE() << fs.status();
    std::abort();
  }
  return *std::move(fs);
}

inline MemoryFileSystemOptions SmallOptions(uint64_t size_limit, uint64_t inode_limit = 1000) {
  MemoryFileSystemOptions options;
  options.size_limit = size_limit;
  options.inode_limit = inode_limit;
  return options;
}

class MemFsTest : public ::testing::Test {
 protected:
  explicit MemFsTest(const MemoryFileSystemOptions& options = {})
      : fs_(MakeMemFs(options)), me_(fs_.get()), empty_(fs_->Usage()) {}

  Attributes Stat(InodeNumber ino) const { return Must(me_.Getattr(ino)).attributes; }
  // Returns the number of an inode that no longer exists.
  InodeNumber GoneInode() {
    const InodeNumber ino = Ino(me_.Mkdir(kRootInode, "gone"));
    me_.Forget(ino);
    EXPECT_THAT(me_.Rmdir(kRootInode, "gone"), Succeeds());
    return ino;
  }
  // Returns a directory that was removed and still has a lookup.
  InodeNumber RemovedDirectory() {
    const InodeNumber ino = Ino(me_.Mkdir(kRootInode, "removed"));
    EXPECT_THAT(me_.Rmdir(kRootInode, "removed"), Succeeds());
    return ino;
  }
  // Sets atime, mtime and ctime to 1970, so that any update of them is visible.
  void AgeTimes(InodeNumber ino) const {
    SetattrRequest request{};
    request.ino = ino;
    request.atime = {TimeChange::Kind::kSet, kOld};
    request.mtime = {TimeChange::Kind::kSet, kOld};
    request.ctime = kOld;
    Must(me_.Setattr(request));
  }
  // The times that moved since AgeTimes: any of "a", "m", "c".
  std::string MovedTimes(InodeNumber ino) const {
    const Attributes now = Stat(ino);
    std::string moved;
    if (now.atime != kOld) moved += 'a';
    if (now.mtime != kOld) moved += 'm';
    if (now.ctime != kOld) moved += 'c';
    return moved;
  }
  // Expects that the usage of all users together, and that of all groups, is what the file system
  // has in use. Requires: no operation is in progress, and data is stored in the daemon.
  void ExpectSumsAgree() const {
    std::array<uint64_t, 3> bytes = {};  // by QuotaKind
    std::array<uint64_t, 3> inodes = {};
    for (const QuotaUsage& usage : fs_->UsageByOwner()) {
      bytes[static_cast<size_t>(usage.kind)] += usage.bytes;
      inodes[static_cast<size_t>(usage.kind)] += usage.inodes;
    }
    const MemoryFileSystemUsage all = fs_->Usage();
    for (const size_t kind : {0, 1}) {
      EXPECT_EQ(bytes[kind], all.bytes_used);
      EXPECT_EQ(inodes[kind], all.inodes_used);
    }
  }
  // Sets extended attributes of `ino` until between `left` and `left` + 47 bytes are free: the
  // smallest attribute takes 48 bytes.
  void Fill(InodeNumber ino, uint64_t left) const {
    const auto free_bytes = [this] {
      const MemoryFileSystemUsage usage = fs_->Usage();
      return usage.size_limit - usage.bytes_used;
    };
    int number = 0;
    for (const size_t size : {size_t{4000}, size_t{1000}, size_t{100}, size_t{20}, size_t{0}}) {
      for (;;) {
        const std::string name = "user." + std::to_string(number++);
        if (!me_.Setxattr(ino, name, std::string(size, 'x')).ok()) break;
        if (free_bytes() >= left) continue;
        ASSERT_TRUE(me_.Removexattr(ino, name).ok());
        break;
      }
    }
    ASSERT_GE(free_bytes(), left);
    ASSERT_LT(free_bytes(), left + 48);
  }
  // Expects that only the root is left.
  void ExpectEmpty() const {
    const MemoryFileSystemUsage usage = fs_->Usage();
    EXPECT_EQ(usage.inodes_used, 1u);
    EXPECT_EQ(usage.bytes_used, empty_.bytes_used);
    EXPECT_EQ(usage.data_bytes, 0u);
  }

  static constexpr Timestamp kOld{1000, 1};

  const std::unique_ptr<MemFs> fs_;
  const Caller me_;
  const MemoryFileSystemUsage empty_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_TESTS_MEMFS_MEMFS_TEST_BASE_H_
