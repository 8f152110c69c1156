// The space of removed files: when it counts as free, and which operations wait for it. Long
// operations, during which a spare worker serves other requests.

#include <fcntl.h>

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "src/memfs/ops/data_change.h"
#include "tests/memfs/fake_backing_files.h"
#include "tests/memfs/memfs_test_base.h"
#include "tests/memfs/passthrough_store_test_base.h"
#include "tests/testing/fake_host.h"

namespace memfuse::memfs {
namespace {

constexpr uint64_t kSpaceLimit = uint64_t{64} << 20;
constexpr uint64_t kAlmostAll = uint64_t{60} << 20;

MemoryFileSystemOptions SpaceOptions(DataKind kind) {
  MemoryFileSystemOptions options = SmallOptions(kSpaceLimit);
  options.data = MayMountTmpfs() ? kind : DataKind::kDaemon;
  return options;
}

class SpaceOfRemovedFilesTest : public MemFsTest, public testing::WithParamInterface<DataKind> {
 protected:
  SpaceOfRemovedFilesTest() : MemFsTest(SpaceOptions(GetParam())) {}
  void SetUp() override {
    ASSERT_TRUE(MayMountTmpfs()) << "needs root (CAP_SYS_ADMIN)";
    ASSERT_TRUE(fs_->Connected({&backing_, &blocking_observer_}).ok());
  }
  void TearDown() override { fs_->Disconnected(); }

  // Makes a closed file of that name with that much data.
  InodeNumber NewFile(const std::string& name, uint64_t bytes) {
    const InodeNumber ino = Ino(caller_.Create(kRootInode, name, 0644, 0, O_WRONLY));
    EXPECT_THAT(caller_.Fallocate(ino, 0, 0, bytes), Succeeds()) << bytes;
    EXPECT_THAT(caller_.Release(ino, O_WRONLY), Succeeds());
    return ino;
  }
  void Remove(const std::string& name, InodeNumber ino) {
    EXPECT_THAT(caller_.Unlink(kRootInode, name), Succeeds());
    caller_.Forget(ino);
  }
  uint64_t Free() { return Must(fs_->Statfs(caller_.context(), {kRootInode})).blocks_free * 4096; }
  uint64_t FreeInodes() { return Must(fs_->Statfs(caller_.context(), {kRootInode})).inodes_free; }
  // Runs `operation`, which has space only after the kernel has sent FORGET for `removed`. The
  // operation waits, and FORGET arrives during the wait.
  void ExpectWaits(InodeNumber removed, const std::function<Result<void>()>& operation) {
    blocking_observer_.on_begin = [=] { me_.Forget(removed); };
    EXPECT_THAT(operation(), Succeeds());
    EXPECT_EQ(blocking_observer_.TakeCount(), 1);
    blocking_observer_.on_begin = nullptr;
  }

