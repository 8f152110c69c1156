#include "src/memfs/space/account.h"

#include <optional>

namespace memfuse::memfs {
namespace {

thread_local std::optional<Refusal> refused_charge;

}  // namespace

const Refusal* RefusedCharge() { return refused_charge.has_value() ? &*refused_charge : nullptr; }

void ForgetRefusedCharge() { refused_charge.reset(); }

Account::Account(Accounts* accounts, Owner owner, InodeNumber tree, const Quotas& quotas)
    : accounts_(*accounts),
      budget_(*accounts->budget()),
      owner_(owner),
      tree_(tree),
      quotas_(quotas) {}

bool Account::Charge(UsageCounter Quota::*counter, uint64_t amount) {
  for (size_t i = 0; i < quotas_.size(); ++i) {
    if (quotas_[i] == nullptr || (quotas_[i]->*counter).Charge(amount)) continue;
    NoteRefusal(counter, amount, i);
    Release(counter, amount, i);
    return false;
  }
  return true;
}

void Account::NoteRefusal(UsageCounter Quota::*counter, uint64_t asked, size_t index) const {
  static constexpr std::array<Refusal::Owner, 3> kOwners = {
      Refusal::Owner::kUser, Refusal::Owner::kGroup, Refusal::Owner::kTree};
  const std::array<uint64_t, 3> ids = {owner_.uid, owner_.gid, ToInt(tree_)};
  const UsageCounter& used = quotas_[index]->*counter;
  Refusal refusal;
  refusal.limit = counter == &Quota::bytes ? Refusal::Limit::kBytes : Refusal::Limit::kInodes;
  refusal.owner = kOwners[index];
  refusal.id = ids[index];
  refusal.asked = asked;
  refusal.left = used.limit() - std::min(used.limit(), used.used());
  refused_charge = refusal;
}

void Account::NoteRefusalOfBudget(UsageCounter Quota::*counter, uint64_t asked) const {
  const bool bytes = counter == &Quota::bytes;
  Refusal refusal;
  refusal.limit = bytes ? Refusal::Limit::kBytes : Refusal::Limit::kInodes;
  refusal.owner = Refusal::Owner::kFileSystem;
  refusal.asked = asked;
  refusal.left = bytes ? budget_.bytes_free() : budget_.inodes_free();
  refused_charge = refusal;
}

void Account::Release(UsageCounter Quota::*counter, uint64_t amount, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (quotas_[i] != nullptr) (quotas_[i]->*counter).Release(amount);
  }
}

Result<void> Account::ReserveBytes(uint64_t bytes) {
  if (!Charge(&Quota::bytes, bytes)) return Errno(EDQUOT);
  if (budget_.ReserveBytes(bytes)) return {};
  NoteRefusalOfBudget(&Quota::bytes, bytes);
  Release(&Quota::bytes, bytes);
  return Errno(ENOSPC);
}

Result<void> Account::ReserveInode() {
  if (!Charge(&Quota::inodes, 1)) return Errno(EDQUOT);
  if (budget_.ReserveInode()) return {};
  NoteRefusalOfBudget(&Quota::inodes, 1);
  Release(&Quota::inodes, 1);
  return Errno(ENOSPC);
}

Result<uint64_t> Account::ReserveUpTo(uint64_t count, uint64_t unit) {
  uint64_t granted = count;
  for (size_t i = 0; i < quotas_.size(); ++i) {
    if (quotas_[i] == nullptr) continue;
    const uint64_t before = granted;
    granted = quotas_[i]->bytes.ChargeUpTo(before, unit);
    Release(&Quota::bytes, (before - granted) * unit, i);
    if (granted == 0 && count != 0) {
      NoteRefusal(&Quota::bytes, count * unit, i);
      return Errno(EDQUOT);
    }
  }
  const uint64_t by_quotas = granted;
  granted = budget_.ReserveUpTo(by_quotas, unit);
  Release(&Quota::bytes, (by_quotas - granted) * unit);
  if (granted == 0 && count != 0) {
    NoteRefusalOfBudget(&Quota::bytes, count * unit);
    return Errno(ENOSPC);
  }
  return granted;
}

void Account::ReleaseBytes(uint64_t bytes) {
  budget_.ReleaseBytes(bytes);
  Release(&Quota::bytes, bytes);
}

void Account::ReleaseInode() {
  budget_.ReleaseInode();
  Release(&Quota::inodes, 1);
}

Result<void> Account::ReserveKernelBytes(uint64_t bytes) {
  if (!Charge(&Quota::bytes, bytes)) return Errno(EDQUOT);
  return {};
}

void Account::AddKernelBytes(uint64_t bytes) {
  for (Quota* const quota : quotas_) {
    if (quota != nullptr) quota->bytes.Add(bytes);
  }
}

void Account::ReleaseKernelBytes(uint64_t bytes) { Release(&Quota::bytes, bytes); }

