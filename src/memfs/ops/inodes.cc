#include "src/memfs/ops/inodes.h"

namespace memfuse::memfs {

Result<InodeRef> Inodes::Find(InodeNumber ino) const {
  InodeRef inode = table_.Find(ino);
  if (!inode) return Errno(ESTALE);
  return inode;
}

Result<DirectoryRef> Inodes::FindDirectory(InodeNumber ino) const {
  InodeRef inode = table_.Find(ino);
  if (!inode) return Errno(ESTALE);
  if (!inode->is_directory()) return Errno(ENOTDIR);
  return DirectoryRef::Adopt(static_cast<Directory*>(inode.release()));
}

Result<RegularFileRef> Inodes::FindRegular(InodeNumber ino) const {
  InodeRef inode = table_.Find(ino);
  if (!inode) return Errno(ESTALE);
  if (inode->is_directory()) return Errno(EISDIR);
  if (!inode->is_regular()) return Errno(EINVAL);
  return RegularFileRef::Adopt(static_cast<RegularFile*>(inode.release()));
}

void Inodes::Evict(const InodeRef& inode) {
  table_.Erase(inode->ino);
  inode->account()->ReleaseInode();
  // If this returns false, the data is freed with the last reference.
  (void)reclaim_->FreeInBackground(inode);
}

Result<void> CheckName(std::string_view name) {
  if (name.size() > kNameMax) return Errno(ENAMETOOLONG);
  if (name.empty()) return Errno(ENOENT);
  return {};
}

}  // namespace memfuse::memfs
