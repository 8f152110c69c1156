// The locks of memfs, and the order in which they are taken.
//
//   limits                 MemFs::limits_mu_       one per file system; changes of its limits
//   rename lock            MemFs::rename_mu_       one per file system; renames between two parents
//   `- directory           Directory::mu           reader/writer; the names in one directory
//      `- file data        FileData's lock         reader/writer; the bytes of one file
//         `- attributes    Inode::mu               short; mode, owner, times, counts, xattrs
//            `- leaves     InodeTable shards, Arena, PassthroughStore and its BackingIdCache,
//            Reclaim;
//                          below them base::EventCount
//
// A thread takes locks downwards in this tree only. Within a rank:
//
//   directories   A directory that lies above another is locked first. Two that are unrelated are
//                 locked together only under the rename lock, the smaller inode number first.
//                 Whether they are related cannot change meanwhile: that takes a rename between
//                 two parents. Any other operation holds directories along one downward path
//                 (parent, then child), and a held parent keeps its child where it is.
//   file data     One at a time.
//   attributes    One at a time.
//   leaves        One at a time.
//
// So no cycle can form: a thread that waits for a directory holds only directories above it, or it
// is the single holder of the rename lock; and of the latter there is one. See rename.cc for the
// proof that no directory ends up below itself.
//
// Under any of these locks nobody answers a request, frees a file's pages, logs or waits for
// anything else; but a READ is answered under the reader lock of its file, whose pages have to stay
// as they are until the kernel has copied them (read_sink.h). That write to /dev/fuse waits for
// nobody, and what it wakes up takes no lock here.
//
// base::Mutex checks the ranks in debug builds.

#ifndef MEMFUSE_SRC_MEMFS_LOCK_ORDER_H_
#define MEMFUSE_SRC_MEMFS_LOCK_ORDER_H_

#include "src/base/mutex.h"

namespace memfuse::memfs {

using LimitsMutex = base::Mutex<5>;
using RenameMutex = base::Mutex<10>;
using DirectoryMutex = base::Mutex<20>;
using DataMutex = base::Mutex<30>;
using AttributeMutex = base::Mutex<40>;
using LeafMutex = base::Mutex<50>;

using base::MutexLock;
using base::ReaderMutexLock;

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_LOCK_ORDER_H_
