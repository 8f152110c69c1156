#include "src/memfs/tree/inode.h"

#include <fcntl.h>

#include <algorithm>
#include <new>
#include <utility>

namespace memfuse::memfs {
namespace {

// The preferred transfer size that stat(2) reports (st_blksize).
constexpr uint32_t kBlockSize = 4096;
// The unit of st_blocks.
constexpr uint64_t kSectorBytes = 512;

}  // namespace

InodeRecordHolder NewInodeRecord(RecordFile* records, InodeNumber number, uint32_t file_type,
                                 Timestamp born, std::string_view target) {
  void* const block = records->Allocate(sizeof(InodeRecord) + target.size());
  if (block == nullptr) throw std::bad_alloc();
  auto* const record = new (block) InodeRecord();
  record->ino = ToInt(number);
  record->btime = born;
  record->type = static_cast<uint16_t>(file_type);
  record->target_size = static_cast<uint16_t>(target.size());
  std::copy(target.begin(), target.end(), static_cast<char*>(block) + sizeof(InodeRecord));
  return InodeRecordHolder(record, RecordDeleter{records});
}

Inode::Inode(Resources* resources, InodeRecordHolder record, Reservation charge)
    : type(record->type),
      cost_(static_cast<uint16_t>(charge.bytes())),
      ino{record->ino},
      record_(record.release()),
      account_(charge.account()),
      resources_(resources) {
  (void)charge.Keep();
  record_->attributes.owner = account_->owner();
  record_->attributes.tree = ToInt(account_->tree());
}

Inode::~Inode() {
  // A successor must not find a record that belongs to an inode without a record.
  xattrs_.reset();
  resources_->records->Free(record_);
  account_->ReleaseBytes(cost_);
  // The members of the derived class were destroyed before, so the space that they used is free.
  if (removal) resources_->removed.Remove(removal);
}

void Inode::NoteRemovedLocked(Transaction* change) {
  if (removal || dead || meta().nlink != 0 || meta().opens != 0) return;
  // A file that is still mapped is in use, and the kernel keeps it for that time.
  if (SyncFromBackingLocked(change) == 0) return;
  removal = resources_->removed.Add(owner().uid, cost_ + blocks() * kSectorBytes);
}

void Inode::EndRemovedLocked() {
  if (removal) resources_->removed.Remove(std::exchange(removal, {}));
}

void Inode::EndRemoved() {
  MutexLock lock(&mu);
  EndRemovedLocked();
}

void Inode::ChangedLocked(Transaction* change, Timestamp now) {
  EditLocked(change)->ctime = StampLocked(now);
  kernel_attrs_valid_ = false;
}

Attributes Inode::KnownAttributesLocked() const {
  Attributes a;
  a.ino = ino;
  a.size = size();
  a.blocks = blocks();
  a.atime = meta().atime;
  a.mtime = meta().mtime;
  a.ctime = meta().ctime;
  a.btime = record_->btime;
  a.mode = uint32_t{type} | meta().permissions;
  a.nlink = meta().nlink;
  a.uid = owner().uid;
  a.gid = owner().gid;
  a.rdev = type == S_IFCHR || type == S_IFBLK ? static_cast<uint32_t>(record_->rdev) : 0;
  a.blksize = kBlockSize;
  return a;
}

Entry Inode::AddLookupLocked(Transaction* change, uint64_t generation) {
  ++*change->Edit(&record_->attributes.lookups);
  return EntryLocked(change, generation);
}

Entry Inode::EntryLocked(Transaction* change, uint64_t generation) {
  const CacheSeconds valid = SyncFromBackingLocked(change);
  Entry entry = FirstEntryLocked(generation);
  entry.attributes_valid = valid;
  return entry;
}

void Inode::RemoveLookupsLocked(Transaction* change, uint64_t count) {
  uint64_t* const lookups = change->Edit(&record_->attributes.lookups);
  *lookups -= std::min(*lookups, count);
}

Entry Inode::FirstEntryLocked(uint64_t generation) {
  Entry entry;
  entry.ino = ino;
  entry.generation = generation;
  entry.attributes = KnownAttributesLocked();
  entry.attributes_valid = FirstValidity();
  kernel_attrs_valid_ = meta().opens == 0;
  return entry;
}

void Inode::InitCounts(std::optional<uint32_t> open_flags, bool linkable) {
  MutexLock lock(&mu);
  InodeAttributes& attributes = record_->attributes;
  attributes.lookups = 1;
  attributes.linkable = linkable;
  if (!open_flags.has_value()) return;
  attributes.opens = 1;
  attributes.write_opens = (*open_flags & O_ACCMODE) == O_RDONLY ? 0 : 1;
  attributes.read_write_opens = (*open_flags & O_ACCMODE) == O_RDWR ? 1 : 0;
}

void Inode::AddOpenLocked(Transaction* change, uint32_t flags, bool executes) {
  InodeAttributes* const attributes = EditLocked(change);
  kernel_attrs_valid_ = false;
  ++attributes->opens;
  if ((flags & O_ACCMODE) != O_RDONLY) ++attributes->write_opens;
  if ((flags & O_ACCMODE) == O_RDWR) ++attributes->read_write_opens;
  if (executes) ++attributes->executions;
}

void Inode::RemoveOpenLocked(Transaction* change, uint32_t flags, bool executes) {
  InodeAttributes* const attributes = EditLocked(change);
  const auto decrement = [](uint32_t* count) {
    if (*count > 0) --*count;
  };
  decrement(&attributes->opens);
  if ((flags & O_ACCMODE) != O_RDONLY) decrement(&attributes->write_opens);
  if ((flags & O_ACCMODE) == O_RDWR) decrement(&attributes->read_write_opens);
  if (executes) decrement(&attributes->executions);
}

Result<void> Inode::AdoptXattr(XattrRecord* xattr) {
  MutexLock lock(&mu);
  if (xattrs_ == nullptr) {
    xattrs_ = std::make_unique<Xattrs>(resources_->records.get(), account(), record_id());
  }
  return xattrs_->Adopt(xattr);
}

bool Inode::MarkDeadIfUnusedLocked() {
  if (dead || meta().nlink != 0 || meta().lookups != 0 || meta().opens != 0) return false;
  dead = true;
  return true;
}

void Inode::TakeBackingTimesLocked(Transaction* change, const Times& times) {
  // The store does not know the flag of chattr(1) +A.
  const bool atime = (flags() & FS_NOATIME_FL) == 0 && times.atime != meta().atime;
  if (!atime && times.mtime == meta().mtime && times.ctime == meta().ctime) return;
  InodeAttributes* const attributes = EditLocked(change);
  if (atime) attributes->atime = times.atime;
  attributes->mtime = times.mtime;
  attributes->ctime = times.ctime;
}

CacheSeconds RegularFile::SyncFromBackingLocked(Transaction* change) {
  Times times = meta();
  const CacheSeconds valid = data()->SyncFromBackingFile(&times);
  TakeBackingTimesLocked(change, times);
  return valid;
}

CacheSeconds Inode::SyncFromBackingLocked() {
  Transaction change(resources_->records.get());
  const CacheSeconds valid = SyncFromBackingLocked(&change);
  change.Commit();
  return valid;
}

uint64_t RegularFile::DataBytes() {
  MutexLock lock(&mu);
  (void)SyncFromBackingLocked();
  return blocks() * kSectorBytes;
}

}  // namespace memfuse::memfs
