#include "src/cli/file_holders.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <set>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "src/base/unique_fd.h"

namespace memfuse::cli {
namespace {

constexpr absl::string_view kDeleted = " (deleted)";

struct CloseDirectory {
  void operator()(DIR* dir) const { closedir(dir); }
};
using DirectoryStream = std::unique_ptr<DIR, CloseDirectory>;

// One process.
class Process {
 public:
  Process(dev_t device, std::string path) : device_(device), path_(std::move(path)) {}

  // Adds the deleted files that the process holds. Returns false if the caller may not look.
  bool Find(std::set<uint64_t>* inodes) const {
    bool may_look = FindDescriptors(inodes);
    for (const char* const link : {"cwd", "root", "exe"}) {
      may_look &= FindLink(AT_FDCWD, absl::StrCat(path_, "/", link), inodes);
    }
    return FindMappings(inodes) && may_look;
  }

 private:
  // Whether the last call failed because of permissions. A process that has ended holds nothing.
  static bool IsRefusal(int error) { return error == EACCES || error == EPERM; }

  bool FindLink(int directory, const std::string& link, std::set<uint64_t>* inodes) const {
    char target[PATH_MAX];
    const ssize_t size = readlinkat(directory, link.c_str(), target, sizeof(target));
    // A target of PATH_MAX and more cannot be read; the file may be a deleted one.
    const bool too_long = size < 0 && errno == ENAMETOOLONG;
    if (size < 0 && !too_long) return !IsRefusal(errno);
    if (!too_long &&
        !absl::EndsWith(absl::string_view(target, static_cast<size_t>(size)), kDeleted)) {
      return true;
    }
    struct statx found = {};
    // The number of the inode does not change, so no file system has to be asked for it.
    if (statx(directory, link.c_str(), AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &found) ==
            0 &&
        makedev(found.stx_dev_major, found.stx_dev_minor) == device_) {
      inodes->insert(found.stx_ino);
    }
    return true;
  }

  bool FindDescriptors(std::set<uint64_t>* inodes) const {
    const DirectoryStream descriptors(opendir(absl::StrCat(path_, "/fd").c_str()));
    if (descriptors == nullptr) return !IsRefusal(errno);
    bool may_look = true;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread uses the stream
    while (const dirent* const entry = readdir(descriptors.get())) {
      if (entry->d_name[0] == '.') continue;
      may_look &= FindLink(dirfd(descriptors.get()), entry->d_name, inodes);
    }
    return may_look;
  }

  bool FindMappings(std::set<uint64_t>* inodes) const {
    const base::UniqueFd probe(open(absl::StrCat(path_, "/maps").c_str(), O_RDONLY | O_CLOEXEC));
    if (!probe.valid()) return !IsRefusal(errno);
    std::ifstream maps(absl::StrCat(path_, "/maps"));
    std::string line;
    while (std::getline(maps, line)) {
      // ADDRESSES PERMISSIONS OFFSET MAJOR:MINOR INODE PATH
      if (!absl::EndsWith(line, kDeleted)) continue;
      const std::vector<absl::string_view> fields =
          absl::StrSplit(line, absl::MaxSplits(' ', 5), absl::SkipEmpty());
      uint64_t ino = 0;
      if (fields.size() < 5 || !absl::SimpleAtoi(fields[4], &ino)) continue;
      const std::vector<absl::string_view> numbers = absl::StrSplit(fields[3], ':');
      uint32_t major = 0;
      uint32_t minor = 0;
      if (numbers.size() == 2 && absl::SimpleHexAtoi(numbers[0], &major) &&
          absl::SimpleHexAtoi(numbers[1], &minor) && makedev(major, minor) == device_) {
        inodes->insert(ino);
      }
    }
    return true;
  }

  const dev_t device_;
  const std::string path_;
};

std::string NameOf(const std::string& path) {
  std::ifstream file(absl::StrCat(path, "/comm"));
  std::string name;
  std::getline(file, name);
  return name;
}

}  // namespace

FileHolders FindHoldersOfDeleted(dev_t device, const std::string& proc) {
  FileHolders holders;
  // Processes of others may be hidden (hidepid of proc(5)).
  holders.complete = geteuid() == 0;
  const DirectoryStream processes(opendir(proc.c_str()));
  if (processes == nullptr) {
    holders.complete = false;
    return holders;
  }
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread uses the stream
  while (const dirent* const entry = readdir(processes.get())) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry->d_name, &pid)) continue;
    const std::string path = absl::StrCat(proc, "/", entry->d_name);
    std::set<uint64_t> inodes;
    if (!Process(device, path).Find(&inodes)) holders.complete = false;
    for (const uint64_t ino : inodes) {
      std::vector<FileHolder>& of_inode = holders.by_inode[ino];
      if (of_inode.size() < kMaxHolders) of_inode.push_back({pid, NameOf(path)});
    }
  }
  return holders;
}

}  // namespace memfuse::cli
