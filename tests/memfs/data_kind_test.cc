// Where MemFs keeps file data, depending on the options and on what the session offers.

#include <fcntl.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/memfs/fake_backing_files.h"
#include "tests/memfs/memfs_test_base.h"
#include "tests/memfs/passthrough_store_test_base.h"

namespace memfuse::memfs {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kLimit = uint64_t{16} << 20;

MemoryFileSystemOptions Options(DataKind kind) {
  MemoryFileSystemOptions options = SmallOptions(kLimit);
  options.data = kind;
  return options;
}

class DataKindTest : public ::testing::Test {
 protected:
  void Make(DataKind kind) { fs_ = MakeMemFs(Options(kind)); }
  OpenResult OpenNew(const char* name) {
    const CreateResult made = Must(Caller(fs_.get()).Create(kRootInode, name, 0644, 0, O_RDWR));
    EXPECT_THAT(Caller(fs_.get()).Release(made.entry.ino, O_RDWR), Succeeds());
    return made.open;
  }
  uint64_t FreeBlocks() { return Must(fs_->Statfs({}, {kRootInode})).blocks_free; }
  // Expects that file data is in the daemon, under the limit of the options.
  void ExpectArena() {
    const uint64_t free = FreeBlocks();
    EXPECT_EQ(free,
              Must(MakeMemFs(Options(DataKind::kDaemon))->Statfs({}, {kRootInode})).blocks_free);
    const OpenResult open = OpenNew("file");
    EXPECT_EQ(open.backing_id, 0);
    EXPECT_TRUE(open.keep_cache);
    const Caller me(fs_.get());
    const InodeNumber file = Ino(me.Lookup(kRootInode, "file"));
    EXPECT_EQ(Must(me.Write(file, 0, std::string(kLimit / 2, 'x'))), kLimit / 2);
    EXPECT_EQ(fs_->Usage().data_bytes, kLimit / 2);
    EXPECT_EQ(Must(me.Read(file, kLimit / 2 - 1, 9)), "x");
  }

  FakeBackingFiles backing_;
  std::unique_ptr<MemFs> fs_;
};

class PassthroughKindTest : public DataKindTest {
 protected:
  void SetUp() override { ASSERT_TRUE(MayMountTmpfs()) << "needs root (CAP_SYS_ADMIN)"; }
};

TEST_F(DataKindTest, DaemonDataNeedsNoOffer) {
  Make(DataKind::kDaemon);
  EXPECT_FALSE(fs_->wants_backing_files());
  EXPECT_TRUE(fs_->Connected({}).ok());
  EXPECT_EQ(fs_->DescribeData(), "daemon, huge=never");
  ExpectArena();
}

TEST_F(DataKindTest, DaemonDataIgnoresTheOffer) {
  Make(DataKind::kDaemon);
  // A registration would fail. The daemon store makes none.
  backing_.FailWith(EPERM);
  EXPECT_TRUE(fs_->Connected({&backing_}).ok());
  EXPECT_EQ(fs_->DescribeData(), "daemon, huge=never");
  backing_.FailWith(0);
  ExpectArena();
}

TEST_F(DataKindTest, NullStoresNoData) {
  Make(DataKind::kNull);
  EXPECT_FALSE(fs_->wants_backing_files());
  EXPECT_TRUE(fs_->Connected({&backing_}).ok());
  EXPECT_EQ(fs_->DescribeData(), "none: writes vanish");
  const OpenResult open = OpenNew("file");
  EXPECT_TRUE(open.direct_io);
  EXPECT_EQ(open.backing_id, 0);
  const Caller me(fs_.get());
  const InodeNumber file = Ino(me.Lookup(kRootInode, "file"));
  const uint64_t used = fs_->Usage().bytes_used;
  EXPECT_EQ(Must(me.Write(file, 0, std::string(2 * kLimit, 'x'))), 2 * kLimit);
  EXPECT_EQ(Must(me.Getattr(file)).attributes.size, 2 * kLimit);
  EXPECT_EQ(Must(me.Read(file, 2 * kLimit - 3, 9)), std::string(3, '\0'));
  EXPECT_EQ(fs_->Usage().bytes_used, used);
  EXPECT_EQ(fs_->Usage().data_bytes, 0u);
}

TEST_F(DataKindTest, AutoWithoutAnOfferUsesTheDaemonStoreAndGivesTheReason) {
  Make(DataKind::kAuto);
  EXPECT_TRUE(fs_->wants_backing_files());
  EXPECT_EQ(fs_->DescribeData(), "daemon, huge=never");
  EXPECT_TRUE(fs_->Connected({}).ok());
  EXPECT_EQ(fs_->DescribeData(),
            "daemon, huge=never; no passthrough: the kernel offers no FUSE "
            "passthrough here");
  ExpectArena();
}

TEST_F(PassthroughKindTest, AutoUsesTheDaemonStoreIfTheKernelRefuses) {
  Make(DataKind::kAuto);
  backing_.FailWith(EPERM);
  EXPECT_TRUE(fs_->Connected({&backing_}).ok());
  EXPECT_EQ(fs_->DescribeData(),
            "daemon, huge=never; no passthrough: "
            "it needs CAP_SYS_ADMIN in the initial user namespace");
  backing_.FailWith(0);
  ExpectArena();
}

TEST_F(PassthroughKindTest, AutoUsesTheDaemonStoreIfTheTmpfsIsRefused) {
  // The limit has room for the root and a page of data, but a tmpfs of one page is too small.
  MemoryFileSystemOptions options = Options(DataKind::kAuto);
  options.size_limit = kPageSize;
  fs_ = MakeMemFs(options);
  EXPECT_TRUE(fs_->Connected({&backing_}).ok());
  EXPECT_EQ(fs_->DescribeData(),
            "daemon, huge=never; no passthrough: "
            "the size is too small for a private tmpfs");
}

TEST_F(DataKindTest, HugePagesOfTheDaemon) {
  MemoryFileSystemOptions options = Options(DataKind::kDaemon);
  for (const char* huge : {"never", "within_size", "advise", "always"}) {
    options.huge = huge;
    EXPECT_EQ(MakeMemFs(options)->DescribeData(), absl::StrCat("daemon, huge=", huge));
  }
  options.huge = "sometimes";
  const absl::Status refused = MemFs::Make(options).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.message(), HasSubstr("huge=sometimes"));
}

