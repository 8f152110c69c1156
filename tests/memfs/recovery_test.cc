// A file system that is made again from the records of a process that has died.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "src/memfs/data/data_records.h"
#include "tests/memfs/fake_backing_files.h"
#include "tests/memfs/passthrough_store_test_base.h"
#include "tests/memfs/recovery_test_base.h"

namespace memfuse::memfs {
namespace {

TEST(RecoveryTest, ASuccessorFindsTheTree) {
  const auto fs = MakeMemFs(RecoveryOptions());
  const Caller me(fs.get());
  const Tree tree(fs.get());
  Must(me.Mknod(tree.other, "device", S_IFCHR | 0600, 0, 0x1234));
  Must(me.Mknod(tree.other, "fifo", S_IFIFO | 0600));
  EXPECT_THAT(me.Setxattr(tree.dir, "user.large", std::string(65536, 'x')), Succeeds());
  const auto successor = Memory(*fs).Recover();
  ASSERT_NE(successor, nullptr);
  EXPECT_EQ(Describe(successor.get()), Describe(fs.get()));

  // It continues where the other one stopped.
  const Caller next(successor.get());
  const Entry made = Must(next.Mkdir(tree.dir, "new"));
  EXPECT_EQ(made.generation, Must(me.Lookup(kRootInode, "dir")).generation);
  for (const InodeNumber ino : {tree.dir, tree.other, tree.file, tree.nameless}) {
    EXPECT_NE(made.ino, ino);
  }
  EXPECT_THAT(next.Rename(tree.dir, "new", tree.other, "empty"), Succeeds());
  EXPECT_THAT(next.Link(tree.nameless, tree.dir, "named"), Succeeds());
  EXPECT_THAT(next.Unlink(tree.dir, "file"), Succeeds());
}

TEST(RecoveryTest, ADirectoryThatWasRemovedTakesNoNames) {
  const auto fs = MakeMemFs(RecoveryOptions());
  const Caller me(fs.get());
  const InodeNumber dir = Ino(me.Mkdir(kRootInode, "dir"));
  ASSERT_THAT(me.Rmdir(kRootInode, "dir"), Succeeds());
  const auto successor = Memory(*fs).Recover();
  ASSERT_NE(successor, nullptr);
  const Caller next(successor.get());
  EXPECT_THAT(next.Mkdir(dir, "new"), Fails(ENOENT));
  EXPECT_EQ(successor->Usage().removed_inodes, 1u);
  next.Forget(dir);
  EXPECT_EQ(successor->Usage().inodes_used, 1u);
}

TEST(RecoveryTest, CookiesOfRemovedEntriesAreNotUsedAgain) {
  const auto fs = MakeMemFs(RecoveryOptions());
  const Caller me(fs.get());
  Must(me.Mknod(kRootInode, "a"));
  Must(me.Mknod(kRootInode, "b"));
  Listing before;
  ASSERT_THAT(me.Readdir(kRootInode, 0, /*plus=*/false, &before), Succeeds());
  ASSERT_THAT(me.Unlink(kRootInode, "b"), Succeeds());
  const auto successor = Memory(*fs).Recover();
  ASSERT_NE(successor, nullptr);
  const Caller next(successor.get());
  Must(next.Mknod(kRootInode, "c"));
  Listing after;
  ASSERT_THAT(next.Readdir(kRootInode, 0, /*plus=*/false, &after), Succeeds());
  // ".", "..", the newest entry
  ASSERT_EQ(after.items[2].name, "c");
  EXPECT_GT(after.items[2].next_offset, before.items[2].next_offset);
}

TEST(RecoveryTest, LimitsBelowTheUsageBecomeTheUsage) {
  const auto fs = MakeMemFs(RecoveryOptions());
  const Caller me(fs.get());
  const Tree tree(fs.get());
  // Only a damaged root has such limits.
  MemFs::FilesOfPredecessor files = Memory(*fs).Copy();
  {
    const auto records = *RecordFile::Open(base::UniqueFd(dup(files.records.get())));
    auto* const root = static_cast<RootRecord*>(records->root());
    root->size_limit = 4096;
    root->inode_limit = 2;
  }
  auto recovered = MemFs::Recover(RecoveryOptions(), std::move(files));
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  const auto successor = *std::move(recovered);
  ASSERT_NE(successor, nullptr);
  EXPECT_EQ(successor->Usage().inode_limit, successor->Usage().inodes_used);
  EXPECT_THAT(Caller(successor.get()).Mkdir(kRootInode, "new"), Fails(ENOSPC));
  EXPECT_THAT(Caller(successor.get()).Unlink(tree.dir, "link"), Succeeds());
}

TEST(RecoveryTest, RecordsWithoutARootAreRefused) {
  const auto records = *RecordFile::Make();
  static_cast<RootRecord*>(records->root())->store = StoreKind::kNull;
  const auto fs =
      MemFs::Recover(RecoveryOptions(), {base::UniqueFd(dup(records->descriptor())), {}});
  EXPECT_EQ(fs.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(fs.status().message(), "the records of the files are damaged");
}

TEST(RecoveryTest, RecordsWithoutAStoreAreRefused) {
  const auto records = *RecordFile::Make();
  const auto fs =
      MemFs::Recover(RecoveryOptions(), {base::UniqueFd(dup(records->descriptor())), {}});
  EXPECT_EQ(fs.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(fs.status().message(), "the records name no store for file data");
}

TEST(RecoveryTest, TheLimitsThatWereSetLastHold) {
  const auto fs = MakeMemFs(RecoveryOptions());
  ASSERT_THAT(fs->SetLimits(uint64_t{10} << 20, 77), Succeeds());
  const auto successor = Memory(*fs).Recover();
  ASSERT_NE(successor, nullptr);
  EXPECT_EQ(successor->Usage().size_limit, uint64_t{10} << 20);
  EXPECT_EQ(successor->Usage().inode_limit, 77u);
}

TEST(RecoveryTest, TheRulesThatWereSetLastHold) {
  MemoryFileSystemOptions options = RecoveryOptions();
  options.quotas = {{QuotaKind::kUser, 1000, 1 << 20, kNoQuota}};
  const auto fs = MakeMemFs(options);
  const Caller me(fs.get());
  Must(me.Mkdir(kRootInode, "tree"));
  Must(me.Mkdir(kRootInode, "not empty"));
  Must(me.Mknod(Ino(me.Lookup(kRootInode, "not empty")), "name"));
  const auto set = [&fs](const QuotaRule& rule) { return fs->SetQuota(rule); };
  EXPECT_THAT(set({QuotaKind::kTree, std::nullopt, 1 << 20, 10, "/tree"}), Succeeds());
  EXPECT_THAT(set({QuotaKind::kUser, 1000, 2 << 20, 5}), Succeeds());
  EXPECT_THAT(set({QuotaKind::kUser, 1001, 3 << 20, kNoQuota}), Succeeds());
  EXPECT_THAT(set({QuotaKind::kUser, 1001, kNoQuota, kNoQuota}), Succeeds());
  EXPECT_THAT(set({QuotaKind::kGroup, std::nullopt, 4 << 20, 7}), Succeeds());
  EXPECT_THAT(set({QuotaKind::kTree, std::nullopt, 1 << 20, 10, "/not empty"}), Fails(ENOTEMPTY));
  const auto successor = Memory(*fs).Recover();
  ASSERT_NE(successor, nullptr);
  EXPECT_EQ(RulesOf(successor.get()), RulesOf(fs.get()));
  const Caller next(successor.get());
  EXPECT_THAT(next.Rmdir(kRootInode, "tree"), Fails(EBUSY));
  // A rule that is lifted is not found by the next one.
  EXPECT_THAT(successor->SetQuota({QuotaKind::kTree, std::nullopt, kNoQuota, kNoQuota, "/tree"}),
              Succeeds());
  const auto third = Memory(*successor).Recover();
  ASSERT_NE(third, nullptr);
  EXPECT_EQ(RulesOf(third.get()), RulesOf(successor.get()));
  EXPECT_THAT(Caller(third.get()).Rmdir(kRootInode, "tree"), Succeeds());
}

TEST(RecoveryTest, ASuccessorSharesPages) {
  const auto fs = MakeMemFs(RecoveryOptions());
  const Caller me(fs.get());
  const InodeNumber first = Ino(me.Mknod(kRootInode, "first"));
  const InodeNumber second = Ino(me.Mknod(kRootInode, "second"));
  const std::string data(10 * kPageSize, 'a');
  Must(me.Write(first, 0, data));
  ASSERT_EQ(Must(me.Copy(first, 0, second, 0, data.size())), data.size());
  const auto successor = Memory(*fs).Recover();
  ASSERT_NE(successor, nullptr);
  EXPECT_EQ(Describe(successor.get()), Describe(fs.get()));
  // A write to one file does not change the other, and each page is freed with its last owner.
  const Caller next(successor.get());
  Must(next.Write(second, kPageSize, "b"));
  EXPECT_EQ(Must(next.Read(first, 0, 1 << 20)), data);
  ASSERT_THAT(next.Unlink(kRootInode, "first"), Succeeds());
  next.Forget(first);
  EXPECT_EQ(Must(next.Read(second, 0, kPageSize + 2)), std::string(kPageSize, 'a') + "ba");
  EXPECT_EQ(successor->Usage().data_bytes, data.size());
  ASSERT_THAT(next.Unlink(kRootInode, "second"), Succeeds());
  next.Forget(second);
  EXPECT_EQ(successor->Usage().data_bytes, 0u);
}

// A page that has two owners, of which one would write to it without asking.
TEST(RecoveryTest, PagesOfTwoFilesAreRefused) {
  const auto fs = MakeMemFs(RecoveryOptions());
  const Caller me(fs.get());
  for (const char* const name : {"first", "second"}) {
    Must(me.Write(Ino(me.Mknod(kRootInode, name)), 0, std::string(kPageSize, 'x')));
  }
  MemFs::FilesOfPredecessor files = Memory(*fs).Copy();
  {
    const auto records = *RecordFile::Open(base::UniqueFd(dup(files.records.get())));
    records->ForEachBlock([](BlockHeader* block) {
      if (block->kind == kPageTableKind) {
        PageSlot::Store(reinterpret_cast<PageTableRecord*>(block)->slots(), PageSlot(1, true));
      }
      return false;
    });
  }
  const auto successor = MemFs::Recover(RecoveryOptions(), std::move(files));
  EXPECT_EQ(successor.status().message(), "the records of the files are damaged");
}

// The kernel may have stored into any page of a file that is open for reading and writing.
TEST(RecoveryTest, HolesOfAFileThatMayBeMappedCountAsData) {
  const auto fs = MakeMemFs(RecoveryOptions());
  const Caller me(fs.get());
  const CreateResult made = Must(me.Create(kRootInode, "file", 0644, 0, O_RDWR));
  const InodeNumber file = made.entry.ino;
  EXPECT_THAT(me.Truncate(file, 10 * kPageSize), Succeeds());
  const auto successor = Memory(*fs).Recover();
  ASSERT_NE(successor, nullptr);
  const Caller next(successor.get());
  EXPECT_EQ(Must(next.Lseek(file, 0, SEEK_DATA)), 0u);
  EXPECT_EQ(Must(next.Getattr(file)).attributes_valid, 0u);
  EXPECT_THAT(next.Release(file, O_RDWR), Succeeds());
  EXPECT_THAT(next.Lseek(file, 0, SEEK_DATA), Fails(ENXIO));
  EXPECT_NE(Must(next.Getattr(file)).attributes_valid, 0u);
  // What the kernel has cached of the file may include such holes.
  EXPECT_FALSE(Must(next.Open(file, O_RDWR)).keep_cache);
}

TEST(RecoveryTest, AnAttemptThatFailsLeavesTheRecords) {
  const auto fs = MakeMemFs(RecoveryOptions());
  const Tree tree(fs.get());
  const MemFs::FilesOfPredecessor memory = Memory(*fs).Copy();
  const auto recover = [&memory] {
    return MemFs::Recover(RecoveryOptions(), {base::UniqueFd(dup(memory.records.get())),
                                              base::UniqueFd(dup(memory.data.get()))});
  };
  // Makes the last name of the file empty, or gives it its length again.
  const auto set_name_size = [&memory](uint8_t size) {
    const auto records = *RecordFile::Open(base::UniqueFd(dup(memory.records.get())));
    Dentry* last = nullptr;
    records->ForEachBlock([&last](BlockHeader* block) {
      if (block->kind == kDentryKind) last = reinterpret_cast<Dentry*>(block);
      return false;
    });
    return std::exchange(last->target.name_size, size);
  };
  const uint8_t size = set_name_size(0);
  EXPECT_EQ(recover().status().code(), absl::StatusCode::kFailedPrecondition);
  set_name_size(size);
  const auto successor = recover();
  ASSERT_TRUE(successor.ok()) << successor.status();
  EXPECT_EQ(Describe(successor->get()), Describe(fs.get()));
}

// Random operations. It keeps the lookups and opens that the kernel would have.
class RandomClient {
 public:
  RandomClient() : inodes_{kRootInode} {}

  void Step(const Caller& me, std::mt19937* random) {
    const auto pick = [&] { return inodes_[(*random)() % inodes_.size()]; };
    const auto name = [&] { return std::string(1 + (*random)() % 40, "abc"[(*random)() % 3]); };
    switch ((*random)() % 24) {
      case 0:
        Keep(me.Mkdir(pick(), name()));
        break;
      case 1:
        Keep(me.Mknod(pick(), name(), S_IFIFO | 0600));
        break;
      case 2:
        Keep(me.Symlink(pick(), name(), name()));
        break;
      case 3:
        Keep(me.Link(pick(), pick(), name()));
        break;
      case 4:
        Keep(me.Lookup(pick(), name()));
        break;
      case 5:
        (void)me.Unlink(pick(), name());
        break;
      case 6:
        (void)me.Rmdir(pick(), name());
        break;
      case 7:
        (void)me.Rename(pick(), name(), pick(), name());
        break;
      case 8:
        (void)me.Rename(pick(), name(), pick(), name(), RENAME_EXCHANGE);
        break;
      case 9:
        (void)me.Setxattr(pick(), "user." + name(), name());
        break;
      case 10:
        (void)me.Removexattr(pick(), "user." + name());
        break;
      case 11:
        (void)me.Chown(pick(), (*random)() % 3, (*random)() % 3);
        break;
      case 12:
        (void)me.Chmod(pick(), (*random)() % 010000);
        break;
      case 13: {
        const Result<CreateResult> made = me.Create(pick(), name());
        if (made.ok()) ++opens_[made->entry.ino];
        if (made.ok()) Keep(made->entry);
        break;
      }
      case 14: {
        const InodeNumber ino = pick();
        if (me.Open(ino).ok()) ++opens_[ino];
        break;
      }
      case 15:
      case 16:
        (void)me.Write(pick(), Offset(random), std::string(Length(random), Letter(random)));
        break;
      case 17:
        (void)me.Truncate(pick(), Offset(random));
        break;
      case 18:
        (void)me.Fallocate(pick(), Mode(random), Offset(random), Length(random));
        break;
      case 19:
        (void)me.Copy(pick(), Offset(random), pick(), Offset(random), Length(random));
        break;
      case 20:
        Keep(me.Mknod(pick(), name()));
        break;
      default:
        Forget(me, (*random)() % inodes_.size());
    }
  }

  // Removes all names and returns what it keeps.
  void RemoveAll(const Caller& me) {
    RemoveNames(me, kRootInode);
    for (const auto& [ino, count] : opens_) {
      for (int i = 0; i < count; ++i) EXPECT_THAT(me.Release(ino), Succeeds());
    }
    while (inodes_.size() > 1) Forget(me, inodes_.size() - 1);
    const std::string xattrs = Must(me.Listxattr(kRootInode));
    for (size_t at = 0; at < xattrs.size(); at += std::strlen(&xattrs[at]) + 1) {
      EXPECT_THAT(me.Removexattr(kRootInode, &xattrs[at]), Succeeds());
    }
  }

 private:
  static uint64_t Offset(std::mt19937* random) {
    const uint64_t offset = (*random)() % (100 * kPageSize);
    return (*random)() % 2 == 0 ? offset / kPageSize * kPageSize : offset % 3000;
  }
  static uint64_t Length(std::mt19937* random) {
    return (*random)() % 2 == 0 ? kPageSize * (1 + (*random)() % 20) : 1 + (*random)() % 3000;
  }
  static char Letter(std::mt19937* random) { return static_cast<char>('a' + (*random)() % 26); }
  static uint32_t Mode(std::mt19937* random) {
    constexpr uint32_t kModes[] = {
        0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE};
    return kModes[(*random)() % 4];
  }
  void Keep(const Result<Entry>& entry) {
    if (entry.ok()) inodes_.push_back(entry->ino);
  }
  void Forget(const Caller& me, size_t index) {
    if (index == 0) return;
    me.Forget(inodes_[index]);
    inodes_.erase(inodes_.begin() + static_cast<ptrdiff_t>(index));
  }
  static void RemoveNames(const Caller& me, InodeNumber ino) {
    Listing listing;
    EXPECT_THAT(me.Readdir(ino, 0, /*plus=*/false, &listing), Succeeds());
    for (const auto& entry : listing.items) {
      if (entry.name == "." || entry.name == "..") continue;
      if (entry.type == S_IFDIR) {
        RemoveNames(me, entry.ino);
        EXPECT_THAT(me.Rmdir(ino, entry.name), Succeeds());
      } else {
        EXPECT_THAT(me.Unlink(ino, entry.name), Succeeds());
      }
    }
  }

  std::vector<InodeNumber> inodes_;  // the root, and one element for each lookup
  std::map<InodeNumber, int> opens_;
};

// Lets servers follow one another over a tree that changes at random. `succeed` makes the next one.
void ExpectGenerationsShareATree(
    const MemoryFileSystemOptions& options, int generations,
    const std::function<std::unique_ptr<MemFs>(std::unique_ptr<MemFs> fs)>& succeed) {
  auto fs = MakeMemFs(options);
  const uint64_t empty = fs->Usage().bytes_used;
  RandomClient client;
  std::mt19937 random(3);
  for (int generation = 0; generation < generations; ++generation) {
    const Caller me(fs.get());
    for (int i = 0; i < 300; ++i) client.Step(me, &random);
    const std::string before = Describe(fs.get());
    fs = succeed(std::move(fs));
    ASSERT_NE(fs, nullptr);
    ASSERT_EQ(Describe(fs.get()), before) << generation;
    EXPECT_EQ(fs->Usage().size_limit, options.size_limit);
  }
  client.RemoveAll(Caller(fs.get()));
  EXPECT_EQ(fs->Usage().inodes_used, 1u);
  EXPECT_EQ(fs->Usage().bytes_used, empty);
  EXPECT_EQ(fs->Usage().data_bytes, 0u);
}

TEST(RecoveryTest, GenerationsOfServersShareATree) {
  ExpectGenerationsShareATree(RecoveryOptions(), 30,
                              [](std::unique_ptr<MemFs> fs) { return Memory(*fs).Recover(); });
}

MemoryFileSystemOptions PassthroughOptions() {
  MemoryFileSystemOptions options = RecoveryOptions();
  options.data = DataKind::kPassthrough;
  options.size_limit = uint64_t{256} << 20;
  return options;
}

// Destroys the file system, and makes it again from what it leaves. A private tmpfs cannot be
// copied.
std::unique_ptr<MemFs> GiveAway(std::unique_ptr<MemFs> fs, const MemoryFileSystemOptions& options) {
  MemFs::FilesOfPredecessor files{base::UniqueFd(dup(fs->record_descriptor())),
                                  base::UniqueFd(dup(fs->data_descriptor()))};
  fs->Abandon();
  fs.reset();
  auto successor = MemFs::Recover(options, std::move(files));
  EXPECT_TRUE(successor.ok()) << successor.status();
  return successor.ok() ? *std::move(successor) : nullptr;
}

TEST(RecoveryTest, GenerationsOfServersShareAPrivateTmpfs) {
  ASSERT_TRUE(MayMountTmpfs()) << "needs root (CAP_SYS_ADMIN)";
  ExpectGenerationsShareATree(PassthroughOptions(), 20, [](std::unique_ptr<MemFs> fs) {
    return GiveAway(std::move(fs), PassthroughOptions());
  });
}

// So many that several threads rebuild the tree.
void MakeManyFiles(MemFs* fs) {
  constexpr int kDirectories = 20;
  constexpr int kFilesOfEach = 1000;
  const Caller me(fs);
  for (int d = 0; d < kDirectories; ++d) {
    const InodeNumber directory = Ino(me.Mkdir(kRootInode, "d" + std::to_string(d)));
    for (int f = 0; f < kFilesOfEach; ++f) {
      const std::string name = std::to_string(f);
      const InodeNumber file = Ino(me.Mknod(directory, name));
      if (f % 3 == 0) Must(me.Write(file, 0, std::string(static_cast<size_t>(f), 'x')));
      if (f % 10 == 0) {
        EXPECT_TRUE(me.Setxattr(file, "user.x", name).ok());
      }

      if (f % 50 == 0) Must(me.Symlink(directory, "s" + name, name));
      if (f % 70 == 0) Must(me.Link(file, kRootInode, name + "of" + std::to_string(d)));
      if (f % 20 == 0) {
        EXPECT_TRUE(me.Unlink(directory, name).ok());
      }

      me.Forget(file);
    }
  }
}

TEST(RecoveryTest, ManyFilesAreRebuilt) {
  const auto fs = MakeMemFs(RecoveryOptions());
  MakeManyFiles(fs.get());
  const auto records = *RecordFile::Open(base::UniqueFd(dup(fs->record_descriptor())));
  EXPECT_GT(records->ScanThreads(), 1);
  const auto successor = Memory(*fs).Recover();
  ASSERT_NE(successor, nullptr);
  EXPECT_TRUE(Describe(successor.get()) == Describe(fs.get()));
}

TEST(RecoveryTest, ManyFilesOfAPrivateTmpfsAreRebuilt) {
  ASSERT_TRUE(MayMountTmpfs()) << "needs root (CAP_SYS_ADMIN)";
  auto fs = MakeMemFs(PassthroughOptions());
  MakeManyFiles(fs.get());
  const std::string before = Describe(fs.get());
  fs = GiveAway(std::move(fs), PassthroughOptions());
  ASSERT_NE(fs, nullptr);
  EXPECT_TRUE(Describe(fs.get()) == before);
}

TEST(RecoveryTest, ALimitBelowTheUsageOfATmpfsBecomesTheUsage) {
  ASSERT_TRUE(MayMountTmpfs()) << "needs root (CAP_SYS_ADMIN)";
  for (const bool with_data : {false, true}) {
    auto fs = MakeMemFs(PassthroughOptions());
    const InodeNumber file = Ino(Caller(fs.get()).Mknod(kRootInode, "file"));
    if (with_data) Must(Caller(fs.get()).Write(file, 0, std::string(1 << 20, 'x')));
    // Only a damaged root has such a limit.
    constexpr uint64_t kTooSmall = kPageSize;
    ASSERT_EQ(pwrite(fs->record_descriptor(), &kTooSmall, sizeof(kTooSmall),
                     static_cast<off_t>(kRootOffset + offsetof(RootRecord, size_limit))),
              static_cast<ssize_t>(sizeof(kTooSmall)));
    fs = GiveAway(std::move(fs), PassthroughOptions());
    ASSERT_NE(fs, nullptr);
    EXPECT_LE(fs->Usage().size_limit, fs->Usage().bytes_used + 3 * kPageSize);
  }
}

// The backing file is younger than the times that a program has set before.
TEST(RecoveryTest, TheTimesOfAFileThatWasOnlyOpenedStay) {
  ASSERT_TRUE(MayMountTmpfs()) << "needs root (CAP_SYS_ADMIN)";
  FakeBackingFiles backing;
  auto fs = MakeMemFs(PassthroughOptions());
  ASSERT_TRUE(fs->Connected({&backing}).ok());
  const Caller me(fs.get());
  SetattrRequest request;
  request.ino = Ino(me.Mknod(kRootInode, "file"));
  request.mtime = {TimeChange::Kind::kSet, {3, 4}};
  Must(me.Setattr(request));
  Must(me.Open(request.ino, O_RDONLY));
  EXPECT_THAT(me.Release(request.ino, O_RDONLY), Succeeds());
  const std::string before = Describe(fs.get());
  fs->Disconnected();
  fs = GiveAway(std::move(fs), PassthroughOptions());
  ASSERT_NE(fs, nullptr);
  EXPECT_EQ(Describe(fs.get()), before);
}

TEST(RecoveryTest, AStoreWithFilesIsNotReplaced) {
  ASSERT_TRUE(MayMountTmpfs()) << "needs root (CAP_SYS_ADMIN)";
  MemoryFileSystemOptions options = RecoveryOptions();
  options.data = DataKind::kAuto;
  FakeBackingFiles backing;
  const auto fs = MakeMemFs(options);
  const InodeNumber file = Ino(Caller(fs.get()).Mknod(kRootInode, "file"));
  Must(Caller(fs.get()).Write(file, 0, std::string(3 * kPageSize, 'x')));
  const auto successor = Memory(*fs).Recover(options);
  ASSERT_NE(successor, nullptr);
  ASSERT_TRUE(successor->Connected({&backing}).ok());
  EXPECT_EQ(Must(Caller(successor.get()).Read(file, 0, 1 << 20)), std::string(3 * kPageSize, 'x'));
  EXPECT_EQ(successor->DescribeData(), "daemon, huge=never");
  successor->Disconnected();
}

// A backing file whose inode was never published, or is gone.
TEST(RecoveryTest, BackingFilesWithoutAnInodeAreRemoved) {
  ASSERT_TRUE(MayMountTmpfs()) << "needs root (CAP_SYS_ADMIN)";
  const MemoryFileSystemOptions options = PassthroughOptions();
  auto fs = MakeMemFs(options);
  MemFs::FilesOfPredecessor files{base::UniqueFd(dup(fs->record_descriptor())),
                                  base::UniqueFd(dup(fs->data_descriptor()))};
  fs->Abandon();
  fs.reset();
  const base::UniqueFd left(
      openat(files.data.get(), "5/12345", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
  ASSERT_TRUE(left.valid());
  ASSERT_EQ(pwrite(left.get(), "data", 4, 0), 4);
  const auto successor = MemFs::Recover(options, std::move(files));
  ASSERT_TRUE(successor.ok()) << successor.status();
  struct stat found;
  ASSERT_EQ(fstat(left.get(), &found), 0);
  EXPECT_EQ(found.st_nlink, 0u);
}

}  // namespace
}  // namespace memfuse::memfs
