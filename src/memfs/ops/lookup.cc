// LOOKUP, FORGET, READLINK.

#include "src/memfs/ops/memfs.h"

namespace memfuse::memfs {

Result<Entry> MemFs::Lookup(const RequestContext& context, const LookupRequest& request) {
  if (const auto completed = completed_.Take(context)) return EntryAgain(InodeNumber{*completed});
  if (request.name == "." || request.name == "..") {
    MEMFUSE_ASSIGN_OR_RETURN(InodeRef inode, inodes_.Find(request.parent));
    const bool itself = request.name == ".";
    if (!itself) {
      if (!inode->is_directory()) return Errno(ENOTDIR);
      MEMFUSE_ASSIGN_OR_RETURN(inode, inodes_.Find(static_cast<Directory*>(inode.get())->parent()));
    }
    MutexLock lock(&inode->mu);
    if (inode->dead) return Errno(ESTALE);
    // A removed inode whose FORGET is under way does not exist any more for a client that uses a
    // file handle of it.
    if (itself && inode->meta().nlink == 0 && inode->meta().opens == 0) return Errno(ESTALE);
    return CountLookup(inode.get(), ToInt(inode->ino));
  }
  MEMFUSE_ASSIGN_OR_RETURN(const DirectoryRef dir, inodes_.FindDirectory(request.parent));
  MEMFUSE_RETURN_IF_ERROR(CheckName(request.name));
  ReaderMutexLock names(&dir->names_mu);
  const Dentry* const dentry = dir->Find(request.name);
  if (dentry == nullptr) return Errno(ENOENT);
  Inode* const inode = dentry->inode();
  MutexLock lock(&inode->mu);
  return CountLookup(inode, ToInt(inode->ino));
}

Entry MemFs::CountLookup(Inode* inode, uint64_t result) {
  Transaction change(resources_.records.get());
  const Entry entry = inode->AddLookupLocked(&change, inodes_.generation());
  change.CommitRequest(result);
  return entry;
}

Result<Entry> MemFs::EntryAgain(InodeNumber ino) {
  MEMFUSE_ASSIGN_OR_RETURN(const InodeRef inode, inodes_.Find(ino));
  MutexLock lock(&inode->mu);
  Transaction change(resources_.records.get());
  const Entry entry = inode->EntryLocked(&change, inodes_.generation());
  change.Commit();
  return entry;
}

void MemFs::Forget(const ForgetRequest& request) {
  const InodeRef inode = inodes_.table()->Find(request.ino);
  if (!inode) return;
  bool dead;
  {
    MutexLock lock(&inode->mu);
    Transaction change(resources_.records.get());
    inode->RemoveLookupsLocked(&change, request.count);
    dead = inode->MarkDeadIfUnusedLocked();
    if (request.position.has_value()) {
      change.CommitRequest(*request.position + 1);
    } else {
      change.Commit();
    }
  }
  if (dead) inodes_.Evict(inode);
}

Result<std::string> MemFs::Readlink(const RequestContext&, const ReadlinkRequest& request) {
  MEMFUSE_ASSIGN_OR_RETURN(const InodeRef inode, inodes_.Find(request.ino));
  if (inode->type != S_IFLNK) return Errno(EINVAL);
  access_times_.NoteAccess(inode.get());
  return std::string(inode->target());
}

}  // namespace memfuse::memfs
