// Quotas of directory trees: finds the directories that rules name, and makes them roots of trees.
//
// A tree with a quota behaves like a mount of its own: names are neither moved nor linked across
// its boundary (EXDEV), its root is neither removed nor renamed (EBUSY), and statfs(2) inside it
// reports its limits. After the limits are lifted, the inodes remain a tree of their own, whose
// root can be removed and renamed.

#ifndef MEMFUSE_SRC_MEMFS_OPS_TREE_QUOTAS_H_
#define MEMFUSE_SRC_MEMFS_OPS_TREE_QUOTAS_H_

#include <vector>

#include "memfuse/errno.h"
#include "memfuse/filesystem.h"
#include "memfuse/quota.h"
#include "src/memfs/ops/directory_paths.h"
#include "src/memfs/ops/inodes.h"
#include "src/memfs/space/lock_order.h"

namespace memfuse::memfs {

// Returns EXDEV if a name cannot be moved from one directory to the other.
Result<void> MayMoveBetween(const Directory& from, const Directory& to)
    ABSL_SHARED_LOCKS_REQUIRED(from.names_mu, to.names_mu);
// Returns EXDEV if a name of `inode` cannot be added to `dir`.
Result<void> MayLinkInto(const Directory& dir, const Inode& inode)
    ABSL_SHARED_LOCKS_REQUIRED(dir.names_mu) ABSL_LOCKS_EXCLUDED(inode.mu);
// Returns EBUSY if `inode` is the root of a tree that has limits: its name cannot be removed.
Result<void> MayRemoveTree(const Inode& inode) ABSL_LOCKS_EXCLUDED(inode.mu);

// Reduces `statistics` to what the tree of `inode` can have. Changes nothing if there is no limit.
void ApplyTreeLimits(const Inode& inode, FileSystemStatistics* statistics)
    ABSL_LOCKS_EXCLUDED(inode.mu);

// Thread-safe. `inodes` and `paths` must outlive the object.
class TreeQuotas {
 public:
  TreeQuotas(const Inodes* inodes, DirectoryPaths* paths) : inodes_(*inodes), paths_(*paths) {}
  TreeQuotas(const TreeQuotas&) = delete;
  TreeQuotas& operator=(const TreeQuotas&) = delete;

  // Returns the directory of a rule of kind kTree. Errors: those of SplitPath, EINVAL (the root),
  // those of FindByNames.
  Result<DirectoryRef> Find(const QuotaRule& rule) const;
  // As MemoryFileSystem::SetQuota for a rule of kind kTree, whose directory Find has returned. One
  // thread at a time uses `records`.
  static Result<void> Set(Directory* directory, const QuotaRule& rule, QuotaRecords* records);
  // As MemoryFileSystem::CheckQuota for a rule of kind kTree.
  Result<void> Check(const QuotaRule& rule) const;

  // Sets the paths of all elements that concern a tree, by their IDs. T is QuotaRule or QuotaUsage.
  template <typename T>
  std::vector<T> WithPaths(std::vector<T> list) const {
    for (T& element : list) {
      if (element.kind == QuotaKind::kTree) element.path = paths_.PathOf(TreeOf(element));
    }
    return list;
  }

 private:
  static InodeNumber TreeOf(const QuotaRule& rule) { return InodeNumber{*rule.id}; }
  static InodeNumber TreeOf(const QuotaUsage& usage) { return InodeNumber{usage.id}; }

  const Inodes& inodes_;
  DirectoryPaths& paths_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_OPS_TREE_QUOTAS_H_