TEST_F(DataKindTest, HugePagesByDefaultForLargeLimits) {
  MemoryFileSystemOptions options = Options(DataKind::kDaemon);
  options.size_limit = 64 << 20;
  EXPECT_EQ(MakeMemFs(options)->DescribeData(), "daemon, huge=within_size");
  options.size_limit -= kPageSize;
  EXPECT_EQ(MakeMemFs(options)->DescribeData(), "daemon, huge=never");
}

TEST_F(PassthroughKindTest, AutoUsesPassthroughIfOffered) {
  Make(DataKind::kAuto);
  EXPECT_TRUE(fs_->Connected({&backing_}).ok());
  EXPECT_EQ(fs_->DescribeData(), "passthrough, huge=never");
  EXPECT_GT(OpenNew("file").backing_id, 0);
  EXPECT_EQ(backing_.count(), 1u);
  fs_->Disconnected();
}

TEST_F(PassthroughKindTest, PassthroughUsesTheOffer) {
  Make(DataKind::kPassthrough);
  EXPECT_TRUE(fs_->wants_backing_files());
  EXPECT_TRUE(fs_->Connected({&backing_}).ok());
  EXPECT_EQ(fs_->DescribeData(), "passthrough, huge=never");
  EXPECT_GT(OpenNew("file").backing_id, 0);
}

TEST_F(PassthroughKindTest, PassthroughWithoutAnOfferIsAnError) {
  Make(DataKind::kPassthrough);
  const absl::Status status = fs_->Connected({});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "--data=passthrough: the kernel offers no FUSE passthrough here");
}

TEST_F(PassthroughKindTest, PassthroughThatTheKernelRefusesIsAnError) {
  Make(DataKind::kPassthrough);
  backing_.FailWith(EPERM);
  const absl::Status status = fs_->Connected({&backing_});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(),
            "--data=passthrough: it needs CAP_SYS_ADMIN in the initial user namespace");
}

TEST_F(PassthroughKindTest, PassthroughWithoutATmpfsFailsInMake) {
  MemoryFileSystemOptions options = Options(DataKind::kPassthrough);
  options.huge = "sometimes";
  EXPECT_EQ(MemFs::Make(options).status().code(), absl::StatusCode::kInvalidArgument);
  // The limit has room for a root, but not for a page of data.
  options = Options(DataKind::kPassthrough);
  options.size_limit = kPageSize;
  EXPECT_EQ(MemFs::Make(options).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(PassthroughKindTest, WithoutASessionNothingIsRegistered) {
  Make(DataKind::kPassthrough);
  EXPECT_EQ(fs_->DescribeData(), "private tmpfs, without passthrough");
  EXPECT_TRUE(OpenNew("before").direct_io);
  ASSERT_TRUE(fs_->Connected({&backing_}).ok());
  EXPECT_GT(OpenNew("while").backing_id, 0);
  fs_->Disconnected();
  const OpenResult after = OpenNew("after");
  EXPECT_EQ(after.backing_id, 0);
  EXPECT_TRUE(after.direct_io);
}

}  // namespace
}  // namespace memfuse::memfs
