#include "tests/stress/differential/content.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "src/base/unique_fd.h"

namespace memfuse::differential {
namespace {

using base::UniqueFd;

std::vector<std::string> Names(int directory) {
  std::vector<std::string> names;
  DIR* const dir = fdopendir(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir == nullptr) return names;
  while (const dirent* entry = readdir(dir)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

std::string DescribeData(int fd) {
  std::string text;
  std::string buffer(256 << 10, '\0');
  off_t at = 0;
  for (;;) {
    const off_t data = lseek(fd, at, SEEK_DATA);
    if (data < 0) return text;
    const off_t hole = lseek(fd, data, SEEK_HOLE);
    absl::StrAppend(&text, " [", data, ",", hole, ")");
    for (off_t from = data; from < hole;) {
      const auto want =
          static_cast<size_t>(std::min<off_t>(hole - from, static_cast<off_t>(buffer.size())));
      const ssize_t n = pread(fd, buffer.data(), want, from);
      if (n <= 0) return text + " unreadable";
      absl::StrAppend(&text, "=", Digest(buffer.data(), static_cast<size_t>(n)));
      from += n;
    }
    at = hole;
  }
}

std::string DescribeXattrs(const std::string& path) {
  char list[70000];
  const ssize_t size = llistxattr(path.c_str(), list, sizeof(list));
  std::map<std::string, std::string> sorted;
  for (const char* at = list; at < list + size; at += std::strlen(at) + 1) {
    char value[70000];
    const ssize_t n = lgetxattr(path.c_str(), at, value, sizeof(value));
    sorted[at] = n < 0 ? "unreadable" : Digest(value, static_cast<size_t>(n));
  }
  std::string text;
  for (const auto& [name, value] : sorted) absl::StrAppend(&text, " ", name, "=", value);
  return text;
}

struct Walk {
  const std::function<std::string(const struct stat&)>& describe;
  std::map<ino_t, size_t> seen;
  std::string text;

  void Visit(int directory, const std::string& prefix) {
    for (const std::string& name : Names(directory)) {
      struct stat s;
      if (fstatat(directory, name.c_str(), &s, AT_SYMLINK_NOFOLLOW) != 0) {
        absl::StrAppend(&text, prefix, name, ": gone\n");
        continue;
      }
      const size_t identity = seen.try_emplace(s.st_ino, seen.size()).first->second;
      absl::StrAppend(&text, prefix, name, ": #", identity, " ", describe(s),
                      DescribeXattrs(absl::StrCat("/proc/self/fd/", directory, "/", name)));
      if (S_ISREG(s.st_mode)) {
        const UniqueFd fd(openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC));
        text += DescribeData(fd.get());
      } else if (S_ISLNK(s.st_mode)) {
        char target[5000];
        const ssize_t n = readlinkat(directory, name.c_str(), target, sizeof(target));
        absl::StrAppend(&text, " -> ", std::string(target, n < 0 ? 0 : static_cast<size_t>(n)));
      }
      text += '\n';
      if (!S_ISDIR(s.st_mode)) continue;
      const UniqueFd below(openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      Visit(below.get(), absl::StrCat(prefix, name, "/"));
    }
  }
};

}  // namespace

std::string MakeContent(uint32_t salt, size_t length) {
  std::string content(length, '\0');
  uint64_t x = salt * uint64_t{0x9e3779b97f4a7c15} + 1;
  for (size_t i = 0; i < length; i += 8) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    std::memcpy(content.data() + i, &x, std::min<size_t>(8, length - i));
  }
  return content;
}

std::string Digest(const char* data, size_t length) {
  // FNV-1a over words: fast, and different for every changed byte.
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < length; i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, data + i, std::min<size_t>(8, length - i));
    hash = (hash ^ word) * 0x100000001b3;
    hash ^= hash >> 32;
  }
  return length == 0 ? "" : absl::StrCat(absl::Hex(hash ^ length));
}

std::string DescribeTree(int directory,
                         const std::function<std::string(const struct stat&)>& describe) {
  Walk walk{describe, {}, {}};
  walk.Visit(directory, "");
  return walk.text;
}

bool EmptyDirectory(int directory) {
  bool empty = true;
  for (const std::string& name : Names(directory)) {
    if (unlinkat(directory, name.c_str(), 0) == 0) continue;
    const UniqueFd below(
        openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (below.valid()) EmptyDirectory(below.get());
    empty &= unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0;
  }
  return empty;
}

}  // namespace memfuse::differential
