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

namespace memfuse::stress {
namespace {

bool Complain(const std::string& path, const std::string& what) {
  std::fprintf(stderr, "stress_tree: at the end: %s: %s\n", path.c_str(), what.c_str());
  return false;
}

bool ComplainErrno(const std::string& path, const char* call) {
  return Complain(path, std::string(call) + ": " + strerror(errno));
}

bool ListDirectory(const std::string& path, std::vector<std::string>* names) {
  DIR* const dir = opendir(path.c_str());
  if (dir == nullptr) return ComplainErrno(path, "opendir");
  errno = 0;
  while (const dirent* const entry = readdir(dir)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names->push_back(name);
  }
  const bool ok = errno == 0 || ComplainErrno(path, "readdir");
  closedir(dir);
  return ok;
}

bool CheckContents(const std::string& path, const struct stat& attributes) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return ComplainErrno(path, "open");
  std::vector<Record> records(static_cast<size_t>(attributes.st_size) / kRecordSize);
  const ssize_t got = read(fd, records.data(), records.size() * kRecordSize);
  close(fd);
  if (got != attributes.st_size) return Complain(path, "cannot be read to its end");
  const std::string wrong = CheckRecords(attributes.st_ino, records.data(), records.size());
  return wrong.empty() || Complain(path, wrong);
}

struct FileNames {
  std::string path;  // one of them
  nlink_t expected = 0;
  nlink_t found = 0;
};

bool Walk(const std::string& path, std::map<ino_t, FileNames>* files) {
  std::vector<std::string> names;
  if (!ListDirectory(path, &names)) return false;
  bool ok = true;
  nlink_t links = 2;
  for (const std::string& name : names) {
    const std::string child = path + "/" + name;
    struct stat attributes;
    if (lstat(child.c_str(), &attributes) != 0) {
      ok = ComplainErrno(child, "lstat");
      continue;
    }
    if (S_ISDIR(attributes.st_mode)) {
      ++links;
      ok = Walk(child, files) && ok;
      continue;
    }
    FileNames& file = (*files)[attributes.st_ino];
    file.path = child;
    file.expected = attributes.st_nlink;
    if (++file.found == 1 && S_ISREG(attributes.st_mode)) {
      ok = CheckContents(child, attributes) && ok;
    }
  }
  struct stat attributes;
  if (lstat(path.c_str(), &attributes) != 0) return ComplainErrno(path, "lstat");
  if (attributes.st_nlink != links) {
    ok = Complain(path, "link count " + std::to_string(attributes.st_nlink) + ", but " +
                            std::to_string(links - 2) + " directories in it");
  }
  return ok;
}

}  // namespace

bool CheckTree(const std::string& path) {
  std::map<ino_t, FileNames> files;
  bool ok = Walk(path, &files);
  for (const auto& [ino, file] : files) {
    if (file.expected != file.found) {
      ok = Complain(file.path, "link count " + std::to_string(file.expected) + ", but " +
                                   std::to_string(file.found) + " names");
    }
  }
  return ok;
}

bool RemoveTree(const std::string& path) {
  std::vector<std::string> names;
  bool ok = ListDirectory(path, &names);
  for (const std::string& name : names) {
    const std::string child = path + "/" + name;
    struct stat attributes;
    if (lstat(child.c_str(), &attributes) != 0) {
      ok = ComplainErrno(child, "lstat");
    } else if (S_ISDIR(attributes.st_mode)) {
      ok = RemoveTree(child) && ok;
    } else if (unlink(child.c_str()) != 0) {
      ok = ComplainErrno(child, "unlink");
    }
  }
  if (rmdir(path.c_str()) != 0) ok = ComplainErrno(path, "rmdir");
  return ok;
}

}  // namespace memfuse::stress
