// All changes of the namespace: directory entries, link counts, and the times that change with
// them.
//
// No other code in memfs inserts or removes directory entries or changes nlink, so code that has to
// follow changes (images, eviction, replacing a running server) can find them all here. There are
// two exceptions: Directory::Adopt adds the entries that another process has left, and
// Directory::Clear drops all entries of a directory that is destroyed. Changes of other attributes
// are in attribute_changes.h.
//
// All functions have these preconditions: the caller holds the locks of the directories exclusively
// and holds no attribute lock; it has checked the entries and inodes; and it has charged what is
// added. Each function holds the attribute locks of all inodes that it changes and makes one
// transaction, so another process finds the state before it or the state after it. A function that
// finds no memory throws std::bad_alloc and has changed nothing.
//
// Times: mtime of each directory whose entries change moves to `now`. ctime of that directory, and
// of each inode whose names change, moves to `now` unless it is shortly after `now`.

#ifndef MEMFUSE_SRC_MEMFS_TREE_CHANGES_H_
#define MEMFUSE_SRC_MEMFS_TREE_CHANGES_H_

#include "src/memfs/tree/directory.h"

namespace memfuse::memfs {

// Gives the root directory its two links, which it has without a name. Only the calling thread
// knows `root`.
void AddRoot(Directory* root, Timestamp now);

// Makes an inode without a name permanent: from now on another process finds it. The inode
// is new and may be in the inode table.
void AddNameless(Inode* inode);

// Makes dentry->inode(), which is new and may be in the inode table, permanent, and adds its name
// `dentry` to `dir`. The link count of the inode grows by 1, or by 2 for a directory. The link
// count of `dir` grows by 1 if the inode is a directory. The directory owns `dentry` from then on.
void AddEntry(Directory* dir, Dentry* dentry, Timestamp now)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(dir->names_mu);

// Returns ENOENT if the inode, which is no directory, has no name and must not get one, or is not
// permanent yet; and EMLINK.
Result<void> CheckLinkable(const Inode& inode) ABSL_LOCKS_EXCLUDED(inode.mu);

// Adds one more name to dentry->inode(), which is no directory, and counts a lookup. The directory
// owns `dentry` then. Returns the errors of CheckLinkable, which other threads may cause after the
// caller has checked.
Result<Entry> AddLink(Directory* dir, Dentry* dentry, uint64_t generation, Timestamp now)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(dir->names_mu);

// Removes a name. A directory loses all its links at once; the caller also holds that directory's
// own lock, the directory is empty, and the caller marks it as removed before it releases that
// lock. Returns true if no name, lookup or open keeps the inode: the inode was marked dead, and the
// caller, which holds a reference to it, removes it from the inode table after it has released the
// locks.
[[nodiscard]] bool RemoveEntry(Directory* dir, Dentry* dentry, Timestamp now)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(dir->names_mu);

// What happens to the two names of a rename(2).
struct MoveSpec {
  Dentry* source;
  // The existing entry of the new name, or null. If it is set, it gets the source's inode, and the
  // inode that it had loses this name. If it is null, `fresh` is added.
  Dentry* target = nullptr;
  Dentry* fresh = nullptr;
  // The inode that gets the old name of the source (RENAME_WHITEOUT), or null: the old name is
  // removed. Only the calling thread knows the inode; it becomes permanent.
  Inode* whiteout = nullptr;
};
// Returns true if the replaced inode is dead now, as RemoveEntry does.
[[nodiscard]] bool MoveEntry(Directory* from, Directory* to, const MoveSpec& move, Timestamp now)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(from->names_mu, to->names_mu);

// Exchanges the inodes of two names (RENAME_EXCHANGE).
void ExchangeEntries(Directory* a_dir, Dentry* a, Directory* b_dir, Dentry* b, Timestamp now)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(a_dir->names_mu, b_dir->names_mu);

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_TREE_CHANGES_H_
