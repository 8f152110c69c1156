#include "src/memfs/tree/quota_records.h"

#include <new>
#include <optional>

namespace memfuse::memfs {
namespace {

bool IsPublished(const QuotaRecord& record) { return record.header.kind == kQuotaKind; }

}  // namespace

QuotaRecords::Prepared QuotaRecords::Prepare(const QuotaRule& rule) {
  const auto [place, is_new] = blocks_.try_emplace(KeyOf(rule), nullptr);
  if (is_new) {
    place->second = static_cast<QuotaRecord*>(records_.Allocate(sizeof(QuotaRecord)));
    if (place->second == nullptr) {
      blocks_.erase(place);
      throw std::bad_alloc();
    }
  }
  return Prepared(this, place);
}

void QuotaRecords::Prepared::Store(Transaction* change, const QuotaRule& rule) {
  QuotaRecord* const record = place_->second;
  if (rule.kind == QuotaKind::kTree && rule.bytes == kNoQuota && rule.inodes == kNoQuota) {
    // The destructor frees the block.
    if (IsPublished(*record)) change->Edit(&record->header)->kind = BlockKind::kFree;
    return;
  }
  if (!IsPublished(*record)) {
    record->header.owner = kNoBlock;
    record->quota_kind = rule.kind;
    change->Publish(&record->header, kQuotaKind);
  }
  *change->Edit(&record->limits) = {place_->first.second, rule.bytes, rule.inodes};
}

QuotaRecords::Prepared::~Prepared() {
  if (IsPublished(*place_->second)) return;
  records_.records_.Free(place_->second);
  records_.blocks_.erase(place_);
}

bool QuotaRecords::Adopt(QuotaRecord* record) {
  const bool is_default = record->limits.id == kDefault;
  if (record->quota_kind > QuotaKind::kTree || record->limits.id < kDefault ||
      (is_default && record->quota_kind == QuotaKind::kTree)) {
    return false;
  }
  return blocks_.try_emplace(Key{record->quota_kind, record->limits.id}, record).second;
}

void QuotaRecords::ForEach(absl::FunctionRef<void(const QuotaRule&)> visit) const {
  for (const auto& [key, record] : blocks_) {
    QuotaRule rule;
    rule.kind = key.first;
    if (key.second != kDefault) rule.id = static_cast<uint64_t>(key.second);
    rule.bytes = record->limits.bytes;
    rule.inodes = record->limits.inodes;
    visit(rule);
  }
}

}  // namespace memfuse::memfs
