// Every change of the namespace: entries, link counts, and the times that go with them.
//
// Nothing else in memfs inserts or removes directory entries or touches nlink, so that whoever has
// to follow changes (images, eviction, a server that is replaced while it runs) finds them here.
//
// Preconditions that all share: the directories' locks are held exclusively, no attribute lock is
// held, entries and inodes were checked, and whatever may fail (memory, budget) was done before;
// these functions do not fail, but for the std::bad_alloc of AddEntry and MoveEntry, which comes
// before their first effect.

#ifndef MEMFUSE_SRC_MEMFS_CHANGES_H_
#define MEMFUSE_SRC_MEMFS_CHANGES_H_

#include "src/memfs/directory.h"

namespace memfuse::memfs {

// Gives dentry->inode the name `dentry` in `dir`: its link count grows (that of a new directory
// comes to 2), as does that of `dir` under a directory.
void AddEntry(Directory* dir, Dentry* dentry, Timestamp now)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(dir->names_mu);

// Takes a name away. A directory loses all its links at once; its own lock is held too, and it is
// empty and marked removed. True if nothing keeps the inode any more: it was marked dead, and the
// caller, who holds a count on it, takes it out of the table after the locks.
[[nodiscard]] bool RemoveEntry(Directory* dir, Dentry* dentry, Timestamp now)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(dir->names_mu);

// What becomes of the two names of a rename.
struct MoveSpec {
  Dentry* source;
  // The entry that the source's inode takes over (the one it had loses this name), or null: `fresh`
  // is added.
  Dentry* target = nullptr;
  Dentry* fresh = nullptr;
  // Takes the place of the source's old name (RENAME_WHITEOUT), or null: the old name goes.
  Inode* whiteout = nullptr;
};
// True if the replaced inode is dead now, as for RemoveEntry.
[[nodiscard]] bool MoveEntry(Directory* from, Directory* to, const MoveSpec& move, Timestamp now)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(from->names_mu, to->names_mu);

// Two names trade their inodes (RENAME_EXCHANGE).
void ExchangeEntries(Directory* a_dir, Dentry* a, Directory* b_dir, Dentry* b, Timestamp now)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(a_dir->names_mu, b_dir->names_mu);

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_CHANGES_H_
