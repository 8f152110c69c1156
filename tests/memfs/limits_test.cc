// Limits that change while the file system is used, in each data store; the ioctls that change
// them, with the order of their errors.

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/ioctl.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "memfuse/ioctl.h"
#include "src/memfs/data/arena.h"
#include "tests/memfs/fake_backing_files.h"
#include "tests/memfs/memfs_test_base.h"
#include "tests/memfs/passthrough_store_test_base.h"
#include "tests/testing/child_process.h"
#include "tests/testing/fake_host.h"

namespace memfuse::memfs {
namespace {

using test::BecomeUser;
using test::DropCapability;
using test::ForkIntoUserNamespace;
using test::SetCapabilities;
using test::WithChild;

constexpr uint64_t kInitialLimit = 256 * kPageSize;
constexpr uint64_t kInodes = 100;
constexpr uint32_t kAdministrator = 1234;

MemoryFileSystemOptions LimitsOptions(DataKind kind) {
  MemoryFileSystemOptions options = SmallOptions(kInitialLimit, kInodes);
  // Without the privilege to mount a tmpfs, SetUp fails, not the constructor.
  options.data = MayMountTmpfs() ? kind : DataKind::kDaemon;
  options.administrator = kAdministrator;
  return options;
}

class LimitsTest : public MemFsTest, public ::testing::WithParamInterface<DataKind> {
 protected:
  LimitsTest() : MemFsTest(LimitsOptions(GetParam())), file_(Ino(me_.Create(kRootInode, "file"))) {}
  void SetUp() override { ASSERT_TRUE(MayMountTmpfs()) << "needs root (CAP_SYS_ADMIN)"; }

  FileSystemStatistics Statfs() const { return Must(fs_->Statfs(me_.context(), {kRootInode})); }
  uint64_t UsedBytes() const {
    const FileSystemStatistics s = Statfs();
    return (s.blocks - s.blocks_free) * kPageSize;
  }
  // Appends pages until there is no space; returns the number of pages.
  uint64_t Fill() {
    const std::string page(kPageSize, 'x');
    uint64_t pages = 0;
    for (;; ++pages, end_ += kPageSize) {
      const Result<size_t> written = me_.Write(file_, end_, page);
      if (!written.ok()) {
        EXPECT_THAT(written, Fails(ENOSPC));
        return pages;
      }
      EXPECT_EQ(*written, kPageSize);
    }
  }

  Result<IoctlResult> Ioctl(uint32_t command, std::string_view input, uint32_t output_size,
                            uint32_t uid = 0, InodeNumber ino = kRootInode) const {
    IoctlRequest request{};
    request.ino = ino;
    request.command = command;
    request.argument = 0x7fff0000;  // the caller's pointer, as the kernel sends it
    request.input = absl::MakeConstSpan(input.data(), input.size());
    request.output_size = output_size;
    Caller caller(fs_.get(), uid);
    // The test process has CAP_SYS_ADMIN. User ID 0 alone is not enough.
    if (uid == 0) caller.set_thread(static_cast<uint32_t>(getpid()));
    return fs_->Ioctl(caller.context(), request);
  }
  memfuse_limits Get(uint32_t uid = 0, InodeNumber ino = kRootInode) const {
    memfuse_limits limits = {};
    const IoctlResult result = Must(Ioctl(MEMFUSE_IOC_GET_LIMITS, "", sizeof(limits), uid, ino));
    EXPECT_EQ(result.output.size(), sizeof(limits));
    std::memcpy(&limits, result.output.data(), sizeof(limits));
    return limits;
  }
  Result<void> Set(uint64_t bytes, uint64_t inodes, uint32_t uid = 0) const {
    const memfuse_limits limits = {bytes, ~uint64_t{0}, inodes, ~uint64_t{0}};
    MEMFUSE_RETURN_IF_ERROR(Ioctl(
        MEMFUSE_IOC_SET_LIMITS, {reinterpret_cast<const char*>(&limits), sizeof(limits)}, 0, uid));
    return {};
  }

