// Data of regular files: OPEN, RELEASE, READ, WRITE, FALLOCATE, LSEEK, COPY_FILE_RANGE.

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <algorithm>

#include "src/base/caller.h"
#include "src/base/clock.h"
#include "src/memfs/ops/memfs.h"

namespace memfuse::memfs {
namespace {

// Whether the caller may keep S_ISGID. This requires membership in the group `gid`, or CAP_FSETID.
// The group execution bit is not set, so S_ISGID gives no rights: only a program with that bit gets
// the rights of the group, and a chmod(2) by a caller outside of the group removes S_ISGID. If the
// answer cannot be determined, the bit is therefore kept in these cases:
//    - On an idmapped mount the daemon does not know the mapping. The root user of a container,
//      which owns the file by that mapping, has its capability in another user namespace. If the
//      kernel has let it change the owner or an ACL, the capability counts. It does not count in a
//      write for which the kernel reports that the caller has no capability in the initial user
//      namespace.
//    - If the caller cannot be found (base::Caller), older kernels report its user and newer ones
//      do not. Changes of an owner are mostly made by root, which keeps the bit.
bool KeepsGroupBit(const RequestContext& context, bool unprivileged, uint32_t gid) {
  if (context.gid == gid) return true;
  if (const auto caller = base::Caller::Find(context.pid); caller.has_value()) {
    return caller->InGroup(gid) || (unprivileged ? caller->HasCapability(CAP_FSETID)
                                                 : caller->HasCapabilityAtHome(CAP_FSETID));
  }
  return !unprivileged && context.uid.value_or(0) == 0;
}

// The owner of the file (uid).
uint32_t OwnerOf(const RegularFile& file) {
  MutexLock lock(&file.mu);
  return file.meta.uid;
}

// The maximum of one COPY_FILE_RANGE request, which may copy less than requested. Between two
// requests the caller can be interrupted, and other requests are served.
constexpr uint64_t kMaxCopy = 16 << 20;

}  // namespace

void MemFs::NoteDataChange(const RequestContext& context, RegularFile* file, bool kill_suidgid,
                           std::optional<Timestamp> time) {
  Timestamp now = time.has_value() ? *time : base::Now();
  bool group_bit_left;
  {
    MutexLock lock(&file->mu);
    (void)file->KillPrivilegesLocked(kill_suidgid);
    (void)file->SyncFromBackingLocked();
    // If the kernel stamps two different files within a tick, it may give the second the same time
    // as the first. A program that looked at this file in between must see a later time.
    if (time.has_value() && now <= file->meta.ctime) now = base::Now();
    file->meta.mtime = file->StampLocked(now);
    file->ChangedLocked(now);
    group_bit_left = kill_suidgid && (file->meta.permissions & S_ISGID) != 0;
  }
  if (group_bit_left) KillGroupBitOfStrangers(context, /*unprivileged=*/true, file);
}

void MemFs::NoteAccess(Inode* inode) const {
  if (!atime_.load(std::memory_order_relaxed)) return;
  if (inode->is_directory() && !directory_atime_) return;
  const Timestamp now = base::WallTime();
  MutexLock lock(&inode->mu);
  inode->kernel_attrs_valid = false;  // the kernel drops the atime of a file that it reads
  (void)inode->SyncFromBackingLocked();
  if (strictatime_ || RelatimeIsDue(inode->meta, now)) inode->meta.atime = base::Now();
}

void MemFs::KillGroupBitOfStrangers(const RequestContext& context, bool unprivileged,
                                    Inode* inode) {
  uint32_t gid;
  {
    MutexLock lock(&inode->mu);
    if ((inode->meta.permissions & S_ISGID) == 0) return;
    gid = inode->meta.gid;
  }
  if (KeepsGroupBit(context, unprivileged, gid)) return;
  MutexLock lock(&inode->mu);
  if (inode->meta.gid == gid) inode->meta.permissions &= ~uint32_t{S_ISGID};
}

uint64_t MemFs::DataBytes(RegularFile* file) {
  MutexLock lock(&file->mu);
  (void)file->SyncFromBackingLocked();
  return file->blocks() * 512;
}

Result<OpenResult> MemFs::Open(const RequestContext& context, const OpenRequest& request) {
  MEMFUSE_ASSIGN_OR_RETURN(InodeRef inode, FindInode(request.ino));
  if (inode->is_directory()) return Errno(EISDIR);
  if (inode->type == S_IFLNK) return Errno(EINVAL);
  if (!inode->is_regular()) return Errno(ENXIO);
  const auto file = RegularFileRef::Adopt(static_cast<RegularFile*>(inode.release()));
  const bool writes = (request.flags & O_ACCMODE) != O_RDONLY;
  const bool truncates = (request.flags & O_TRUNC) != 0;
  if (file->immutable() && (writes || truncates)) return Errno(EPERM);
  if (file->append_only() && (truncates || (writes && (request.flags & O_APPEND) == 0))) {
    return Errno(EPERM);
  }
  if (truncates && !writes) {
    // The kernel checks whether a program is running only after it has sent the request with
    // O_TRUNC, unless the file is opened for writing too.
    MutexLock lock(&file->mu);
    if (file->executions > 0) return Errno(ETXTBSY);
  }
  if (truncates) {
    const ScopedBlockingCall blocking(host_.blocking_observer, DataBytes(file.get()) >= kLongWork);
    MEMFUSE_RETURN_IF_ERROR(file->data()->Truncate(0));
    NoteDataChange(context, file.get(), request.kill_suidgid);
  }
  if (writes && reclaim_.pending()) WaitForWritableSpace(OwnerOf(*file));
  FileOpen open;
  MEMFUSE_RETURN_IF_ERROR(file->data()->Open(request.flags, &open));
  bool opened = false;
  {
    MutexLock lock(&file->mu);
    if (!file->dead) {
      file->AddOpenLocked(request.flags);
      file->EndRemovedLocked();
      file->kernel_attrs_valid = false;
      if (request.executes) ++file->executions;
      // A program that has the file open for writing may be in write(2) for any length of time, for
      // example because it waits for a page of another file system. The kernel holds the lock of
      // the backing file during that time, and utimensat(2) here would wait for it. If there is no
      // such open, no such write(2) can begin before this lock is released, because the open(2)
      // that it needs takes the lock.
      if (file->write_opens == 0) file->data()->SetBackingTimes(file->meta, /*chosen=*/false);
      opened = true;
    }
  }
  if (!opened) {
    file->data()->Close(request.flags);
    return Errno(ESTALE);
  }
  if (open.attributes_stale) InvalidateAttributes(request.ino);
  return OpenResult(open);
}

Result<void> MemFs::Release(const RequestContext&, const ReleaseRequest& request) {
  MEMFUSE_ASSIGN_OR_RETURN(const InodeRef inode, FindInode(request.ino));
  if (inode->is_regular()) static_cast<RegularFile*>(inode.get())->data()->Close(request.flags);
  bool dead;
  {
    MutexLock lock(&inode->mu);
    inode->RemoveOpenLocked(request.flags);
    if (inode->is_regular() && request.executes) {
      auto* const file = static_cast<RegularFile*>(inode.get());
      file->mu.AssertHeld();
      if (file->executions > 0) --file->executions;
    }
    dead = inode->MarkDeadIfUnusedLocked();
    inode->NoteRemovedLocked();
  }
  if (dead) EvictInode(inode);
  return {};
}

Result<size_t> MemFs::Read(const RequestContext&, const ReadRequest& request, ReadSink* sink) {
  MEMFUSE_ASSIGN_OR_RETURN(const RegularFileRef file, FindRegular(request.ino));
  // This comes first: after the data is sent, the program that reads may ask for the time.
  const bool counts = (request.flags & O_NOATIME) == 0 && (file->flags() & FS_NOATIME_FL) == 0;
  if (counts) NoteAccess(file.get());
  return file->data()->ReadTo(request.offset, sink, request.to_page_cache,
                              [this, &request] { InvalidateAttributes(request.ino); });
}

Result<size_t> MemFs::Write(const RequestContext& context, const WriteRequest& request) {
  MEMFUSE_ASSIGN_OR_RETURN(const RegularFileRef file, FindRegular(request.ino));
  const size_t size = request.data.size();
  Payload rest = request.data;
  size_t done = 0;
  bool waited = false;
  std::optional<Timestamp> time;
  for (;;) {
    const uint64_t seen = reclaim_.progress();
    const Result<size_t> count = file->data()->WriteAndStamp(request.offset + done, rest, &time);
    if (count.ok()) {
      done += *count;
      if (done == size) break;
    } else if (count.error() != ENOSPC) {
      if (done == 0) return count.error();
      break;
    }
    // There is no space. The write is tried once more if removed files may release some.
    if (waited || !WaitForReclaim(context, request.ino, size - done, seen)) break;
    waited = true;
    // Data from a pipe has been removed from it. If more was removed than was written, the rest is
    // lost and the write cannot be repeated.
    if (rest.in_memory()) {
      rest = Payload(request.data.bytes().subspan(done));
    } else if (rest.size() != size - done) {
      break;
    }
  }
  if (done == 0 && size > 0) return Errno(ENOSPC);
  NoteDataChange(context, file.get(), request.kill_suidgid, time);
  // When the kernel writes back its cache, it treats a short count as success.
  if (request.from_page_cache && done < size) return Errno(ENOSPC);
  return done;
}

Result<void> MemFs::Fallocate(const RequestContext& context, const FallocateRequest& request) {
  return RetryAfterReclaim(context, request.ino, request.length,
                           [&] { return DoFallocate(context, request); });
}

Result<void> MemFs::DoFallocate(const RequestContext& context, const FallocateRequest& request) {
  Result<RegularFileRef> found = FindRegular(request.ino);
  if (!found.ok() && found.error() == ESTALE) return found.error();
  const bool keep_size = (request.mode & FALLOC_FL_KEEP_SIZE) != 0;
  const uint32_t operation = request.mode & ~uint32_t{FALLOC_FL_KEEP_SIZE};
  if (operation != 0 && operation != FALLOC_FL_ZERO_RANGE &&
      !(operation == FALLOC_FL_PUNCH_HOLE && keep_size)) {
    return Errno(EOPNOTSUPP);
  }
  if (request.length == 0) return Errno(EINVAL);
  if (!found.ok()) return found.error() == EINVAL ? Errno(ENODEV) : found.error();
  if ((*found)->immutable() || ((*found)->append_only() && operation != 0)) return Errno(EPERM);
  FileData& data = *(*found)->data();
  const ScopedBlockingCall blocking(host_.blocking_observer, request.length >= kLongWork);
  switch (operation) {
    case FALLOC_FL_PUNCH_HOLE:
      MEMFUSE_RETURN_IF_ERROR(data.PunchHole(request.offset, request.length));
      break;
    case FALLOC_FL_ZERO_RANGE:
      MEMFUSE_RETURN_IF_ERROR(data.ZeroRange(request.offset, request.length, keep_size));
      break;
    default:
      MEMFUSE_RETURN_IF_ERROR(data.Allocate(request.offset, request.length, keep_size));
  }
  // The kernel requests the clearing of set-id bits by a separate SETATTR.
  NoteDataChange(context, found->get(), /*kill_suidgid=*/false);
  return {};
}

Result<uint64_t> MemFs::Lseek(const RequestContext&, const LseekRequest& request) {
  Result<RegularFileRef> found = FindRegular(request.ino);
  if (!found.ok() && found.error() == ESTALE) return found.error();
  if (request.whence != SEEK_DATA && request.whence != SEEK_HOLE) return Errno(EINVAL);
  if (!found.ok()) return found.error() == EISDIR ? Errno(EINVAL) : found.error();
  FileData& data = *(*found)->data();
  return request.whence == SEEK_DATA ? data.SeekData(request.offset)
                                     : data.SeekHole(request.offset);
}

Result<uint64_t> MemFs::CopyFileRange(const RequestContext& context,
                                      const CopyFileRangeRequest& request) {
  return RetryAfterReclaim(context, request.ino_out, std::min(request.length, kMaxCopy),
                           [&] { return DoCopyFileRange(context, request); });
}

Result<uint64_t> MemFs::DoCopyFileRange(const RequestContext& context,
                                        const CopyFileRangeRequest& request) {
  MEMFUSE_RETURN_IF_ERROR(FindInode(request.ino_in));
  MEMFUSE_RETURN_IF_ERROR(FindInode(request.ino_out));
  if (request.flags != 0) return Errno(EINVAL);
  MEMFUSE_ASSIGN_OR_RETURN(const RegularFileRef in, FindRegular(request.ino_in));
  MEMFUSE_ASSIGN_OR_RETURN(const RegularFileRef out, FindRegular(request.ino_out));
  if (out->immutable()) return Errno(EPERM);
  if (request.offset_out > kMaxFileSize) return Errno(EFBIG);
  uint64_t size;
  {
    MutexLock lock(&in->mu);
    (void)in->SyncFromBackingLocked();
    size = in->size();
  }
  if (request.offset_in >= size) return uint64_t{0};
  const uint64_t length = std::min(
      {request.length, kMaxCopy, size - request.offset_in, kMaxFileSize - request.offset_out});
  if (in.get() == out.get() && request.offset_in < request.offset_out + length &&
      request.offset_out < request.offset_in + length) {
    return Errno(EINVAL);
  }
  const ScopedBlockingCall blocking(host_.blocking_observer, length >= kLongWork);
  MEMFUSE_ASSIGN_OR_RETURN(const uint64_t done, out->data()->CopyFrom(in->data(), request.offset_in,
                                                                      request.offset_out, length));
  if (done > 0) NoteDataChange(context, out.get(), /*kill_suidgid=*/false);
  return done;
}

}  // namespace memfuse::memfs
