#include "src/memfs/tree/directory.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <new>
#include <utility>

namespace memfuse::memfs {

DentryHolder NewDentry(RecordFile* records, std::string_view name, Inode* inode) {
  void* const block = records->Allocate(Dentry::Bytes(name.size()));
  if (block == nullptr) throw std::bad_alloc();
  auto* const dentry = new (block) Dentry();
  dentry->target = {inode, inode->record_id(), static_cast<uint8_t>(name.size()), {}};
  std::memcpy(static_cast<char*>(block) + Dentry::kNameOffset, name.data(), name.size());
  return DentryHolder(dentry, RecordDeleter{records});
}

Dentry* Directory::Find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : *it;
}

void Directory::Insert(Dentry* dentry) {
  dentry->cookie = next_cookie_;
  dentry->header.owner = record_id();
  AddToTables(dentry);
  ++next_cookie_;
}

Result<void> Directory::Adopt(Dentry* dentry) {
  Reservation space;
  MEMFUSE_RETURN_IF_ERROR(space.Reserve(account(), DentryCost(dentry->name())));
  AddToTables(dentry);
  next_cookie_ = std::max(next_cookie_, dentry->cookie + kCookieStep);
  space.Keep();
  return {};
}

void Directory::AddToTables(Dentry* dentry) {
  const NodeReserve reserve(by_cookie_.size());
  by_name_.Insert(dentry);
  by_cookie_.insert(by_cookie_.end(), dentry);  // cannot fail, because of the NodeReserve
  entry_count_.store(by_name_.size(), std::memory_order_relaxed);
  names_cost_ += DentryCost(dentry->name());
}

void Directory::Erase(Dentry* dentry) {
  by_name_.Erase(by_name_.find(dentry));
  by_cookie_.erase(by_cookie_.find(dentry));
  entry_count_.store(by_name_.size(), std::memory_order_relaxed);
  const uint64_t cost = DentryCost(dentry->name());
  names_cost_ -= cost;
  account()->ReleaseBytes(cost);
}

const Dentry* Directory::Before(uint64_t cookie) const {
  const auto it = by_cookie_.lower_bound(cookie);
  return it == by_cookie_.begin() ? nullptr : *std::prev(it);
}

void Directory::Clear() {
  MutexLock lock(&names_mu);
  for (Dentry* dentry : by_cookie_) resources_->records->Free(dentry);
  by_name_.Clear();
  by_cookie_.clear();
  account()->ReleaseBytes(std::exchange(names_cost_, 0));
}

Directory::~Directory() { Clear(); }

}  // namespace memfuse::memfs
