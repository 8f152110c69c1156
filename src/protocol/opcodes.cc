#include "src/protocol/opcodes.h"

#include <array>

#include "src/protocol/wire.h"
#include "src/protocol/wire_init.h"

namespace memfuse::protocol {
namespace {

constexpr OpcodeInfo kTable[] = {
    {Opcode::kLookup, "LOOKUP", Disposition::kServe, 0,
     "Gives one lookup on the inode behind a name; a miss is remembered as a negative entry."},
    {Opcode::kForget, "FORGET", Disposition::kNoReply, sizeof(wire::ForgetIn),
     "Gives lookups back. An answer would be taken for one to an unknown request."},
    {Opcode::kGetattr, "GETATTR", Disposition::kServe, sizeof(wire::GetattrIn),
     "stat(2) once the cached attributes are no longer valid."},
    {Opcode::kSetattr, "SETATTR", Disposition::kServe, sizeof(wire::SetattrIn),
     "chmod, chown, truncate, utimens; with nothing named, 'clear setuid and setgid'."},
    {Opcode::kReadlink, "READLINK", Disposition::kServe, 0,
     "The target is kept by the kernel (CACHE_SYMLINKS)."},
    {Opcode::kSymlink, "SYMLINK", Disposition::kServe, 0, "Makes a symbolic link."},
    {Opcode::kMknod, "MKNOD", Disposition::kServe, sizeof(wire::MknodIn),
     "Makes devices, pipes and sockets, and files where CREATE is not used (NFS, mknod(2))."},
    {Opcode::kMkdir, "MKDIR", Disposition::kServe, sizeof(wire::MkdirIn), "Makes a directory."},
    {Opcode::kUnlink, "UNLINK", Disposition::kServe, 0, "Removes a name that is no directory."},
    {Opcode::kRmdir, "RMDIR", Disposition::kServe, 0, "Removes an empty directory."},
    {Opcode::kRename, "RENAME", Disposition::kServe, sizeof(wire::RenameIn),
     "rename(2): the kernel uses it where there are no flags."},
    {Opcode::kLink, "LINK", Disposition::kServe, sizeof(wire::LinkIn),
     "One more name, and one more lookup."},
    {Opcode::kOpen, "OPEN", Disposition::kServe, sizeof(wire::OpenIn),
     "An open keeps the inode alive; its answer says how the page cache is used."},
    {Opcode::kRead, "READ", Disposition::kServe, sizeof(wire::ReadIn),
     "Fills the page cache, or an O_DIRECT caller."},
    {Opcode::kWrite, "WRITE", Disposition::kServe, sizeof(wire::WriteIn),
     "Data, from a caller or written back from the page cache."},
    {Opcode::kStatfs, "STATFS", Disposition::kServe, 0, "What df(1) shows."},
    {Opcode::kRelease, "RELEASE", Disposition::kServe, sizeof(wire::ReleaseIn),
     "The last descriptor of an open is gone."},
    {Opcode::kFsync, "FSYNC", Disposition::kServe, sizeof(wire::FsyncIn),
     "Memory has nothing to make durable, but passthrough data may have a file system that has; "
     "the file system decides."},
    {Opcode::kSetxattr, "SETXATTR", Disposition::kServe, sizeof(wire::SetxattrShortIn),
     "Extended attributes, ACLs included. The struct is 16 bytes with SETXATTR_EXT."},
    {Opcode::kGetxattr, "GETXATTR", Disposition::kServe, sizeof(wire::GetxattrIn),
     "ENOSYS would turn extended attributes off for the whole mount."},
    {Opcode::kListxattr, "LISTXATTR", Disposition::kServe, sizeof(wire::GetxattrIn),
     "Names of the extended attributes."},
    {Opcode::kRemovexattr, "REMOVEXATTR", Disposition::kServe, 0,
     "Removes one extended attribute."},
    {Opcode::kFlush, "FLUSH", Disposition::kServe, sizeof(wire::FlushIn),
     "Sent on every close(2) until it is once answered with ENOSYS; the file system decides."},
    {Opcode::kInit, "INIT", Disposition::kServe, sizeof(wire::InitShortIn),
     "The first request of a connection; answered by the session. 64 bytes since 7.36."},
    {Opcode::kOpendir, "OPENDIR", Disposition::kServe, sizeof(wire::OpenIn),
     "With NO_OPENDIR_SUPPORT an answer of ENOSYS ends OPENDIR and RELEASEDIR for good and lets "
     "the kernel cache listings; the file system decides."},
    {Opcode::kReaddir, "READDIR", Disposition::kServe, sizeof(wire::ReadIn),
     "Names, types and inode numbers; gives no lookups."},
    {Opcode::kReleasedir, "RELEASEDIR", Disposition::kServe, sizeof(wire::ReleaseIn),
     "The end of an OPENDIR."},
    {Opcode::kFsyncdir, "FSYNCDIR", Disposition::kServe, sizeof(wire::FsyncIn),
     "As FSYNC; ENOSYS counts as success and is not asked again."},
    {Opcode::kGetlk, "GETLK", Disposition::kRefuse, wire::kLockInSize,
     "Without POSIX_LOCKS the kernel keeps POSIX locks itself and never asks."},
    {Opcode::kSetlk, "SETLK", Disposition::kRefuse, wire::kLockInSize,
     "Without POSIX_LOCKS and FLOCK_LOCKS the kernel keeps locks itself and never asks."},
    {Opcode::kSetlkw, "SETLKW", Disposition::kRefuse, wire::kLockInSize,
     "As SETLK; a server that waited for a lock would also need INTERRUPT."},
    {Opcode::kAccess, "ACCESS", Disposition::kServe, sizeof(wire::AccessIn),
     "Only sent where default_permissions is off."},
    {Opcode::kCreate, "CREATE", Disposition::kServe, sizeof(wire::CreateIn),
     "Makes and opens in one request. ENOSYS would make it MKNOD and OPEN."},
    {Opcode::kInterrupt, "INTERRUPT", Disposition::kRefuse, wire::kInterruptInSize,
     "No operation waits for longer than the timeouts of reclaim, so none is interrupted; after "
     "one ENOSYS the kernel sends no more of them."},
    {Opcode::kBmap, "BMAP", Disposition::kRefuse, wire::kBmapInSize,
     "Block numbers on a device: there is none. The kernel answers 0 from then on."},
    {Opcode::kDestroy, "DESTROY", Disposition::kServe, 0,
     "The connection ends; answered by the session. Not every unmount sends it."},
    {Opcode::kIoctl, "IOCTL", Disposition::kServe, sizeof(wire::IoctlIn),
     "chattr(1) and lsattr(1). ENOSYS becomes ENOTTY at the caller."},
    {Opcode::kPoll, "POLL", Disposition::kRefuse, wire::kPollInSize,
     "Regular files are always ready: after one ENOSYS the kernel says so itself."},
    {Opcode::kNotifyReply, "NOTIFY_REPLY", Disposition::kIgnore, wire::kNotifyReplyInSize,
     "The answer to a NOTIFY_RETRIEVE, which is never sent. It is no request: an answer would go "
     "to the request that has that id."},
    {Opcode::kBatchForget, "BATCH_FORGET", Disposition::kNoReply, sizeof(wire::BatchForgetIn),
     "Many FORGETs in one."},
    {Opcode::kFallocate, "FALLOCATE", Disposition::kServe, sizeof(wire::FallocateIn),
     "ENOSYS would become EOPNOTSUPP for good."},
    {Opcode::kReaddirplus, "READDIRPLUS", Disposition::kServe, sizeof(wire::ReadIn),
     "READDIR with attributes and a lookup for each entry: saves the LOOKUPs of ls -l."},
    {Opcode::kRename2, "RENAME2", Disposition::kServe, sizeof(wire::Rename2In),
     "rename(2) with RENAME_NOREPLACE, EXCHANGE or WHITEOUT. ENOSYS would become EINVAL."},
    {Opcode::kLseek, "LSEEK", Disposition::kServe, sizeof(wire::LseekIn),
     "SEEK_DATA and SEEK_HOLE. After ENOSYS the kernel would call every file dense."},
    {Opcode::kCopyFileRange, "COPY_FILE_RANGE", Disposition::kServe, sizeof(wire::CopyFileRangeIn),
     "Copies in the server; what kernels before 7.45 send."},
    {Opcode::kSetupmapping, "SETUPMAPPING", Disposition::kRefuse, wire::kSetupmappingInSize,
     "DAX windows exist on virtio-fs only; never sent over /dev/fuse."},
    {Opcode::kRemovemapping, "REMOVEMAPPING", Disposition::kRefuse, wire::kRemovemappingInSize,
     "As SETUPMAPPING."},
    {Opcode::kSyncfs, "SYNCFS", Disposition::kRefuse, wire::kSyncfsInSize,
     "Nothing lies between this server and its memory. After one ENOSYS syncfs(2) succeeds "
     "without asking."},
    {Opcode::kTmpfile, "TMPFILE", Disposition::kServe, sizeof(wire::CreateIn),
     "open(2) with O_TMPFILE. ENOSYS would become EOPNOTSUPP, and overlayfs wants it."},
    {Opcode::kStatx, "STATX", Disposition::kServe, sizeof(wire::StatxIn),
     "statx(2) that asks for the birth time. ENOSYS would make it GETATTR for good."},
    {Opcode::kCopyFileRange64, "COPY_FILE_RANGE_64", Disposition::kServe,
     sizeof(wire::CopyFileRangeIn), "COPY_FILE_RANGE with a 64-bit answer."},
};

constexpr uint8_t kAbsent = 0xff;

constexpr std::array<uint8_t, kOpcodeLimit> MakeIndex() {
  std::array<uint8_t, kOpcodeLimit> index{};
  for (uint8_t& slot : index) slot = kAbsent;
  for (size_t i = 0; i < std::size(kTable); ++i) {
    index[static_cast<size_t>(kTable[i].opcode)] = static_cast<uint8_t>(i);
  }
  return index;
}

constexpr std::array<uint8_t, kOpcodeLimit> kIndex = MakeIndex();

}  // namespace

absl::Span<const OpcodeInfo> AllOpcodes() { return kTable; }

const OpcodeInfo* FindOpcode(uint32_t opcode) {
  if (opcode >= kOpcodeLimit || kIndex[opcode] == kAbsent) return nullptr;
  return &kTable[kIndex[opcode]];
}

}  // namespace memfuse::protocol
