// UNLINK, RMDIR.

#include "src/base/clock.h"
#include "src/memfs/ops/memfs.h"
#include "src/memfs/ops/tree_quotas.h"
#include "src/memfs/tree/changes.h"
#include "src/memfs/tree/inode_flags.h"

namespace memfuse::memfs {

Result<void> MemFs::Unlink(const RequestContext& context, const UnlinkRequest& request) {
  if (completed_.Take(context)) return {};
  MEMFUSE_ASSIGN_OR_RETURN(const DirectoryRef dir, inodes_.FindDirectory(request.parent));
  MEMFUSE_RETURN_IF_ERROR(CheckName(request.name));
  InodeRef inode;
  bool dead;
  {
    MutexLock names(&dir->names_mu);
    if (request.name == "." || request.name == "..") return Errno(EISDIR);
    Dentry* const dentry = dir->Find(request.name);
    if (dentry == nullptr) return Errno(ENOENT);
    MEMFUSE_RETURN_IF_ERROR(MayRemove(*dir, *dentry->inode()));
    if (dentry->inode()->is_directory()) return Errno(EISDIR);
    inode = InodeRef(dentry->inode());
    dead = RemoveEntry(dir.get(), dentry, base::Now());
  }
  if (dead) inodes_.Evict(inode);
  return {};
}

Result<void> MemFs::Rmdir(const RequestContext& context, const RmdirRequest& request) {
  if (completed_.Take(context)) return {};
  MEMFUSE_ASSIGN_OR_RETURN(const DirectoryRef dir, inodes_.FindDirectory(request.parent));
  MEMFUSE_RETURN_IF_ERROR(CheckName(request.name));
  if (request.name == ".") return Errno(EINVAL);
  if (request.name == "..") return Errno(ENOTEMPTY);
  DirectoryRef victim;
  bool dead;
  {
    MutexLock names(&dir->names_mu);
    Dentry* const dentry = dir->Find(request.name);
    if (dentry == nullptr) return Errno(ENOENT);
    MEMFUSE_RETURN_IF_ERROR(MayRemove(*dir, *dentry->inode()));
    if (!dentry->inode()->is_directory()) return Errno(ENOTDIR);
    victim = DirectoryRef(static_cast<Directory*>(dentry->inode()));
    MutexLock victim_names(&victim->names_mu);
    MEMFUSE_RETURN_IF_ERROR(MayRemoveTree(*victim));
    if (!victim->empty()) return Errno(ENOTEMPTY);
    dead = RemoveEntry(dir.get(), dentry, base::Now());
    victim->removed = true;
  }
  if (dead) inodes_.Evict(InodeRef(victim.get()));
  return {};
}

}  // namespace memfuse::memfs
