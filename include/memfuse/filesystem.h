// The interface between whoever receives requests (transport) and whoever keeps the files (memfs).
//
// One method per operation: a typed request in, a typed result out. No bytes, descriptors or wire
// numbers of the FUSE protocol pass through here, so an implementation can be tested in-process and
// served by any transport.
//
// Threads: every method may be called at any time from any number of threads. An implementation
// locks for itself and does not assume that the caller (the kernel, mostly) serialises anything.
//
// Lifetime of an inode. Lookup, Mknod, Mkdir, Symlink, Link, Create, Tmpfile and every entry of a
// Readdir with plus (but not "." and "..") that succeed give the caller one *lookup* on the
// returned inode. Forget gives lookups back, many at once. An inode number stays usable while
// lookups, names (nlink) or opens are left, and is never used again afterwards; ESTALE answers a
// request for an inode that is gone. The root is never forgotten.
//
// Permissions. The kernel checks modes, ACLs, sticky bits and capabilities before it asks (mount
// option default_permissions), so methods other than Access do not: they carry out what they are
// asked. RequestContext says on whose behalf, for the ownership of new inodes.
// Inode flags (chattr(1)) the kernel does not check: what an immutable or append-only inode or
// directory forbids is EPERM, once the names and inodes of the request are known to exist, or not.
//
// Strings. Names are bytes other than '/' and NUL, 1 to 255 of them; a longer one is ENAMETOOLONG,
// an empty one ENOENT. Views in requests are valid during the call only.
//
// Errors are listed in the order in which they are checked. Every method may answer ENOMEM, and
// ESTALE for an unknown inode number (checked first); these are not repeated. The default of every
// method is ENOSYS, which the kernel takes as "not supported" and, for some operations, does not
// ask again.

#ifndef MEMFUSE_FILESYSTEM_H_
#define MEMFUSE_FILESYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "memfuse/blocking_observer.h"
#include "memfuse/errno.h"
#include "memfuse/payload.h"
#include "memfuse/read_sink.h"
#include "memfuse/types.h"

