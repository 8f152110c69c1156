// Walks over the inodes: what directories, types of files and single files store, and which inodes
// have no name (memfuse/usage.h).
//
// A walk over a tree needs no recursion: it keeps one frame for each directory between the top and
// the present place, which consists of a reference and two numbers. It keeps no path that is longer
// than kMaxUsagePath; the end of a longer one is found from the frames when it is needed. It holds
// the lock of one directory at a time, as a reader, for at most kUsageBatch entries or up to the
// next directory, and no lock while it looks at these inodes. No listing returns an entry that was
// made after the listing began (directory.h), so the walk ends also while names are made.
//
// Both functions may be called from any thread, without locks. They look at the clock of `walk`
// after every batch.

#ifndef MEMFUSE_SRC_MEMFS_OPS_TREE_USAGE_H_
#define MEMFUSE_SRC_MEMFS_OPS_TREE_USAGE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "memfuse/errno.h"
#include "memfuse/usage.h"
#include "src/memfs/ops/inodes.h"

namespace memfuse::memfs {

// How many entries of a directory are taken under one lock.
inline constexpr size_t kUsageBatch = 128;

// As MemoryFileSystem::UsageOfTree.
Result<TreeUsage> WalkTree(const Inodes& inodes, std::string_view path, UsageWalk* walk);
// As MemoryFileSystem::UsageOfNameless, without `being_freed`.
NamelessUsage FindNameless(const Inodes& inodes, std::optional<uint32_t> uid, UsageWalk* walk);

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_OPS_TREE_USAGE_H_
