#include "src/memfs/space/account.h"

#include <optional>

namespace memfuse::memfs {
namespace {

thread_local std::optional<Refusal> refused_charge;

}  // namespace

const Refusal* RefusedCharge() { return refused_charge.has_value() ? &*refused_charge : nullptr; }

void ForgetRefusedCharge() { refused_charge.reset(); }

Account::Account(Accounts* accounts, Owner owner, Quota* user, Quota* group)
    : accounts_(*accounts),
      budget_(*accounts->budget()),
      owner_(owner),
      user_(user),
      group_(group) {}

bool Account::Charge(UsageCounter Quota::*counter, uint64_t amount) {
  if (!(user_->*counter).Charge(amount)) {
    NoteRefusal(Refusal::Owner::kUser, counter, amount);
    return false;
  }
  if ((group_->*counter).Charge(amount)) return true;
  NoteRefusal(Refusal::Owner::kGroup, counter, amount);
  (user_->*counter).Release(amount);
  return false;
}

void Account::NoteRefusal(Refusal::Owner owner, UsageCounter Quota::*counter,
                          uint64_t asked) const {
  Refusal refusal;
  const bool bytes = counter == &Quota::bytes;
  refusal.limit = bytes ? Refusal::Limit::kBytes : Refusal::Limit::kInodes;
  refusal.owner = owner;
  refusal.asked = asked;
  if (owner == Refusal::Owner::kFileSystem) {
    refusal.left = bytes ? budget_.bytes_free() : budget_.inodes_free();
  } else {
    const bool user = owner == Refusal::Owner::kUser;
    const UsageCounter& used = (user ? user_ : group_)->*counter;
    refusal.id = user ? owner_.uid : owner_.gid;
    refusal.left = used.limit() - std::min(used.limit(), used.used());
  }
  refused_charge = refusal;
}

void Account::Release(UsageCounter Quota::*counter, uint64_t amount) {
  (user_->*counter).Release(amount);
  (group_->*counter).Release(amount);
}

Result<void> Account::ReserveBytes(uint64_t bytes) {
  if (!Charge(&Quota::bytes, bytes)) return Errno(EDQUOT);
  if (budget_.ReserveBytes(bytes)) return {};
  NoteRefusal(Refusal::Owner::kFileSystem, &Quota::bytes, bytes);
  Release(&Quota::bytes, bytes);
  return Errno(ENOSPC);
}

Result<void> Account::ReserveInode() {
  if (!Charge(&Quota::inodes, 1)) return Errno(EDQUOT);
  if (budget_.ReserveInode()) return {};
  NoteRefusal(Refusal::Owner::kFileSystem, &Quota::inodes, 1);
  Release(&Quota::inodes, 1);
  return Errno(ENOSPC);
}

Result<uint64_t> Account::ReserveUpTo(uint64_t count, uint64_t unit) {
  const uint64_t by_user = user_->bytes.ChargeUpTo(count, unit);
  const uint64_t by_both = group_->bytes.ChargeUpTo(by_user, unit);
  user_->bytes.Release((by_user - by_both) * unit);
  if (by_both == 0 && count != 0) {
    NoteRefusal(by_user == 0 ? Refusal::Owner::kUser : Refusal::Owner::kGroup, &Quota::bytes,
                count * unit);
    return Errno(EDQUOT);
  }
  const uint64_t granted = budget_.ReserveUpTo(by_both, unit);
  Release(&Quota::bytes, (by_both - granted) * unit);
  if (granted == 0 && count != 0) {
    NoteRefusal(Refusal::Owner::kFileSystem, &Quota::bytes, count * unit);
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
  user_->bytes.Add(bytes);
  group_->bytes.Add(bytes);
}

void Account::ReleaseKernelBytes(uint64_t bytes) { Release(&Quota::bytes, bytes); }

Result<void> Account::TakeOver(Account* from, uint64_t bytes) {
  const auto charge = [&](Quota* quota) {
    const auto owner = quota == user_ ? Refusal::Owner::kUser : Refusal::Owner::kGroup;
    if (!quota->bytes.Charge(bytes)) {
      NoteRefusal(owner, &Quota::bytes, bytes);
      return false;
    }
    if (quota->inodes.Charge(1)) return true;
    NoteRefusal(owner, &Quota::inodes, 1);
    quota->bytes.Release(bytes);
    return false;
  };
  const auto release = [bytes](Quota* quota) {
    quota->bytes.Release(bytes);
    quota->inodes.Release(1);
  };
  // A quota that both accounts use keeps its charge, so its limit does not matter.
  const bool new_user = user_ != from->user_;
  const bool new_group = group_ != from->group_;
  if (new_user && !charge(user_)) return Errno(EDQUOT);
  if (new_group && !charge(group_)) {
    if (new_user) release(user_);
    return Errno(EDQUOT);
  }
  if (new_user) release(from->user_);
  if (new_group) release(from->group_);
  return {};
}

void Account::Unref() const {
  uint64_t refs = refs_.load(std::memory_order_relaxed);
  while (refs > 1) {
    if (refs_.compare_exchange_weak(refs, refs - 1, std::memory_order_release)) return;
  }
  accounts_.Unref(this);
}

Accounts::Accounts(Budget* budget) : budget_(*budget) { defaults_[1].kind = QuotaKind::kGroup; }

Accounts::~Accounts() = default;

AccountRef Accounts::Find(Owner owner) {
  MutexLock lock(&mu_);
  auto& place = accounts_[{owner.uid, owner.gid}];
  if (place == nullptr) {
    const Key user{QuotaKind::kUser, owner.uid};
    const Key group{QuotaKind::kGroup, owner.gid};
    try {
      Entry* const user_entry = EntryOf(user);
      Entry* const group_entry = EntryOf(group);
      place.reset(new Account(this, owner, &user_entry->quota, &group_entry->quota));
      ++user_entry->accounts;
      ++group_entry->accounts;
    } catch (...) {
      accounts_.erase({owner.uid, owner.gid});
      EraseIfUnused(user);
      EraseIfUnused(group);
      throw;
    }
  }
  return AccountRef(place.get());
}

void Accounts::Unref(const Account* account) {
  MutexLock lock(&mu_);
  if (account->refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const Owner owner = account->owner();
  for (const Key& key : {Key{QuotaKind::kUser, owner.uid}, Key{QuotaKind::kGroup, owner.gid}}) {
    --quotas_.find(key)->second.accounts;
    EraseIfUnused(key);
  }
  accounts_.erase({owner.uid, owner.gid});
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
  entry->has_rule = true;
  entry->quota.bytes.set_limit(rule.bytes);
  entry->quota.inodes.set_limit(rule.inodes);
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