namespace memfuse {

// On whose behalf a request is made.
struct RequestContext {
  RequestId id{};
  // The user and the primary group by which the calling thread accesses files, in the user
  // namespace of the mount; the protocol carries no supplementary groups. Present in requests that
  // make an inode (Mknod, Mkdir, Symlink, Create, Tmpfile, Rename with RENAME_WHITEOUT), which is
  // to belong to them: an idmapped mount has mapped them already. A kernel that can make idmapped
  // mounts of the file system (FUSE_ALLOW_IDMAP, Linux 6.12) leaves them out of every other
  // request, also of one that comes through a mount that is not idmapped; who has to know the
  // caller there asks /proc about `pid`. nullopt is not user 0.
  std::optional<uint32_t> uid = 0;
  std::optional<uint32_t> gid = 0;
  // The calling thread, in the PID namespace in which the file system was mounted. 0 where it is
  // outside of that namespace, or the kernel acts by itself (writeback).
  uint32_t pid = 0;
  // Of the thread that serves the request, to be left by an operation that takes long; null: there
  // is nobody to take it.
  BlockingObserver* blocking_observer = nullptr;
};

struct LookupRequest {
  InodeNumber parent;
  std::string_view name;
};

struct ForgetRequest {
  InodeNumber ino;
  uint64_t count;  // lookups that are given back
};

struct GetattrRequest {
  InodeNumber ino;
  std::optional<FileHandle> handle;
};

// One time of a SetattrRequest.
struct TimeChange {
  enum class Kind { kKeep, kNow, kSet };
  Kind kind = Kind::kKeep;
  Timestamp value{};  // kSet only
};

struct SetattrRequest {
  InodeNumber ino;
  std::optional<FileHandle> handle;
  std::optional<uint32_t> mode;  // permission bits; type bits are ignored
  std::optional<uint32_t> uid;
  std::optional<uint32_t> gid;
  std::optional<uint64_t> size;  // truncate or extend with a hole
  TimeChange atime;
  TimeChange mtime;
  std::optional<Timestamp> ctime;  // only a kernel that caches writes knows better than the server
  // Clear S_ISUID, and S_ISGID where the group may execute: somebody without CAP_FSETID changed
  // the data. A change of owner clears them without being told (chown(2)).
  bool kill_suidgid = false;
};

struct StatxRequest {
  InodeNumber ino;
  std::optional<FileHandle> handle;
  uint32_t flags = 0;  // AT_STATX_*
  uint32_t mask = 0;   // STATX_*
};

struct StatxResult {
  Attributes attributes;              // btime is valid
  uint64_t attribute_flags = 0;       // STATX_ATTR_* that are set
  uint64_t attribute_flags_mask = 0;  // STATX_ATTR_* that are known
  CacheSeconds attributes_valid = kCacheForever;
};

struct AttributesResult {
  Attributes attributes;
  CacheSeconds attributes_valid = kCacheForever;
};

struct ReadlinkRequest {
  InodeNumber ino;
};

struct SymlinkRequest {
  InodeNumber parent;
  std::string_view name;
  std::string_view target;
};

struct MknodRequest {
  InodeNumber parent;
  std::string_view name;
  uint32_t mode;       // type and permission bits, not yet masked
  uint32_t rdev = 0;   // devices only
  uint32_t umask = 0;  // the caller's; applied unless the parent has a default ACL
};

struct MkdirRequest {
  InodeNumber parent;
  std::string_view name;
  uint32_t mode;
  uint32_t umask = 0;
};

struct UnlinkRequest {
  InodeNumber parent;
  std::string_view name;
};

struct RmdirRequest {
  InodeNumber parent;
  std::string_view name;
};

struct RenameRequest {
  InodeNumber parent;
  std::string_view name;
  InodeNumber new_parent;
  std::string_view new_name;
  uint32_t flags = 0;  // RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT of <linux/fs.h>
};

struct LinkRequest {
  InodeNumber ino;
  InodeNumber new_parent;
  std::string_view new_name;
};

struct OpenRequest {
  InodeNumber ino;
  uint32_t flags = 0;         // as for open(2), without O_CREAT and O_EXCL; O_TRUNC is to be done
  bool kill_suidgid = false;  // with O_TRUNC: see SetattrRequest
};

// How the kernel is to treat an open file.
struct OpenResult {
  FileHandle handle{};
  bool direct_io = false;   // bypass the page cache; with backing_id, for all but mmap(2)
  bool keep_cache = false;  // cached pages are still right
  bool nonseekable = false;
  bool cache_directory = false;         // Opendir: the kernel may keep the listing
  bool no_flush = false;                // nothing to do on close(2)
  bool parallel_direct_writes = false;  // with direct_io
  int32_t backing_id = 0;               // > 0: data is served from this backing file (passthrough)
  // Open: the attributes that the kernel has cached of the inode are to be dropped.
  bool forget_attributes = false;
};

struct CreateRequest {
  InodeNumber parent;
  std::string_view name;  // empty and ignored for Tmpfile
  uint32_t mode;
  uint32_t umask = 0;
  uint32_t flags = 0;  // as for open(2)
  bool kill_suidgid = false;
};

struct CreateResult {
  Entry entry;
  OpenResult open;
};

struct ReadRequest {
  InodeNumber ino;
  FileHandle handle{};
  uint64_t offset = 0;
  uint32_t flags = 0;          // the file's open(2) flags
  bool to_page_cache = false;  // the kernel caches what it reads; otherwise a program gets it
};

struct WriteRequest {
  InodeNumber ino;
  FileHandle handle{};
  uint64_t offset = 0;
  Payload data;                  // taken once: see payload.h
  uint32_t flags = 0;            // the file's open(2) flags
  bool from_page_cache = false;  // written back by the kernel; handle is a guess, caller unknown
  bool kill_suidgid = false;
};

struct ReleaseRequest {
  InodeNumber ino;
  FileHandle handle{};
  uint32_t flags = 0;
};

struct FlushRequest {
  InodeNumber ino;
  FileHandle handle{};
};

struct FsyncRequest {
  InodeNumber ino;
  FileHandle handle{};
  bool data_only = false;
};

struct FallocateRequest {
  InodeNumber ino;
  FileHandle handle{};
  uint64_t offset = 0;
  uint64_t length = 0;
  uint32_t mode = 0;  // FALLOC_FL_* of <linux/falloc.h>
};

struct LseekRequest {
  InodeNumber ino;
  FileHandle handle{};
  uint64_t offset = 0;
  uint32_t whence = 0;  // SEEK_DATA or SEEK_HOLE; the kernel does the others itself
};

struct CopyFileRangeRequest {
  InodeNumber ino_in;
  FileHandle handle_in{};
  uint64_t offset_in = 0;
  InodeNumber ino_out;
  FileHandle handle_out{};
  uint64_t offset_out = 0;
  uint64_t length = 0;
  uint32_t flags = 0;
};

struct ReaddirRequest {
  InodeNumber ino;
  FileHandle handle{};
  uint64_t offset = 0;  // 0, or the next_offset of an entry that was delivered before
  bool plus = false;    // deliver attributes, and a lookup, with entries
};

// One directory entry on its way to the caller.
struct DirectoryEntry {
  std::string_view name;
  InodeNumber ino = kNoInode;
  uint32_t type = 0;         // S_IFMT bits of the mode
  uint64_t next_offset = 0;  // where to go on after this entry
  // plus: the inode behind the name, with one lookup given. Null, or with kNoInode as its ino, for
  // "." and "..", and where the caller is to keep what it knows of the name or to look it up.
  const Entry* entry = nullptr;
};

// Takes directory entries until it is full. It is called with the directory locked: it must
// neither block nor call the file system.
class DirectorySink {
 public:
  virtual ~DirectorySink() = default;
  // Whether an entry of that name would still fit. Asked before a lookup is given.
  virtual bool HasRoomFor(std::string_view name) const = 0;
  // Precondition: HasRoomFor(entry.name).
  virtual void Add(const DirectoryEntry& entry) = 0;
};

struct StatfsRequest {
  InodeNumber ino;
};

struct SetxattrRequest {
  InodeNumber ino;
  std::string_view name;  // with its namespace: "user.x"
  absl::Span<const char> value;
  uint32_t flags = 0;      // XATTR_CREATE, XATTR_REPLACE
  bool kill_sgid = false;  // an access ACL set by somebody outside the file's group
};

struct GetxattrRequest {
  InodeNumber ino;
  std::string_view name;
  uint32_t size = 0;  // room at the caller; 0 asks for the size only. The transport's concern.
};

struct ListxattrRequest {
  InodeNumber ino;
  uint32_t size = 0;
};

struct RemovexattrRequest {
  InodeNumber ino;
  std::string_view name;
};

struct AccessRequest {
  InodeNumber ino;
  uint32_t mask = 0;  // R_OK | W_OK | X_OK, or F_OK
};

struct IoctlRequest {
  InodeNumber ino;
  FileHandle handle{};
  uint32_t command = 0;
  uint64_t argument = 0;
  absl::Span<const char> input;
  uint32_t output_size = 0;
  bool directory = false;
};

struct IoctlResult {
  int32_t result = 0;
  std::string output;  // at most output_size bytes
  // The kernel takes no attributes from this answer: those it has cached are to be dropped.
  bool attributes_changed = false;
};

// Files of the server that the kernel reads and writes by itself once an open was answered with
// their number (FUSE passthrough, Linux 6.9 and newer). Thread-safe.
class BackingFiles {
 public:
  // The number, > 0, of the file that is open as `descriptor` (O_PATH will do), which may be closed
  // afterwards. EPERM (no CAP_SYS_ADMIN), ELOOP (a file system that lies on others), EINVAL (no
  // regular file), ENOMEM.
  virtual Result<int32_t> Register(int descriptor) = 0;
  // Files that are open by it stay so.
  virtual void Unregister(int32_t id) = 0;

