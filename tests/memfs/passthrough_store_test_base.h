// Helpers shared by the tests of the private tmpfs.

#ifndef MEMFUSE_TESTS_MEMFS_PASSTHROUGH_STORE_TEST_BASE_H_
#define MEMFUSE_TESTS_MEMFS_PASSTHROUGH_STORE_TEST_BASE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "src/base/unique_fd.h"
#include "src/memfs/data/arena.h"
#include "src/memfs/data/passthrough_file.h"
#include "src/memfs/data/passthrough_store.h"
#include "src/memfs/space/account.h"
#include "src/memfs/space/budget.h"
#include "tests/memfs/records.h"
#include "tests/testing/result_matchers.h"

namespace memfuse::memfs {

// Whether the caller may mount a tmpfs. The kernel answers this, not the store.
inline bool MayMountTmpfs() { return base::UniqueFd(fsopen("tmpfs", FSOPEN_CLOEXEC)).valid(); }

// Waits until the kernel uses another timestamp: its coarse clock ticks every 1 to 10 ms.
inline void PassATick() { std::this_thread::sleep_for(std::chrono::milliseconds(50)); }

inline PrivateTmpfsOptions PassthroughLimit(uint64_t bytes) {
  PrivateTmpfsOptions options;
  options.size_limit = bytes;
  return options;
}

// Fails if no tmpfs can be mounted.
class PassthroughTestBase : public ::testing::Test {
 protected:
  static constexpr uint64_t kLimit = uint64_t{64} << 20;

  void SetUp() override {
    ASSERT_TRUE(MayMountTmpfs()) << "needs root (CAP_SYS_ADMIN)";
    MakeStore(PassthroughLimit(kLimit));
  }

  void MakeStore(const PrivateTmpfsOptions& options) {
    store_.reset();  // a budget has one SpaceSource at a time
    auto store = PassthroughStore::Make(options, &ids_, &budget_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  std::unique_ptr<FileData> NewFile() {
    return std::make_unique<PassthroughFile>(
        account_.get(), NewFileRecord(records_.get(), InodeNumber{++last_ino_}), store_.get());
  }
  // The name of the file that was made last.
  InodeNumber last_ino() const { return InodeNumber{last_ino_}; }

  static std::string Read(FileData* file, uint64_t offset, size_t size) {
    std::string out(size, '#');
    const Result<size_t> count = file->Read(offset, absl::MakeSpan(out.data(), out.size()));
    EXPECT_THAT(count, test::Succeeds());
    out.resize(count.ok() ? *count : 0);
    return out;
  }

  Budget budget_{kLimit, 1};
  CachedBackingIds ids_ = {};
  Accounts accounts_{&budget_};
  AccountRef account_ = accounts_.Find({});
  const std::unique_ptr<RecordFile> records_ = MakeRecords();
  std::unique_ptr<PassthroughStore> store_;

 private:
  uint64_t last_ino_ = 1;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_TESTS_MEMFS_PASSTHROUGH_STORE_TEST_BASE_H_
