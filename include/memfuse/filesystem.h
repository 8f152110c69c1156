// The interface between the transport, which receives requests, and a file system, which stores the
// files.
//
// Each operation has one method, which takes a typed request (requests.h) and returns a typed
// result. Bytes and wire numbers of the FUSE protocol do not occur in this interface. Descriptors
// occur only in host.h (backing files). An implementation can therefore be tested in-process and
// served by any transport.
//
// Threads. Every method may be called at any time from any number of threads. An implementation
// does its own locking. It does not assume that the caller (mostly the kernel) serialises any
// calls.
//
// Lifetime of an inode. Each success of Lookup, Mknod, Mkdir, Symlink, Link, Create and Tmpfile,
// and each entry of a Readdir with plus (except "." and ".."), gives the caller one *lookup* on the
// returned inode. Forget returns lookups, many in one call. An inode number stays usable while
// lookups, names (nlink) or opens of the inode remain. The number is never used again afterwards,
// and a request for an inode that no longer exists fails with ESTALE. The root is never forgotten.
//
// Permissions. The kernel checks modes, ACLs, sticky bits and capabilities before it sends a
// request (mount option default_permissions). Methods other than Access therefore do not check
// them. RequestContext names the caller for the ownership of new inodes. The kernel does not check
// inode flags (chattr(1)). An operation that an immutable or append-only inode or directory forbids
// fails with EPERM, after the check that the names and inodes of the request exist or do not exist.
//
// Strings. Names consist of 1 to 255 bytes other than '/' and NUL. A longer name is ENAMETOOLONG,
// an empty one is ENOENT. String views in requests are valid during the call only.
//
// Errors are listed in the order in which they are checked. Every method may fail with ENOMEM, and
// with ESTALE for an unknown inode number (checked first); the lists below do not repeat these two.
// The default of every method is ENOSYS. The kernel takes ENOSYS as "not supported" and does not
// send some operations again after it.

#ifndef MEMFUSE_FILESYSTEM_H_
#define MEMFUSE_FILESYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "memfuse/directory_sink.h"
#include "memfuse/errno.h"
#include "memfuse/host.h"
#include "memfuse/read_sink.h"
#include "memfuse/requests.h"
#include "memfuse/types.h"

namespace memfuse {

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // Called once the connection is initialised and before the first request. It is not called again
  // before Disconnected: a file system belongs to one session at a time. The parts of `host` are
  // valid until Disconnected returns. With host.backing_files, an open(2) with O_TRUNC arrives as
  // an Open without O_TRUNC, followed by a Setattr of size 0 without a handle; otherwise
  // OpenRequest::flags contains O_TRUNC. Returns: OK, or an error that ends the session.
  virtual absl::Status Connected(const Host& /*host*/) { return absl::OkStatus(); }
  // Called after the last request, and also after a Connected that failed.
  virtual void Disconnected() {}

  // Serves one request: calls `serve`, which calls the method of the request and sends the reply,
  // if one is expected. An implementation that outlives the process notes here, until `serve` has
  // returned, which request the thread carries out. Exceptions of `serve` pass through.
  virtual void InRequest(const RequestContext&, absl::FunctionRef<void()> serve) { serve(); }

  // Finds `name` in a directory. "." and ".." are answered on every inode ("." also on an inode
  // that is not a directory), because handles of exported file systems need it. Returns: the inode,
  // on which one lookup is given. Errors: ESTALE ("." of an inode that was removed and is not
  // open), ENOTDIR, ENAMETOOLONG, ENOENT.
  virtual Result<Entry> Lookup(const RequestContext&, const LookupRequest&) { return NotServed(); }

  // Returns lookups to the file system. More lookups than were given, or an unknown inode, are
  // ignored and are never an error.
  virtual void Forget(const ForgetRequest&) {}
  // Returns how many of the forgets in a message, from the first one on, a process that has died
  // has carried out. Called first in the InRequest of a message that this process had received
  // (RequestContext::resent).
  virtual uint32_t ForgetsDone(const RequestContext&) { return 0; }
  // Returns how many lookups a process that has died has counted for a Readdir with plus that it
  // has not answered. Called first in the InRequest of the request that comes again. The transport
  // returns them with Forget, the last one first; ForgetRequest::position + 1 is how many remain.
  virtual uint32_t LookupsGiven(const RequestContext&) { return 0; }

  virtual Result<AttributesResult> Getattr(const RequestContext&, const GetattrRequest&) {
    return NotServed();
  }

