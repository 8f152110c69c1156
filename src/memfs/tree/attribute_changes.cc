#include "src/memfs/tree/attribute_changes.h"

#include <utility>

#include "src/base/clock.h"
#include "src/memfs/tree/acl.h"
#include "src/memfs/tree/inode_flags.h"

namespace memfuse::memfs {
namespace {

Timestamp NewTime(const TimeChange& change, Timestamp old, Timestamp now) {
  switch (change.kind) {
    case TimeChange::Kind::kKeep:
      return old;
    case TimeChange::Kind::kNow:
      return now;
    case TimeChange::Kind::kSet:
      return change.value;
  }
  return old;
}

}  // namespace

Result<NewAttributes> InheritFrom(const Directory& parent, uint32_t mode, uint32_t umask,
                                  Owner caller) {
  const uint32_t type = mode & S_IFMT;
  NewAttributes result;
  result.permissions = mode & 07777;
  result.owner = caller;
  result.flags = parent.flags() & kInheritedFlags;
  std::string default_acl;
  {
    MutexLock lock(&parent.mu);
    if ((parent.meta().permissions & S_ISGID) != 0) {
      result.owner.gid = parent.owner().gid;
      if (type == S_IFDIR) result.permissions |= S_ISGID;
    }
    if (parent.xattrs() != nullptr && type != S_IFLNK) {
      default_acl = parent.xattrs()->Find(kDefaultAclName).value_or("");
    }
  }
  if (type == S_IFLNK) {
    result.permissions = 0777;
  } else if (default_acl.empty()) {
    result.permissions &= ~umask;
  } else {
    MEMFUSE_ASSIGN_OR_RETURN(Acl acl, Acl::Parse(default_acl));
    acl.RestrictTo(result.permissions);
    result.permissions = (result.permissions & 07000) | acl.Mode();
    if (!acl.EquivalentToMode()) result.access_acl = acl.Serialize();
    if (type == S_IFDIR) result.default_acl = std::move(default_acl);
  }
  return result;
}

Result<void> AttributeChanges::Init(Inode* inode, const NewAttributes& attributes, Timestamp now) {
  MutexLock lock(&inode->mu);
  // Another process does not find the record yet, so no transaction is needed.
  InodeAttributes& made = inode->record_->attributes;
  made.flags = attributes.flags;
  made.permissions = static_cast<uint16_t>(attributes.permissions);
  made.atime = now;
  made.mtime = now;
  made.ctime = now;
  if (!attributes.access_acl.empty()) {
    MEMFUSE_RETURN_IF_ERROR(
        StoreXattr(nullptr, inode, kAccessAclName, absl::MakeConstSpan(attributes.access_acl), 0));
  }
  if (!attributes.default_acl.empty()) {
    MEMFUSE_RETURN_IF_ERROR(StoreXattr(nullptr, inode, kDefaultAclName,
                                       absl::MakeConstSpan(attributes.default_acl), 0));
  }
  return {};
}

Result<AttributesResult> AttributeChanges::SetAttributes(Inode* inode,
                                                         const SetattrRequest& request,
                                                         bool resized, Timestamp now,
                                                         std::optional<uint32_t> loses_setgid) {
  if (!request.uid.has_value() && !request.gid.has_value()) {
    MutexLock lock(&inode->mu);
    Transaction change(RecordsOf(*inode));
    if (loses_setgid == inode->owner().gid) RemovePermissions(&change, inode, S_ISGID);
    const AttributesResult result = Apply(&change, inode, request, resized, now);
    change.Commit();
    return result;
  }
  AttributesResult result;
  // The owner and the other attributes change in one critical section: no other thread may see the
  // new owner together with set-id bits.
  const auto apply = [&]() -> Result<void> {
    MutexLock lock(&inode->mu);
    // The kernel may have written to a passed-through file after the last look at its charge. This
    // is a transaction of its own: the times of the backing file stay if the quota refuses the
    // change.
    (void)inode->SyncFromBackingLocked();
    Transaction change(RecordsOf(*inode));
    const uint32_t group = inode->owner().gid;
    MEMFUSE_RETURN_IF_ERROR(ChangeOwner(&change, inode, request));
    if (loses_setgid == group) RemovePermissions(&change, inode, S_ISGID);
    result = Apply(&change, inode, request, resized, now);
    change.Commit();
    return {};
  };
  if (inode->is_directory()) {
    MutexLock names(&static_cast<Directory*>(inode)->names_mu);
    MEMFUSE_RETURN_IF_ERROR(apply());
  } else if (inode->is_regular()) {
    MEMFUSE_RETURN_IF_ERROR(static_cast<RegularFile*>(inode)->data()->WithFixedCharges(apply));
  } else {
    MEMFUSE_RETURN_IF_ERROR(apply());
  }
  return result;
}

Result<void> AttributeChanges::ChangeOwner(Transaction* change, Inode* inode,
                                           const SetattrRequest& request) {
  const Owner old = inode->owner();
  const Owner owner{request.uid.value_or(old.uid), request.gid.value_or(old.gid)};
  if (owner == old) return {};
  return ChangeAccount(change, inode,
                       inode->resources_->accounts.Find(owner, inode->account()->tree()));
}

Result<void> AttributeChanges::ChangeAccount(Transaction* change, Inode* inode,
                                             AccountRef account) {
  InodeAttributes* const attributes = inode->EditLocked(change);
  uint64_t bytes = inode->cost_;
  if (inode->xattrs_ != nullptr) bytes += inode->xattrs_->TotalCost();
  if (inode->is_directory()) {
    const auto* const dir = static_cast<const Directory*>(inode);
    dir->names_mu.AssertHeld();
    bytes += dir->names_cost();
  }
  FileData* const data = inode->is_regular() ? static_cast<RegularFile*>(inode)->data() : nullptr;
  if (data != nullptr) bytes += data->ChargedBytes();
  MEMFUSE_RETURN_IF_ERROR(account->TakeOver(inode->account(), bytes));
  if (inode->xattrs_ != nullptr) inode->xattrs_->set_account(account.get());
  if (data != nullptr) data->SetAccount(account.get());
  inode->account_ = std::move(account);
  Owner owner = inode->account_->owner();
  __atomic_store(&attributes->owner, &owner, __ATOMIC_RELAXED);
  attributes->tree = ToInt(inode->account_->tree());
  return {};
}

Result<void> AttributeChanges::MayBeTreeRootLocked(const Directory& directory) {
  if (directory.removed) return Errno(ENOENT);
  if (directory.account()->tree() == directory.ino) return {};
  if (!directory.empty()) return Errno(ENOTEMPTY);
  return {};
}

Result<void> AttributeChanges::MayBeTreeRoot(const Directory& directory) {
  ReaderMutexLock names(&directory.names_mu);
  return MayBeTreeRootLocked(directory);
}

Result<void> AttributeChanges::SetTreeLimits(Directory* directory, const QuotaRule& rule,
                                             QuotaRecords::Prepared* record) {
  Accounts& accounts = directory->resources_->accounts;
  MutexLock names(&directory->names_mu);
  MEMFUSE_RETURN_IF_ERROR(MayBeTreeRootLocked(*directory));
  MutexLock lock(&directory->mu);
  Transaction change(RecordsOf(*directory));
  if (directory->account()->tree() != directory->ino) {
    MEMFUSE_RETURN_IF_ERROR(
        ChangeAccount(&change, directory, accounts.Find(directory->owner(), directory->ino)));
  }
  record->Store(&change, rule);
  change.Commit();
  // An rmdir(2) that took the lock of the names after this one did would leave a rule without a
  // directory, which nothing could lift. The account of the directory has an entry for the tree, so
  // this allocates nothing.
  accounts.SetRule(rule);
  return {};
}

AttributesResult AttributeChanges::Apply(Transaction* change, Inode* inode,
                                         const SetattrRequest& request, bool resized,
                                         Timestamp now) {
  const bool owner_changes = request.uid.has_value() || request.gid.has_value();
  const bool times_change = request.atime.kind != TimeChange::Kind::kKeep ||
                            request.mtime.kind != TimeChange::Kind::kKeep;
  const CacheSeconds valid = inode->SyncFromBackingLocked(change);
  InodeAttributes& meta = *inode->EditLocked(change);
  bool changed = resized || (request.kill_suidgid && !request.size.has_value());
  if (resized || owner_changes || request.kill_suidgid) {
    const bool killed = KillPrivileges(change, inode, owner_changes || request.kill_suidgid);
    changed |= killed && (resized || !request.size.has_value());
  }
  if (request.mode.has_value()) SetPermissions(change, inode, *request.mode & 07777);
  if (resized) meta.mtime = inode->StampLocked(now);
  meta.atime = NewTime(request.atime, meta.atime, now);
  meta.mtime = NewTime(request.mtime, meta.mtime, now);
  changed |= owner_changes || request.mode.has_value() || times_change;
  if (changed) meta.ctime = inode->StampLocked(now);
  if (request.ctime.has_value()) meta.ctime = *request.ctime;
  if (changed && inode->is_regular()) {
    static_cast<RegularFile*>(inode)->data()->SetBackingTimes(meta, /*chosen=*/times_change);
  }
  // A program that writes a file and then sets its times or owner (tar, cp -p) usually does not
  // change it again. If the mode of a directory changes, the kernel drops its cached name.
  inode->kernel_attrs_valid_ = valid != 0 && !(inode->is_directory() && request.mode.has_value());
  return {inode->KnownAttributesLocked(), valid};
}

void AttributeChanges::SetFlags(Inode* inode, uint32_t flags, Timestamp now) {
  MutexLock lock(&inode->mu);
  Transaction change(RecordsOf(*inode));
  __atomic_store_n(&inode->EditLocked(&change)->flags, flags, __ATOMIC_RELAXED);
  inode->ChangedLocked(&change, now);
  change.Commit();
}

Result<void> AttributeChanges::SetXattr(Inode* inode, const SetxattrRequest& request,
                                        Timestamp now) {
  MutexLock lock(&inode->mu);
  Transaction change(RecordsOf(*inode));
  if (IsAclName(request.name)) {
    MEMFUSE_RETURN_IF_ERROR(SetAcl(&change, inode, request));
  } else {
    MEMFUSE_RETURN_IF_ERROR(StoreXattr(&change, inode, request.name, request.value, request.flags));
  }
  inode->ChangedLocked(&change, now);
  change.CommitRequest();
  return {};
}

Result<void> AttributeChanges::RemoveXattr(Inode* inode, std::string_view name, Timestamp now) {
  MutexLock lock(&inode->mu);
  const bool present = inode->xattrs_ != nullptr && inode->xattrs_->Find(name).has_value();
  if (!present && !IsAclName(name)) return Errno(ENODATA);
  Transaction change(RecordsOf(*inode));
  inode->ChangedLocked(&change, now);
  DropXattr(&change, inode, name);
  change.CommitRequest();
  return {};
}

bool AttributeChanges::NoteDataChange(RegularFile* file, bool kill_suidgid,
                                      std::optional<Timestamp> time) {
  Timestamp now = time.has_value() ? *time : base::Now();
  MutexLock lock(&file->mu);
  Transaction change(RecordsOf(*file));
  (void)KillPrivileges(&change, file, kill_suidgid);
  (void)file->SyncFromBackingLocked(&change);
  // If the kernel stamps two different files within a tick, it may give the second the same time
  // as the first. A program that looked at this file in between must see a later time.
  if (time.has_value() && now <= file->meta().ctime) now = base::Now();
  file->EditLocked(&change)->mtime = file->StampLocked(now);
  file->ChangedLocked(&change, now);
  change.Commit();
  return kill_suidgid && (file->meta().permissions & S_ISGID) != 0;
}

void AttributeChanges::NoteAccess(Inode* inode, bool strict) {
  const Timestamp now = base::WallTime();
  MutexLock lock(&inode->mu);
  Transaction change(RecordsOf(*inode));
  inode->kernel_attrs_valid_ = false;  // the kernel drops the atime of a file that it reads
  (void)inode->SyncFromBackingLocked(&change);
  if (strict || RelatimeIsDue(inode->meta(), now)) {
    inode->EditLocked(&change)->atime = base::Now();
  }
  change.Commit();
}

void AttributeChanges::RemoveSetGid(Inode* inode, uint32_t gid) {
  MutexLock lock(&inode->mu);
  if (inode->owner().gid != gid) return;
  Transaction change(RecordsOf(*inode));
  RemovePermissions(&change, inode, S_ISGID);
  change.Commit();
}

RecordFile* AttributeChanges::RecordsOf(const Inode& inode) {
  return inode.resources_->records.get();
}

void AttributeChanges::RemovePermissions(Transaction* change, Inode* inode, uint32_t permissions) {
  InodeAttributes* const attributes = inode->EditLocked(change);
  attributes->permissions = static_cast<uint16_t>(attributes->permissions & ~permissions);
}

Result<void> AttributeChanges::StoreXattr(Transaction* change, Inode* inode, std::string_view name,
                                          absl::Span<const char> value, uint32_t flags) {
  if (inode->xattrs_ != nullptr) return inode->xattrs_->Set(change, name, value, flags);
  auto made = std::make_unique<Xattrs>(RecordsOf(*inode), inode->account(), inode->record_id());
  MEMFUSE_RETURN_IF_ERROR(made->Set(change, name, value, flags));
  inode->xattrs_ = std::move(made);
  return {};
}

void AttributeChanges::DropXattr(Transaction* change, Inode* inode, std::string_view name) {
  if (inode->xattrs_ == nullptr) return;
  inode->xattrs_->Remove(change, name);
  if (inode->xattrs_->empty()) inode->xattrs_.reset();
}

Result<void> AttributeChanges::SetAcl(Transaction* change, Inode* inode,
                                      const SetxattrRequest& request) {
  const bool access = request.name == kAccessAclName;
  if (request.value.empty()) {
    DropXattr(change, inode, request.name);
    return {};
  }
  if (!access && !inode->is_directory()) return Errno(EACCES);
  MEMFUSE_ASSIGN_OR_RETURN(
      const Acl acl, Acl::Parse(std::string_view(request.value.data(), request.value.size())));
  if (access && acl.EquivalentToMode()) {
    DropXattr(change, inode, request.name);
  } else {
    MEMFUSE_RETURN_IF_ERROR(StoreXattr(change, inode, request.name, request.value, 0));
  }
  if (access) {
    InodeAttributes* const attributes = inode->EditLocked(change);
    attributes->permissions = static_cast<uint16_t>((attributes->permissions & 07000) | acl.Mode());
    if (request.kill_sgid) RemovePermissions(change, inode, S_ISGID);
  }
  return {};
}

void AttributeChanges::SetPermissions(Transaction* change, Inode* inode, uint32_t permissions) {
  if (inode->xattrs_ != nullptr) inode->xattrs_->SetAclMode(change, permissions);
  inode->EditLocked(change)->permissions = static_cast<uint16_t>(permissions);
}

bool AttributeChanges::KillPrivileges(Transaction* change, Inode* inode, bool kill_suidgid) {
  if (inode->is_directory()) return false;
  // An empty value grants nothing and is kept, as on tmpfs.
  if (inode->xattrs_ != nullptr && !inode->xattrs_->Find(kCapabilityName).value_or("").empty()) {
    DropXattr(change, inode, kCapabilityName);
  }
  if (!kill_suidgid) return false;
  uint32_t kill = S_ISUID;
  if ((inode->meta().permissions & S_IXGRP) != 0) kill |= S_ISGID;
  if ((inode->meta().permissions & kill) == 0) return false;
  RemovePermissions(change, inode, kill);
  return true;
}

}  // namespace memfuse::memfs
