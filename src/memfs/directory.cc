#include "src/memfs/directory.h"

#include <cstdlib>
#include <cstring>
#include <iterator>
#include <new>

namespace memfuse::memfs {

Dentry* Dentry::New(std::string_view name, Inode* inode) {
  void* const block = std::malloc(sizeof(Dentry) + name.size());
  if (block == nullptr) throw std::bad_alloc();
  auto* const dentry = new (block) Dentry{0, inode, static_cast<uint8_t>(name.size())};
  std::memcpy(static_cast<char*>(block) + sizeof(Dentry), name.data(), name.size());
  return dentry;
}

void Dentry::Delete(Dentry* dentry) { std::free(dentry); }

Dentry* Directory::Find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : *it;
}

void Directory::Insert(Dentry* dentry) {
  dentry->cookie = next_cookie_;
  const auto place = by_cookie_.insert(by_cookie_.end(), dentry);
  try {
    by_name_.insert(dentry);
  } catch (...) {
    by_cookie_.erase(place);
    throw;
  }
  ++next_cookie_;
  entry_count_.store(by_name_.size(), std::memory_order_relaxed);
}

void Directory::Erase(Dentry* dentry) {
  by_name_.erase(by_name_.find(dentry));
  by_cookie_.erase(by_cookie_.find(dentry));
  entry_count_.store(by_name_.size(), std::memory_order_relaxed);
  resources_->budget.ReleaseBytes(Dentry::Cost(dentry->name()));
  Dentry::Delete(dentry);
  // The hash table never shrinks by itself: a directory that once held a million names would keep
  // their places for ever.
  if (by_name_.empty()) {
    decltype(by_name_)().swap(by_name_);
  } else if (by_name_.capacity() > 1024 && by_name_.size() < by_name_.capacity() / 16) {
    try {
      by_name_.rehash(0);
    } catch (const std::bad_alloc&) {
      // No room to shrink into: the large table goes on.
    }
  }
}

const Dentry* Directory::Before(uint64_t cookie) const {
  const auto it = by_cookie_.lower_bound(cookie);
  return it == by_cookie_.begin() ? nullptr : *std::prev(it);
}

void Directory::Clear() {
  uint64_t cost = 0;
  {
    MutexLock lock(&names_mu);
    for (Dentry* dentry : by_cookie_) {
      cost += Dentry::Cost(dentry->name());
      Dentry::Delete(dentry);
    }
    by_name_.clear();
    by_cookie_.clear();
  }
  resources_->budget.ReleaseBytes(cost);
}

Directory::~Directory() { Clear(); }

}  // namespace memfuse::memfs
