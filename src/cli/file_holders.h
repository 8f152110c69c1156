// The processes that keep files without a name: by a descriptor, a mapping, or as their working
// directory, root directory or program.

#ifndef MEMFUSE_SRC_CLI_FILE_HOLDERS_H_
#define MEMFUSE_SRC_CLI_FILE_HOLDERS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace memfuse::cli {

struct FileHolder {
  pid_t pid = 0;
  std::string name;  // /proc/PID/comm; any bytes
};

struct FileHolders {
  // By inode number. Each process occurs once.
  std::map<uint64_t, std::vector<FileHolder>> by_inode;
  // False: the caller may not look into every process, so there may be more holders.
  bool complete = true;
};

// No inode has more holders in the result.
inline constexpr size_t kMaxHolders = 100;

// Finds the holders of deleted files of the file system with this st_dev, among the processes below
// `proc` into which the caller may look. It sends no request to any file system. A file that is in
// flight in a socket, or that only the kernel holds (a loop device), has no holder. Throws
// std::bad_alloc.
FileHolders FindHoldersOfDeleted(dev_t device, const std::string& proc = "/proc");

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_FILE_HOLDERS_H_
