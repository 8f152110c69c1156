// What a request does to the times and the privileges of a file when it changes its data.

#ifndef MEMFUSE_SRC_MEMFS_OPS_DATA_CHANGE_H_
#define MEMFUSE_SRC_MEMFS_OPS_DATA_CHANGE_H_

#include <cstdint>
#include <optional>

#include "memfuse/filesystem.h"
#include "src/memfs/tree/inode.h"

namespace memfuse::memfs {

// An operation on at least this many bytes takes a millisecond or more. The transport is told that
// the thread blocks.
inline constexpr uint64_t kLongWork = 4 << 20;

// Records that the data of `file` changed, at `time` if it is set, and otherwise now: moves mtime
// and ctime, and removes file capabilities. If `kill_suidgid` is set, the caller has no CAP_FSETID,
// and set-id bits are removed too. It is called without locks.
void NoteDataChange(const RequestContext& context, RegularFile* file, bool kill_suidgid,
                    std::optional<Timestamp> time = std::nullopt) ABSL_LOCKS_EXCLUDED(file->mu);

// Returns the group of the inode if the caller's change of it removes S_ISGID as DropSetGid does.
std::optional<uint32_t> GroupThatLosesSetGid(const RequestContext& context, bool unprivileged,
                                             const Inode& inode) ABSL_LOCKS_EXCLUDED(inode.mu);

// Removes S_ISGID where the group may not execute the file, unless the caller is in the group of
// the file or has CAP_FSETID (setattr_should_drop_sgid in the kernel). `unprivileged` means that
// the kernel has found that the caller has no CAP_FSETID. It is called without locks, because it
// reads /proc to get information on the caller.
void DropSetGid(const RequestContext& context, bool unprivileged, Inode* inode)
    ABSL_LOCKS_EXCLUDED(inode->mu);

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_OPS_DATA_CHANGE_H_