 protected:
  ~BackingFiles() = default;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // The connection is initialised; before the first request. `backing` is null where passthrough
  // was not agreed on, and may be used until Disconnected. What is returned ends the session.
  virtual absl::Status Connected(BackingFiles* /*backing*/) { return absl::OkStatus(); }
  // After the last request.
  virtual void Disconnected() {}

  // Finds `name` in a directory. "." and ".." are answered on every inode ("." also where it is no
  // directory): handles of exported file systems need it. ESTALE ("." of what was removed and is
  // not open), ENOTDIR, ENAMETOOLONG, ENOENT.
  virtual Result<Entry> Lookup(const RequestContext&, const LookupRequest&) { return NotServed(); }

  // Gives lookups back. More than were given, or an unknown inode: ignored, never an error.
  virtual void Forget(const ForgetRequest&) {}

  virtual Result<AttributesResult> Getattr(const RequestContext&, const GetattrRequest&) {
    return NotServed();
  }

  // Changes everything that is named, or nothing, and returns the attributes afterwards. ctime
  // moves, and mtime with the size; but a size without a handle that is the size already moves
  // neither (truncate(2) on tmpfs, in contrast to ftruncate(2)). EISDIR or EINVAL (size of a
  // directory or of anything else that is no regular file), EFBIG, ENOSPC.
  virtual Result<AttributesResult> Setattr(const RequestContext&, const SetattrRequest&) {
    return NotServed();
  }

