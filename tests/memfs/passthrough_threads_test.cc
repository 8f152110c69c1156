// Many threads on a few passthrough files. Every open succeeds, fstat returns only possible values,
// and nothing is left at the end. Useful under ThreadSanitizer.

#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/memfs/fake_backing_files.h"
#include "tests/memfs/memfs_test_base.h"
#include "tests/memfs/passthrough_store_test_base.h"

namespace memfuse::memfs {
namespace {

constexpr int kFiles = 3;
constexpr uint64_t kReach = 50000;  // no file is longer

MemoryFileSystemOptions Options() {
  // Three files of that length do not fit.
  MemoryFileSystemOptions options = SmallOptions(120000);
  options.data = MayMountTmpfs() ? DataKind::kPassthrough : DataKind::kDaemon;
  return options;
}

class PassthroughThreadsTest : public MemFsTest {
 protected:
  PassthroughThreadsTest() : MemFsTest(Options()) {}
  void SetUp() override {
    ASSERT_TRUE(MayMountTmpfs()) << "needs root (CAP_SYS_ADMIN)";
    // Breaks a lease, as the daemon does.
    std::signal(SIGIO, SIG_IGN);
    ASSERT_TRUE(fs_->Connected({&backing_}).ok());
    for (int i = 0; i < kFiles; ++i) {
      files_.push_back(Ino(me_.Mknod(kRootInode, std::to_string(i))));
    }
  }
  void TearDown() override {
    fs_->Disconnected();
    std::signal(SIGIO, SIG_DFL);
  }

  // What a thread with an open file does through the kernel.
  void Serve(const OpenResult& open, int flags, std::mt19937_64* random) {
    const base::UniqueFd served = backing_.Open(open.backing_id, flags);
    if (!served.valid()) {
      ++not_served_;
      return;
    }
    const std::string data(1 + (*random)() % 9000, 'k');
    if (flags != O_RDONLY) {
      (void)!pwrite(served.get(), data.data(), data.size(),
                    static_cast<off_t>((*random)() % (kReach - data.size())));
    }
    char byte;
    if (flags != O_WRONLY) (void)!pread(served.get(), &byte, 1, 0);
  }

  void Step(std::mt19937_64* random) {
    const InodeNumber file = files_[(*random)() % kFiles];
    const uint64_t offset = (*random)() % (kReach / 2);
    const uint64_t length = 1 + (*random)() % (kReach / 2);
    switch ((*random)() % 12) {
      case 0:
      case 1:
      case 2: {
        static constexpr int kFlags[] = {O_RDONLY, O_WRONLY, O_RDWR};
        const int flags = kFlags[(*random)() % 3];
        const Result<OpenResult> open = me_.Open(file, static_cast<uint32_t>(flags));
        if (!open.ok()) {
          ++failed_;
          return;
        }
        Serve(*open, flags, random);
        if (!me_.Release(file, static_cast<uint32_t>(flags)).ok()) ++failed_;
        break;
      }
      case 3:
        if (!me_.Truncate(file, offset).ok()) ++failed_;
        break;
      case 4:
      case 5:
        Check(me_.Write(file, offset, std::string(length, 'd')).error_or_zero());
        break;
      case 6:
        Check(me_.Fallocate(file, 0, offset, length).error_or_zero());
        break;
      case 7:
        Check(me_.Fallocate(file, FALLOC_FL_ZERO_RANGE, offset, length).error_or_zero());
        break;
      case 8:
        Check(me_.Copy(file, offset, files_[(*random)() % kFiles], kReach / 2, length)
                  .error_or_zero());
        break;
      case 9:
        Check(me_.Setxattr(file, "user.a", std::string(offset % 9000, 'v')).error_or_zero());
        break;
      default:
        Look(file);
    }
  }
  // The errors that a lack of space and copies onto the same range may return.
  void Check(int error) {
    if (error != 0 && error != ENOSPC && error != EINVAL) ++failed_;
  }
  void Look(InodeNumber file) {
    const Result<AttributesResult> found = me_.Getattr(file);
    if (!found.ok() || found->attributes.size > kReach || found->attributes.blocks * 512 > 120000) {
      ++failed_;
    }
    // Every byte was written by one of the threads.
    const Result<std::string> data = me_.Read(file, 0, kReach);
    if (!data.ok() || data->find_first_not_of(std::string("kd\0", 3)) != std::string::npos) {
      ++failed_;
    }
  }

  FakeBackingFiles backing_;
  std::vector<InodeNumber> files_;
  std::atomic<int> failed_{0};
  std::atomic<int> not_served_{0};
};

TEST_F(PassthroughThreadsTest, ManyThreadsOnFewFiles) {
  constexpr unsigned kThreads = 8;
  constexpr int kSteps = 1500;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      std::mt19937_64 random(t + 1);
      for (int i = 0; i < kSteps; ++i) Step(&random);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed_, 0);
  EXPECT_EQ(not_served_, 0);

  // No thread has a file open. All attributes are known and do not change.
  EXPECT_EQ(backing_.count(), size_t{kFiles});
  const MemoryFileSystemUsage usage = fs_->Usage();
  EXPECT_LE(usage.bytes_used, usage.size_limit);
  uint64_t blocks = 0;
  for (int i = 0; i < kFiles; ++i) {
    const AttributesResult found = Must(me_.Getattr(files_[i]));
    EXPECT_EQ(found.attributes_valid, kCacheForever);
    EXPECT_EQ(Must(me_.Read(files_[i], 0, 2 * kReach)).size(), found.attributes.size);
    blocks += found.attributes.blocks;
    ASSERT_THAT(me_.Unlink(kRootInode, std::to_string(i)), Succeeds());
    me_.Forget(files_[i]);
  }
  EXPECT_EQ(usage.data_bytes, blocks * 512);
  ExpectEmpty();
}

}  // namespace
}  // namespace memfuse::memfs
