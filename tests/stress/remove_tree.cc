#include "tests/stress/remove_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

namespace memfuse::stress {
namespace {

std::string Describe(const char* call, const std::string& path) {
  return std::string(call) + " " + path + ": " + strerror(errno);
}

bool List(const std::string& path, std::vector<std::string>* names) {
  DIR* const dir = opendir(path.c_str());
  if (dir == nullptr) return false;
  errno = 0;
  while (const dirent* const entry = readdir(dir)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names->push_back(name);
  }
  const int error = errno;
  closedir(dir);
  errno = error;
  return error == 0;
}

}  // namespace

// A tree can be deeper than the longest path. Therefore the contents of an entry are moved up
// beside it, until there are only files and empty directories.
std::string EmptyDirectory(const std::string& directory) {
  std::vector<std::string> names;
  if (!List(directory, &names)) return Describe("list", directory);
  std::deque<std::string> entries(names.begin(), names.end());
  uint64_t next = 0;
  while (!entries.empty()) {
    const std::string entry = directory + "/" + entries.front();
    if (unlink(entry.c_str()) == 0) {
      entries.pop_front();
      continue;
    }
    if (errno != EISDIR) return Describe("unlink", entry);
    names.clear();
    if (!List(entry, &names)) return Describe("list", entry);
    for (const std::string& name : names) {
      const std::string from = entry + "/" + name;
      const std::string moved = "up" + std::to_string(next++);
      const std::string to = directory + "/" + moved;
      if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) {
        entries.push_back(moved);
      } else if (errno != ENOENT) {
        return Describe("rename", from);
      }
    }
    // A process that entered the directory before it was moved may have added entries.
    if (rmdir(entry.c_str()) != 0) {
      if (errno != ENOTEMPTY) return Describe("rmdir", entry);
      entries.push_back(entries.front());
    }
    entries.pop_front();
  }
  return "";
}

}  // namespace memfuse::stress