  // Changes everything that the request names, or nothing. ctime changes, and mtime changes with
  // the size. A size without a handle that equals the present size changes neither (truncate(2) on
  // tmpfs, in contrast to ftruncate(2)). Returns: the attributes after the change. Errors: EISDIR
  // or EINVAL (the size of a directory, or of any other file that is not regular), EINVAL (a size
  // and an owner in one request, which Linux never sends), EFBIG, EDQUOT (the new owner may not
  // have what the file takes), ENOSPC.
  virtual Result<AttributesResult> Setattr(const RequestContext&, const SetattrRequest&) {
    return NotServed();
  }

  virtual Result<StatxResult> Statx(const RequestContext&, const StatxRequest&) {
    return NotServed();
  }

  // Returns: the target of a symbolic link, without a final NUL. Errors: EINVAL (not a symbolic
  // link).
  virtual Result<std::string> Readlink(const RequestContext&, const ReadlinkRequest&) {
    return NotServed();
  }

  // The five operations that make a name in a directory: Mknod, Mkdir, Symlink, Link and Create.
  // Returns: the inode, on which one lookup is given. Errors: ENOTDIR, ENAMETOOLONG, ENOENT (the
  // parent was removed, or the name is empty), EEXIST, then the errors that each operation adds,
  // then ENOSPC (no bytes left for the name), EOVERFLOW (not Link; RequestContext has no user or no
  // group, because an idmapped mount does not map the caller), ENOSPC (no bytes or no inodes left).
  //
  // New inodes belong to the user and the group of the caller. In a setgid directory they belong to
  // the group of the directory, and new directories inherit the setgid bit. A default ACL of the
  // parent replaces the umask.
  virtual Result<Entry> Mknod(const RequestContext&, const MknodRequest&) { return NotServed(); }
  virtual Result<Entry> Mkdir(const RequestContext&, const MkdirRequest&) { return NotServed(); }
  // Errors added: ENAMETOOLONG (target over 4095 bytes), ENOENT (empty target).
  virtual Result<Entry> Symlink(const RequestContext&, const SymlinkRequest&) {
    return NotServed();
  }
  // Errors added: EPERM (a directory), ENOENT (the inode has no name left and did not come from
  // Tmpfile), EMLINK.
  virtual Result<Entry> Link(const RequestContext&, const LinkRequest&) { return NotServed(); }
  // Makes and opens a regular file.
  virtual Result<CreateResult> Create(const RequestContext&, const CreateRequest&) {
    return NotServed();
  }
  // Makes and opens a regular file without a name. The parent may have been removed; it only
  // determines what the file inherits. Errors: ENOTDIR, ENOSPC, EOVERFLOW (as above).
  virtual Result<CreateResult> Tmpfile(const RequestContext&, const CreateRequest&) {
    return NotServed();
  }

  // Errors: ENOTDIR (parent), ENAMETOOLONG, EISDIR ("." or ".."), ENOENT, EISDIR.
  virtual Result<void> Unlink(const RequestContext&, const UnlinkRequest&) { return NotServed(); }
  // Errors: ENOTDIR (parent), ENAMETOOLONG, EINVAL ("."), ENOTEMPTY (".."), ENOENT, ENOTDIR (the
  // name), ENOTEMPTY.
  virtual Result<void> Rmdir(const RequestContext&, const RmdirRequest&) { return NotServed(); }

  // Renames atomically: every observer sees the old name or the new name, never both and never
  // neither. Errors: EINVAL (unknown flags, or EXCHANGE with one of the other two), ENOTDIR
  // (parents), ENAMETOOLONG, EBUSY ("." or ".."), ENOENT (a parent was removed, the name is
  // missing, EXCHANGE without a target), EEXIST (NOREPLACE), EINVAL (a directory into itself or
  // below itself), ENOTEMPTY (the target is an ancestor of the source). Then, without EXCHANGE:
  // success if both names are the same inode, EISDIR, ENOTDIR, ENOTEMPTY, ENOSPC.
  virtual Result<void> Rename(const RequestContext&, const RenameRequest&) { return NotServed(); }

  // Opens a file. Errors: EISDIR, EINVAL (a symbolic link), ENXIO (any other file that is not
  // regular), EPERM (inode flags), ETXTBSY (O_TRUNC of a program that is being executed; the kernel
  // checks it if the file is opened for writing), ENOSPC. ENOSYS tells the kernel never to send
  // Open and Release again.
  virtual Result<OpenResult> Open(const RequestContext&, const OpenRequest&) { return NotServed(); }