  virtual Result<StatxResult> Statx(const RequestContext&, const StatxRequest&) {
    return NotServed();
  }

  // The target of a symbolic link, without a final NUL. EINVAL where it is none.
  virtual Result<std::string> Readlink(const RequestContext&, const ReadlinkRequest&) {
    return NotServed();
  }

  // The five makers of names. ENOTDIR, ENAMETOOLONG, ENOENT (the parent was removed, or the name is
  // empty), EEXIST, then what each adds; last ENOSPC (bytes or inodes used up).
  // New inodes belong to the caller, and to the group of a setgid parent, whose setgid bit
  // directories inherit; a default ACL of the parent takes the place of the umask.
  virtual Result<Entry> Mknod(const RequestContext&, const MknodRequest&) { return NotServed(); }
  virtual Result<Entry> Mkdir(const RequestContext&, const MkdirRequest&) { return NotServed(); }
  // ENAMETOOLONG (target over 4095 bytes), ENOENT (empty target).
  virtual Result<Entry> Symlink(const RequestContext&, const SymlinkRequest&) {
    return NotServed();
  }
  // EPERM (a directory), ENOENT (no name is left, and it did not come from Tmpfile), EMLINK.
  virtual Result<Entry> Link(const RequestContext&, const LinkRequest&) { return NotServed(); }
  // Makes and opens a regular file.
  virtual Result<CreateResult> Create(const RequestContext&, const CreateRequest&) {
    return NotServed();
  }
  // Makes and opens a regular file without a name. ENOTDIR, ENOSPC. The parent, which may have
  // been removed, only says what the file inherits.
  virtual Result<CreateResult> Tmpfile(const RequestContext&, const CreateRequest&) {
    return NotServed();
  }

  // ENOTDIR (parent), ENAMETOOLONG, ENOENT, EISDIR.
  virtual Result<void> Unlink(const RequestContext&, const UnlinkRequest&) { return NotServed(); }
  // ENOTDIR (parent), ENAMETOOLONG, EINVAL ("."), ENOTEMPTY (".."), ENOENT, ENOTDIR (the name),
  // ENOTEMPTY.
  virtual Result<void> Rmdir(const RequestContext&, const RmdirRequest&) { return NotServed(); }

  // Renames atomically: every observer sees the old name, or the new one, never both nor none.
  // EINVAL (unknown flags, or EXCHANGE with either other), ENOTDIR (parents), ENAMETOOLONG, EBUSY
  // ("." or ".."), ENOENT (a parent was removed, the name is missing, EXCHANGE without a target),
  // EEXIST (NOREPLACE), EINVAL (a directory into itself or below), ENOTEMPTY (the target is an
  // ancestor of the source), then without EXCHANGE: success where both are the same inode, EISDIR,
  // ENOTDIR, ENOTEMPTY, ENOSPC.
  virtual Result<void> Rename(const RequestContext&, const RenameRequest&) { return NotServed(); }

  // EISDIR, EINVAL (a symbolic link), ENXIO (anything else that is no regular file), EPERM (inode
  // flags), ETXTBSY (O_TRUNC of a program that runs; the kernel sees to it where the file is opened
  // for writing), ENOSPC. ENOSYS means: no open and no release is needed, ever.
  virtual Result<OpenResult> Open(const RequestContext&, const OpenRequest&) { return NotServed(); }

  // Hands the data from `offset` on to the sink (read_sink.h says how) and returns how many bytes
  // it was; fewer than the sink's buffer holds is the end of the file. Holes are zeros. EISDIR,
  // EINVAL (no regular file; to_page_cache of a file that is passed through).
  virtual Result<size_t> Read(const RequestContext&, const ReadRequest&, ReadSink*) {
    return NotServed();
  }

