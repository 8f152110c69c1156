// Operations that make inodes and names: MKNOD, MKDIR, SYMLINK, LINK, CREATE, TMPFILE.

#include <limits.h>

#include "src/base/clock.h"
#include "src/memfs/ops/memfs.h"
#include "src/memfs/ops/new_inode.h"
#include "src/memfs/ops/tree_quotas.h"
#include "src/memfs/tree/changes.h"
#include "src/memfs/tree/inode_flags.h"

namespace memfuse::memfs {
namespace {

// The open of CREATE and TMPFILE.
struct FirstOpen {
  uint32_t flags;
  OpenResult result;
};

// Makes an inode, its name and one lookup; and an open, if `open` is not null.
Result<Entry> MakeNode(Inodes* inodes, const RequestContext& context, InodeNumber parent,
                       std::string_view name, const NewNode& node, FirstOpen* open = nullptr) {
  MEMFUSE_ASSIGN_OR_RETURN(const DirectoryRef dir, inodes->FindDirectory(parent));
  MEMFUSE_RETURN_IF_ERROR(CheckName(name));
  // outlives the lock: if the function fails, the inode is destroyed after the lock is released
  NewInode inode(inodes);
  MutexLock names(&dir->names_mu);
  if (dir->removed) return Errno(ENOENT);
  if (name == "." || name == ".." || dir->Find(name) != nullptr) return Errno(EEXIST);
  MEMFUSE_RETURN_IF_ERROR(MayCreate(*dir));
  if (node.mode == S_IFLNK && node.target.size() >= PATH_MAX) return Errno(ENAMETOOLONG);
  if (node.mode == S_IFLNK && node.target.empty()) return Errno(ENOENT);

  Reservation space;
  MEMFUSE_RETURN_IF_ERROR(space.Reserve(dir->account(), DentryCost(name)));
  const Timestamp now = base::Now();
  MEMFUSE_RETURN_IF_ERROR(inode.Make(context, *dir, node, now));
  DentryHolder dentry = NewDentry(inodes->resources()->records.get(), name, inode.get());
  if (open != nullptr) MEMFUSE_RETURN_IF_ERROR(inode.Open(open->flags, &open->result));
  inode.CountLookup();
  inode.Insert();
  AddEntry(dir.get(), dentry.get(), now);
  // No step below can fail.
  (void)dentry.release();
  space.Keep();
  inode.Commit();
  return inode.FirstEntry();
}

// Makes a regular file without a name, one lookup and an open.
Result<Entry> MakeTmpfile(Inodes* inodes, const RequestContext& context, InodeNumber parent,
                          const NewNode& node, FirstOpen* open) {
  MEMFUSE_ASSIGN_OR_RETURN(const DirectoryRef dir, inodes->FindDirectory(parent));
  // The parent may be a removed directory, because no entry is added to it.
  MEMFUSE_RETURN_IF_ERROR(MayCreate(*dir));
  NewInode inode(inodes);
  MEMFUSE_RETURN_IF_ERROR(inode.Make(context, *dir, node, base::Now()));
  MEMFUSE_RETURN_IF_ERROR(inode.Open(open->flags, &open->result));
  inode.CountLookup(/*linkable=*/true);
  inode.Insert();
  AddNameless(inode.get());
  inode.Commit();
  return inode.FirstEntry();
}

// LINK.
Result<Entry> MakeLink(Inodes* inodes, const LinkRequest& request) {
  MEMFUSE_ASSIGN_OR_RETURN(const InodeRef inode, inodes->Find(request.ino));
  MEMFUSE_ASSIGN_OR_RETURN(const DirectoryRef dir, inodes->FindDirectory(request.new_parent));
  MEMFUSE_RETURN_IF_ERROR(CheckName(request.new_name));
  MutexLock names(&dir->names_mu);
  if (dir->removed) return Errno(ENOENT);
  if (request.new_name == "." || request.new_name == ".." ||
      dir->Find(request.new_name) != nullptr) {
    return Errno(EEXIST);
  }
  MEMFUSE_RETURN_IF_ERROR(MayLinkInto(*dir, *inode));
  MEMFUSE_RETURN_IF_ERROR(MayLink(*dir, *inode));
  if (inode->is_directory()) return Errno(EPERM);

  Reservation space;
  const Result<void> reserved = space.Reserve(dir->account(), DentryCost(request.new_name));
  MEMFUSE_RETURN_IF_ERROR(CheckLinkable(*inode));
  MEMFUSE_RETURN_IF_ERROR(reserved);
  DentryHolder dentry =
      NewDentry(inodes->resources()->records.get(), request.new_name, inode.get());
  MEMFUSE_ASSIGN_OR_RETURN(const Entry entry,
                           AddLink(dir.get(), dentry.get(), inodes->generation(), base::Now()));
  (void)dentry.release();
  space.Keep();
  return entry;
}

// The inode that CREATE and TMPFILE make.
NewNode RegularNode(const CreateRequest& request) {
  NewNode node;
  node.mode = S_IFREG | (request.mode & 07777);
  node.umask = request.umask;
  return node;
}

}  // namespace

Result<Entry> MemFs::Mknod(const RequestContext& context, const MknodRequest& request) {
  if (const auto completed = completed_.Take(context)) return EntryAgain(InodeNumber{*completed});
  NewNode node;
  node.mode = request.mode;
  node.umask = request.umask;
  switch (request.mode & S_IFMT) {
    case 0:
      node.mode |= S_IFREG;
      break;
    case S_IFCHR:
    case S_IFBLK:
      node.rdev = request.rdev;
      break;
    case S_IFREG:
    case S_IFIFO:
    case S_IFSOCK:
      break;
    default:
      return Errno(EINVAL);
  }
  return space_.Retry(context, kNoInode, /*bytes=*/0, [&] {
    return MakeNode(&inodes_, context, request.parent, request.name, node);
  });
}

Result<Entry> MemFs::Mkdir(const RequestContext& context, const MkdirRequest& request) {
  if (const auto completed = completed_.Take(context)) return EntryAgain(InodeNumber{*completed});
  NewNode node;
  node.mode = S_IFDIR | (request.mode & 07777);
  node.umask = request.umask;
  return space_.Retry(context, kNoInode, /*bytes=*/0, [&] {
    return MakeNode(&inodes_, context, request.parent, request.name, node);
  });
}

Result<Entry> MemFs::Symlink(const RequestContext& context, const SymlinkRequest& request) {
  if (const auto completed = completed_.Take(context)) return EntryAgain(InodeNumber{*completed});
  NewNode node;
  node.mode = S_IFLNK;
  node.target = request.target;
  return space_.Retry(context, kNoInode, /*bytes=*/0, [&] {
    return MakeNode(&inodes_, context, request.parent, request.name, node);
  });
}

Result<CreateResult> MemFs::Create(const RequestContext& context, const CreateRequest& request) {
  if (const auto completed = completed_.Take(context)) {
    return CreateAgain(InodeNumber{*completed}, request.flags);
  }
  if (context.uid.has_value()) space_.WaitBeforeWrites(*context.uid);
  FirstOpen open{request.flags, {}};
  MEMFUSE_ASSIGN_OR_RETURN(const Entry entry, space_.Retry(context, kNoInode, /*bytes=*/0, [&] {
    return MakeNode(&inodes_, context, request.parent, request.name, RegularNode(request), &open);
  }));
  return CreateResult{entry, open.result};
}

Result<CreateResult> MemFs::Tmpfile(const RequestContext& context, const CreateRequest& request) {
  if (const auto completed = completed_.Take(context)) {
    return CreateAgain(InodeNumber{*completed}, request.flags);
  }
  if (context.uid.has_value()) space_.WaitBeforeWrites(*context.uid);
  FirstOpen open{request.flags, {}};
  MEMFUSE_ASSIGN_OR_RETURN(const Entry entry, space_.Retry(context, kNoInode, /*bytes=*/0, [&] {
    return MakeTmpfile(&inodes_, context, request.parent, RegularNode(request), &open);
  }));
  return CreateResult{entry, open.result};
}

Result<CreateResult> MemFs::CreateAgain(InodeNumber ino, uint32_t flags) {
  MEMFUSE_ASSIGN_OR_RETURN(const Entry entry, EntryAgain(ino));
  MEMFUSE_ASSIGN_OR_RETURN(const OpenResult open, OpenAgain(ino, flags));
  return CreateResult{entry, open};
}

Result<Entry> MemFs::Link(const RequestContext& context, const LinkRequest& request) {
  if (const auto completed = completed_.Take(context)) return EntryAgain(InodeNumber{*completed});
  return space_.Retry(context, request.ino, /*bytes=*/0,
                      [&] { return MakeLink(&inodes_, request); });
}

}  // namespace memfuse::memfs
