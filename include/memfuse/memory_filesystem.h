// The file system in RAM: its construction, its limits and its usage.

#ifndef MEMFUSE_MEMORY_FILESYSTEM_H_
#define MEMFUSE_MEMORY_FILESYSTEM_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "memfuse/filesystem.h"
#include "memfuse/quota.h"
#include "memfuse/usage.h"

namespace memfuse {

// Where the data of regular files is stored.
enum class DataKind {
  kDaemon,       // in the daemon's memory; the kernel requests it and caches it
  kPassthrough,  // on a private tmpfs, which the kernel accesses by itself; needs CAP_SYS_ADMIN
  kAuto,         // kPassthrough if the session supports it, else kDaemon
  kNull,         // nowhere: writes are discarded, reads are zeros; to measure the transport
};

// A limit cannot be changed to more than these values: the address space of a process on x86-64 and
// arm64, and a number of inodes that exceeds any memory and stands for no limit.
inline constexpr uint64_t kMaxSizeLimit = uint64_t{1} << 47;
inline constexpr uint64_t kMaxInodeLimit = uint64_t{1} << 40;

struct MemoryFileSystemOptions {
  // Limit in bytes on everything that is stored: file pages, names, inodes, xattrs. > 0.
  uint64_t size_limit = uint64_t{1} << 30;
  // Limit on the number of inodes, including the root. > 0.
  uint64_t inode_limit = uint64_t{1} << 20;
  // Quotas; see SetQuota. The root directory counts in them. The directories of trees are made:
  // the root of a tree with the mode of the root directory, those above it with mode 0755.
  std::vector<QuotaRule> quotas;
  uint32_t root_mode = 01777;  // permission bits
  uint32_t root_uid = 0;
  uint32_t root_gid = 0;
  // The user that may change limits by ioctl(2), in addition to threads with CAP_SYS_ADMIN in the
  // user namespace of the daemon. 0: no such user.
  uint32_t administrator = 0;
  // Do not update access times. Otherwise they are updated as with relatime: reads from the page
  // cache do not reach the daemon, and a time that is newer than mtime and ctime is kept for a day.
  bool noatime = false;
  bool nodiratime = false;   // the same for directories only
  bool strictatime = false;  // every read that reaches the daemon updates them
  // Store extended attributes, and with them ACLs and capabilities. Without them the kernel does
  // not request security.capability before the first write to a file and before each change of its
  // owner.
  bool xattr = true;
  DataKind data = DataKind::kDaemon;
  // The session lets the kernel collect writes (SessionOptions::writeback_cache). While a file is
  // open for writing, the daemon then does not have all of its data.
  bool writeback_cache = false;
  // Options of file data, with the meaning that tmpfs gives them. huge: never, within_size, advise,
  // always, or auto. auto is never on a private tmpfs. In the daemon's memory auto is within_size
  // if the size is not small and the system permits it to this user.
  std::string huge = "auto";
  bool noswap = false;
  // Another process may take the file system over if this one dies (Recover): each operation notes
  // which request it has carried out.
  bool recoverable = false;
};

// The files that contain a file system: descriptors, or -1. `data` is a memory file or the root of
// the mount of a private tmpfs; there is none with kNull.
struct MemoryFileSystemFiles {
  int records = -1;
  int data = -1;
};

struct MemoryFileSystemUsage {
  uint64_t size_limit = 0;
  uint64_t bytes_used = 0;  // part of size_limit
  uint64_t inode_limit = 0;
  uint64_t inodes_used = 0;  // in the table: linked, looked up or open; including the root
  uint64_t data_bytes = 0;   // part of bytes_used: pages of file data, in bytes
  // Part of bytes_used and inodes_used: what removed files take until they are freed. statfs(2)
  // counts it as free.
  uint64_t removed_bytes = 0;
  uint64_t removed_inodes = 0;
};

class MemoryFileSystem : public FileSystem {
 public:
  // Makes a file system. Errors: InvalidArgument (a limit is 0 or is too small for the root; huge,
  // noswap), ResourceExhausted (no memory); with kPassthrough, huge or noswap also PermissionDenied
  // and Unimplemented.
  static absl::StatusOr<std::unique_ptr<MemoryFileSystem>> Make(
      const MemoryFileSystemOptions& options);

  // Makes the file system of a process that has died from its files(): names, attributes, extended
  // attributes, file data, limits, quotas, and the lookups and opens of the kernel. Takes ownership
  // of `files`. The limits and quotas are those that were set last, and `huge` is that of the other
  // process; the other options have to be equal to those of that process. A limit that is below the
  // present usage becomes the usage. Requires: the other process does not run any more. Errors:
  // FailedPrecondition (a program with another layout made the files, or they are damaged),
  // ResourceExhausted (no memory). After an error the files contain what they contained:
  // a caller with duplicates of the descriptors can try again. Throws std::bad_alloc.
  static absl::StatusOr<std::unique_ptr<MemoryFileSystem>> Recover(
      const MemoryFileSystemOptions& options, const MemoryFileSystemFiles& files);
  // Returns: the files for Recover. The object owns them. `data` may change until Connected has
  // returned.
  virtual MemoryFileSystemFiles files() const = 0;
  // The destructor changes nothing in files() after this call, so that another process can use
  // them. Requires: no other thread uses the object.
  virtual void Abandon() = 0;

  // Returns whether the session is to request passthrough, if the kernel offers it.
  virtual bool wants_backing_files() const = 0;
  // Returns: where file data is stored, as a clause for the log, with the reason if another store
  // was not possible.
  virtual std::string DescribeData() const = 0;

