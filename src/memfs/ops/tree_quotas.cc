#include "src/memfs/ops/tree_quotas.h"

#include <algorithm>

#include "src/memfs/tree/attribute_changes.h"

namespace memfuse::memfs {
namespace {

bool HasLimit(const Quota& quota) {
  return quota.bytes.limit() != kNoQuota || quota.inodes.limit() != kNoQuota;
}

// Whether the rule ends a quota.
bool Lifts(const QuotaRule& rule) { return rule.bytes == kNoQuota && rule.inodes == kNoQuota; }

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

Result<DirectoryRef> TreeQuotas::Find(const QuotaRule& rule) const {
  MEMFUSE_ASSIGN_OR_RETURN(const std::vector<std::string_view> names, SplitPath(rule.path));
  if (names.empty()) return Errno(EINVAL);  // the root
  return FindByNames(inodes_, names);
}

Result<void> TreeQuotas::Check(const QuotaRule& rule) const {
  MEMFUSE_ASSIGN_OR_RETURN(const DirectoryRef directory, Find(rule));
  if (Lifts(rule)) return {};
  return AttributeChanges::MayBeTreeRoot(*directory);
}

Result<void> TreeQuotas::Set(Directory* directory, const QuotaRule& rule, QuotaRecords* records) {
  if (Lifts(rule)) {
    // A directory that has no limits, and may have names, does not become the root of a tree.
    MutexLock attributes(&directory->mu);
    if (directory->account()->tree() != directory->ino) return {};
  }
  const QuotaRule with_id = {QuotaKind::kTree, ToInt(directory->ino), rule.bytes, rule.inodes};
  QuotaRecords::Prepared record = records->Prepare(with_id);
  return AttributeChanges::SetTreeLimits(directory, with_id, &record);
}

}  // namespace memfuse::memfs
