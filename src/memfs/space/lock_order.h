// The locks of memfs, and the order in which they are taken.
//
//   limits                 Limits::mu_,            changes of the limits of the file system, and
//                          MemFs::quotas_mu_       of quotas
//   rename lock            Inodes::rename_mu       one per file system; renames between two parents
//   `- directory           Directory::names_mu     reader/writer; the names in one directory
//      `- file data        FileData's lock         reader/writer; bytes, or charge, of a file
//         `- attributes    Inode::mu               short; mode, owner, times, counts, xattrs
//            `- leaves     InodeTable shards, Arena, PassthroughStore and its BackingIdCache,
//                          Accounts, Reclaim, RecordFile; below them base::EventCount
//
// A thread takes locks only downwards in this tree. Within a rank:
//
//   directories   An ancestor is locked before its descendant. Two unrelated directories are
//                 locked together only under the rename lock, the smaller inode number first.
//                 Whether they are related cannot change in the meantime, because that takes a
//                 rename between two parents. Any other operation holds directories along one
//                 downward path (parent, then child), and a parent that is locked keeps its child
//                 in place.
//   file data     One at a time.
//   attributes    The smaller inode number first. Only the functions of changes.h lock several.
//   leaves        One at a time.
//
// No cycle of waiting threads can form: a thread that waits for a directory holds only directories
// above it, or it holds the rename lock, which only one thread holds at a time. See rename.cc for
// the proof that no directory becomes its own descendant.
//
// A thread that holds any of these locks does not answer a request, does not log, and does not wait
// for another request. There are two exceptions. To begin a transaction, a thread may have to wait
// for another transaction to end (see below). And a READ may be answered under the reader lock of
// its file, whose pages must not change until the kernel has copied them (read_sink.h). That
// write(2) to /dev/fuse does not wait for another thread, and the code that it wakes up takes none
// of these locks. Pages of a file are freed after the lock is released, except where DaemonFile
// replaces a page that is shared with another file, where a call fails, or where memory for the
// list of pages is short. System calls on backing files and on the private tmpfs (statx(2),
// utimensat(2), fsconfig(2)) are made under locks, and so is fallocate(2) of the record file:
// RecordFile::mu_ is held while memory for more blocks is reserved, and the locks of an operation
// while a chunk that its commit has emptied is freed. A thread that begins a transaction may wait
// for another transaction to end. The thread of that one waits for leaves only.
//
// base::Mutex checks the ranks in debug builds, and that a thread holds one lock of a rank at a
// time, except for directories and attributes.

#ifndef MEMFUSE_SRC_MEMFS_SPACE_LOCK_ORDER_H_
#define MEMFUSE_SRC_MEMFS_SPACE_LOCK_ORDER_H_

#include "src/base/mutex.h"

namespace memfuse::memfs {

using LimitsMutex = base::Mutex<5>;
using RenameMutex = base::Mutex<10>;
using DirectoryMutex = base::Mutex<20, base::SameRank::kAllowed>;
using DataMutex = base::Mutex<30>;
using AttributeMutex = base::Mutex<40, base::SameRank::kAllowed>;
using LeafMutex = base::Mutex<50>;

using base::MutexLock;
using base::ReaderMutexLock;

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_SPACE_LOCK_ORDER_H_
