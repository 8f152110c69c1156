// Operations that make inodes and names: MKNOD, MKDIR, SYMLINK, LINK, CREATE, TMPFILE.

#include <fcntl.h>
#include <limits.h>

#include <limits>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "src/base/clock.h"
#include "src/memfs/ops/memfs.h"
#include "src/memfs/tree/attribute_changes.h"
#include "src/memfs/tree/changes.h"
#include "src/memfs/tree/inode_flags.h"

namespace memfuse::memfs {
namespace {

// The memory that an inode of this type takes: the object and its slot in the table.
uint32_t InodeCost(uint32_t type, std::string_view target, const DataStore& store) {
  constexpr uint32_t kTableSlot = 32;
  switch (type) {
    case S_IFREG:
      return store.file_cost() + kTableSlot;
    case S_IFDIR:
      return sizeof(Directory) + kTableSlot;
    case S_IFLNK:
      return static_cast<uint32_t>(sizeof(Symlink) + target.size()) + kTableSlot;
    default:
      return sizeof(Device) + kTableSlot;
  }
}

}  // namespace

Result<InodeRef> MemFs::NewInode(const RequestContext& context, const Directory& parent,
                                 const NewNode& node, Timestamp now) {
  // An idmapped mount may have no number for the caller. EOVERFLOW is the error of other file
  // systems.
  if (!context.uid.has_value() || !context.gid.has_value()) return Errno(EOVERFLOW);
  MEMFUSE_ASSIGN_OR_RETURN(const NewAttributes attributes,
                           InheritFrom(parent, node.mode, node.umask, *context.uid, *context.gid));
  const uint32_t type = node.mode & S_IFMT;
  const uint32_t cost = InodeCost(type, node.target, *resources_.store);
  Reservation space;
  if (!space.Reserve(&resources_.budget, cost)) return Errno(ENOSPC);
  const InodeNumber ino = table_.NewNumber();
  Inode* made;
  switch (type) {
    case S_IFREG:
      made = resources_.store->NewRegularFile(&resources_, ino, now, std::move(space));
      break;
    case S_IFDIR:
      made = new Directory(&resources_, ino, parent.ino, now, std::move(space));
      break;
    case S_IFLNK:
      made = new class Symlink(&resources_, ino, now, std::move(space), node.target);
      break;
    case S_IFCHR:
    case S_IFBLK:
      made = new Device(&resources_, ino, type, node.rdev, now, std::move(space));
      break;
    default:
      made = new Inode(&resources_, ino, type, now, std::move(space));
  }
  const auto inode = InodeRef::Adopt(made);
  MEMFUSE_RETURN_IF_ERROR(AttributeChanges::Init(made, attributes, now));
  return inode;
}

Result<Entry> MemFs::MakeNode(const RequestContext& context, InodeNumber parent,
                              std::string_view name, const NewNode& node, OpenResult* open) {
  MEMFUSE_ASSIGN_OR_RETURN(const DirectoryRef dir, FindDirectory(parent));
  MEMFUSE_RETURN_IF_ERROR(CheckName(name));
  // outlives the lock: if the function fails, the inode is destroyed after the lock is released
  InodeRef inode;
  MutexLock names(&dir->names_mu);
  if (dir->removed) return Errno(ENOENT);
  if (name == "." || name == ".." || dir->Find(name) != nullptr) return Errno(EEXIST);
  MEMFUSE_RETURN_IF_ERROR(MayCreate(*dir));
  if (node.mode == S_IFLNK && node.target.size() >= PATH_MAX) return Errno(ENAMETOOLONG);
  if (node.mode == S_IFLNK && node.target.empty()) return Errno(ENOENT);

  Reservation space;
  if (!space.Reserve(&resources_.budget, Dentry::Cost(name))) return Errno(ENOSPC);
  const Timestamp now = base::Now();
  MEMFUSE_ASSIGN_OR_RETURN(inode, NewInode(context, *dir, node, now));
  InodeReservation slot;
  if (!slot.Reserve(&resources_.budget)) return Errno(ENOSPC);
  DentryHolder dentry(Dentry::New(name, inode.get()));
  FileData* const data = node.open ? static_cast<RegularFile*>(inode.get())->data() : nullptr;
  if (data != nullptr) MEMFUSE_RETURN_IF_ERROR(data->Open(node.open_flags, open));
  absl::Cleanup close = [&] {
    if (data != nullptr) data->Close(node.open_flags);
  };
  table_.Insert(inode);
  absl::Cleanup leave_table = [&] { table_.Erase(inode->ino); };
  AddEntry(dir.get(), dentry.get(), now);
  // No step below can fail.
  (void)dentry.release();
  std::move(leave_table).Cancel();
  std::move(close).Cancel();
  slot.Keep();
  space.Keep();
  MutexLock lock(&inode->mu);
  if (node.open) inode->AddOpenLocked(node.open_flags);
  return inode->AddFirstLookupLocked(generation_);
}

Result<Entry> MemFs::MakeNodeOrRetry(const RequestContext& context, InodeNumber parent,
                                     std::string_view name, const NewNode& node, OpenResult* open) {
  return RetryAfterReclaim(context, kNoInode, /*bytes=*/0,
                           [&] { return MakeNode(context, parent, name, node, open); });
}

Result<Entry> MemFs::Mknod(const RequestContext& context, const MknodRequest& request) {
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
  return MakeNodeOrRetry(context, request.parent, request.name, node);
}

Result<Entry> MemFs::Mkdir(const RequestContext& context, const MkdirRequest& request) {
  NewNode node;
  node.mode = S_IFDIR | (request.mode & 07777);
  node.umask = request.umask;
  return MakeNodeOrRetry(context, request.parent, request.name, node);
}

Result<Entry> MemFs::Symlink(const RequestContext& context, const SymlinkRequest& request) {
  NewNode node;
  node.mode = S_IFLNK;
  node.target = request.target;
  return MakeNodeOrRetry(context, request.parent, request.name, node);
}

Result<CreateResult> MemFs::Create(const RequestContext& context, const CreateRequest& request) {
  NewNode node;
  node.mode = S_IFREG | (request.mode & 07777);
  node.umask = request.umask;
  node.open = true;
  node.open_flags = request.flags;
  CreateResult result;
  if (context.uid.has_value()) WaitForWritableSpace(context, *context.uid);
  MEMFUSE_ASSIGN_OR_RETURN(
      result.entry, MakeNodeOrRetry(context, request.parent, request.name, node, &result.open));
  return result;
}

Result<CreateResult> MemFs::Tmpfile(const RequestContext& context, const CreateRequest& request) {
  if (context.uid.has_value()) WaitForWritableSpace(context, *context.uid);
  return RetryAfterReclaim(context, kNoInode, /*bytes=*/0,
                           [&] { return MakeTmpfile(context, request); });
}

Result<CreateResult> MemFs::MakeTmpfile(const RequestContext& context,
                                        const CreateRequest& request) {
  MEMFUSE_ASSIGN_OR_RETURN(const DirectoryRef dir, FindDirectory(request.parent));
  // The parent may be a removed directory, because no entry is added to it.
  MEMFUSE_RETURN_IF_ERROR(MayCreate(*dir));
  NewNode node;
  node.mode = S_IFREG | (request.mode & 07777);
  node.umask = request.umask;
  MEMFUSE_ASSIGN_OR_RETURN(const InodeRef inode, NewInode(context, *dir, node, base::Now()));
  InodeReservation slot;
  if (!slot.Reserve(&resources_.budget)) return Errno(ENOSPC);
  FileData& data = *static_cast<RegularFile*>(inode.get())->data();
  CreateResult result;
  MEMFUSE_RETURN_IF_ERROR(data.Open(request.flags, &result.open));
  absl::Cleanup close = [&] { data.Close(request.flags); };
  table_.Insert(inode);
  std::move(close).Cancel();
  slot.Keep();
  MutexLock lock(&inode->mu);
  inode->linkable = true;
  inode->AddOpenLocked(request.flags);
  result.entry = inode->AddFirstLookupLocked(generation_);
  return result;
}

Result<Entry> MemFs::Link(const RequestContext& context, const LinkRequest& request) {
  return RetryAfterReclaim(context, request.ino, /*bytes=*/0, [&] { return MakeLink(request); });
}

Result<Entry> MemFs::MakeLink(const LinkRequest& request) {
  MEMFUSE_ASSIGN_OR_RETURN(const InodeRef inode, FindInode(request.ino));
  MEMFUSE_ASSIGN_OR_RETURN(const DirectoryRef dir, FindDirectory(request.new_parent));
  MEMFUSE_RETURN_IF_ERROR(CheckName(request.new_name));
  MutexLock names(&dir->names_mu);
  if (dir->removed) return Errno(ENOENT);
  if (request.new_name == "." || request.new_name == ".." ||
      dir->Find(request.new_name) != nullptr) {
    return Errno(EEXIST);
  }
  MEMFUSE_RETURN_IF_ERROR(MayLink(*dir, *inode));
  if (inode->is_directory()) return Errno(EPERM);

  Reservation space;
  const bool full = !space.Reserve(&resources_.budget, Dentry::Cost(request.new_name));
  DentryHolder dentry(Dentry::New(request.new_name, inode.get()));
  {
    // The lookup count, which is decremented below, keeps the inode alive between the check and the
    // link: another thread may remove its last name in another directory at the same time.
    MutexLock lock(&inode->mu);
    if (inode->dead || (inode->meta().nlink == 0 && !inode->linkable)) return Errno(ENOENT);
    if (inode->meta().nlink == std::numeric_limits<uint32_t>::max()) return Errno(EMLINK);
    if (full) return Errno(ENOSPC);
    ++inode->lookups;  // held by this call
  }
  try {
    AddEntry(dir.get(), dentry.get(), base::Now());
  } catch (const std::bad_alloc&) {
    bool dead;
    {
      MutexLock lock(&inode->mu);
      --inode->lookups;
      dead = inode->MarkDeadIfUnusedLocked();
    }
    if (dead) EvictInode(inode);
    return Errno(ENOMEM);
  }
  (void)dentry.release();
  space.Keep();
  MutexLock lock(&inode->mu);
  --inode->lookups;
  return inode->AddLookupLocked(generation_);
}

}  // namespace memfuse::memfs
