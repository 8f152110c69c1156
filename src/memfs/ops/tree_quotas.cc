#include "src/memfs/ops/tree_quotas.h"

#include <algorithm>
#include <utility>

#include "src/memfs/tree/attribute_changes.h"

namespace memfuse::memfs {
namespace {

bool HasLimit(const Quota& quota) {
  return quota.bytes.limit() != kNoQuota || quota.inodes.limit() != kNoQuota;
}

// What is left below the limit.
uint64_t FreeOf(const UsageCounter& counter) {
  const uint64_t limit = counter.limit();
  return limit - std::min(limit, counter.used());
}

}  // namespace

Result<void> MayMoveBetween(const Directory& from, const Directory& to) {
  if (from.account()->tree() != to.account()->tree()) return Errno(EXDEV);
  return {};
}

Result<void> MayLinkInto(const Directory& dir, const Inode& inode) {
  MutexLock lock(&inode.mu);
  if (inode.account()->tree() != dir.account()->tree()) return Errno(EXDEV);
  return {};
}

Result<void> MayRemoveTree(const Inode& inode) {
  if (!inode.is_directory()) return {};
  MutexLock lock(&inode.mu);
  const Account& account = *inode.account();
  if (account.tree() == inode.ino && HasLimit(*account.tree_quota())) return Errno(EBUSY);
  return {};
}

void ApplyTreeLimits(const Inode& inode, FileSystemStatistics* statistics) {
  AccountRef account;
  {
    MutexLock lock(&inode.mu);
    account = AccountRef(inode.account());
  }
  const Quota* const quota = account->tree_quota();
  if (quota == nullptr) return;
  FileSystemStatistics& s = *statistics;
  if (quota->bytes.limit() != kNoQuota) {
    s.blocks = std::min(s.blocks, quota->bytes.limit() / s.block_size);
    s.blocks_free = std::min({s.blocks_free, FreeOf(quota->bytes) / s.block_size, s.blocks});
    s.blocks_available = std::min(s.blocks_available, s.blocks_free);
  }
  if (quota->inodes.limit() != kNoQuota) {
    s.inodes = std::min(s.inodes, quota->inodes.limit());
    s.inodes_free = std::min({s.inodes_free, FreeOf(quota->inodes), s.inodes});
  }
}

Result<std::vector<std::string_view>> SplitPath(std::string_view path) {
  if (path.empty() || path.front() != '/') return Errno(EINVAL);
  std::vector<std::string_view> names;
  while (!path.empty()) {
    path.remove_prefix(1);  // the '/'
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(name.size());
    if (name.empty()) continue;
    if (name == "." || name == "..") return Errno(EINVAL);
    if (name.size() > kNameMax) return Errno(ENAMETOOLONG);
    names.push_back(name);
  }
  if (names.empty()) return Errno(EINVAL);
  return names;
}

Result<void> TreeQuotas::Set(const QuotaRule& rule) {
  MEMFUSE_ASSIGN_OR_RETURN(const std::vector<std::string_view> names, SplitPath(rule.path));
  MutexLock lock(&mu_);
  MEMFUSE_ASSIGN_OR_RETURN(const DirectoryRef directory, Resolve(names));
  const bool lifts = rule.bytes == kNoQuota && rule.inodes == kNoQuota;
  if (lifts) {
    MutexLock attributes(&directory->mu);
    if (directory->account()->tree() != directory->ino) return {};
  } else {
    MEMFUSE_RETURN_IF_ERROR(AttributeChanges::MakeTreeRoot(directory.get()));
  }
  QuotaRule by_number = rule;
  by_number.id = ToInt(directory->ino);
  inodes_.resources()->accounts.SetRule(by_number);
  if (lifts) {
    paths_.erase(directory->ino);
  } else {
    std::string path;
    for (const std::string_view name : names) path.append("/").append(name);
    paths_[directory->ino] = std::move(path);
  }
  return {};
}

std::string TreeQuotas::PathOf(InodeNumber ino) {
  MutexLock lock(&mu_);
  const auto seen = paths_.find(ino);
  if (seen == paths_.end()) return SearchPath(ino);
  const Result<DirectoryRef> found = Resolve(*SplitPath(seen->second));
  if (!found.ok() || (*found)->ino != ino) seen->second = SearchPath(ino);
  return seen->second;
}

Result<DirectoryRef> TreeQuotas::Resolve(const std::vector<std::string_view>& names) const {
  MEMFUSE_ASSIGN_OR_RETURN(DirectoryRef directory, inodes_.FindDirectory(kRootInode));
  for (const std::string_view name : names) {
    InodeNumber child;
    {
      ReaderMutexLock lock(&directory->names_mu);
      const Dentry* const dentry = directory->Find(name);
      if (dentry == nullptr) return Errno(ENOENT);
      child = dentry->inode->ino;
    }
    Result<DirectoryRef> next = inodes_.FindDirectory(child);
    // The name may have been removed since.
    if (!next.ok()) return Errno(next.error() == ENOTDIR ? ENOTDIR : ENOENT);
    directory = *std::move(next);
  }
  return directory;
}

std::string TreeQuotas::SearchPath(InodeNumber ino) const {
  std::string path;
  while (ino != kRootInode) {
    const Result<DirectoryRef> directory = inodes_.FindDirectory(ino);
    if (!directory.ok()) return std::string();
    const Result<DirectoryRef> parent = inodes_.FindDirectory((*directory)->parent());
    if (!parent.ok()) return std::string();
    ReaderMutexLock lock(&(*parent)->names_mu);
    const Dentry* dentry = (*parent)->Before(~uint64_t{0});
    while (dentry != nullptr && dentry->inode->ino != ino) {
      dentry = (*parent)->Before(dentry->cookie);
    }
    if (dentry == nullptr) return std::string();
    path.insert(0, dentry->name());
    path.insert(0, 1, '/');
    ino = (*parent)->ino;
  }
  return path;
}

}  // namespace memfuse::memfs