  // Whether Write passes large data on by Payload::MoveTo, so that it is worth keeping it in a
  // pipe. Asked before the first request.
  virtual bool AcceptsSplice() const { return false; }

  // Writes all of `data`, or its beginning where space ran out after at least one byte; that is
  // ENOSPC where the kernel writes back (from_page_cache). EISDIR, EINVAL, EFBIG (beyond 2^63-1),
  // ENOSPC.
  virtual Result<size_t> Write(const RequestContext&, const WriteRequest&) { return NotServed(); }

  virtual Result<void> Release(const RequestContext&, const ReleaseRequest&) { return NotServed(); }
  virtual Result<void> Flush(const RequestContext&, const FlushRequest&) { return NotServed(); }
  virtual Result<void> Fsync(const RequestContext&, const FsyncRequest&) { return NotServed(); }

  // fallocate(2). EOPNOTSUPP (mode), EINVAL (length 0), EISDIR or ENODEV (no regular file), EFBIG,
  // ENOSPC. Nothing is kept of a call that fails.
  virtual Result<void> Fallocate(const RequestContext&, const FallocateRequest&) {
    return NotServed();
  }

  // SEEK_DATA and SEEK_HOLE. EINVAL (whence, or no regular file), ENXIO (at or beyond the end, or
  // no data follows).
  virtual Result<uint64_t> Lseek(const RequestContext&, const LseekRequest&) { return NotServed(); }

  // Copies inside the server and returns how many bytes; the end of the source ends the copy.
  // EINVAL (flags, overlapping ranges of one file), EISDIR or EINVAL (no regular file), EFBIG,
  // ENOSPC.
  virtual Result<uint64_t> CopyFileRange(const RequestContext&, const CopyFileRangeRequest&) {
    return NotServed();
  }

  // ENOTDIR. ENOSYS means: no opendir and no releasedir is needed, and listings may be cached.
  virtual Result<OpenResult> Opendir(const RequestContext&, const OpenRequest&) {
    return NotServed();
  }
  // Delivers ".", ".." and the entries from `offset` on until the sink is full. Entries that exist
  // all the time are delivered once, while others come and go; those that are made or
  // renamed while a listing goes on may be missing, and do not prolong it. ENOTDIR.
  virtual Result<void> Readdir(const RequestContext&, const ReaddirRequest&, DirectorySink*) {
    return NotServed();
  }
  virtual Result<void> Releasedir(const RequestContext&, const ReleaseRequest&) {
    return NotServed();
  }
  virtual Result<void> Fsyncdir(const RequestContext&, const FsyncRequest&) { return NotServed(); }

  virtual Result<FileSystemStatistics> Statfs(const RequestContext&, const StatfsRequest&) {
    return NotServed();
  }

  // xattr(7). EOPNOTSUPP (unknown namespace, or "user." on what is neither file nor directory),
  // EINVAL (nothing after the namespace), ERANGE (name over 255 bytes), E2BIG (value over 64 KiB),
  // EEXIST (CREATE), ENODATA (REPLACE), ENOSPC.
  virtual Result<void> Setxattr(const RequestContext&, const SetxattrRequest&) {
    return NotServed();
  }
  // EOPNOTSUPP, ENODATA.
  virtual Result<std::string> Getxattr(const RequestContext&, const GetxattrRequest&) {
    return NotServed();
  }
  // The names, each with its NUL; "trusted." ones for root only.
  virtual Result<std::string> Listxattr(const RequestContext&, const ListxattrRequest&) {
    return NotServed();
  }
  // EOPNOTSUPP, ENODATA.
  virtual Result<void> Removexattr(const RequestContext&, const RemovexattrRequest&) {
    return NotServed();
  }

  // access(2) where the kernel does not check by itself. EACCES.
  virtual Result<void> Access(const RequestContext&, const AccessRequest&) { return NotServed(); }

  // The flags of chattr(1): FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR.
  // The kernel checks who may set them. ENOTTY for every command that is not known, EINVAL (input
  // too short), EOPNOTSUPP (a flag that is not kept).
  virtual Result<IoctlResult> Ioctl(const RequestContext&, const IoctlRequest&) {
    return NotServed();
  }

 private:
  static Errno NotServed() { return Errno(ENOSYS); }
};

}  // namespace memfuse

#endif  // MEMFUSE_FILESYSTEM_H_
