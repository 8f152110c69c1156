// Whose space it is: the usage and the limits of users, groups and directory trees.
//
// Everything that an inode takes is charged to the account of its owner: the inode itself, its
// extended attributes, its data, and the names in it if it is a directory. An *account* stands for
// a user, a group and a directory tree. It charges each amount to the quota of each of them, and to
// the budget of the file system.
//
// A *tree* is a directory that was given a quota, and everything below it. An inode belongs to the
// tree of the directory in which it was made, and never leaves it: a name cannot be moved or linked
// from one tree to another. Trees do not contain one another: a tree inside another one is charged
// to the inner one only. kNoInode stands for all inodes that belong to no tree.
//
// When no call is in progress, the usage of all users adds up to what the budget has reserved, and
// so does the usage of all groups. Data that the kernel stores by itself (the passthrough store) is
// not in the budget; its files add it to the usage of their account.

#ifndef MEMFUSE_SRC_MEMFS_SPACE_ACCOUNT_H_
#define MEMFUSE_SRC_MEMFS_SPACE_ACCOUNT_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "memfuse/errno.h"
#include "memfuse/quota.h"
#include "memfuse/types.h"
#include "src/base/ref_ptr.h"
#include "src/memfs/space/budget.h"
#include "src/memfs/space/lock_order.h"

namespace memfuse::memfs {

// The user and the group that own an inode. The alignment makes a read of both one load.
struct alignas(8) Owner {
  uint32_t uid = 0;
  uint32_t gid = 0;
};
inline bool operator==(Owner a, Owner b) { return a.uid == b.uid && a.gid == b.gid; }
inline bool operator!=(Owner a, Owner b) { return !(a == b); }

// An amount in use, and a limit that may be below it. Thread-safe, without a lock.
class UsageCounter {
 public:
  // Charges as many units of `unit` as the limit permits, at most `count`. Returns how many. A
  // change of the limit during the call may be missed.
  [[nodiscard]] uint64_t ChargeUpTo(uint64_t count, uint64_t unit) {
    if (unit == 0) return count;
    uint64_t used = used_.load(std::memory_order_relaxed);
    for (;;) {
      const uint64_t limit = this->limit();
      const uint64_t granted = std::min(count, used < limit ? (limit - used) / unit : 0);
      if (granted == 0) return 0;
      if (used_.compare_exchange_weak(used, used + granted * unit, std::memory_order_relaxed)) {
        return granted;
      }
    }
  }
  [[nodiscard]] bool Charge(uint64_t amount) { return ChargeUpTo(1, amount) == 1; }
  // Charges `amount` regardless of the limit.
  void Add(uint64_t amount) { used_.fetch_add(amount, std::memory_order_relaxed); }
  void Release(uint64_t amount) { used_.fetch_sub(amount, std::memory_order_relaxed); }

  uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  uint64_t limit() const { return limit_.load(std::memory_order_relaxed); }
  void set_limit(uint64_t limit) { limit_.store(limit, std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> used_{0};
  std::atomic<uint64_t> limit_{kNoQuota};
};

class Accounts;

// The usage and the limits of one user, one group, or one tree.
struct Quota {
  UsageCounter bytes;
  UsageCounter inodes;
};

// The charge that an account refused to the calling thread last. The limit, its owner, and the
// amounts are set. Null: no charge was refused since ForgetRefusedCharge.
const Refusal* RefusedCharge();
void ForgetRefusedCharge();

// Thread-safe. Accounts owns the object, and destroys it when nothing refers to it.
class Account {
 public:
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  Owner owner() const { return owner_; }
  // The inode number of the directory at the root of the tree, or kNoInode.
  InodeNumber tree() const { return tree_; }
  // The quota of the tree, or null.
  const Quota* tree_quota() const { return quotas_[kTreeQuota]; }

  // Reserve all of the amount, or nothing. Return EDQUOT (the limit of the user, then that of the
  // group, then that of the tree), then ENOSPC (the limit of the file system).
  Result<void> ReserveBytes(uint64_t bytes);
  Result<void> ReserveInode();
  // Reserves as many units of `unit` bytes as there is room for, at most `count`. Returns how many,
  // at least one if `count` is not 0; or EDQUOT or ENOSPC.
  Result<uint64_t> ReserveUpTo(uint64_t count, uint64_t unit);
  void ReleaseBytes(uint64_t bytes);
  void ReleaseInode();

  // Charges data that the kernel stores, which is not in the budget. ReserveKernelBytes returns
  // EDQUOT, and nothing is charged then. AddKernelBytes ignores the limits, because the data exists
  // already.
  Result<void> ReserveKernelBytes(uint64_t bytes);
  void AddKernelBytes(uint64_t bytes);
  void ReleaseKernelBytes(uint64_t bytes);

  // Takes over one inode and `bytes`, which were charged to `from`. Returns EDQUOT, and nothing is
  // changed then.
  Result<void> TakeOver(Account* from, uint64_t bytes);

  // Whether the bytes of the user, the group or the tree are limited now.
  bool has_byte_limit() const {
    return std::any_of(quotas_.begin(), quotas_.end(), [](const Quota* quota) {
      return quota != nullptr && quota->bytes.limit() != kNoQuota;
    });
  }

  void Ref() const { refs_.fetch_add(1, std::memory_order_relaxed); }
  void Unref() const;

 private:
  friend class Accounts;

  static constexpr size_t kTreeQuota = 2;
  // Those of the user, the group and the tree. The last one may be null.
  using Quotas = std::array<Quota*, 3>;

  Account(Accounts* accounts, Owner owner, InodeNumber tree, const Quotas& quotas);

  // Charges all quotas, or none. Returns false if a limit does not permit it.
  bool Charge(UsageCounter Quota::*counter, uint64_t amount);
  // Set RefusedCharge(). `index` is the place of the quota in quotas_.
  void NoteRefusal(UsageCounter Quota::*counter, uint64_t asked, size_t index) const;
  void NoteRefusalOfBudget(UsageCounter Quota::*counter, uint64_t asked) const;
  // Releases the first `count` quotas, by default all.
  void Release(UsageCounter Quota::*counter, uint64_t amount, size_t count = 3);

  Accounts& accounts_;
  Budget& budget_;
  const Owner owner_;
  const InodeNumber tree_;
  const Quotas quotas_;
  // It falls to 0 only under Accounts::mu_.
  mutable std::atomic<uint64_t> refs_{0};
};

using AccountRef = base::RefPtr<Account>;

// All accounts and quotas of a file system. An account exists while an inode or an operation refers
// to it. A quota exists while an account uses it or while it has a limit of its own, so memory is
// bounded by the inodes in use and by the limits that an administrator has set.
//
// Thread-safe. It must outlive all references to accounts.
class Accounts {
 public:
  explicit Accounts(Budget* budget);
  ~Accounts();
  Accounts(const Accounts&) = delete;
  Accounts& operator=(const Accounts&) = delete;

  Budget* budget() const { return &budget_; }

  // Throws std::bad_alloc.
  AccountRef Find(Owner owner, InodeNumber tree = kNoInode) ABSL_LOCKS_EXCLUDED(mu_);

  // Sets limits. A limit below the current usage is permitted; it refuses further charges only. A
  // rule without an ID is the default for all users but 0, or all groups but 0, that have no rule
  // of their own. A user or group with a rule of its own gets no limit from the default, also where
  // the rule has none. A rule for a tree has its inode number as ID; one without limits ends it.
  // Throws std::bad_alloc.
  void SetRule(const QuotaRule& rule) ABSL_LOCKS_EXCLUDED(mu_);
  // Returns the rules: defaults first, then by kind and ID. May throw std::bad_alloc.
  std::vector<QuotaRule> Rules() const ABSL_LOCKS_EXCLUDED(mu_);
  // Returns the usage of users, groups and trees that something is charged to or that have a rule,
  // by kind and ID. May throw std::bad_alloc.
  std::vector<QuotaUsage> Usage() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  friend class Account;

  using Key = std::pair<QuotaKind, uint64_t>;
  using AccountKey = std::tuple<uint32_t, uint32_t, InodeNumber>;
  // The quota of one user, group or tree.
  struct Entry {
    Quota quota;
    uint64_t accounts = 0;  // how many accounts use the quota
    bool has_rule = false;
  };

  // Ends the last reference to `account`, unless another thread has found it meanwhile.
  void Unref(const Account* account) ABSL_LOCKS_EXCLUDED(mu_);
  static AccountKey KeyOf(const Account& account) {
    return {account.owner().uid, account.owner().gid, account.tree()};
  }
  // The quotas that an account uses. The last one does not exist if there is no tree.
  static std::array<Key, 3> QuotaKeys(Owner owner, InodeNumber tree) {
    return {Key{QuotaKind::kUser, owner.uid}, Key{QuotaKind::kGroup, owner.gid},
            Key{QuotaKind::kTree, ToInt(tree)}};
  }
  // Makes the entry if there is none.
  Entry* EntryOf(Key key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SetDefaults(Key key, Quota* quota) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EraseIfUnused(Key key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Budget& budget_;
  mutable LeafMutex mu_;
  // These are std::map because an insertion that finds no memory leaves them as they were.
  std::map<Key, Entry> quotas_ ABSL_GUARDED_BY(mu_);
  // The rules without an ID, by kind. The one for trees is never changed.
  std::array<QuotaRule, 3> defaults_ ABSL_GUARDED_BY(mu_);
  std::map<AccountKey, std::unique_ptr<Account>> accounts_ ABSL_GUARDED_BY(mu_);
};

// Bytes that are reserved for an operation that may still fail. The destructor releases them unless
// Keep was called. A move transfers the reservation.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept
      : account_(std::move(other.account_)), bytes_(other.Keep()) {}
  Reservation& operator=(Reservation&&) = delete;
  ~Reservation() {
    if (bytes_ != 0) account_->ReleaseBytes(bytes_);
  }
  // May succeed at most once. Returns the errors of Account::ReserveBytes.
  Result<void> Reserve(Account* account, uint64_t bytes) {
    MEMFUSE_RETURN_IF_ERROR(account->ReserveBytes(bytes));
    account_ = AccountRef(account);
    bytes_ = bytes;
    return {};
  }
  // The account of the successful Reserve, or null.
  Account* account() const { return account_.get(); }
  // What is reserved; 0 after Keep.
  uint64_t bytes() const { return bytes_; }
  // Ends the reservation without releasing the bytes: another object accounts for them now. Returns
  // how many they are.
  uint64_t Keep() { return std::exchange(bytes_, 0); }

 private:
  AccountRef account_;
  uint64_t bytes_ = 0;
};

// The same for one inode. The account must outlive it.
class InodeReservation {
 public:
  InodeReservation() = default;
  InodeReservation(const InodeReservation&) = delete;
  InodeReservation& operator=(const InodeReservation&) = delete;
  ~InodeReservation() {
    if (account_ != nullptr) account_->ReleaseInode();
  }
  // May succeed at most once. Returns the errors of Account::ReserveInode.
  Result<void> Reserve(Account* account) {
    MEMFUSE_RETURN_IF_ERROR(account->ReserveInode());
    account_ = account;
    return {};
  }
  void Keep() { account_ = nullptr; }

 private:
  Account* account_ = nullptr;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_SPACE_ACCOUNT_H_