  // Sets the current limits again, to test whether the caller may.
  static Result<void> MaySet(MemFs* fs, const RequestContext& context) {
    const memfuse_limits limits = {};
    IoctlRequest request{};
    request.ino = kRootInode;
    request.command = MEMFUSE_IOC_SET_LIMITS;
    request.argument = 0x7fff0000;
    request.input = {reinterpret_cast<const char*>(&limits), sizeof(limits)};
    MEMFUSE_RETURN_IF_ERROR(fs->Ioctl(context, request));
    return {};
  }
  static Result<void> ThreadMaySet(MemFs* fs, uint32_t pid) {
    Caller caller(fs);
    caller.set_thread(pid);
    return MaySet(fs, caller.context());
  }

  const InodeNumber file_;
  uint64_t end_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Stores, LimitsTest,
                         ::testing::Values(DataKind::kDaemon, DataKind::kPassthrough),
                         [](const auto& store) {
                           return store.param == DataKind::kDaemon ? "Daemon" : "Passthrough";
                         });

TEST_P(LimitsTest, MoreSpaceCanBeWrittenAtOnceAndNoMore) {
  const uint64_t before = Fill();
  EXPECT_GT(before, 240u);
  EXPECT_EQ(Statfs().blocks_free, 0u);
  EXPECT_THAT(Set(2 * kInitialLimit, 0), Succeeds());
  EXPECT_EQ(Statfs().blocks, 512u);
  EXPECT_EQ(Statfs().blocks_free, 256u);
  const uint64_t more = Fill();
  EXPECT_LE(more, 256u);
  EXPECT_GE(more, 250u);  // page tables, names
  EXPECT_LE(UsedBytes(), 2 * kInitialLimit);
}

TEST_P(LimitsTest, ShrinksToTheUsedBytesAndNotFurther) {
  Must(me_.Write(file_, 0, std::string(100 * kPageSize, 'x')));
  const uint64_t used = UsedBytes();
  EXPECT_GE(used, 100 * kPageSize);
  EXPECT_THAT(Set(used - kPageSize, 0), Fails(EINVAL));
  EXPECT_EQ(Get().bytes_limit, kInitialLimit);
  EXPECT_THAT(Set(used, 0), Succeeds());
  EXPECT_EQ(Get().bytes_limit, used);
  EXPECT_EQ(Get().bytes_used, used);
  EXPECT_EQ(Statfs().blocks, used / kPageSize);
  EXPECT_EQ(Statfs().blocks_free, 0u);
  EXPECT_THAT(me_.Write(file_, 200 * kPageSize, std::string(kPageSize, 'y')), Fails(ENOSPC));
  // Existing data can be overwritten, and a removed page makes room for exactly one page.
  EXPECT_THAT(me_.Write(file_, 0, std::string(kPageSize, 'y')), Succeeds());
  EXPECT_THAT(me_.Truncate(file_, 50 * kPageSize), Succeeds());
  end_ = 50 * kPageSize;
  EXPECT_THAT(Fill(), ::testing::AllOf(::testing::Ge(49u), ::testing::Le(50u)));
  EXPECT_THAT(Set(kInitialLimit, 0), Succeeds());
  EXPECT_GT(Fill(), 140u);
}

// A ceiling acts as a lower limit, and may be below what is stored. df(1) still has the size and
// what is used.
TEST_P(LimitsTest, ACeilingBoundsWhatIsAdded) {
  Must(me_.Write(file_, 0, std::string(100 * kPageSize, 'x')));
  end_ = 100 * kPageSize;
  const uint64_t used = UsedBytes();
  fs_->SetCeiling(fs_->Usage().bytes_used + 50 * kPageSize);
  EXPECT_EQ(Statfs().blocks, kInitialLimit / kPageSize);
  EXPECT_EQ(UsedBytes(), used);
  EXPECT_LE(Statfs().blocks_available, 50u);
  const uint64_t pages = Fill();
  EXPECT_LE(pages, 50u);
  EXPECT_GE(pages, 46u);  // page tables, and reserved space
  ASSERT_FALSE(fs_->Refusals().empty());
  EXPECT_EQ(fs_->Refusals()[0].owner, Refusal::Owner::kMemory);

  fs_->SetCeiling(10 * kPageSize);
  EXPECT_EQ(Statfs().blocks_available, 0u);
  EXPECT_EQ(Fill(), 0u);
  // Less than a page that is reserved for names may be left.
  int made = 0;
  while (me_.Create(kRootInode, std::string(250, 'n') + std::to_string(made)).ok()) ++made;
  EXPECT_LE(made, 4);
  EXPECT_THAT(me_.Write(file_, 0, std::string(kPageSize, 'y')), Succeeds());
  EXPECT_THAT(me_.Truncate(file_, kPageSize), Succeeds());
  end_ = kPageSize;
  fs_->SetCeiling(10 * kPageSize);
  EXPECT_LE(Fill(), 9u);

  fs_->SetCeiling(~uint64_t{0});
  EXPECT_GT(Fill(), 200u);
  EXPECT_LE(UsedBytes(), kInitialLimit);
}

// Data counts for its owner in each store, also after it was written by the kernel or removed.
TEST_P(LimitsTest, TheUsageOfOwnersIncludesData) {
  const auto sum = [this] {
    uint64_t bytes = 0;
    for (const QuotaUsage& usage : fs_->UsageByOwner()) {
      if (usage.kind == QuotaKind::kUser) bytes += usage.bytes;
    }
    return bytes;
  };
  EXPECT_EQ(sum(), fs_->Usage().bytes_used);
  Must(me_.Write(file_, 0, std::string(50 * kPageSize, 'x')));
  EXPECT_EQ(sum(), fs_->Usage().bytes_used);
  Must(me_.Chown(file_, 5, 6));
  EXPECT_GE(fs_->UsageByOwner().back().bytes, 50 * kPageSize);
  EXPECT_EQ(sum(), fs_->Usage().bytes_used);
  Must(me_.Truncate(file_, 3 * kPageSize));
  EXPECT_EQ(sum(), fs_->Usage().bytes_used);
}

TEST_P(LimitsTest, ACeilingStaysWhenTheLimitChanges) {
  fs_->SetCeiling(fs_->Usage().bytes_used + 20 * kPageSize);
  EXPECT_THAT(Set(2 * kInitialLimit, 0), Succeeds());
  EXPECT_EQ(Get().bytes_limit, 2 * kInitialLimit);
  EXPECT_LE(Fill(), 20u);
  EXPECT_THAT(Set(kInitialLimit, 0), Succeeds());
  EXPECT_EQ(Fill(), 0u);
  fs_->SetCeiling(~uint64_t{0});
  EXPECT_GT(Fill(), 200u);
  EXPECT_LE(UsedBytes(), kInitialLimit);
  EXPECT_THAT(Set(fs_->Usage().bytes_used / 2, 0), Fails(EINVAL));
}

// Bytes that were reserved ahead, or that are about to be released, do not prevent a lower limit.
TEST_P(LimitsTest, RemovedFilesDoNotCountAsUsed) {
  for (int i = 0; i < 50; ++i) {
    Must(me_.Create(kRootInode, std::string(200, 'n') + std::to_string(i)));
  }
  const InodeNumber large = Ino(me_.Create(kRootInode, "large"));
  Must(me_.Write(large, 0, std::string(100 * kPageSize, 'x')));
  EXPECT_THAT(Set(90 * kPageSize, 0), Fails(EINVAL));
  EXPECT_THAT(me_.Unlink(kRootInode, "large"), Succeeds());
  for (int i = 0; i < 50; ++i) {
    const std::string name = std::string(200, 'n') + std::to_string(i);
    const InodeNumber ino = Ino(me_.Lookup(kRootInode, name));
    EXPECT_THAT(me_.Unlink(kRootInode, name), Succeeds());
    EXPECT_THAT(me_.Release(ino), Succeeds());
    me_.Forget(ino, 2);
  }
  EXPECT_THAT(me_.Release(large), Succeeds());
  // The kernel sends FORGET for the file while the call waits for it.
  FakeBackingFiles backing;
  test::CountingObserver observer;
  observer.on_begin = [&] { me_.Forget(large); };
  ASSERT_TRUE(fs_->Connected({&backing, &observer}).ok());
  EXPECT_THAT(Set(90 * kPageSize, 0), Succeeds());
  EXPECT_EQ(observer.TakeCount(), 1);
  EXPECT_GE(Statfs().blocks_free, 80u);
  fs_->Disconnected();
}

TEST_P(LimitsTest, NamesAndDataShareTheLimit) {
  for (const uint64_t limit : {2 * kInitialLimit, kInitialLimit / 2, 3 * kInitialLimit}) {
    ASSERT_THAT(Set(limit, 0), Succeeds());
    const uint64_t pages = Fill();
    EXPECT_GE((pages + 10) * kPageSize, limit);
    EXPECT_LE(pages * kPageSize, limit);
    // Now there is no space for names either, except for bytes that were reserved ahead.
    const Result<void> more = [&]() -> Result<void> {
      for (int i = 0; i < 90; ++i) {
        MEMFUSE_RETURN_IF_ERROR(
            me_.Setxattr(file_, "user." + std::to_string(i), std::string(4000, 'v')));
      }
      return {};
    }();
    EXPECT_THAT(more, Fails(ENOSPC));
    EXPECT_LE(UsedBytes(), limit);
    for (int i = 0; i < 90; ++i) (void)me_.Removexattr(file_, "user." + std::to_string(i));
    EXPECT_THAT(me_.Truncate(file_, 0), Succeeds());
    end_ = 0;
  }
}

TEST_P(LimitsTest, InodesToo) {
  const auto fill = [&] {
    for (int i = 0;; ++i) {
      const Result<Entry> made = me_.Mkdir(kRootInode, std::to_string(Get().inodes_used));
      if (made.ok()) continue;
      EXPECT_THAT(made, Fails(ENOSPC));
      return i;
    }
  };
  EXPECT_EQ(fill(), 98);  // the root and the file
  EXPECT_THAT(Set(0, 150), Succeeds());
  EXPECT_EQ(Statfs().inodes, 150u);
  EXPECT_EQ(Statfs().inodes_free, 50u);
  EXPECT_EQ(fill(), 50);
  EXPECT_THAT(Set(0, 149), Fails(EINVAL));
  EXPECT_EQ(Get().inode_limit, 150u);
  me_.Forget(Ino(me_.Lookup(kRootInode, "149")), 2);
  EXPECT_THAT(me_.Rmdir(kRootInode, "149"), Succeeds());
  EXPECT_THAT(Set(0, 149), Succeeds());
  EXPECT_EQ(fill(), 0);
  EXPECT_EQ(Get().inodes_used, 149u);
  EXPECT_EQ(Get().bytes_limit, kInitialLimit);
}

TEST_P(LimitsTest, BothAreChangedOrNeither) {
  Must(me_.Write(file_, 0, std::string(100 * kPageSize, 'x')));
  for (const uint64_t inodes : {kInodes + 50, kInodes - 50}) {
    EXPECT_THAT(Set(50 * kPageSize, inodes), Fails(EINVAL));
    EXPECT_EQ(Get().inode_limit, kInodes);
  }
  for (const uint64_t bytes : {2 * kInitialLimit, kInitialLimit / 2}) {
    EXPECT_THAT(Set(bytes, 1), Fails(EINVAL));
    EXPECT_EQ(Get().bytes_limit, kInitialLimit);
  }
  EXPECT_THAT(Set(2 * kInitialLimit, 5), Succeeds());
  EXPECT_EQ(Get().bytes_limit, 2 * kInitialLimit);
  EXPECT_EQ(Get().inode_limit, 5u);
  EXPECT_THAT(Set(0, 0), Succeeds());
  EXPECT_EQ(Get().bytes_limit, 2 * kInitialLimit);
  EXPECT_EQ(Get().inode_limit, 5u);
}

TEST_P(LimitsTest, AreRoundedUpToPages) {
  EXPECT_THAT(Set(300 * kPageSize + 1, 0), Succeeds());
  EXPECT_EQ(Get().bytes_limit, 301 * kPageSize);
}

TEST_P(LimitsTest, ErrorsComeInOrder) {
  constexpr uint32_t kStranger = 77;
  const std::string zeros(2 * sizeof(memfuse_limits), '\0');
  const auto set = [](size_t size) {
    return static_cast<uint32_t>(
        _IOC(_IOC_WRITE, _IOC_TYPE(MEMFUSE_IOC_SET_LIMITS), _IOC_NR(MEMFUSE_IOC_SET_LIMITS), size));
  };
  const auto ask = [&](const std::string& input, uint32_t uid) {
    return Ioctl(set(input.size()), input, 0, uid);
  };
  // Each request is also wrong in everything that is checked later.
  std::string wrong = zeros;
  std::memset(wrong.data(), 0xff, wrong.size());
  EXPECT_THAT(Ioctl(_IO(0xEF, 0), wrong, 0, kStranger, GoneInode()), Fails(ESTALE));
  EXPECT_THAT(Ioctl(_IO(0xEF, 0), wrong, 0, kStranger), Fails(ENOTTY));
  EXPECT_THAT(Ioctl(_IOR(0xEF, 1, memfuse_limits), wrong, 0, kStranger), Fails(ENOTTY));
  EXPECT_THAT(ask(wrong.substr(0, 31), kStranger), Fails(EINVAL));
  EXPECT_THAT(Ioctl(set(wrong.size()), "", 0, kStranger), Fails(EINVAL));
  EXPECT_THAT(ask(wrong, kStranger), Fails(EPERM));
  EXPECT_THAT(ask(wrong, kAdministrator), Fails(E2BIG));
  EXPECT_THAT(ask(wrong, 0), Fails(E2BIG));
  EXPECT_THAT(Set(kMaxSizeLimit + 1, 0), Fails(EINVAL));
  EXPECT_THAT(Set(~uint64_t{0}, 0), Fails(EINVAL));
  EXPECT_THAT(Set(0, kMaxInodeLimit + 1), Fails(EINVAL));
  EXPECT_EQ(Get().bytes_limit, kInitialLimit);
  EXPECT_EQ(Get().inode_limit, kInodes);
  EXPECT_THAT(Set(kMaxSizeLimit, kMaxInodeLimit, kAdministrator), Succeeds());
  EXPECT_EQ(Get().bytes_limit, kMaxSizeLimit);
  EXPECT_EQ(Statfs().inodes, kMaxInodeLimit);
  EXPECT_THAT(Set(kInitialLimit, kInodes, kAdministrator), Succeeds());

  EXPECT_THAT(Ioctl(MEMFUSE_IOC_GET_LIMITS, "", 31), Fails(EINVAL));
  EXPECT_EQ(Get(kStranger).bytes_limit, kInitialLimit);
  EXPECT_EQ(Get(kStranger, file_).inode_limit, kInodes);
}

TEST_P(LimitsTest, AreSetByACapabilityOfThisUserNamespaceOrTheAdministrator) {
  MemFs* const fs = fs_.get();
  const auto may_set = [fs](uint32_t pid) { EXPECT_THAT(ThreadMaySet(fs, pid), Succeeds()); };
  const auto may_not = [fs](uint32_t pid) { EXPECT_THAT(ThreadMaySet(fs, pid), Fails(EPERM)); };
  constexpr uint32_t kSysAdmin = uint32_t{1} << CAP_SYS_ADMIN;
  may_set(static_cast<uint32_t>(getpid()));
  WithChild([] { return BecomeUser(77, kSysAdmin); }, may_set);
  WithChild([] { return BecomeUser(kAdministrator); }, may_set);
  WithChild([] { return BecomeUser(77); }, may_not);
  // The root of a container.
  WithChild([] { return SetCapabilities(0); }, may_not);
  WithChild([] { return DropCapability(CAP_SYS_ADMIN); }, may_not);
  WithChild([] { return true; }, may_not, ForkIntoUserNamespace);
  // The daemon cannot find the calling thread. An older kernel sends its user ID.
  may_not(0);
  EXPECT_THAT(MaySet(fs, Caller(fs, 0).context()), Fails(EPERM));
  EXPECT_THAT(MaySet(fs, Caller(fs, kAdministrator).context()), Succeeds());
}

TEST_P(LimitsTest, UserIdZeroAloneIsNoAdministrator) {
  MemoryFileSystemOptions options = LimitsOptions(GetParam());
  options.administrator = 0;
  const std::unique_ptr<MemFs> fs = MakeMemFs(options);
  EXPECT_THAT(ThreadMaySet(fs.get(), static_cast<uint32_t>(getpid())), Succeeds());
  EXPECT_THAT(MaySet(fs.get(), Caller(fs.get(), 0).context()), Fails(EPERM));
  WithChild([] { return SetCapabilities(0); },
            [&](uint32_t pid) { EXPECT_THAT(ThreadMaySet(fs.get(), pid), Fails(EPERM)); });
}

// A structure of a later version. Fields that this version does not know are 0 in both directions.
TEST_P(LimitsTest, TheStructureMayGrow) {
  constexpr uint32_t kSize = sizeof(memfuse_limits) + 8;
  const std::string output = Must(Ioctl(_IOC(_IOC_READ, 0xEF, 0, kSize), "", kSize)).output;
  ASSERT_EQ(output.size(), kSize);
  EXPECT_EQ(output.substr(0, 8), std::string("\0\0\x10\0\0\0\0\0", 8));
  EXPECT_EQ(output.substr(kSize - 8), std::string(8, '\0'));
  std::string input(kSize, '\0');
  input[2] = 0x20;
  EXPECT_THAT(Ioctl(_IOC(_IOC_WRITE, 0xEF, 1, kSize), input, 0), Succeeds());
  EXPECT_EQ(Get().bytes_limit, 2 * kInitialLimit);
}

TEST_P(LimitsTest, OptionsAreAnsweredAsText) {
  constexpr uint32_t kSize = sizeof(memfuse_mount_options);
  EXPECT_EQ(Must(Ioctl(MEMFUSE_IOC_GET_OPTIONS, "", kSize)).output, std::string(kSize, '\0'));
  fs_->SetMountOptions("threads=3");
  const std::string output = Must(Ioctl(MEMFUSE_IOC_GET_OPTIONS, "", kSize, 77)).output;
  EXPECT_EQ(output.size(), kSize);
  EXPECT_STREQ(output.c_str(), "threads=3");
  EXPECT_THAT(Ioctl(_IOC(_IOC_READ, 0xEF, 2, 9), "", 9), Fails(ERANGE));
  EXPECT_THAT(Ioctl(_IOC(_IOC_READ, 0xEF, 2, 10), "", 10), Succeeds());
  EXPECT_THAT(Ioctl(_IOC(_IOC_READ, 0xEF, 2, 0), "", 0), Fails(EINVAL));
}

TEST_P(LimitsTest, AccessTimeUpdatesCanBeTurnedOff) {
  Must(me_.Write(file_, 0, "content"));
  const auto keep = [&](uint32_t value, uint32_t uid) {
    return Ioctl(MEMFUSE_IOC_SET_ATIME, {reinterpret_cast<const char*>(&value), sizeof(value)}, 0,
                 uid);
  };
  const auto moved_by_reading = [&] {
    AgeTimes(file_);
    PassATick();
    EXPECT_EQ(Must(me_.Read(file_, 0, 7)), "content");
    return MovedTimes(file_);
  };
  EXPECT_EQ(moved_by_reading(), "a");
  EXPECT_THAT(keep(0, 77), Fails(EPERM));
  EXPECT_THAT(keep(2, 77), Fails(EPERM));
  EXPECT_THAT(keep(2, 0), Fails(EINVAL));
  EXPECT_THAT(Ioctl(MEMFUSE_IOC_SET_ATIME, "xxx", 0, 77), Fails(EINVAL));
  EXPECT_EQ(moved_by_reading(), "a");
  EXPECT_THAT(keep(0, kAdministrator), Succeeds());
  EXPECT_EQ(moved_by_reading(), "");
  EXPECT_THAT(keep(1, 0), Succeeds());
  EXPECT_EQ(moved_by_reading(), "a");
}

// One thread raises and lowers the limit while other threads write, make and remove files. Their
// total demand fits the smallest limit, so no operation may fail. At the end no byte is lost or
// left over.
TEST_P(LimitsTest, ChangeBesideWritersThatFitTheSmallestLimit) {
  constexpr int kWriters = 4;
  constexpr uint64_t kEach = 20;  // pages
  std::atomic<int> running{kWriters};
  std::atomic<int> refused{0};
  std::atomic<int> too_much{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kWriters; ++t) {
    threads.emplace_back([&, t] {
      const std::string name = "w" + std::to_string(t);
      const std::string data(kEach * kPageSize, static_cast<char>('a' + t));
      for (int round = 0; round < 300; ++round) {
        const Result<CreateResult> made = me_.Create(kRootInode, name);
        if (!made.ok()) {
          ++refused;
          continue;
        }
        const InodeNumber ino = made->entry.ino;
        const Result<size_t> written = me_.Write(ino, 0, data);
        if (!written.ok() || *written != data.size()) ++refused;
        if (!me_.Setxattr(ino, "user.x", std::string(1000, 'v')).ok()) ++refused;
        if (round % 3 == 0) (void)me_.Truncate(ino, kPageSize);
        (void)me_.Unlink(kRootInode, name);
        (void)me_.Release(ino);
        me_.Forget(ino);
      }
      --running;
    });
  }
  threads.emplace_back([&] {
    while (running > 0) {
      const FileSystemStatistics s = Statfs();
      if ((s.blocks - s.blocks_free) * kPageSize > kInitialLimit) ++too_much;
    }
  });
  for (int i = 0; running > 0; ++i) {
    // 80 pages of data and their metadata.
    EXPECT_THAT(Set(i % 2 == 0 ? 140 * kPageSize : kInitialLimit, i % 2 == 0 ? 10 : kInodes),
                Succeeds());
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(Set(kInitialLimit, kInodes), Succeeds());
  EXPECT_EQ(refused, 0);
  EXPECT_EQ(too_much, 0);
  EXPECT_EQ(Get().inodes_used, 2u);
  EXPECT_EQ(Get().bytes_limit, kInitialLimit);
  EXPECT_LE(Get().bytes_used, 2 * kPageSize);
  EXPECT_GT(Fill(), 240u);
}

// The same at the limit. An operation that needs too much fails. The stored data fits the limit
// that was set last.
TEST_P(LimitsTest, ChangeBesideWritersAtTheLimit) {
  std::atomic<bool> stop{false};
  std::atomic<int> refused{0};
  std::vector<InodeNumber> inodes;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    // There is still room for names.
    const InodeNumber ino = Ino(me_.Mknod(kRootInode, "w" + std::to_string(t)));
    inodes.push_back(ino);
  }
  for (const InodeNumber ino : inodes) {
    threads.emplace_back([&, ino] {
      const std::string data(7 * kPageSize, 'x');
      for (uint64_t i = 0; !stop; ++i) {
        const Result<size_t> written = me_.Write(ino, i % 50 * data.size(), data);
        if (!written.ok()) {
          EXPECT_THAT(written, Fails(ENOSPC));
          ++refused;
          (void)me_.Truncate(ino, i % 3 * 10 * kPageSize);
        }
      }
      (void)me_.Truncate(ino, 0);
    });
  }
  for (int shrunk = 0; shrunk < 100 || refused < 100;) {
    EXPECT_THAT(Set(kInitialLimit, 0), Succeeds());
    if (const Result<void> set = Set(kInitialLimit * 3 / 4, 0); !set.ok()) {
      EXPECT_THAT(set, Fails(EINVAL));
      continue;
    }
    ++shrunk;
    const FileSystemStatistics s = Statfs();
    EXPECT_EQ(s.blocks, 192u);
    EXPECT_LE(fs_->Usage().bytes_used, kInitialLimit * 3 / 4 + 4 * kPageSize);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(Set(kInitialLimit, 0), Succeeds());
  EXPECT_LE(Get().bytes_used, 4 * kPageSize);
  EXPECT_GT(Fill(), 240u);
}

// The limits change before the session determines the data store.
TEST(LimitsOfAutoTest, ApplyToTheTmpfsToo) {
  ASSERT_TRUE(MayMountTmpfs()) << "needs root (CAP_SYS_ADMIN)";
  const auto fs = MakeMemFs(LimitsOptions(DataKind::kAuto));
  EXPECT_EQ(fs->DataOptions(), "data=daemon,huge=never");
  EXPECT_THAT(fs->SetLimits(3 * kInitialLimit, 0), Succeeds());
  FakeBackingFiles backing;
  ASSERT_TRUE(fs->Connected({&backing}).ok());
  EXPECT_EQ(fs->DataOptions(), "data=passthrough,huge=never");
  EXPECT_EQ(Must(fs->Statfs({}, {kRootInode})).blocks, 3 * 256u);
  EXPECT_GT(Must(fs->Statfs({}, {kRootInode})).blocks_free, 3 * 250u);
  fs->Disconnected();
}

}  // namespace
}  // namespace memfuse::memfs