  // Passes the data from `offset` on to the sink (see read_sink.h). Holes read as zeros. Returns:
  // the number of bytes. Fewer bytes than the size of the sink's buffer mean the end of the file.
  // Errors: EISDIR, EINVAL (not a regular file, or to_page_cache for a file with passthrough).
  virtual Result<size_t> Read(const RequestContext&, const ReadRequest&, ReadSink*) {
    return NotServed();
  }

  // Writes all of `data`, or its beginning if space ran out after at least one byte. If the kernel
  // writes back (from_page_cache), an incomplete write is ENOSPC. Returns: the number of bytes that
  // were written. Errors: EISDIR, EINVAL (not a regular file), EFBIG (beyond 2^63-1), ENOSPC.
  virtual Result<size_t> Write(const RequestContext&, const WriteRequest&) { return NotServed(); }

  virtual Result<void> Release(const RequestContext&, const ReleaseRequest&) { return NotServed(); }
  virtual Result<void> Flush(const RequestContext&, const FlushRequest&) { return NotServed(); }
  virtual Result<void> Fsync(const RequestContext&, const FsyncRequest&) { return NotServed(); }

  // fallocate(2). A call that fails changes nothing. Errors: EOPNOTSUPP (mode), EINVAL (length 0),
  // EISDIR or ENODEV (not a regular file), EFBIG, ENOSPC.
  virtual Result<void> Fallocate(const RequestContext&, const FallocateRequest&) {
    return NotServed();
  }

  // SEEK_DATA and SEEK_HOLE. Returns: the offset. Errors: EINVAL (whence, or not a regular file),
  // ENXIO (at or beyond the end of the file, or no data follows).
  virtual Result<uint64_t> Lseek(const RequestContext&, const LseekRequest&) { return NotServed(); }

  // Copies inside the server. The end of the source ends the copy. Returns: the number of bytes
  // that were copied. Errors: EINVAL (flags, overlapping ranges of one file), EISDIR or EINVAL (not
  // a regular file), EFBIG, ENOSPC.
  virtual Result<uint64_t> CopyFileRange(const RequestContext&, const CopyFileRangeRequest&) {
    return NotServed();
  }

  // Errors: ENOTDIR. ENOSYS tells the kernel never to send Opendir and Releasedir again, and that
  // it may cache listings.
  virtual Result<OpenResult> Opendir(const RequestContext&, const OpenRequest&) {
    return NotServed();
  }
  // Delivers ".", ".." and the entries from `offset` on until the sink is full. An entry that
  // exists during the whole listing is delivered once, even if others are added or removed
  // meanwhile. Entries that are made or renamed during a listing may be missing, and do not prolong
  // it. Errors: ENOTDIR.
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

  // xattr(7). Errors: EOPNOTSUPP (unknown namespace, or "user." on an inode that is neither a
  // regular file nor a directory), EINVAL (nothing after the namespace), ERANGE (name over 255
  // bytes), E2BIG (value over 64 KiB), EEXIST (CREATE), ENODATA (REPLACE), ENOSPC.
  virtual Result<void> Setxattr(const RequestContext&, const SetxattrRequest&) {
    return NotServed();
  }
  // Errors: EOPNOTSUPP, ENODATA.
  virtual Result<std::string> Getxattr(const RequestContext&, const GetxattrRequest&) {
    return NotServed();
  }
  // Returns: the names, each followed by a NUL. Names in "trusted." are listed for root only.
  virtual Result<std::string> Listxattr(const RequestContext&, const ListxattrRequest&) {
    return NotServed();
  }
  // Errors: EOPNOTSUPP, ENODATA.
  virtual Result<void> Removexattr(const RequestContext&, const RemovexattrRequest&) {
    return NotServed();
  }

  // access(2), on a mount on which the kernel does not check permissions by itself. Errors: EACCES.
  virtual Result<void> Access(const RequestContext&, const AccessRequest&) { return NotServed(); }

  // The flags of chattr(1): FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR.
  // The kernel checks which callers may set them. Errors: ENOTTY (an unknown command), EINVAL
  // (input too short), EOPNOTSUPP (a flag that the file system does not store).
  virtual Result<IoctlResult> Ioctl(const RequestContext&, const IoctlRequest&) {
    return NotServed();
  }

 private:
  static Errno NotServed() { return Errno(ENOSYS); }
};

}  // namespace memfuse

#endif  // MEMFUSE_FILESYSTEM_H_
