#include "src/memfs/tree/xattrs.h"

#include <linux/limits.h>
#include <sys/xattr.h>

#include <cstring>
#include <new>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "src/memfs/tree/acl.h"

namespace memfuse::memfs {
namespace {

constexpr std::string_view kTrusted = "trusted.";

bool IsTrusted(std::string_view name) { return name.substr(0, kTrusted.size()) == kTrusted; }

}  // namespace

Xattrs::~Xattrs() {
  account_->ReleaseBytes(TotalCost());
  for (XattrRecord* const xattr : set_) records_.Free(xattr);
}

uint64_t Xattrs::TotalCost() const {
  uint64_t cost = 0;
  for (const XattrRecord* const xattr : set_) cost += Cost(xattr->name(), xattr->value_size);
  return cost;
}

Result<void> Xattrs::Set(Transaction* change, std::string_view name, absl::Span<const char> value,
                         uint32_t flags) {
  const auto it = set_.find(name);
  XattrRecord* const old = it == set_.end() ? nullptr : *it;
  if (old != nullptr && (flags & XATTR_CREATE) != 0) return Errno(EEXIST);
  if (old == nullptr && (flags & XATTR_REPLACE) != 0) return Errno(ENODATA);
  // Replacing a value charges only the difference, so the content of a full file system can still
  // be changed.
  const uint64_t cost = Cost(name, value.size());
  const uint64_t old_cost = old == nullptr ? 0 : Cost(name, old->value_size);
  Reservation space;
  if (cost > old_cost) MEMFUSE_RETURN_IF_ERROR(space.Reserve(account_, cost - old_cost));

  void* const block = records_.Allocate(XattrRecord::Bytes(name.size(), value.size()));
  if (block == nullptr) throw std::bad_alloc();
  absl::Cleanup free_block = [&] { records_.Free(block); };
  auto* const made = new (block) XattrRecord();
  made->header.owner = owner_;
  made->value_size = static_cast<uint32_t>(value.size());
  made->name_size = static_cast<uint8_t>(name.size());
  char* const bytes = static_cast<char*>(block) + XattrRecord::kNameOffset;
  std::memcpy(bytes, name.data(), name.size());
  if (!value.empty()) std::memcpy(bytes + name.size(), value.data(), value.size());

  const NodeReserve reserve(set_.size());
  if (change != nullptr) {
    if (old != nullptr) change->Remove(&old->header);
    // The last step that can fail: if a later one failed, the block would become free while the
    // journal still has its header.
    change->Publish(&made->header, kXattrKind);
  }
  // No step below can fail.
  if (old != nullptr) set_.erase(it);
  set_.insert(made);
  if (old != nullptr && change == nullptr) records_.Free(old);
  std::move(free_block).Cancel();
  space.Keep();
  if (cost < old_cost) account_->ReleaseBytes(old_cost - cost);
  return {};
}

Result<void> Xattrs::Adopt(XattrRecord* xattr) {
  Reservation space;
  MEMFUSE_RETURN_IF_ERROR(space.Reserve(account_, Cost(xattr->name(), xattr->value_size)));
  const NodeReserve reserve(set_.size());
  set_.insert(xattr);
  space.Keep();
  return {};
}

std::optional<std::string_view> Xattrs::Find(std::string_view name) const {
  const auto it = set_.find(name);
  if (it == set_.end()) return std::nullopt;
  return (*it)->value();
}

bool Xattrs::Remove(Transaction* change, std::string_view name) {
  const auto it = set_.find(name);
  if (it == set_.end()) return false;
  XattrRecord* const xattr = *it;
  change->Remove(&xattr->header);
  account_->ReleaseBytes(Cost(name, xattr->value_size));
  set_.erase(it);
  return true;
}

void Xattrs::SetAclMode(Transaction* change, uint32_t permissions) {
  const auto it = set_.find(kAccessAclName);
  if (it == set_.end()) return;
  const std::string_view value = (*it)->value();
  Acl::SetMode(
      permissions, absl::MakeSpan(const_cast<char*>(value.data()), value.size()),
      [change](absl::Span<const char> bytes) { change->Save(bytes.data(), bytes.size()); });
}

void Xattrs::Publish(Transaction* change) {
  for (XattrRecord* const xattr : set_) change->Publish(&xattr->header, kXattrKind);
}

bool Xattrs::HasTrusted() const {
  const auto it = set_.lower_bound(kTrusted);
  return it != set_.end() && IsTrusted((*it)->name());
}

std::string Xattrs::List(bool with_trusted) const {
  std::string names;
  for (const XattrRecord* const xattr : set_) {
    const std::string_view name = xattr->name();
    if (!with_trusted && IsTrusted(name)) continue;
    names.append(name);
    names.push_back('\0');
    if (names.size() > XATTR_LIST_MAX) break;
  }
  return names;
}

}  // namespace memfuse::memfs
