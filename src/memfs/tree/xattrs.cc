#include "src/memfs/tree/xattrs.h"

#include <linux/limits.h>
#include <sys/xattr.h>

#include <utility>

namespace memfuse::memfs {
namespace {

constexpr std::string_view kTrusted = "trusted.";

bool IsTrusted(std::string_view name) { return name.substr(0, kTrusted.size()) == kTrusted; }

}  // namespace

Xattrs::~Xattrs() { account_->ReleaseBytes(TotalCost()); }

uint64_t Xattrs::TotalCost() const {
  uint64_t cost = 0;
  for (const auto& [name, value] : map_) cost += Cost(name, value.size());
  return cost;
}

Result<void> Xattrs::Set(std::string_view name, absl::Span<const char> value, uint32_t flags) {
  const auto it = map_.find(name);
  if (it != map_.end() && (flags & XATTR_CREATE) != 0) return Errno(EEXIST);
  if (it == map_.end() && (flags & XATTR_REPLACE) != 0) return Errno(ENODATA);
  // Replacing a value charges only the difference, so the content of a full file system can still
  // be changed.
  const uint64_t cost = Cost(name, value.size());
  const uint64_t old_cost = it == map_.end() ? 0 : Cost(name, it->second.size());
  Reservation space;
  if (cost > old_cost) MEMFUSE_RETURN_IF_ERROR(space.Reserve(account_, cost - old_cost));
  std::string copy(value.data(), value.size());
  if (it == map_.end()) {
    std::string key(name);
    const NodeReserve reserve(map_.size());
    map_.emplace(std::move(key), std::move(copy));
  } else {
    it->second = std::move(copy);
  }
  space.Keep();
  if (cost < old_cost) account_->ReleaseBytes(old_cost - cost);
  return {};
}

const std::string* Xattrs::Find(std::string_view name) const {
  const auto it = map_.find(name);
  return it == map_.end() ? nullptr : &it->second;
}

std::string* Xattrs::Find(std::string_view name) {
  const auto it = map_.find(name);
  return it == map_.end() ? nullptr : &it->second;
}

bool Xattrs::Remove(std::string_view name) {
  const auto it = map_.find(name);
  if (it == map_.end()) return false;
  account_->ReleaseBytes(Cost(name, it->second.size()));
  map_.erase(it);
  return true;
}

bool Xattrs::HasTrusted() const {
  const auto it = map_.lower_bound(kTrusted);
  return it != map_.end() && IsTrusted(it->first);
}

std::string Xattrs::List(bool with_trusted) const {
  std::string names;
  for (const auto& [name, value] : map_) {
    if (!with_trusted && IsTrusted(name)) continue;
    names.append(name);
    names.push_back('\0');
    if (names.size() > XATTR_LIST_MAX) break;
  }
  return names;
}

}  // namespace memfuse::memfs
