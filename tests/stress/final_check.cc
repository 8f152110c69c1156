#include "tests/stress/final_check.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <vector>

#include "tests/stress/record.h"
#include "tests/stress/remove_tree.h"

namespace memfuse::stress {
namespace {

struct FileNames {
  std::string name;  // one of them
  nlink_t expected = 0;
  nlink_t found = 0;
};

// Walks down and up with chdir, because a tree can be deeper than the longest path.
class TreeCheck {
 public:
  // Checks the current directory; the argument is the inode number of its parent.
  void Walk(ino_t parent);
  void CompareLinks();
  bool ok() const { return ok_; }

 private:
  void Report(const std::string& name, const std::string& what);
  void ReportErrno(const std::string& name, const char* call) {
    Report(name, std::string(call) + ": " + strerror(errno));
  }
  std::vector<std::string> List();
  void CheckContents(const std::string& name, const struct stat& attributes);

  bool ok_ = true;
  int depth_ = 0;
  std::map<ino_t, FileNames> files_;
};

void TreeCheck::Report(const std::string& name, const std::string& what) {
  ok_ = false;
  std::fprintf(stderr, "stress_tree: at the end: %s at depth %d: %s\n", name.c_str(), depth_,
               what.c_str());
}

std::vector<std::string> TreeCheck::List() {
  std::vector<std::string> names;
  DIR* const dir = opendir(".");
  if (dir == nullptr) {
    ReportErrno(".", "opendir");
    return names;
  }
  errno = 0;
  while (const dirent* const entry = readdir(dir)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (errno != 0) ReportErrno(".", "readdir");
  closedir(dir);
  return names;
}

void TreeCheck::CheckContents(const std::string& name, const struct stat& attributes) {
  const int fd = open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return ReportErrno(name, "open");
  std::vector<Record> records(static_cast<size_t>(attributes.st_size) / kRecordSize);
  const ssize_t got = read(fd, records.data(), records.size() * kRecordSize);
  close(fd);
  if (got != attributes.st_size) return Report(name, "cannot be read to its end");
  const std::string wrong = CheckRecords(attributes.st_ino, records.data(), records.size());
  if (!wrong.empty()) Report(name, wrong);
}

void TreeCheck::Walk(ino_t parent) {
  struct stat self, above;
  if (stat(".", &self) != 0 || stat("..", &above) != 0) return ReportErrno(".", "stat");
  if (above.st_ino != parent) Report("..", "is not the parent");
  nlink_t links = 2;
  for (const std::string& name : List()) {
    struct stat attributes;
    if (lstat(name.c_str(), &attributes) != 0) {
      ReportErrno(name, "lstat");
    } else if (S_ISDIR(attributes.st_mode)) {
      ++links;
      if (chdir(name.c_str()) != 0) return ReportErrno(name, "chdir");
      ++depth_;
      Walk(self.st_ino);
      --depth_;
      if (chdir("..") != 0) return ReportErrno("..", "chdir");
    } else {
      FileNames& file = files_[attributes.st_ino];
      file.name = name;
      file.expected = attributes.st_nlink;
      if (++file.found == 1 && S_ISREG(attributes.st_mode)) CheckContents(name, attributes);
    }
  }
  if (self.st_nlink != links) {
    Report(".", "link count " + std::to_string(self.st_nlink) + ", but " +
                    std::to_string(links - 2) + " directories in it");
  }
}

void TreeCheck::CompareLinks() {
  for (const auto& [ino, file] : files_) {
    if (file.expected == file.found) continue;
    Report(file.name, "link count " + std::to_string(file.expected) + ", but " +
                          std::to_string(file.found) + " names");
  }
}

}  // namespace

bool CheckTree() {
  struct stat above;
  if (stat("..", &above) != 0) return false;
  TreeCheck check;
  check.Walk(above.st_ino);
  check.CompareLinks();
  return check.ok();
}

bool RemoveTree(const std::string& path) {
  const std::string wrong = EmptyDirectory(path);
  if (wrong.empty() && rmdir(path.c_str()) == 0) return true;
  std::fprintf(stderr, "stress_tree: at the end: cannot remove everything: %s\n",
               wrong.empty() ? strerror(errno) : wrong.c_str());
  return false;
}

}  // namespace memfuse::stress
