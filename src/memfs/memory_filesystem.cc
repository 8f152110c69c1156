#include "memfuse/memory_filesystem.h"

#include <malloc.h>

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "src/base/clock.h"
#include "src/memfs/memfs.h"

namespace memfuse {

absl::StatusOr<std::unique_ptr<MemoryFileSystem>> MemoryFileSystem::Make(
    const MemoryFileSystemOptions& options) {
  absl::StatusOr<std::unique_ptr<memfs::MemFs>> fs = memfs::MemFs::Make(options);
  if (!fs.ok()) return fs.status();
  return std::unique_ptr<MemoryFileSystem>(*std::move(fs));
}

namespace memfs {

absl::StatusOr<std::unique_ptr<MemFs>> MemFs::Make(const MemoryFileSystemOptions& options) {
  absl::StatusOr<std::unique_ptr<Arena>> arena = Arena::Make();
  if (!arena.ok()) return arena.status();
  std::unique_ptr<MemFs> fs(new MemFs(options, *std::move(arena)));
  Budget& budget = fs->resources_.budget;
  constexpr uint32_t kRootCost = sizeof(Directory) + 64;
  if (options.size_limit == 0 || !budget.ReserveBytes(kRootCost)) {
    return absl::InvalidArgumentError("the size is too small for even an empty file system");
  }
  if (!budget.ReserveInode()) {
    budget.ReleaseBytes(kRootCost);
    return absl::InvalidArgumentError("the number of inodes has to be at least 1");
  }
  const Timestamp now = base::Now();
  const auto root = DirectoryRef::Adopt(
      new Directory(&fs->resources_, kRootInode, /*parent=*/kRootInode, now, kRootCost));
  {
    MutexLock lock(&root->mu);
    root->meta = {options.root_mode & 07777,
                  options.root_uid,
                  options.root_gid,
                  /*nlink=*/2,
                  now,
                  now,
                  now};
  }
  fs->table_.Insert(InodeRef(root.get()));
  return fs;
}

MemFs::MemFs(const MemoryFileSystemOptions& options, std::unique_ptr<Arena> arena)
    : generation_(static_cast<uint64_t>(base::Now().seconds) & 0xffffffff),
      atime_(!options.noatime),
      resources_(options.size_limit, options.inode_limit, std::move(arena)) {}

MemFs::~MemFs() {
  // Names first, then inodes: no chain of destructors follows the depth of the tree.
  for (const InodeRef& inode : table_.All()) {
    if (inode->is_directory()) static_cast<Directory*>(inode.get())->Clear();
  }
  table_.Clear();
}

MemoryFileSystemUsage MemFs::Usage() const {
  const Budget& budget = resources_.budget;
  return {budget.byte_limit(), budget.bytes_used(), budget.inode_limit(), budget.inodes_used(),
          resources_.arena->pages_in_use()};
}

void MemFs::ReleaseUnusedMemory() {
  // What lies in the heap is everything but the arena's pages. The high-water mark since the last
  // walk tells whether enough was freed to make one worth its time: it takes the heap's locks.
  constexpr uint64_t kWorthwhile = 4 << 20;
  const MemoryFileSystemUsage usage = Usage();
  const uint64_t pages = usage.arena_pages * kPageSize;
  const uint64_t heap = usage.bytes_used > pages ? usage.bytes_used - pages : 0;
  const uint64_t mark = trimmed_at_.load(std::memory_order_relaxed);
  if (heap + kWorthwhile > mark) {
    trimmed_at_.store(std::max(heap, mark), std::memory_order_relaxed);
    return;
  }
  malloc_trim(0);
  trimmed_at_.store(heap, std::memory_order_relaxed);
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

void MemFs::Bury(const InodeRef& inode) {
  table_.Erase(inode->ino);
  resources_.budget.ReleaseInode();
}

Result<FileSystemStatistics> MemFs::Statfs(const RequestContext&, const StatfsRequest&) {
  const Budget& budget = resources_.budget;
  const uint64_t used = std::min(budget.bytes_used(), budget.byte_limit());
  FileSystemStatistics s;
  s.block_size = kPageSize;
  s.blocks = budget.byte_limit() / kPageSize;
  s.blocks_free = (budget.byte_limit() - used) / kPageSize;
  s.blocks_available = s.blocks_free;
  s.inodes = budget.inode_limit();
  s.inodes_free = s.inodes - std::min(budget.inodes_used(), s.inodes);
  s.name_max = kNameMax;
  return s;
}

}  // namespace memfs
}  // namespace memfuse