Result<void> Account::TakeOver(Account* from, uint64_t bytes) {
  const auto release = [bytes](Quota* quota) {
    quota->bytes.Release(bytes);
    quota->inodes.Release(1);
  };
  // A quota that both accounts use keeps its charge, so its limit does not matter.
  const auto changes = [&](size_t i) { return quotas_[i] != from->quotas_[i]; };
  for (size_t i = 0; i < quotas_.size(); ++i) {
    Quota* const quota = quotas_[i];
    if (quota == nullptr || !changes(i)) continue;
    if (quota->bytes.Charge(bytes)) {
      if (quota->inodes.Charge(1)) continue;
      NoteRefusal(&Quota::inodes, 1, i);
      quota->bytes.Release(bytes);
    } else {
      NoteRefusal(&Quota::bytes, bytes, i);
    }
    for (size_t j = 0; j < i; ++j) {
      if (quotas_[j] != nullptr && changes(j)) release(quotas_[j]);
    }
    return Errno(EDQUOT);
  }
  for (size_t i = 0; i < quotas_.size(); ++i) {
    if (from->quotas_[i] != nullptr && changes(i)) release(from->quotas_[i]);
  }
  return {};
}

void Account::Unref() const {
  uint64_t refs = refs_.load(std::memory_order_relaxed);
  while (refs > 1) {
    if (refs_.compare_exchange_weak(refs, refs - 1, std::memory_order_release)) return;
  }
  accounts_.Unref(this);
}

Accounts::Accounts(Budget* budget) : budget_(*budget) {
  for (size_t i = 0; i < defaults_.size(); ++i) defaults_[i].kind = static_cast<QuotaKind>(i);
}

Accounts::~Accounts() = default;

AccountRef Accounts::Find(Owner owner, InodeNumber tree) {
  MutexLock lock(&mu_);
  const AccountKey account_key{owner.uid, owner.gid, tree};
  auto& place = accounts_[account_key];
  if (place == nullptr) {
    const std::array<Key, 3> keys = QuotaKeys(owner, tree);
    const size_t count = tree == kNoInode ? 2 : 3;
    std::array<Entry*, 3> entries = {};
    Account::Quotas quotas = {};
    try {
      for (size_t i = 0; i < count; ++i) {
        entries[i] = EntryOf(keys[i]);
        quotas[i] = &entries[i]->quota;
      }
      place.reset(new Account(this, owner, tree, quotas));
    } catch (...) {
      accounts_.erase(account_key);
      for (const Key& key : keys) EraseIfUnused(key);
      throw;
    }
    for (size_t i = 0; i < count; ++i) ++entries[i]->accounts;
  }
  return AccountRef(place.get());
}

void Accounts::Unref(const Account* account) {
  MutexLock lock(&mu_);
  if (account->refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const std::array<Key, 3> keys = QuotaKeys(account->owner(), account->tree());
  const size_t count = account->tree() == kNoInode ? 2 : 3;
  accounts_.erase(KeyOf(*account));
  for (size_t i = 0; i < count; ++i) {
    --quotas_.find(keys[i])->second.accounts;
    EraseIfUnused(keys[i]);
  }
}

Accounts::Entry* Accounts::EntryOf(Key key) {
  const auto [it, is_new] = quotas_.try_emplace(key);
  if (is_new) SetDefaults(key, &it->second.quota);
  return &it->second;
}

void Accounts::SetDefaults(Key key, Quota* quota) const {
  const QuotaRule& rule = defaults_[static_cast<size_t>(key.first)];
  quota->bytes.set_limit(key.second == 0 ? kNoQuota : rule.bytes);
  quota->inodes.set_limit(key.second == 0 ? kNoQuota : rule.inodes);
}

void Accounts::EraseIfUnused(Key key) {
  const auto it = quotas_.find(key);
  if (it != quotas_.end() && it->second.accounts == 0 && !it->second.has_rule) quotas_.erase(it);
}

void Accounts::SetRule(const QuotaRule& rule) {
  MutexLock lock(&mu_);
  if (!rule.id.has_value()) {
    defaults_[static_cast<size_t>(rule.kind)] = rule;
    for (auto& [key, entry] : quotas_) {
      if (key.first == rule.kind && !entry.has_rule) SetDefaults(key, &entry.quota);
    }
    return;
  }
  const Key key{rule.kind, *rule.id};
  Entry* const entry = EntryOf(key);
  // Only a user or a group has a default from which a rule without limits is an exception.
  entry->has_rule =
      rule.kind != QuotaKind::kTree || rule.bytes != kNoQuota || rule.inodes != kNoQuota;
  entry->quota.bytes.set_limit(rule.bytes);
  entry->quota.inodes.set_limit(rule.inodes);
  EraseIfUnused(key);
}

std::vector<QuotaRule> Accounts::Rules() const {
  MutexLock lock(&mu_);
  std::vector<QuotaRule> rules;
  for (const QuotaRule& rule : defaults_) {
    if (rule.bytes != kNoQuota || rule.inodes != kNoQuota) rules.push_back(rule);
  }
  for (const auto& [key, entry] : quotas_) {
    if (!entry.has_rule) continue;
    rules.push_back({key.first, key.second, entry.quota.bytes.limit(), entry.quota.inodes.limit()});
  }
  return rules;
}

std::vector<QuotaUsage> Accounts::Usage() const {
  MutexLock lock(&mu_);
  std::vector<QuotaUsage> usage;
  usage.reserve(quotas_.size());
  for (const auto& [key, entry] : quotas_) {
    const Quota& quota = entry.quota;
    usage.push_back({key.first, key.second, quota.bytes.used(), quota.inodes.used(),
                     quota.bytes.limit(), quota.inodes.limit()});
  }
  return usage;
}

}  // namespace memfuse::memfs