  FakeBackingFiles backing_;
  test::CountingObserver blocking_observer_;
  Caller caller_{fs_.get()};
};

TEST_P(SpaceOfRemovedFilesTest, CountsAsFreeBeforeForget) {
  const uint64_t before = Free();
  const uint64_t inodes_before = FreeInodes();
  const InodeNumber file = NewFile("file", 1 << 20);
  EXPECT_LT(Free(), before);
  EXPECT_LT(FreeInodes(), inodes_before);
  EXPECT_THAT(caller_.Unlink(kRootInode, "file"), Succeeds());
  EXPECT_EQ(Free(), before);
  EXPECT_EQ(FreeInodes(), inodes_before);
  me_.Forget(file);
  EXPECT_EQ(Free(), before);
  EXPECT_EQ(FreeInodes(), inodes_before);
  EXPECT_EQ(blocking_observer_.TakeCount(), 0);
}

TEST_P(SpaceOfRemovedFilesTest, OfLargeFilesCountsAsFreeAtOnce) {
  const uint64_t before = Free();
  for (int i = 0; i < 5; ++i) {
    Remove("file", NewFile("file", kAlmostAll));
    // The data counts as free; the page table does when it is freed.
    EXPECT_GE(Free(), before - kAlmostAll / 1000);
    // Two parts, that of the store and that of removed files, are rounded together.
    EXPECT_LE(Free(), before + 4096);
  }
}

// A file that gets a name or is opened again is not removed.
TEST_P(SpaceOfRemovedFilesTest, CountsAsUsedAgainWithANameOrAnOpen) {
  const uint64_t before = Free();
  const CreateResult made = Must(caller_.Tmpfile(kRootInode, 0644, 0, O_WRONLY));
  const InodeNumber file = made.entry.ino;
  EXPECT_THAT(caller_.Fallocate(file, 0, 0, 1 << 20), Succeeds());
  const uint64_t used = Free();
  EXPECT_LT(used, before);
  EXPECT_THAT(caller_.Release(file, O_WRONLY), Succeeds());
  EXPECT_EQ(Free(), before);
  EXPECT_THAT(caller_.Open(file, O_RDONLY), Succeeds());
  EXPECT_LE(Free(), used);
  EXPECT_THAT(caller_.Release(file, O_RDONLY), Succeeds());
  EXPECT_EQ(Free(), before);
  EXPECT_THAT(caller_.Link(file, kRootInode, "name"), Succeeds());
  EXPECT_LE(Free(), used);
  // No operation waits for it.
  EXPECT_THAT(caller_.Fallocate(file, 0, 0, kSpaceLimit * 2), Fails(ENOSPC));
  EXPECT_EQ(blocking_observer_.TakeCount(), 1) << "a long operation";
}

TEST_P(SpaceOfRemovedFilesTest, SpaceOfALargeFileIsFreeForTheNextOne) {
  for (int i = 0; i < 5; ++i) Remove("file", NewFile("file", kAlmostAll));
}

TEST_P(SpaceOfRemovedFilesTest, OfAReplacedFileIsFreeForTheNextOne) {
  const InodeNumber first = NewFile("file", kAlmostAll / 2);
  (void)NewFile("other", kAlmostAll / 2);
  const InodeNumber third = Ino(caller_.Create(kRootInode, "third", 0644, 0, O_WRONLY));
  EXPECT_THAT(caller_.Rename(kRootInode, "other", kRootInode, "file"), Succeeds());
  (void)blocking_observer_.TakeCount();
  // A write, which does not call BeginBlocking for its own work.
  ExpectWaits(first, [&]() -> Result<void> {
    for (uint64_t at = 0; at < kAlmostAll / 2; at += 1 << 20) {
      MEMFUSE_ASSIGN_OR_RETURN(const size_t count,
                               caller_.Write(third, at, std::string(1 << 20, 'x')));
      EXPECT_EQ(count, size_t{1} << 20) << at;
    }
    return {};
  });
}

TEST_P(SpaceOfRemovedFilesTest, InodesAreFreeForTheNextOne) {
  EXPECT_THAT(fs_->SetLimits(0, 10), Succeeds());
  for (int i = 0; i < 8; ++i) (void)Ino(caller_.Symlink(kRootInode, std::to_string(i), "target"));
  for (const bool directory : {true, false}) {
    const InodeNumber last =
        directory ? Ino(caller_.Mkdir(kRootInode, "last")) : Ino(caller_.Mknod(kRootInode, "last"));
    EXPECT_THAT(caller_.Mkdir(kRootInode, "more"), Fails(ENOSPC));
    EXPECT_EQ(blocking_observer_.TakeCount(), 0);
    EXPECT_THAT(directory ? caller_.Rmdir(kRootInode, "last") : caller_.Unlink(kRootInode, "last"),
                Succeeds());
    InodeNumber more = kNoInode;
    ExpectWaits(last, [&]() -> Result<void> {
      MEMFUSE_ASSIGN_OR_RETURN(const Entry made, caller_.Mkdir(kRootInode, "more"));
      more = made.ino;
      return {};
    });
    EXPECT_THAT(caller_.Rmdir(kRootInode, "more"), Succeeds());
    me_.Forget(more);
  }
}

// Every operation that needs space, while all space belongs to a file that was just removed.
TEST_P(SpaceOfRemovedFilesTest, IsFreeForEveryOperation) {
  const InodeNumber file = Ino(caller_.Mknod(kRootInode, "file"));
  const std::string acl(
      "\2\0\0\0"
      "\1\0\6\0\xff\xff\xff\xff"
      "\2\0\6\0\xe9\3\0\0"
      "\4\0\6\0\xff\xff\xff\xff"
      "\x10\0\6\0\xff\xff\xff\xff"
      "\x20\0\6\0\xff\xff\xff\xff",
      44);
  const std::string long_name(200, 'n');
  struct Operation {
    const char* name;
    std::function<Result<void>()> call;
    std::function<void()> undo;
  };
  const auto no_value = [](const auto& result) {
    return result.ok() ? Result<void>() : Result<void>(result.error());
  };
  InodeNumber made = kNoInode;
  const auto keep = [&](const Result<Entry>& entry) -> Result<void> {
    MEMFUSE_RETURN_IF_ERROR(entry);
    made = entry->ino;
    return {};
  };
  const std::vector<Operation> operations = {
      {"setxattr", [&] { return caller_.Setxattr(file, "user.a", std::string(60000, 'v')); },
       [&] { EXPECT_THAT(caller_.Removexattr(file, "user.a"), Succeeds()); }},
      {"acl", [&] { return caller_.Setxattr(file, "system.posix_acl_access", acl); },
       [&] { EXPECT_THAT(caller_.Removexattr(file, "system.posix_acl_access"), Succeeds()); }},
      {"link", [&] { return no_value(caller_.Link(file, kRootInode, long_name)); },
       [&] {
         EXPECT_THAT(caller_.Unlink(kRootInode, long_name), Succeeds());
         me_.Forget(file);
       }},
      {"rename", [&] { return caller_.Rename(kRootInode, "file", kRootInode, long_name); },
       [&] { EXPECT_THAT(caller_.Rename(kRootInode, long_name, kRootInode, "file"), Succeeds()); }},
      {"mkdir", [&] { return keep(caller_.Mkdir(kRootInode, long_name)); },
       [&] {
         EXPECT_THAT(caller_.Rmdir(kRootInode, long_name), Succeeds());
         me_.Forget(made);
       }},
      {"symlink", [&] { return keep(caller_.Symlink(kRootInode, "s", std::string(2000, 't'))); },
       [&] {
         EXPECT_THAT(caller_.Unlink(kRootInode, "s"), Succeeds());
         me_.Forget(made);
       }},
      {"write", [&] { return no_value(caller_.Write(file, 0, std::string(1 << 20, 'x'))); },
       [&] { EXPECT_THAT(caller_.Truncate(file, 0), Succeeds()); }},
      {"fallocate", [&] { return caller_.Fallocate(file, 0, 0, 1 << 20); },
       [&] { EXPECT_THAT(caller_.Truncate(file, 0), Succeeds()); }},
  };
  for (const Operation& operation : operations) {
    SCOPED_TRACE(operation.name);
    // Fills the file system to the last byte.
    const InodeNumber big = Ino(caller_.Mknod(kRootInode, "big"));
    EXPECT_THAT(caller_.Setxattr(big, "trusted.grows", "v"), Succeeds());
    uint64_t at = 0;
    for (uint64_t piece = 1 << 20; piece >= 4096; piece /= 2) {
      while (caller_.Fallocate(big, 0, at, piece).ok()) at += piece;
    }
    std::vector<std::string> fillers;
    for (const size_t length : {2000, 1}) {
      for (;;) {
        const std::string name = std::to_string(fillers.size());
        if (!caller_.Symlink(kRootInode, name, std::string(length, 't')).ok()) break;
        fillers.push_back(name);
      }
    }
    const InodeNumber last = Ino(caller_.Lookup(kRootInode, "0"));
    for (const size_t length : {100, 1}) {
      for (int i = 0;; ++i) {
        const std::string name = absl::StrCat("trusted.", length, ".", i);
        if (!caller_.Setxattr(last, name, std::string(length, 'v')).ok()) break;
      }
    }
    // To the last byte: a value grows until there is no space. Removing the name of the big file
    // gives its name's space back at once, which must not be enough for the operation.
    for (size_t length = 2;; ++length) {
      if (!caller_.Setxattr(big, "trusted.grows", std::string(length, 'v')).ok()) break;
    }
    me_.Forget(last);
    (void)blocking_observer_.TakeCount();
    EXPECT_THAT(operation.call(), Fails(ENOSPC));
    EXPECT_EQ(blocking_observer_.TakeCount(), 0);
    EXPECT_THAT(caller_.Unlink(kRootInode, "big"), Succeeds());
    ExpectWaits(big, operation.call);
    operation.undo();
    for (const std::string& name : fillers) {
      const InodeNumber filler = Ino(caller_.Lookup(kRootInode, name));
      EXPECT_THAT(caller_.Unlink(kRootInode, name), Succeeds());
      me_.Forget(filler, 2);
    }
  }
}

TEST_P(SpaceOfRemovedFilesTest, LongOperationsCallTheBlockingObserver) {
  const InodeNumber file = Ino(caller_.Create(kRootInode, "file", 0644, 0, O_RDWR));
  const InodeNumber copy = Ino(caller_.Create(kRootInode, "copy", 0644, 0, O_RDWR));
  EXPECT_THAT(caller_.Fallocate(file, 0, 0, kLongWork - 1), Succeeds());
  EXPECT_EQ(blocking_observer_.TakeCount(), 0);
  EXPECT_THAT(caller_.Fallocate(file, 0, 0, 2 * kLongWork), Succeeds());
  EXPECT_EQ(blocking_observer_.TakeCount(), 1);
  EXPECT_THAT(caller_.Copy(file, 0, copy, 0, kLongWork), Succeeds());
  EXPECT_EQ(blocking_observer_.TakeCount(), 1);
  EXPECT_THAT(caller_.Copy(file, 0, copy, 0, kLongWork - 1), Succeeds());
  EXPECT_EQ(blocking_observer_.TakeCount(), 0);
  EXPECT_THAT(caller_.Truncate(file, kLongWork + 4096), Succeeds());
  EXPECT_EQ(blocking_observer_.TakeCount(), 0);
  EXPECT_THAT(caller_.Truncate(file, 0), Succeeds());
  EXPECT_EQ(blocking_observer_.TakeCount(), 1);
  EXPECT_THAT(caller_.Truncate(file, kSpaceLimit), Succeeds());
  EXPECT_THAT(caller_.Truncate(file, 0), Succeeds());
  EXPECT_EQ(blocking_observer_.TakeCount(), 0) << "a hole";
  EXPECT_THAT(caller_.Open(copy, O_WRONLY | O_TRUNC), Succeeds());
  EXPECT_EQ(blocking_observer_.TakeCount(), 1);
}

TEST_P(SpaceOfRemovedFilesTest, ACopyIsMadeInPieces) {
  const InodeNumber file = NewFile("file", kAlmostAll / 2);
  const InodeNumber copy = NewFile("copy", 4096);
  EXPECT_THAT(caller_.Write(file, kAlmostAll / 2 - 4, "last"), Succeeds());
  uint64_t done = 0;
  int calls = 0;
  for (; done < kAlmostAll / 2; ++calls) {
    const uint64_t piece = Must(caller_.Copy(file, done, copy, done, kAlmostAll / 2 - done));
    ASSERT_GT(piece, 0u);
    EXPECT_LE(piece, uint64_t{16} << 20);
    done += piece;
  }
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(Must(caller_.Read(copy, kAlmostAll / 2 - 4, 10)), "last");
}

INSTANTIATE_TEST_SUITE_P(Stores, SpaceOfRemovedFilesTest,
                         testing::Values(DataKind::kDaemon, DataKind::kPassthrough),
                         [](const testing::TestParamInfo<DataKind>& store) {
                           return store.param == DataKind::kDaemon ? "daemon" : "passthrough";
                         });

}  // namespace
}  // namespace memfuse::memfs
