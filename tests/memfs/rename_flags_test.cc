// RENAME: every flag on every pair of types, EXCHANGE, WHITEOUT.

#include <linux/fs.h>

#include <ostream>
#include <string>
#include <tuple>

#include "tests/memfs/memfs_test_base.h"

namespace memfuse::memfs {
namespace {

enum class NodeKind { kMissing, kFile, kSymlink, kEmptyDirectory, kFullDirectory };

std::ostream& operator<<(std::ostream& out, NodeKind kind) {
  static constexpr const char* kNames[] = {"missing", "file", "symlink", "empty directory",
                                           "full directory"};
  return out << kNames[static_cast<int>(kind)];
}

bool IsDirectory(NodeKind kind) {
  return kind == NodeKind::kEmptyDirectory || kind == NodeKind::kFullDirectory;
}

// Source, target, flags, whether the two names are in one directory.
using Pair = std::tuple<NodeKind, NodeKind, uint32_t, bool>;

// The result that rename(2) documents for the pair.
int ExpectedError(const Pair& pair) {
  const auto [source, target, flags, same_parent] = pair;
  const bool exchange = (flags & RENAME_EXCHANGE) != 0;
  if (source == NodeKind::kMissing) return ENOENT;
  if (exchange) return target == NodeKind::kMissing ? ENOENT : 0;
  if (target == NodeKind::kMissing) return 0;
  if ((flags & RENAME_NOREPLACE) != 0) return EEXIST;
  if (IsDirectory(target) && !IsDirectory(source)) return EISDIR;
  if (!IsDirectory(target) && IsDirectory(source)) return ENOTDIR;
  return target == NodeKind::kFullDirectory ? ENOTEMPTY : 0;
}

class RenamePairTest : public MemFsTest, public ::testing::WithParamInterface<Pair> {
 protected:
  // kNoInode for a missing one.
  InodeNumber Make(NodeKind kind, InodeNumber parent, const std::string& name) {
    switch (kind) {
      case NodeKind::kMissing:
        return kNoInode;
      case NodeKind::kFile:
        return Ino(me_.Mknod(parent, name));
      case NodeKind::kSymlink:
        return Ino(me_.Symlink(parent, name, "to"));
      case NodeKind::kEmptyDirectory:
        return Ino(me_.Mkdir(parent, name));
      case NodeKind::kFullDirectory: {
        const InodeNumber made = Ino(me_.Mkdir(parent, name));
        EXPECT_THAT(me_.Mkdir(made, "inside"), Succeeds());
        return made;
      }
    }
    return kNoInode;
  }
  InodeNumber Find(InodeNumber parent, const std::string& name) {
    const Result<Entry> found = me_.Lookup(parent, name);
    return found.ok() ? found->ino : kNoInode;
  }
  void ExpectParent(InodeNumber ino, InodeNumber parent) {
    if (ino == kNoInode || (Stat(ino).mode & S_IFMT) != S_IFDIR) return;
    EXPECT_EQ(Ino(me_.Lookup(ino, "..")), parent);
  }
  // The link count of a directory: 2, plus one for each subdirectory.
  void ExpectNlinkFits(InodeNumber directory) {
    Listing listing;
    EXPECT_THAT(me_.Readdir(directory, 2, false, &listing), Succeeds());
    uint32_t nlink = 2;
    for (const Listing::Item& item : listing.items) nlink += item.type == S_IFDIR ? 1 : 0;
    EXPECT_EQ(Stat(directory).nlink, nlink);
  }
};

TEST_P(RenamePairTest, EndsAsDocumented) {
  const auto [source_kind, target_kind, flags, same_parent] = GetParam();
  const InodeNumber from = Ino(me_.Mkdir(kRootInode, "from"));
  const InodeNumber to = same_parent ? from : Ino(me_.Mkdir(kRootInode, "to"));
  const InodeNumber source = Make(source_kind, from, "source");
  const InodeNumber target = Make(target_kind, to, "target");
  AgeTimes(from);
  AgeTimes(to);
  const int expected = ExpectedError(GetParam());
  EXPECT_EQ(me_.Rename(from, "source", to, "target", flags).error_or_zero(), expected);

  const InodeNumber at_source = Find(from, "source");
  const InodeNumber at_target = Find(to, "target");
  EXPECT_EQ(MovedTimes(from), expected == 0 ? "mc" : "");
  EXPECT_EQ(MovedTimes(to), expected == 0 ? "mc" : "");
  if (expected != 0) {
    EXPECT_EQ(at_source, source);
    EXPECT_EQ(at_target, target);
  } else {
    EXPECT_EQ(at_target, source);
    ExpectParent(source, to);
    if ((flags & RENAME_EXCHANGE) != 0) {
      EXPECT_EQ(at_source, target);
      ExpectParent(target, from);
    } else if ((flags & RENAME_WHITEOUT) != 0) {
      ASSERT_NE(at_source, kNoInode);
      const Attributes whiteout = Stat(at_source);
      EXPECT_EQ(whiteout.mode, static_cast<uint32_t>(S_IFCHR));
      EXPECT_EQ(whiteout.rdev, 0u);
      EXPECT_EQ(whiteout.nlink, 1u);
    } else {
      EXPECT_EQ(at_source, kNoInode);
    }
    if (target != kNoInode && (flags & RENAME_EXCHANGE) == 0) {
      EXPECT_EQ(Stat(target).nlink, 0u);
    }
  }
  ExpectNlinkFits(from);
  ExpectNlinkFits(to);
  ExpectNlinkFits(kRootInode);
}

auto AllKinds() {
  return ::testing::Values(NodeKind::kMissing, NodeKind::kFile, NodeKind::kSymlink,
                           NodeKind::kEmptyDirectory, NodeKind::kFullDirectory);
}

INSTANTIATE_TEST_SUITE_P(
    All, RenamePairTest,
    ::testing::Combine(AllKinds(), AllKinds(),
                       ::testing::Values(0u, 0u + RENAME_NOREPLACE, 0u + RENAME_EXCHANGE,
                                         0u + RENAME_WHITEOUT, RENAME_NOREPLACE | RENAME_WHITEOUT),
                       ::testing::Bool()));

class RenameFlagsTest : public MemFsTest {};

TEST_F(RenameFlagsTest, ExchangeWithADescendantIsRefused) {
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  const InodeNumber child = Ino(me_.Mkdir(dir, "child"));
  ASSERT_THAT(me_.Mknod(child, "leaf"), Succeeds());
  EXPECT_THAT(me_.Rename(kRootInode, "dir", dir, "child", RENAME_EXCHANGE), Fails(EINVAL));
  EXPECT_THAT(me_.Rename(dir, "child", kRootInode, "dir", RENAME_EXCHANGE), Fails(EINVAL));
  EXPECT_THAT(me_.Rename(kRootInode, "dir", child, "leaf", RENAME_EXCHANGE), Fails(EINVAL));
  EXPECT_THAT(me_.Rename(child, "leaf", kRootInode, "dir", RENAME_EXCHANGE), Fails(EINVAL));
}

TEST_F(RenameFlagsTest, ExchangeBetweenADirectoryAndItsAncestorsSibling) {
  const InodeNumber a = Ino(me_.Mkdir(kRootInode, "a"));
  const InodeNumber b = Ino(me_.Mkdir(a, "b"));
  const InodeNumber deep = Ino(me_.Mkdir(b, "deep"));
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  AgeTimes(deep);
  AgeTimes(file);
  ASSERT_THAT(me_.Rename(b, "deep", kRootInode, "file", RENAME_EXCHANGE), Succeeds());
  EXPECT_EQ(Ino(me_.Lookup(b, "deep")), file);
  EXPECT_EQ(Ino(me_.Lookup(kRootInode, "file")), deep);
  EXPECT_EQ(Ino(me_.Lookup(deep, "..")), kRootInode);
  EXPECT_EQ(Stat(b).nlink, 2u);
  EXPECT_EQ(Stat(kRootInode).nlink, 4u);
  EXPECT_EQ(MovedTimes(deep), "c");
  EXPECT_EQ(MovedTimes(file), "c");
}

TEST_F(RenameFlagsTest, AWhiteoutBelongsToItsDirectoryAndIsCountedWhileItIsNamed) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  ASSERT_THAT(me_.Rename(kRootInode, "file", kRootInode, "new", RENAME_WHITEOUT), Succeeds());
  EXPECT_EQ(fs_->Usage().inodes_used, 3u);
  ASSERT_THAT(me_.Unlink(kRootInode, "file"), Succeeds());
  EXPECT_EQ(fs_->Usage().inodes_used, 2u);
  ASSERT_THAT(me_.Unlink(kRootInode, "new"), Succeeds());
  me_.Forget(file);
  ExpectEmpty();
}

}  // namespace
}  // namespace memfuse::memfs