  // Returns: the same as mount options, such as "data=passthrough,huge=never". The value "auto"
  // does not occur.
  virtual std::string DataOptions() const = 0;

  virtual MemoryFileSystemUsage Usage() const = 0;

  // Changes both limits, or none, while requests are served; 0 keeps a limit. size_limit is rounded
  // up to whole pages. May be called from any thread. Errors: EINVAL (beyond kMaxSizeLimit or
  // kMaxInodeLimit; then less than the bytes in use; then less than the inodes in use), ENOMEM,
  // EMFILE, ENFILE.
  virtual Result<void> SetLimits(uint64_t size_limit, uint64_t inode_limit) = 0;
  // Sets an upper bound in bytes on everything that is stored, for memory that the machine or the
  // control group has less of than size_limit. It may be below what is stored: nothing can be added
  // then, and everything can be removed. Operations that find no space fail with ENOSPC, and
  // statfs(2) reports the space below the ceiling as free. A value of at least size_limit has no
  // effect. May be called from any thread.
  virtual void SetCeiling(uint64_t bytes) = 0;

  // Sets the limits of one user, group or tree, or the default limits, while requests are served.
  // They hold for root, too, except that a default does not concern ID 0. An operation that a quota
  // does not permit fails with EDQUOT. A quota below the present usage is accepted, and refuses
  // what would add to it. A rule without limits exempts the user or group from the default. May be
  // called from any thread. Throws std::bad_alloc.
  //
  // A directory that gets its first quota must be empty. It then behaves like the root of a mount
  // of its own: names are neither moved nor linked into it or out of it (EXDEV), it is neither
  // removed nor renamed while it has limits (EBUSY), and statfs(2) inside it reports its limits.
  // Trees do not contain one another: what lies in an inner tree does not count in the outer one.
  //
  // Only rules for trees can fail, with: EINVAL (the path does not begin with '/', contains "." or
  // "..", or names the root), ENAMETOOLONG, ENOENT, ENOTDIR, ENOTEMPTY. A rule without limits does
  // not fail for a directory that has none.
  //
  // With kPassthrough, a file that is opened for writing while its user or group has a quota on
  // bytes is written by requests, which is slower. Stores through a mapping into a hole, writes
  // through descriptors that were opened before there was a quota, and the rest of a huge page can
  // exceed such a quota; they count from the next look at the file.
  virtual Result<void> SetQuota(const QuotaRule& rule) = 0;
  // Returns the error of those above that SetQuota would return now, and changes nothing. May be
  // called from any thread. Throws std::bad_alloc.
  virtual Result<void> CheckQuota(const QuotaRule& rule) = 0;
  // Returns the rules: the defaults first, then by kind and ID. May throw std::bad_alloc.
  virtual std::vector<QuotaRule> Quotas() = 0;
  // Returns what users, groups and trees store, by kind and ID: all that own an inode or have a
  // rule. With kPassthrough it visits every inode, which takes about a tenth of a second for a
  // million. May throw std::bad_alloc.
  virtual std::vector<QuotaUsage> UsageByOwner() = 0;

  // Returns the usage of the directory at `path` and of everything below it. `path` begins with '/'
  // and is relative to the root of the file system; symbolic links in it are not followed. Visits
  // every inode of the tree without blocking requests for more than a few dozen microseconds; see
  // `walk` for its bounds. A million inodes take a third of a second; with kPassthrough five
  // seconds if the kernel may have changed each file since the last look at it. Memory:
  // proportional to the depth of the tree and to the number of inodes with several names. While the
  // tree changes, the result is approximate: what is moved, made or removed during the walk may
  // count once, not at all or, if it is moved, twice. May be called from any thread. Errors: EINVAL
  // (no leading '/', or a component that is '.' or '..'), ENAMETOOLONG (a component), ENOENT,
  // ENOTDIR. Throws std::bad_alloc.
  virtual Result<TreeUsage> UsageOfTree(std::string_view path, UsageWalk* walk) const = 0;
  // Returns the inodes without a name; only those of the user `uid`, if it has a value. Visits
  // every inode, as UsageByOwner does. May be called from any thread. Throws std::bad_alloc.
  virtual NamelessUsage UsageOfNameless(std::optional<uint32_t> uid, UsageWalk* walk) const = 0;

  // Returns the operations that a limit has refused, one entry for each limit, the latest first; at
  // most kMaxRefusals. Writes that the kernel makes by itself (kPassthrough) are not among them.
  // May be called from any thread. May throw std::bad_alloc.
  virtual std::vector<Refusal> Refusals() = 0;

  // Returns the path of a directory from the root of the file system, "/" for the root. Returns an
  // empty string if there is no such directory, if the path has PATH_MAX bytes or more, or if its
  // names were not found among 10,000 names.
  // May be called from any thread. May throw std::bad_alloc.
  virtual std::string PathOfDirectory(InodeNumber ino) = 0;

  // Sets the answer to MEMFUSE_IOC_GET_OPTIONS (memfuse/ioctl.h). Until the first call the answer
  // is empty.
  virtual void SetMountOptions(std::string text) = 0;

  // Returns memory that deletions left unused in the daemon's heap to the system, if the amount
  // justifies a walk over the heap. An idle thread is to call it about once a second.
  virtual void ReleaseUnusedMemory() = 0;
};

}  // namespace memfuse

#endif  // MEMFUSE_MEMORY_FILESYSTEM_H_
