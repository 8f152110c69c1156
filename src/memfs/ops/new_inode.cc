#include "src/memfs/ops/new_inode.h"

#include <utility>

#include "src/memfs/tree/attribute_changes.h"

namespace memfuse::memfs {
namespace {

// The memory that an inode of this type takes: the object, the record, and its slot in the table.
uint32_t InodeCost(uint32_t type, std::string_view target, const DataStore& store) {
  constexpr uint32_t kTableSlot = 32;
  const auto record =
      static_cast<uint32_t>(RecordFile::BlockBytes(sizeof(InodeRecord) + target.size()));
  switch (type) {
    case S_IFREG:
      return store.file_cost() + record + kTableSlot;
    case S_IFDIR:
      return sizeof(Directory) + record + kTableSlot;
    default:
      return sizeof(Inode) + record + kTableSlot;
  }
}

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
  MEMFUSE_RETURN_IF_ERROR(
      space.Reserve(account.get(), InodeCost(node.mode & S_IFMT, node.target, *resources.store)));
  inode_ = InodeRef::Adopt(NewObject(parent, node, now, std::move(space)));
  MEMFUSE_RETURN_IF_ERROR(AttributeChanges::Init(inode_.get(), attributes, now));
  return slot_.Reserve(account.get());
}

Inode* NewInode::NewObject(const Directory& parent, const NewNode& node, Timestamp now,
                           Reservation space) {
  Resources* const resources = inodes_.resources();
  const InodeNumber ino = inodes_.table()->NewNumber();
  const uint32_t type = node.mode & S_IFMT;
  switch (type) {
    case S_IFREG:
      return resources->store->NewRegularFile(resources, ino, now, std::move(space));
    case S_IFDIR:
      return new Directory(resources, ino, parent.ino, now, std::move(space));
    case S_IFLNK:
      return new Symlink(resources, ino, now, std::move(space), node.target);
    case S_IFCHR:
    case S_IFBLK:
      return new Device(resources, ino, type, node.rdev, now, std::move(space));
    default:
      return new Inode(resources, ino, type, now, std::move(space));
  }
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
