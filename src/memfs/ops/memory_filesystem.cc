#include "memfuse/memory_filesystem.h"

#include <linux/capability.h>
#include <malloc.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "src/base/clock.h"
#include "src/memfs/data/daemon_store.h"
#include "src/memfs/data/null_store.h"
#include "src/memfs/ops/memfs.h"
#include "src/memfs/tree/attribute_changes.h"
#include "src/memfs/tree/changes.h"

namespace memfuse {

absl::StatusOr<std::unique_ptr<MemoryFileSystem>> MemoryFileSystem::Make(
    const MemoryFileSystemOptions& options) {
  absl::StatusOr<std::unique_ptr<memfs::MemFs>> fs = memfs::MemFs::Make(options);
  if (!fs.ok()) return fs.status();
  return std::unique_ptr<MemoryFileSystem>(*std::move(fs));
}

namespace memfs {
namespace {

// A sparse file on a tmpfs takes a huge page for each small write, so huge pages are used only if
// the option requests them.
std::string TmpfsHuge(const std::string& huge) { return huge == "auto" ? "never" : huge; }

// Whether the calling thread has CAP_SYS_ADMIN in effect. If it does not, the kernel refuses
// backing files; if it does, only in a user namespace of its own, the kernel refuses them too.
bool MayRegisterBackingFiles() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  static_assert(CAP_SYS_ADMIN < 32);
  return syscall(SYS_capget, &header, data) == 0 &&
         (data[0].effective & uint32_t{1} << CAP_SYS_ADMIN) != 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<MemFs>> MemFs::Make(const MemoryFileSystemOptions& options) {
  std::unique_ptr<MemFs> fs(new MemFs(options));
  Budget& budget = fs->resources_.budget;
  constexpr uint32_t kRootCost = sizeof(Directory) + 64;
  Reservation charge;
  if (options.size_limit == 0 || !charge.Reserve(&budget, kRootCost)) {
    return absl::InvalidArgumentError("the size is too small for even an empty file system");
  }
  if (absl::Status made = fs->MakeStore(); !made.ok()) return made;
  InodeReservation slot;
  if (!slot.Reserve(&budget)) {
    return absl::InvalidArgumentError("the number of inodes has to be at least 1");
  }
  const Timestamp now = base::Now();
  const auto root = DirectoryRef::Adopt(
      new Directory(&fs->resources_, kRootInode, /*parent=*/kRootInode, now, std::move(charge)));
  NewAttributes attributes;
  attributes.permissions = options.root_mode & 07777;
  attributes.uid = options.root_uid;
  attributes.gid = options.root_gid;
  (void)AttributeChanges::Init(root.get(), attributes, now);  // cannot fail without an ACL
  AddRoot(root.get(), now);
  fs->table_.Insert(InodeRef(root.get()));
  slot.Keep();
  return fs;
}

absl::Status MemFs::MakeStore() {
  switch (options_.data) {
    case DataKind::kPassthrough:
      return UsePassthroughStore();
    case DataKind::kNull:
      resources_.store = std::make_unique<NullStore>(&resources_.budget);
      data_description_ = "none: writes vanish";
      data_options_ = "data=null";
      return absl::OkStatus();
    case DataKind::kAuto:
    case DataKind::kDaemon:
      break;
  }
  absl::StatusOr<std::unique_ptr<DaemonStore>> daemon_store = DaemonStore::Make(
      {options_.huge, options_.noswap, options_.writeback_cache}, &resources_.budget);
  if (!daemon_store.ok()) return daemon_store.status();
  data_description_ = absl::StrCat("daemon, huge=", (*daemon_store)->huge());
  data_options_ = absl::StrCat("data=daemon,huge=", (*daemon_store)->huge());
  resources_.store = *std::move(daemon_store);
  return absl::OkStatus();
}

absl::Status MemFs::UsePassthroughStore() {
  const PrivateTmpfsOptions options = {resources_.budget.total(), TmpfsHuge(options_.huge),
                                       options_.noswap, !atime_, options_.strictatime};
  absl::StatusOr<std::unique_ptr<PassthroughStore>> store =
      PassthroughStore::Make(options, &resources_.budget);
  if (!store.ok()) return store.status();
  passthrough_store_ = store->get();
  resources_.store = *std::move(store);
  data_description_ = "private tmpfs, without passthrough";
  return absl::OkStatus();
}

bool MemFs::wants_backing_files() const {
  // Without CAP_SYS_ADMIN the kernel agrees on passthrough and then refuses every backing file. The
  // agreement alone makes open(2) with O_TRUNC slower.
  return options_.data == DataKind::kPassthrough ||
         (options_.data == DataKind::kAuto && MayRegisterBackingFiles());
}

absl::Status MemFs::Connected(BackingFiles* backing) {
  reclaim_.Start();
  truncates_by_setattr_ = backing != nullptr;
  if (options_.data != DataKind::kAuto && options_.data != DataKind::kPassthrough) {
    return absl::OkStatus();
  }
  absl::Status status;
  const std::string daemon_description = data_description_;
  if (backing == nullptr) {
    status = absl::FailedPreconditionError(
        MayRegisterBackingFiles() ? "the kernel offers no FUSE passthrough here"
                                  : "it needs CAP_SYS_ADMIN in the initial user namespace");
  } else if (passthrough_store_ == nullptr) {
    // The daemon store stays until the passthrough store is known to work.
    std::unique_ptr<DataStore> daemon_store = std::move(resources_.store);
    status = UsePassthroughStore();
    if (status.ok()) status = passthrough_store_->UseBackingFiles(backing);
    if (!status.ok()) {
      passthrough_store_ = nullptr;
      resources_.store = std::move(daemon_store);
    }
  } else {
    status = passthrough_store_->UseBackingFiles(backing);
  }
  if (status.ok()) {
    data_description_ = absl::StrCat("passthrough, huge=", TmpfsHuge(options_.huge));
    data_options_ = absl::StrCat("data=passthrough,huge=", TmpfsHuge(options_.huge));
    return status;
  }
  if (options_.data == DataKind::kPassthrough) {
    return absl::FailedPreconditionError(absl::StrCat("--data=passthrough: ", status.message()));
  }
  data_description_ = absl::StrCat(daemon_description, "; no passthrough: ", status.message());
  return absl::OkStatus();
}

void MemFs::Disconnected() {
  // The files that the reclaim thread frees may be registered as backing files.
  reclaim_.Stop();
  if (passthrough_store_ != nullptr) passthrough_store_->ForgetBackingFiles();
}

MemFs::MemFs(const MemoryFileSystemOptions& options)
    : generation_(static_cast<uint64_t>(base::Now().seconds) & 0xffffffff),
      atime_(!options.noatime),
      directory_atime_(!options.nodiratime),
      strictatime_(options.strictatime),
      xattr_(options.xattr),
      options_(options),
      resources_(options.size_limit, options.inode_limit) {}

MemFs::~MemFs() {
  // Names hold no references, so the depth of recursive destructor calls does not depend on the
  // depth of the directory tree.
  table_.Clear();
}

MemoryFileSystemUsage MemFs::Usage() const {
  const Budget& budget = resources_.budget;
  const uint64_t data = resources_.store->data_bytes();
  // With the passthrough store the kernel counts file data, and the budget does not.
  const uint64_t used = budget.bytes_used() + (passthrough_store_ != nullptr ? data : 0);
  return {budget.total(), used, budget.inode_limit(), budget.inodes_used(), data};
}

void MemFs::ReleaseUnusedMemory() {
  resources_.store->ReleaseUnused(/*all=*/false);
  // The heap contains everything except the pages of files. The high-water mark since the last
  // malloc_trim(3) shows whether enough was freed to justify the next one, which takes the locks of
  // the heap.
  constexpr uint64_t kWorthwhile = 4 << 20;
  const MemoryFileSystemUsage usage = Usage();
  const uint64_t heap =
      usage.bytes_used > usage.data_bytes ? usage.bytes_used - usage.data_bytes : 0;
  const uint64_t mark = trimmed_at_.load(std::memory_order_relaxed);
  if (heap + kWorthwhile > mark) {
    trimmed_at_.store(std::max(heap, mark), std::memory_order_relaxed);
    return;
  }
  malloc_trim(0);
  trimmed_at_.store(heap, std::memory_order_relaxed);
}

void MemFs::EvictInode(const InodeRef& inode) {
  table_.Erase(inode->ino);
  resources_.budget.ReleaseInode();
  // If this returns false, the data is freed with the last reference.
  (void)reclaim_.FreeInBackground(inode);
}

bool MemFs::WaitForReclaim(const RequestContext& context, InodeNumber ino, uint64_t bytes,
                           uint64_t seen) {
  // A request that makes an inode always contains a user.
  uint32_t owner = context.uid.value_or(0);
  if (const InodeRef inode = table_.Find(ino)) {
    MutexLock lock(&inode->mu);
    owner = inode->meta().uid;
  }
  // The space for an inode, a name or an extended attribute.
  constexpr uint64_t kLittle = 128 << 10;
  const Budget& budget = resources_.budget;
  const auto enough = [&] {
    return budget.inodes_free_lower_bound() > 0 && resources_.store->free_bytes() >= bytes &&
           resources_.store->free_bytes() - bytes >= std::min(kLittle, budget.total() / 16);
  };
  return reclaim_.Wait(owner, context.blocking_observer, enough) || reclaim_.progress() != seen;
}

void MemFs::WaitForWritableSpace(const RequestContext& context, uint32_t owner) {
  if (passthrough_store_ == nullptr || !reclaim_.pending()) return;
  const uint64_t plenty = resources_.budget.total() / 16;
  const auto enough = [&] {
    const uint64_t free = resources_.store->free_bytes();
    // The reclaim thread frees large files faster than a program writes.
    return free >= plenty && free >= reclaim_.bytes_in_background();
  };
  if (!enough()) (void)reclaim_.Wait(owner, context.blocking_observer, enough);
}

Result<InodeRef> MemFs::FindInode(InodeNumber ino) const {
  InodeRef inode = table_.Find(ino);
  if (!inode) return Errno(ESTALE);
  return inode;
}

Result<DirectoryRef> MemFs::FindDirectory(InodeNumber ino) const {
  InodeRef inode = table_.Find(ino);
  if (!inode) return Errno(ESTALE);
  if (!inode->is_directory()) return Errno(ENOTDIR);
  return DirectoryRef::Adopt(static_cast<Directory*>(inode.release()));
}

Result<RegularFileRef> MemFs::FindRegular(InodeNumber ino) const {
  InodeRef inode = table_.Find(ino);
  if (!inode) return Errno(ESTALE);
  if (inode->is_directory()) return Errno(EISDIR);
  if (!inode->is_regular()) return Errno(EINVAL);
  return RegularFileRef::Adopt(static_cast<RegularFile*>(inode.release()));
}

Result<void> MemFs::CheckName(std::string_view name) {
  if (name.size() > kNameMax) return Errno(ENAMETOOLONG);
  if (name.empty()) return Errno(ENOENT);
  return {};
}

Result<FileSystemStatistics> MemFs::Statfs(const RequestContext&, const StatfsRequest&) {
  return Statistics();
}

FileSystemStatistics MemFs::Statistics() {
  const Budget& budget = resources_.budget;
  resources_.store->ReleaseUnused(/*all=*/true);
  const uint64_t pending_bytes = reclaim_.pending_bytes();
  const uint64_t pending_inodes = reclaim_.pending_inodes();
  FileSystemStatistics s;
  s.block_size = kPageSize;
  s.blocks = budget.total() / kPageSize;
  s.blocks_free = std::min((resources_.store->free_bytes() + pending_bytes) / kPageSize, s.blocks);
  s.blocks_available = s.blocks_free;
  s.inodes = budget.inode_limit();
  s.inodes_free =
      std::min(s.inodes - std::min(budget.inodes_used(), s.inodes) + pending_inodes, s.inodes);
  s.name_max = kNameMax;
  return s;
}

}  // namespace memfs
}  // namespace memfuse
