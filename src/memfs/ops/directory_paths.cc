#include "src/memfs/ops/directory_paths.h"

#include <limits.h>

#include <algorithm>

namespace memfuse::memfs {

Result<std::vector<std::string_view>> SplitPath(std::string_view path) {
  if (path.empty() || path.front() != '/') return Errno(EINVAL);
  std::vector<std::string_view> names;
  while (!path.empty()) {
    path.remove_prefix(1);  // the '/'
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(name.size());
    if (name.empty()) continue;
    if (name == "." || name == "..") return Errno(EINVAL);
    if (name.size() > kNameMax) return Errno(ENAMETOOLONG);
    names.push_back(name);
  }
  return names;
}

Result<DirectoryRef> FindByNames(const Inodes& inodes, const std::vector<std::string_view>& names) {
  MEMFUSE_ASSIGN_OR_RETURN(DirectoryRef directory, inodes.FindDirectory(kRootInode));
  for (const std::string_view name : names) {
    InodeRef child;
    {
      ReaderMutexLock lock(&directory->names_mu);
      const Dentry* const dentry = directory->Find(name);
      if (dentry == nullptr) return Errno(ENOENT);
      child = InodeRef(dentry->inode());
    }
    if (!child->is_directory()) return Errno(ENOTDIR);
    directory = DirectoryRef::Adopt(static_cast<Directory*>(child.release()));
  }
  return directory;
}

std::string DirectoryPaths::PathOf(InodeNumber ino, uint64_t max_entries) {
  if (ino == kRootInode) return "/";
  std::vector<std::string> names;  // of the directory, its parent, and so on
  size_t size = 0;
  while (ino != kRootInode) {
    const Result<DirectoryRef> directory = inodes_.FindDirectory(ino);
    if (!directory.ok()) return std::string();
    const Result<DirectoryRef> parent = inodes_.FindDirectory((*directory)->parent());
    if (!parent.ok()) return std::string();
    names.push_back(NameIn(**parent, ino, &max_entries));
    size += 1 + names.back().size();
    if (names.back().empty() || size >= PATH_MAX) return std::string();
    ino = (*parent)->ino;
  }
  std::string path;
  for (auto name = names.rbegin(); name != names.rend(); ++name) path.append("/").append(*name);
  return path;
}

std::string DirectoryPaths::NameIn(const Directory& parent, InodeNumber child,
                                   uint64_t* max_entries) {
  // No memory is allocated or freed under the locks.
  std::string name;
  name.reserve(kNameMax);
  {
    MutexLock lock(&mu_);
    if (const auto known = names_.find(child); known != names_.end()) name = known->second;
  }
  if (!name.empty()) {
    ReaderMutexLock lock(&parent.names_mu);
    const Dentry* const dentry = parent.Find(name);
    if (dentry != nullptr && dentry->inode()->ino == child) return name;
    name.clear();
  }
  uint64_t cookie = std::numeric_limits<uint64_t>::max();
  while (name.empty()) {
    ReaderMutexLock lock(&parent.names_mu);
    const Dentry* dentry = parent.Before(cookie);
    for (size_t i = 0; i < kBatch && dentry != nullptr && dentry->inode()->ino != child; ++i) {
      if (*max_entries == 0) return std::string();
      --*max_entries;
      cookie = dentry->cookie;
      dentry = parent.Before(cookie);
    }
    if (dentry == nullptr) return std::string();
    if (dentry->inode()->ino == child) name = dentry->name();
  }
  Names made;
  made.emplace(child, name);
  Names forgotten;
  MutexLock lock(&mu_);
  if (names_.size() >= kMaxRemembered) names_.swap(forgotten);
  if (const auto known = names_.find(child); known != names_.end()) {
    known->second.swap(made.begin()->second);
  } else {
    names_.insert(made.extract(made.begin()));
  }
  return name;
}

}  // namespace memfuse::memfs
