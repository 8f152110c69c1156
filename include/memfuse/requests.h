// The requests that a FileSystem serves, and their results: plain data. The operations, with their
// errors, are documented in filesystem.h.
//
// Names contain neither '/' nor NUL; the operation checks their length. String views and spans are
// valid during the call only.

#ifndef MEMFUSE_REQUESTS_H_
#define MEMFUSE_REQUESTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/types/span.h"
#include "memfuse/types.h"

namespace memfuse {

// The caller on whose behalf a request is made.
struct RequestContext {
  RequestId id{};
  // The user and the primary group with which the calling thread accesses files (fsuid, fsgid), in
  // the user namespace of the mount. The protocol carries no supplementary groups. Both are present
  // in requests that make an inode (Mknod, Mkdir, Symlink, Create, Tmpfile, Rename with
  // RENAME_WHITEOUT). They are the owner of the new inode: an idmapped mount has mapped them
  // already. A kernel that can make idmapped mounts of the file system (FUSE_ALLOW_IDMAP, Linux
  // 6.12) omits them from every other request, even if that request comes through a mount that is
  // not idmapped. An implementation that needs the caller in such a request reads /proc for `pid`.
  // nullopt does not mean user 0.
  std::optional<uint32_t> uid = 0;
  std::optional<uint32_t> gid = 0;
  // The calling thread, in the PID namespace in which the file system was mounted. 0 if the thread
  // is outside of that namespace, or if the kernel acts by itself (writeback).
  uint32_t pid = 0;
  // The kernel has sent the request before, to a process that died before it answered. `id` is the
  // same as then.
  bool resent = false;
  bool expects_reply = true;
};

struct LookupRequest {
  InodeNumber parent;
  std::string_view name;
};

struct ForgetRequest {
  InodeNumber ino;
  uint64_t count;  // number of lookups to return
  // The position in the message of the kernel. nullopt: the transport returns lookups by itself.
  std::optional<uint32_t> position = std::nullopt;
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
  std::optional<uint64_t> size;  // truncate, or extend with a hole
  TimeChange atime;
  TimeChange mtime;
  // sent only by a kernel that caches writes; more accurate than the server's
  std::optional<Timestamp> ctime;
  // Clear S_ISUID, and clear S_ISGID if the group may execute, because a caller without CAP_FSETID
  // changed the data. A change of owner clears both without this flag (chown(2)).
  bool kill_suidgid = false;
};

struct StatxRequest {
  InodeNumber ino;
  std::optional<FileHandle> handle;
};

struct StatxResult {
  Attributes attributes;              // btime is valid
  uint64_t attribute_flags = 0;       // STATX_ATTR_* that are set
  uint64_t attribute_flags_mask = 0;  // STATX_ATTR_* that the file system supports
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
  uint32_t mode;       // type and permission bits, before the umask is applied
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
  uint32_t flags = 0;  // as for open(2), without O_CREAT and O_EXCL; Open carries out O_TRUNC
  bool kill_suidgid = false;  // with O_TRUNC: see SetattrRequest
  bool executes = false;      // execve(2) opens the file
};

// How the kernel is to treat an open file.
struct OpenResult {
  FileHandle handle{};
  bool direct_io = false;   // bypass the page cache; with backing_id, except for mmap(2)
  bool keep_cache = false;  // cached pages are still valid
  bool parallel_direct_writes = false;  // with direct_io
  int32_t backing_id = 0;               // > 0: data is served from this backing file (passthrough)
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
  bool to_page_cache = false;  // the kernel caches the data; false: a program receives it
};

struct WriteRequest {
  InodeNumber ino;
  FileHandle handle{};
  uint64_t offset = 0;
  absl::Span<const char> data;   // valid during the call only
  uint32_t flags = 0;            // the file's open(2) flags
  bool from_page_cache = false;  // written back by the kernel; handle is a guess, caller is unknown
  bool kill_suidgid = false;
};

struct ReleaseRequest {
  InodeNumber ino;
  FileHandle handle{};
  uint32_t flags = 0;     // those of the open
  bool executes = false;  // that of the open
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
  uint32_t whence = 0;  // SEEK_DATA or SEEK_HOLE; the kernel handles the others itself
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
  bool plus = false;    // deliver attributes and a lookup with each entry
};

// One directory entry for the caller.
struct DirectoryEntry {
  std::string_view name;
  InodeNumber ino = kNoInode;
  uint32_t type = 0;         // S_IFMT bits of the mode
  uint64_t next_offset = 0;  // the offset at which a listing continues after this entry
  // With plus: the inode of the name, on which one lookup is given. Null, or an Entry whose ino is
  // kNoInode, for "." and "..", and if the kernel is to keep what it has cached for the name or to
  // look the name up.
  const Entry* entry = nullptr;
};

struct StatfsRequest {
  InodeNumber ino;
};

struct SetxattrRequest {
  InodeNumber ino;
  std::string_view name;  // with its namespace: "user.x"
  absl::Span<const char> value;
  uint32_t flags = 0;      // XATTR_CREATE, XATTR_REPLACE
  bool kill_sgid = false;  // a caller outside of the file's group sets an access ACL
};

struct GetxattrRequest {
  InodeNumber ino;
  std::string_view name;
  // size of the caller's buffer; 0 asks for the size only. The transport evaluates it.
  uint32_t size = 0;
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
};

}  // namespace memfuse

#endif  // MEMFUSE_REQUESTS_H_
