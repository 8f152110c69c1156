// The rules of quotas in the record file, where a successor finds them. Accounts (account.h) apply
// the rules; this class only remembers them.

#ifndef MEMFUSE_SRC_MEMFS_TREE_QUOTA_RECORDS_H_
#define MEMFUSE_SRC_MEMFS_TREE_QUOTA_RECORDS_H_

#include <cstdint>
#include <map>
#include <utility>

#include "absl/functional/function_ref.h"
#include "memfuse/quota.h"
#include "src/memfs/records/record_file.h"
#include "src/memfs/records/transaction.h"
#include "src/memfs/tree/tree_records.h"

namespace memfuse::memfs {

// Not thread-safe. The object does not free its blocks when it is destroyed.
class QuotaRecords {
 public:
  // `records` must outlive the object.
  explicit QuotaRecords(RecordFile* records) : records_(*records) {}
  QuotaRecords(const QuotaRecords&) = delete;
  QuotaRecords& operator=(const QuotaRecords&) = delete;

  // The memory for the record of one rule. It is prepared before the rule is applied, so that
  // storing the record afterwards cannot fail. The object ends before the next call of Prepare.
  class Prepared {
   public:
    // Discards what Store did not use.
    ~Prepared();
    Prepared(const Prepared&) = delete;
    Prepared& operator=(const Prepared&) = delete;
    // Writes the limits of the rule to the record, or removes the record of a tree without limits.
    // Called at most once, with the kind and ID that were prepared. The transaction ends before
    // this object.
    void Store(Transaction* change, const QuotaRule& rule);

   private:
    friend class QuotaRecords;
    using Place = std::map<std::pair<QuotaKind, int64_t>, QuotaRecord*>::iterator;
    Prepared(QuotaRecords* records, Place place) : records_(*records), place_(place) {}
    QuotaRecords& records_;
    const Place place_;
  };

  // The ID of a tree is the inode number of its root directory. IDs are less than 2^63. Throws
  // std::bad_alloc.
  [[nodiscard]] Prepared Prepare(const QuotaRule& rule);

  // Takes over a record of another process. Returns false if it is damaged, or if there is a record
  // of the same kind and ID. Throws std::bad_alloc.
  [[nodiscard]] bool Adopt(QuotaRecord* record);
  // Calls `visit` with each rule: defaults first.
  void ForEach(absl::FunctionRef<void(const QuotaRule&)> visit) const;

 private:
  // A rule without an ID is the default.
  using Key = std::pair<QuotaKind, int64_t>;
  static constexpr int64_t kDefault = -1;
  static Key KeyOf(const QuotaRule& rule) {
    return {rule.kind, rule.id.has_value() ? static_cast<int64_t>(*rule.id) : kDefault};
  }

  RecordFile& records_;
  std::map<Key, QuotaRecord*> blocks_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_TREE_QUOTA_RECORDS_H_
