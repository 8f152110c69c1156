// READDIR and READDIRPLUS.

#include <limits>

#include "src/memfs/ops/memfs.h"

namespace memfuse::memfs {

Result<void> MemFs::Readdir(const RequestContext&, const ReaddirRequest& request,
                            DirectorySink* sink) {
  MEMFUSE_ASSIGN_OR_RETURN(const DirectoryRef dir, inodes_.FindDirectory(request.ino));
  if (request.offset == 0) access_times_.NoteAccess(dir.get());
  DirectoryEntry entry;
  entry.type = S_IFDIR;
  if (request.offset < 1) {
    if (!sink->HasRoomFor(".")) return {};
    entry.name = ".";
    entry.ino = dir->ino;
    entry.next_offset = 1;
    sink->Add(entry);
  }
  if (request.offset < 2) {
    if (!sink->HasRoomFor("..")) return {};
    entry.name = "..";
    entry.ino = dir->parent();
    entry.next_offset = 2;
    sink->Add(entry);
  }
  // From the newest entry down to the oldest: see directory.h.
  uint64_t cookie =
      request.offset < kFirstCookie ? std::numeric_limits<uint64_t>::max() : request.offset;
  uint64_t lookups = 0;
  ReaderMutexLock names(&dir->names_mu);
  for (;;) {
    const Dentry* const dentry = dir->Before(cookie);
    if (dentry == nullptr || !sink->HasRoomFor(dentry->name())) return {};
    Inode* const inode = dentry->inode();
    cookie = dentry->cookie;
    entry.name = dentry->name();
    entry.ino = inode->ino;
    entry.type = inode->type;
    entry.next_offset = cookie;
    entry.entry = nullptr;
    Entry found;
    if (request.plus) {
      MutexLock lock(&inode->mu);
      // Receiving attributes that it already has costs the kernel more than receiving the name
      // alone.
      if (!inode->IsKnownToKernelLocked()) {
        sink->WillGiveLookup(inode->ino);
        found = CountLookup(inode, ++lookups);
        entry.entry = &found;
      }
    }
    sink->Add(entry);
  }
}

}  // namespace memfuse::memfs
