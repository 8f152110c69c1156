// The structs that the kernel and a FUSE server exchange, protocol 7.31 to 7.45. Those of INIT are
// in wire_init.h.
//
// The project has its own definitions because the system's <linux/fuse.h> may be years older than
// the running kernel. The capabilities of a kernel are determined in INIT, not at compile time. All
// integers are in host byte order, and no struct has implicit padding. Except for tests, no file
// outside of src/protocol includes this file.

#ifndef MEMFUSE_SRC_PROTOCOL_WIRE_H_
#define MEMFUSE_SRC_PROTOCOL_WIRE_H_

#include <cstddef>
#include <cstdint>

namespace memfuse::protocol::wire {

// The header of every request.
struct InHeader {
  uint32_t len;
  uint32_t opcode;
  uint64_t unique;
  uint64_t nodeid;
  uint32_t uid;
  uint32_t gid;
  uint32_t pid;
  uint16_t total_extlen;  // in units of kExtensionUnit bytes
  uint16_t padding;
};
static_assert(sizeof(InHeader) == 40);
static_assert(offsetof(InHeader, total_extlen) == 36);
inline constexpr uint32_t kExtensionUnit = 8;
// FUSE_INVALID_UIDGID: the value of `uid` or `gid` if the kernel sends none.
inline constexpr uint32_t kInvalidId = 0xffffffff;

// The header of every reply.
struct OutHeader {
  uint32_t len;
  int32_t error;  // 0 or a negative errno
  uint64_t unique;
};
static_assert(sizeof(OutHeader) == 16);

// ---- Notifications: a reply header with unique 0 and with the code in the field of the error ----

enum class Notification : int32_t {
  kInvalInode = 2,
  kInvalEntry = 3,
  kDelete = 6,
  kResend = 7,  // Linux 6.9
  kPrune = 9,   // Linux 6.19
};

struct NotifyInvalInodeOut {
  uint64_t ino;
  int64_t off;
  int64_t len;
};
static_assert(sizeof(NotifyInvalInodeOut) == 24);

// The name follows, and a NUL.
struct NotifyInvalEntryOut {
  uint64_t parent;
  uint32_t namelen;  // without the NUL
  uint32_t flags;
};
static_assert(sizeof(NotifyInvalEntryOut) == 16);

// The name follows, and a NUL.
struct NotifyDeleteOut {
  uint64_t parent;
  uint64_t child;
  uint32_t namelen;  // without the NUL
  uint32_t padding;
};
static_assert(sizeof(NotifyDeleteOut) == 24);

// `count` inode numbers of 64 bits follow.
struct NotifyPruneOut {
  uint32_t count;
  uint32_t padding;
  uint64_t spare;
};
static_assert(sizeof(NotifyPruneOut) == 16);

// ---- Arguments of requests ----

struct ForgetIn {
  uint64_t nlookup;
};
static_assert(sizeof(ForgetIn) == 8);

struct ForgetOne {
  uint64_t nodeid;
  uint64_t nlookup;
};
static_assert(sizeof(ForgetOne) == 16);

struct BatchForgetIn {
  uint32_t count;
  uint32_t padding;
};
static_assert(sizeof(BatchForgetIn) == 8);

struct GetattrIn {
  uint32_t getattr_flags;
  uint32_t padding;
  uint64_t fh;
};
static_assert(sizeof(GetattrIn) == 16);
inline constexpr uint32_t kGetattrFh = 1u << 0;

struct StatxIn {
  uint32_t getattr_flags;
  uint32_t reserved;
  uint64_t fh;
  uint32_t sx_flags;
  uint32_t sx_mask;
};
static_assert(sizeof(StatxIn) == 24);

struct SetattrIn {
  uint32_t valid;
  uint32_t padding;
  uint64_t fh;
  uint64_t size;
  uint64_t lock_owner;
  uint64_t atime;
  uint64_t mtime;
  uint64_t ctime;
  uint32_t atimensec;
  uint32_t mtimensec;
  uint32_t ctimensec;
  uint32_t mode;
  uint32_t unused4;
  uint32_t uid;
  uint32_t gid;
  uint32_t unused5;
};
static_assert(sizeof(SetattrIn) == 88);
inline constexpr uint32_t kFattrMode = 1u << 0;
inline constexpr uint32_t kFattrUid = 1u << 1;
inline constexpr uint32_t kFattrGid = 1u << 2;
inline constexpr uint32_t kFattrSize = 1u << 3;
inline constexpr uint32_t kFattrAtime = 1u << 4;
inline constexpr uint32_t kFattrMtime = 1u << 5;
inline constexpr uint32_t kFattrFh = 1u << 6;
inline constexpr uint32_t kFattrAtimeNow = 1u << 7;
inline constexpr uint32_t kFattrMtimeNow = 1u << 8;
inline constexpr uint32_t kFattrLockOwner = 1u << 9;
inline constexpr uint32_t kFattrCtime = 1u << 10;
inline constexpr uint32_t kFattrKillSuidgid = 1u << 11;

struct MknodIn {
  uint32_t mode;
  uint32_t rdev;
  uint32_t umask;
  uint32_t padding;
};
static_assert(sizeof(MknodIn) == 16);

struct MkdirIn {
  uint32_t mode;
  uint32_t umask;
};
static_assert(sizeof(MkdirIn) == 8);

struct RenameIn {
  uint64_t newdir;
};
static_assert(sizeof(RenameIn) == 8);

struct Rename2In {
  uint64_t newdir;
  uint32_t flags;
  uint32_t padding;
};
static_assert(sizeof(Rename2In) == 16);

struct LinkIn {
  uint64_t oldnodeid;
};
static_assert(sizeof(LinkIn) == 8);

struct OpenIn {
  uint32_t flags;
  uint32_t open_flags;
};
static_assert(sizeof(OpenIn) == 8);
inline constexpr uint32_t kOpenKillSuidgid = 1u << 0;
// In `flags` of OPEN, READ and RELEASE if execve(2) opens the file (FMODE_EXEC). No header of user
// space defines it.
inline constexpr uint32_t kOpenExecutes = 0x20;

struct CreateIn {
  uint32_t flags;
  uint32_t mode;
  uint32_t umask;
  uint32_t open_flags;
};
static_assert(sizeof(CreateIn) == 16);

struct ReadIn {
  uint64_t fh;
  uint64_t offset;
  uint32_t size;
  uint32_t read_flags;
  uint64_t lock_owner;
  uint32_t flags;
  uint32_t padding;
};
static_assert(sizeof(ReadIn) == 40);
// lock_owner is valid. The kernel sets it for a read into a program's buffer, and not for a read
// into the page cache.
inline constexpr uint32_t kReadLockOwner = 1u << 1;

struct WriteIn {
  uint64_t fh;
  uint64_t offset;
  uint32_t size;
  uint32_t write_flags;
  uint64_t lock_owner;
  uint32_t flags;
  uint32_t padding;
};
static_assert(sizeof(WriteIn) == 40);
inline constexpr uint32_t kWriteCache = 1u << 0;
inline constexpr uint32_t kWriteKillSuidgid = 1u << 2;

struct ReleaseIn {
  uint64_t fh;
  uint32_t flags;
  uint32_t release_flags;
  uint64_t lock_owner;
};
static_assert(sizeof(ReleaseIn) == 24);

struct FlushIn {
  uint64_t fh;
  uint32_t unused;
  uint32_t padding;
  uint64_t lock_owner;
};
static_assert(sizeof(FlushIn) == 24);

struct FsyncIn {
  uint64_t fh;
  uint32_t fsync_flags;
  uint32_t padding;
};
static_assert(sizeof(FsyncIn) == 16);
inline constexpr uint32_t kFsyncDataOnly = 1u << 0;

struct FallocateIn {
  uint64_t fh;
  uint64_t offset;
  uint64_t length;
  uint32_t mode;
  uint32_t padding;
};
static_assert(sizeof(FallocateIn) == 32);

struct LseekIn {
  uint64_t fh;
  uint64_t offset;
  uint32_t whence;
  uint32_t padding;
};
static_assert(sizeof(LseekIn) == 24);

struct CopyFileRangeIn {
  uint64_t fh_in;
  uint64_t off_in;
  uint64_t nodeid_out;
  uint64_t fh_out;
  uint64_t off_out;
  uint64_t len;
  uint64_t flags;
};
static_assert(sizeof(CopyFileRangeIn) == 56);

// The struct that is sent unless SETXATTR_EXT was agreed on.
struct SetxattrShortIn {
  uint32_t size;
  uint32_t flags;
};
static_assert(sizeof(SetxattrShortIn) == 8);

struct SetxattrIn {
  uint32_t size;
  uint32_t flags;
  uint32_t setxattr_flags;
  uint32_t padding;
};
static_assert(sizeof(SetxattrIn) == 16);
inline constexpr uint32_t kSetxattrAclKillSgid = 1u << 0;

// GETXATTR and LISTXATTR.
struct GetxattrIn {
  uint32_t size;
  uint32_t padding;
};
static_assert(sizeof(GetxattrIn) == 8);

struct AccessIn {
  uint32_t mask;
  uint32_t padding;
};
static_assert(sizeof(AccessIn) == 8);

struct IoctlIn {
  uint64_t fh;
  uint32_t flags;
  uint32_t cmd;
  uint64_t arg;
  uint32_t in_size;
  uint32_t out_size;
};
static_assert(sizeof(IoctlIn) == 32);
inline constexpr uint32_t kIoctlDir = 1u << 4;

// The arguments of requests that are refused. Only their sizes matter.
template <size_t kSize>
struct Opaque {
  unsigned char bytes[kSize];
};
inline constexpr uint32_t kLockInSize = 48;
inline constexpr uint32_t kInterruptInSize = 8;
inline constexpr uint32_t kBmapInSize = 16;
inline constexpr uint32_t kPollInSize = 24;
inline constexpr uint32_t kNotifyReplyInSize = 40;
inline constexpr uint32_t kSetupmappingInSize = 40;
inline constexpr uint32_t kRemovemappingInSize = 4;
inline constexpr uint32_t kSyncfsInSize = 8;

// ---- Bodies of replies ----

struct Attr {
  uint64_t ino;
  uint64_t size;
  uint64_t blocks;
  uint64_t atime;
  uint64_t mtime;
  uint64_t ctime;
  uint32_t atimensec;
  uint32_t mtimensec;
  uint32_t ctimensec;
  uint32_t mode;
  uint32_t nlink;
  uint32_t uid;
  uint32_t gid;
  uint32_t rdev;
  uint32_t blksize;
  uint32_t flags;
};
static_assert(sizeof(Attr) == 88);

struct EntryOut {
  uint64_t nodeid;
  uint64_t generation;
  uint64_t entry_valid;
  uint64_t attr_valid;
  uint32_t entry_valid_nsec;
  uint32_t attr_valid_nsec;
  Attr attr;
};
static_assert(sizeof(EntryOut) == 128);

struct AttrOut {
  uint64_t attr_valid;
  uint32_t attr_valid_nsec;
  uint32_t padding;
  Attr attr;
};
static_assert(sizeof(AttrOut) == 104);

struct StatxTime {
  int64_t sec;
  uint32_t nsec;
  int32_t reserved;
};
static_assert(sizeof(StatxTime) == 16);

struct Statx {
  uint32_t mask;
  uint32_t blksize;
  uint64_t attributes;
  uint32_t nlink;
  uint32_t uid;
  uint32_t gid;
  uint16_t mode;
  uint16_t spare0;
  uint64_t ino;
  uint64_t size;
  uint64_t blocks;
  uint64_t attributes_mask;
  StatxTime atime;
  StatxTime btime;
  StatxTime ctime;
  StatxTime mtime;
  uint32_t rdev_major;
  uint32_t rdev_minor;
  uint32_t dev_major;
  uint32_t dev_minor;
  uint64_t spare2[14];
};
static_assert(sizeof(Statx) == 256);
// STATX_BASIC_STATS | STATX_BTIME
inline constexpr uint32_t kStatxMask = 0x7ffu | 0x800u;

struct StatxOut {
  uint64_t attr_valid;
  uint32_t attr_valid_nsec;
  uint32_t flags;
  uint64_t spare[2];
  Statx stat;
};
static_assert(sizeof(StatxOut) == 288);

struct OpenOut {
  uint64_t fh;
  uint32_t open_flags;
  int32_t backing_id;  // valid only with kFopenPassthrough
};
static_assert(sizeof(OpenOut) == 16);
inline constexpr uint32_t kFopenDirectIo = 1u << 0;
inline constexpr uint32_t kFopenKeepCache = 1u << 1;
inline constexpr uint32_t kFopenParallelDirectWrites = 1u << 6;
inline constexpr uint32_t kFopenPassthrough = 1u << 7;

struct CreateOut {
  EntryOut entry;
  OpenOut open;
};
static_assert(sizeof(CreateOut) == 144);

struct WriteOut {
  uint32_t size;
  uint32_t padding;
};
static_assert(sizeof(WriteOut) == 8);

struct StatfsOut {
  uint64_t blocks;
  uint64_t bfree;
  uint64_t bavail;
  uint64_t files;
  uint64_t ffree;
  uint32_t bsize;
  uint32_t namelen;
  uint32_t frsize;
  uint32_t padding;
  uint32_t spare[6];
};
static_assert(sizeof(StatfsOut) == 80);

struct GetxattrOut {
  uint32_t size;
  uint32_t padding;
};
static_assert(sizeof(GetxattrOut) == 8);

struct LseekOut {
  uint64_t offset;
};
static_assert(sizeof(LseekOut) == 8);

struct CopyFileRange64Out {
  uint64_t bytes_copied;
};
static_assert(sizeof(CopyFileRange64Out) == 8);

struct IoctlOut {
  int32_t result;
  uint32_t flags;
  uint32_t in_iovs;
  uint32_t out_iovs;
};
static_assert(sizeof(IoctlOut) == 16);

// The name follows, and then zeros up to a multiple of kDirentAlignment.
struct Dirent {
  uint64_t ino;
  uint64_t off;
  uint32_t namelen;
  uint32_t type;
};
static_assert(sizeof(Dirent) == 24);
inline constexpr size_t kDirentAlignment = 8;

}  // namespace memfuse::protocol::wire

#endif  // MEMFUSE_SRC_PROTOCOL_WIRE_H_
