// Usage of directories, types, large files and inodes without a name.

#include "src/memfs/ops/tree_usage.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "tests/memfs/memfs_test_base.h"
#include "tests/memfs/passthrough_test_base.h"

namespace memfuse::memfs {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

TreeUsage UsageAt(const MemFs& fs, std::string_view path) {
  UsageWalk walk;
  TreeUsage usage = Must(fs.UsageOfTree(path, &walk));
  EXPECT_TRUE(usage.complete);
  // Each list adds up to the total.
  UsageAmount rows = usage.direct;
  rows += usage.other_children;
  for (const TreeUsage::Child& child : usage.children) rows += child.usage;
  UsageAmount types;
  for (const UsageAmount& type : usage.by_type) types += type;
  for (const UsageAmount& sum : {rows, types}) {
    EXPECT_EQ(sum.inodes, usage.total.inodes);
    EXPECT_EQ(sum.bytes, usage.total.bytes);
    EXPECT_EQ(sum.disk_usage, usage.total.disk_usage);
  }
  return usage;
}

NamelessUsage NamelessIn(const MemFs& fs, std::optional<uint32_t> uid = std::nullopt) {
  UsageWalk walk;
  NamelessUsage usage = fs.UsageOfNameless(uid, &walk);
  EXPECT_TRUE(usage.complete);
  return usage;
}

// Expects that what has names and what has none is what the budget has. Requires that no operation
// is in progress.
void ExpectAddsUp(const MemFs& fs) {
  const TreeUsage tree = UsageAt(fs, "/");
  const NamelessUsage nameless = NamelessIn(fs);
  const MemoryFileSystemUsage all = fs.Usage();
  EXPECT_EQ(tree.total.bytes + nameless.total.bytes + nameless.being_freed, all.bytes_used);
  EXPECT_EQ(tree.total.inodes + nameless.total.inodes, all.inodes_used);
}

class TreeUsageTest : public MemFsTest {
 protected:
  TreeUsageTest() : MemFsTest(SmallOptions(uint64_t{1} << 30, 200'000)) {}

  TreeUsage At(std::string_view path) const { return UsageAt(*fs_, path); }
  InodeNumber MakeFile(InodeNumber parent, std::string_view name, uint64_t size) const {
    const InodeNumber ino = Ino(me_.Mknod(parent, name));
    if (size != 0) {
      EXPECT_THAT(me_.Write(ino, 0, std::string(size, 'x')), Succeeds());
    }
    return ino;
  }
  static uint64_t Inodes(const TreeUsage& usage, FileType type) {
    return usage.by_type[static_cast<size_t>(type)].inodes;
  }
};

TEST_F(TreeUsageTest, AnEmptyFileSystemIsItsRoot) {
  const TreeUsage usage = At("/");
  EXPECT_EQ(usage.total.inodes, 1u);
  EXPECT_EQ(usage.total.bytes, empty_.bytes_used);
  EXPECT_EQ(usage.total.disk_usage, 0u);
  EXPECT_THAT(usage.children, IsEmpty());
  EXPECT_THAT(usage.largest, IsEmpty());
  EXPECT_EQ(usage.direct.inodes, 1u);
}

TEST_F(TreeUsageTest, ChildrenAreSortedAndCountEverythingBelow) {
  const InodeNumber a = Ino(me_.Mkdir(kRootInode, "a"));
  const InodeNumber b = Ino(me_.Mkdir(kRootInode, "b"));
  MakeFile(a, "small", 100);
  const InodeNumber deep = Ino(me_.Mkdir(Ino(me_.Mkdir(b, "x")), "y"));
  MakeFile(deep, "large", 1 << 20);
  MakeFile(kRootInode, "here", 50'000);
  const TreeUsage root = At("/");
  ASSERT_THAT(root.children, SizeIs(2));
  EXPECT_EQ(root.children[0].name, "b");
  EXPECT_EQ(root.children[0].usage.inodes, 4u);
  EXPECT_EQ(root.children[0].usage.disk_usage, 1u << 20);
  EXPECT_GT(root.children[0].usage.bytes, 1u << 20);
  EXPECT_EQ(root.children[1].name, "a");
  EXPECT_EQ(root.children[1].usage.inodes, 2u);
  EXPECT_EQ(root.direct.inodes, 2u);
  EXPECT_EQ(root.direct.disk_usage, 53'248u);
  EXPECT_EQ(At("/b").total.bytes, root.children[0].usage.bytes);
  EXPECT_EQ(At("//b/x/").total.inodes, 3u);
  ExpectAddsUp(*fs_);
}

TEST_F(TreeUsageTest, WhatTheBudgetCountsIsCounted) {
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  const InodeNumber file = MakeFile(dir, "file", 3);
  const uint64_t before = At("/dir").total.bytes;
  EXPECT_THAT(me_.Setxattr(file, "user.x", std::string(1000, 'v')), Succeeds());
  EXPECT_GE(At("/dir").total.bytes, before + 1000);
  EXPECT_THAT(me_.Symlink(dir, "link", std::string(500, 't')), Succeeds());
  EXPECT_THAT(me_.Fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 1 << 20), Succeeds());
  // A sparse file: only its pages count.
  EXPECT_THAT(me_.Write(file, uint64_t{1} << 40, "end"), Succeeds());
  // Pages that two files share are charged to both.
  const InodeNumber copy = MakeFile(dir, "copy", 0);
  EXPECT_THAT(me_.Copy(file, 0, copy, 0, 1 << 20), Succeeds());
  EXPECT_THAT(me_.Chown(file, 7, 7), Succeeds());
  ExpectAddsUp(*fs_);
}

TEST_F(TreeUsageTest, AnInodeWithSeveralNamesCountsOnce) {
  const InodeNumber a = Ino(me_.Mkdir(kRootInode, "a"));
  const InodeNumber b = Ino(me_.Mkdir(kRootInode, "b"));
  const InodeNumber file = MakeFile(a, "1", 100'000);
  EXPECT_THAT(me_.Link(file, a, "2"), Succeeds());
  EXPECT_THAT(me_.Link(file, b, "3"), Succeeds());
  EXPECT_EQ(At("/").total.inodes, 4u);
  EXPECT_THAT(At("/").largest, SizeIs(1));
  // In an answer of its own, each directory has it.
  EXPECT_EQ(At("/a").total.inodes, 2u);
  EXPECT_EQ(At("/b").total.inodes, 2u);
  ExpectAddsUp(*fs_);
}

TEST_F(TreeUsageTest, TypesAreCounted) {
  MakeFile(kRootInode, "file", 10);
  EXPECT_THAT(me_.Symlink(kRootInode, "link", "target"), Succeeds());
  EXPECT_THAT(me_.Mknod(kRootInode, "null", S_IFCHR | 0666, 0, 0x103), Succeeds());
  EXPECT_THAT(me_.Mknod(kRootInode, "loop", S_IFBLK | 0666, 0, 0x700), Succeeds());
  EXPECT_THAT(me_.Mknod(kRootInode, "fifo", S_IFIFO | 0666), Succeeds());
  EXPECT_THAT(me_.Mknod(kRootInode, "socket", S_IFSOCK | 0666), Succeeds());
  const TreeUsage usage = At("/");
  EXPECT_EQ(Inodes(usage, FileType::kRegular), 1u);
  EXPECT_EQ(Inodes(usage, FileType::kDirectory), 1u);
  EXPECT_EQ(Inodes(usage, FileType::kSymlink), 1u);
  EXPECT_EQ(Inodes(usage, FileType::kDevice), 2u);
  EXPECT_EQ(Inodes(usage, FileType::kFifo), 1u);
  EXPECT_EQ(Inodes(usage, FileType::kSocket), 1u);
  ExpectAddsUp(*fs_);
}

TEST_F(TreeUsageTest, TheLargestFilesHaveTheirPath) {
  const InodeNumber dir = Ino(me_.Mkdir(Ino(me_.Mkdir(kRootInode, "a")), "b"));
  const InodeNumber large = MakeFile(dir, "large", 200'000);
  MakeFile(kRootInode, "medium", 100'000);
  // More small files than rows.
  for (size_t i = 0; i < kMaxUsageRows + 100; ++i) MakeFile(dir, std::to_string(i), 10);
  const TreeUsage root = At("/");
  ASSERT_THAT(root.largest, SizeIs(kMaxUsageRows));
  EXPECT_EQ(root.largest[0].path, "/a/b/large");
  EXPECT_EQ(root.largest[0].ino, large);
  EXPECT_EQ(root.largest[0].size, 200'000u);
  EXPECT_EQ(root.largest[1].path, "/medium");
  EXPECT_THAT(At("/a/b").largest[0].path, "/a/b/large") << "from the root, also of a subtree";
}

TEST_F(TreeUsageTest, SmallDirectoriesAreAddedTogether) {
  for (size_t i = 0; i < kMaxUsageRows + 50; ++i) {
    const InodeNumber dir = Ino(me_.Mkdir(kRootInode, std::to_string(i)));
    if (i % 100 == 7) MakeFile(dir, "file", 10'000);
  }
  const TreeUsage usage = At("/");
  EXPECT_THAT(usage.children, SizeIs(kMaxUsageRows));
  EXPECT_EQ(usage.other_count, 50u);
  EXPECT_EQ(usage.other_children.inodes, 50u);
  EXPECT_TRUE(
      std::is_sorted(usage.children.begin(), usage.children.end(),
                     [](const auto& a, const auto& b) { return a.usage.bytes > b.usage.bytes; }));
  EXPECT_EQ(usage.children[10].usage.inodes, 2u);
  EXPECT_EQ(usage.children[11].usage.inodes, 1u);
  ExpectAddsUp(*fs_);
}

TEST_F(TreeUsageTest, ALongPathIsCutAtItsBeginning) {
  InodeNumber dir = kRootInode;
  for (int i = 0; i < 30; ++i) dir = Ino(me_.Mkdir(dir, std::string(200, 'a')));
  MakeFile(dir, "file", 10);
  const TreeUsage usage = At("/");
  ASSERT_THAT(usage.largest, SizeIs(1));
  const std::string& path = usage.largest[0].path;
  EXPECT_THAT(path, StartsWith(".../aaa"));
  EXPECT_EQ(path.substr(path.size() - 7), "aa/file");
  EXPECT_LE(path.size(), kMaxUsagePath);
  EXPECT_GT(path.size(), kMaxUsagePath - 202);
}

// A walk keeps no path beyond kMaxUsagePath while it is deeper.
TEST_F(TreeUsageTest, PathsAreRightAboveAndBelowTheLengthThatIsKept) {
  const auto name = [](size_t depth) {
    std::string text = std::to_string(depth) + "_";
    return text + std::string(250 - text.size(), 'n');
  };
  std::vector<std::string> paths = {""};
  InodeNumber dir = kRootInode;
  for (size_t depth = 1; depth <= 40; ++depth) {
    // The newest entry is visited first: one file before the walk goes down, and one after it.
    MakeFile(dir, "after", 10 * depth);
    const InodeNumber next = Ino(me_.Mkdir(dir, name(depth)));
    MakeFile(dir, "before", 10 * depth + 5);
    paths.push_back(paths.back() + "/" + name(depth));
    dir = next;
  }
  for (const std::string& top : {std::string("/"), paths[3], paths[20]}) {
    const TreeUsage usage = At(top);
    EXPECT_FALSE(usage.largest.empty());
    for (const TreeUsage::File& file : usage.largest) {
      const std::string full =
          paths[file.size / 10 - 1] + (file.size % 10 == 0 ? "/after" : "/before");
      if (full.size() <= kMaxUsagePath) {
        EXPECT_EQ(file.path, full);
        continue;
      }
      ASSERT_THAT(file.path, StartsWith(".../"));
      EXPECT_THAT(full, ::testing::EndsWith(file.path.substr(3)));
      EXPECT_LE(file.path.size(), kMaxUsagePath);
      EXPECT_GT(file.path.size(), kMaxUsagePath - 252);
    }
  }
}

TEST_F(TreeUsageTest, ADeepTreeNeedsNoStack) {
  constexpr uint64_t kDepth = 100'000;
  InodeNumber dir = kRootInode;
  for (uint64_t i = 0; i < kDepth; ++i) {
    const InodeNumber next = Ino(me_.Mkdir(dir, "d"));
    me_.Forget(next);
    dir = next;
  }
  MakeFile(dir, "bottom", 10);
  const TreeUsage usage = At("/");
  EXPECT_EQ(usage.total.inodes, kDepth + 2);
  ASSERT_THAT(usage.children, SizeIs(1));
  EXPECT_EQ(usage.children[0].usage.inodes, kDepth + 1);
  ExpectAddsUp(*fs_);
}

TEST_F(TreeUsageTest, PathsAreCheckedInTheirOrder) {
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  MakeFile(dir, "file", 1);
  EXPECT_THAT(me_.Symlink(kRootInode, "link", "dir"), Succeeds());
  const auto at = [&](std::string_view path) {
    UsageWalk walk;
    return fs_->UsageOfTree(path, &walk);
  };
  EXPECT_THAT(at(""), Fails(EINVAL));
  EXPECT_THAT(at("dir"), Fails(EINVAL));
  EXPECT_THAT(at("/dir/.."), Fails(EINVAL));
  EXPECT_THAT(at("/./dir"), Fails(EINVAL));
  EXPECT_THAT(at("/" + std::string(256, 'x')), Fails(ENAMETOOLONG));
  EXPECT_THAT(at("/none"), Fails(ENOENT));
  EXPECT_THAT(at("/dir/none/.."), Fails(EINVAL)) << "the syntax comes first";
  EXPECT_THAT(at("/link"), Fails(ENOTDIR)) << "a symbolic link is not followed";
  EXPECT_THAT(at("/dir/file"), Fails(ENOTDIR));
  EXPECT_THAT(at("/dir/file/x"), Fails(ENOTDIR));
  EXPECT_THAT(at("/dir/"), Succeeds());
}

TEST_F(TreeUsageTest, InodesWithoutANameAreListed) {
  const Caller alice(fs_.get(), 1000, 100);
  EXPECT_THAT(me_.Chmod(kRootInode, 0777), Succeeds());
  const CreateResult open = Must(alice.Create(kRootInode, "open", 0644, 0, O_RDWR));
  EXPECT_THAT(alice.Write(open.entry.ino, 0, std::string(100'000, 'x')), Succeeds());
  const InodeNumber known = MakeFile(kRootInode, "known", 5'000);
  const CreateResult unnamed = Must(me_.Tmpfile(kRootInode, 0600, 0, O_RDWR));
  EXPECT_THAT(NamelessIn(*fs_).inodes, SizeIs(1)) << "that of O_TMPFILE";
  EXPECT_THAT(me_.Unlink(kRootInode, "open"), Succeeds());
  EXPECT_THAT(me_.Unlink(kRootInode, "known"), Succeeds());
  (void)RemovedDirectory();

  const NamelessUsage all = NamelessIn(*fs_);
  EXPECT_EQ(all.total.inodes, 4u);
  ASSERT_THAT(all.inodes, SizeIs(4));
  EXPECT_EQ(all.inodes[0].ino, open.entry.ino);
  EXPECT_EQ(all.inodes[0].uid, 1000u);
  EXPECT_EQ(all.inodes[0].gid, 100u);
  EXPECT_EQ(all.inodes[0].opens, 1u);
  EXPECT_EQ(all.inodes[0].lookups, 1u);
  EXPECT_EQ(all.inodes[0].size, 100'000u);
  EXPECT_GT(all.inodes[0].bytes, 100'000u);
  EXPECT_EQ(all.inodes[1].ino, known);
  EXPECT_EQ(all.inodes[1].opens, 0u);
  EXPECT_EQ(all.inodes[3].ino, unnamed.entry.ino);
  EXPECT_EQ(all.inodes[2].type, FileType::kDirectory);
  ExpectAddsUp(*fs_);

  const NamelessUsage own = NamelessIn(*fs_, 1000);
  EXPECT_EQ(own.total.inodes, 1u);
  ASSERT_THAT(own.inodes, SizeIs(1));
  EXPECT_EQ(own.inodes[0].ino, open.entry.ino);
  EXPECT_THAT(NamelessIn(*fs_, 77).inodes, IsEmpty());

  EXPECT_THAT(alice.Release(open.entry.ino, O_RDWR), Succeeds());
  me_.Forget(open.entry.ino);
  EXPECT_THAT(NamelessIn(*fs_, 1000).inodes, IsEmpty());
}

TEST_F(TreeUsageTest, AWalkStopsWhenItsTimeIsOverOrItIsCancelled) {
  for (int i = 0; i < 300; ++i) MakeFile(Ino(me_.Mkdir(kRootInode, std::to_string(i))), "x", 10);
  UsageWalk over(std::chrono::seconds(0));
  const TreeUsage none = Must(fs_->UsageOfTree("/", &over));
  EXPECT_FALSE(none.complete);
  EXPECT_LT(none.total.inodes, 600u);
  UsageWalk cancelled;
  cancelled.Cancel();
  EXPECT_FALSE(Must(fs_->UsageOfTree("/", &cancelled)).complete);
  EXPECT_FALSE(fs_->UsageOfNameless(std::nullopt, &cancelled).complete);
  UsageWalk walk;
  EXPECT_TRUE(Must(fs_->UsageOfTree("/", &walk)).complete);
  EXPECT_EQ(walk.visited(), 600u);
}

// The tree changes all the time: walks end, count what does not change, and are exact afterwards.
TEST_F(TreeUsageTest, WalksDuringChangesEnd) {
  const InodeNumber still = Ino(me_.Mkdir(kRootInode, "still"));
  for (int i = 0; i < 1000; ++i) MakeFile(still, std::to_string(i), 10);
  const InodeNumber a = Ino(me_.Mkdir(kRootInode, "a"));
  const InodeNumber b = Ino(me_.Mkdir(kRootInode, "b"));
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (int t = 0; t < 2; ++t) {
    writers.emplace_back([&, t] {
      const Caller caller(fs_.get());
      const std::string name = "n" + std::to_string(t);
      while (!stop.load()) {
        const InodeNumber dir = Ino(caller.Mkdir(a, name));
        const InodeNumber file = Ino(caller.Mknod(dir, "f"));
        EXPECT_THAT(caller.Write(file, 0, std::string(5000, 'x')), Succeeds());
        EXPECT_THAT(caller.Setxattr(file, "user.a", "value"), Succeeds());
        EXPECT_THAT(caller.Link(file, still, name), Succeeds());
        EXPECT_THAT(caller.Rename(a, name, b, name), Succeeds());
        EXPECT_THAT(caller.Unlink(dir, "f"), Succeeds());
        EXPECT_THAT(caller.Unlink(still, name), Succeeds());
        EXPECT_THAT(caller.Rmdir(b, name), Succeeds());
        caller.Forget(file, 2);
        caller.Forget(dir);
      }
    });
  }
  for (int i = 0; i < 200; ++i) {
    UsageWalk walk;
    const TreeUsage usage = Must(fs_->UsageOfTree("/", &walk));
    EXPECT_TRUE(usage.complete);
    EXPECT_GE(usage.total.inodes, 1004u);
    EXPECT_LE(usage.total.inodes, 1004u + 8u);
    (void)fs_->UsageOfNameless(std::nullopt, &walk);
  }
  stop.store(true);
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(At("/").total.inodes, 1004u);
  ExpectAddsUp(*fs_);
}

class PassthroughUsageTest : public PassthroughTest {};

TEST_F(PassthroughUsageTest, DataThatTheKernelWroteIsCounted) {
  const CreateResult made = Create("file", O_RDWR);
  const base::UniqueFd file = Serve(made.open, O_RDWR);
  Write(file, 0, std::string(100'000, 'x'));
  const TreeUsage usage = UsageAt(*fs_, "/");
  ASSERT_THAT(usage.largest, SizeIs(1));
  EXPECT_EQ(usage.largest[0].size, 100'000u);
  EXPECT_EQ(usage.total.disk_usage, 102'400u);
  ExpectAddsUp(*fs_);
  EXPECT_THAT(me_.Unlink(kRootInode, "file"), Succeeds());
  Write(file, 200'000, "more");
  EXPECT_EQ(NamelessIn(*fs_).inodes[0].size, 200'004u);
  ExpectAddsUp(*fs_);
}

}  // namespace
}  // namespace memfuse::memfs
