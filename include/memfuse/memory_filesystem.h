// The file system in RAM: makes one, says how full it is.

#ifndef MEMFUSE_MEMORY_FILESYSTEM_H_
#define MEMFUSE_MEMORY_FILESYSTEM_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "memfuse/filesystem.h"

namespace memfuse {

// Where the data of regular files lies.
enum class DataKind {
  kDaemon,       // in the daemon's memory; the kernel asks for it and caches it
  kPassthrough,  // on a private tmpfs, which the kernel reads and writes by itself; CAP_SYS_ADMIN
  kAuto,         // kPassthrough where the session can do it, else kDaemon
  kNull,         // nowhere: writes vanish, reads are zeros; measures the transport
};

// Beyond these a limit is changed to nothing: what a process can address on x86-64 and arm64; and
// more inodes than any memory holds, which stands for no limit.
inline constexpr uint64_t kMaxSizeLimit = uint64_t{1} << 47;
inline constexpr uint64_t kMaxInodeLimit = uint64_t{1} << 40;

struct MemoryFileSystemOptions {
  // Limit in bytes on everything that is stored: file pages, names, inodes, xattrs. > 0.
  uint64_t size_limit = uint64_t{1} << 30;
  // Limit on the number of inodes, the root included. > 0.
  uint64_t inode_limit = uint64_t{1} << 20;
  uint32_t root_mode = 01777;  // permission bits
  uint32_t root_uid = 0;
  uint32_t root_gid = 0;
  // The user who may change limits by ioctl(2), beside threads with CAP_SYS_ADMIN in the user
  // namespace of the daemon. 0: nobody but those.
  uint32_t administrator = 0;
  // Keep no access times. Otherwise they move as with relatime: reads from the page cache are not
  // seen, and a time that is newer than mtime and ctime is kept for a day.
  bool noatime = false;
  bool nodiratime = false;   // of directories only
  bool strictatime = false;  // every read that is seen moves them
  // Keep extended attributes, and with them ACLs and capabilities. Without, the kernel has no need
  // to ask for security.capability before the first write to a file and each change of its owner.
  bool xattr = true;
  DataKind data = DataKind::kDaemon;
  // The session lets the kernel collect writes (SessionOptions::writeback_cache): while a file is
  // open for writing, the daemon does not know all of its data.
  bool writeback_cache = false;
  // Of file data, as tmpfs has them. huge: never, within_size, advise, always; or auto: never on a
  // private tmpfs, and in the daemon's memory within_size, if the size is not small and the system
  // lets this user.
  std::string huge = "auto";
  bool noswap = false;
};

struct MemoryFileSystemUsage {
  uint64_t size_limit = 0;
  uint64_t bytes_used = 0;  // of size_limit
  uint64_t inode_limit = 0;
  uint64_t inodes_used = 0;  // in the table: linked, looked up or open; the root included
  uint64_t data_bytes = 0;   // of bytes_used: pages of file data, in bytes
};

class MemoryFileSystem : public FileSystem {
 public:
  // InvalidArgument (a limit is 0 or cannot hold even the root; huge, noswap), ResourceExhausted
  // (no memory); with kPassthrough, huge or noswap PermissionDenied and Unimplemented.
  static absl::StatusOr<std::unique_ptr<MemoryFileSystem>> Make(
      const MemoryFileSystemOptions& options);

  // For Session: passthrough is to be agreed on, if the kernel offers it.
  virtual bool wants_backing_files() const = 0;
  // Where file data lies, in a clause for the log, and why not elsewhere.
  virtual std::string DescribeData() const = 0;

  // The same as mount options: "data=passthrough,huge=never"; without "auto".
  virtual std::string DataOptions() const = 0;

  virtual MemoryFileSystemUsage Usage() const = 0;

  // Changes limits while requests are served: both or none; 0 keeps one. From any thread. EINVAL:
  // beyond kMaxSizeLimit or kMaxInodeLimit, or less than is used, of bytes and then of inodes;
  // ENOMEM, EMFILE, ENFILE. The size is rounded up to whole pages.
  virtual Result<void> SetLimits(uint64_t size_limit, uint64_t inode_limit) = 0;
  // What MEMFUSE_IOC_GET_OPTIONS of memfuse/ioctl.h answers; until then, nothing.
  virtual void SetMountOptions(std::string text) = 0;

  // Hands memory that deletions left unused in the daemon's heap back to the system, where there
  // is enough of it to be worth the walk. Called by an idle thread every second or so.
  virtual void ReleaseUnusedMemory() = 0;
};

}  // namespace memfuse

#endif  // MEMFUSE_MEMORY_FILESYSTEM_H_
