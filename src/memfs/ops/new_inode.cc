#include "src/memfs/ops/new_inode.h"

#include <utility>

#include "src/memfs/tree/attribute_changes.h"
#include "src/memfs/tree/make_inode.h"

namespace memfuse::memfs {
namespace {

// Most inodes have the owner of their directory, and need no look into the table of accounts.
AccountRef FindAccount(Resources& resources, const Directory& parent, Owner owner) {
  InodeNumber tree;
  {
    MutexLock lock(&parent.mu);  // the account does not change under it
    if (parent.owner() == owner) return AccountRef(parent.account());
    tree = parent.account()->tree();
  }
  return resources.accounts.Find(owner, tree);
}

}  // namespace

NewInode::~NewInode() {
  if (inserted_) inodes_.table()->Erase(inode_->ino);
  if (open_flags_.has_value()) data()->Close(*open_flags_);
}

Result<void> NewInode::Make(const RequestContext& context, const Directory& parent,
                            const NewNode& node, Timestamp now) {
  // An idmapped mount may have no number for the caller. EOVERFLOW is the error of other file
  // systems.
  if (!context.uid.has_value() || !context.gid.has_value()) return Errno(EOVERFLOW);
  MEMFUSE_ASSIGN_OR_RETURN(
      const NewAttributes attributes,
      InheritFrom(parent, node.mode, node.umask, Owner{*context.uid, *context.gid}));
  Resources& resources = *inodes_.resources();
  const AccountRef account = FindAccount(resources, parent, attributes.owner);
  Reservation space;
  MEMFUSE_RETURN_IF_ERROR(space.Reserve(
      account.get(), InodeCost(node.mode & S_IFMT, node.target.size(), resources.store.get())));
  inode_ = InodeRef::Adopt(NewObject(parent, node, now, std::move(space)));
  MEMFUSE_RETURN_IF_ERROR(AttributeChanges::Init(inode_.get(), attributes, now));
  return slot_.Reserve(account.get());
}

Inode* NewInode::NewObject(const Directory& parent, const NewNode& node, Timestamp now,
                           Reservation space) {
  Resources* const resources = inodes_.resources();
  const uint32_t type = node.mode & S_IFMT;
  InodeRecordHolder record = NewInodeRecord(resources->records.get(), inodes_.table()->NewNumber(),
                                            type, now, node.target);
  if (type == S_IFDIR) record->parent = ToInt(parent.ino);
  if (type == S_IFCHR || type == S_IFBLK) record->rdev = node.rdev;
  return MakeInode(resources, std::move(record), std::move(space));
}

Result<void> NewInode::Open(uint32_t flags, OpenResult* open) {
  FileOpen file_open;
  file_open.byte_limit = inode_->account()->has_byte_limit();
  MEMFUSE_RETURN_IF_ERROR(data()->Open(flags, &file_open));
  *open = file_open;
  open_flags_ = flags;
  return {};
}

void NewInode::Insert() {
  inodes_.table()->Insert(inode_);
  inserted_ = true;
}

void NewInode::Commit() {
  slot_.Keep();
  open_flags_.reset();
  inserted_ = false;
}

void NewInode::CountLookup(bool linkable) { inode_->InitCounts(open_flags_, linkable); }

Entry NewInode::FirstEntry() const {
  MutexLock lock(&inode_->mu);
  return inode_->FirstEntryLocked(inodes_.generation());
}

}  // namespace memfuse::memfs
