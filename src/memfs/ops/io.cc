// Data of regular files: OPEN, RELEASE, READ, WRITE, FALLOCATE, LSEEK, COPY_FILE_RANGE.

#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <algorithm>

#include "src/memfs/ops/data_change.h"
#include "src/memfs/ops/memfs.h"
#include "src/memfs/tree/inode_flags.h"

namespace memfuse::memfs {
namespace {

// The maximum of one COPY_FILE_RANGE request, which may copy less than requested. Between two
// requests the caller can be interrupted, and other requests are served.
constexpr uint64_t kMaxCopy = 16 << 20;

// FALLOCATE.
Result<void> AllocateRange(const Inodes& inodes, const RequestContext& context,
                           const FallocateRequest& request) {
  Result<RegularFileRef> found = inodes.FindRegular(request.ino);
  if (!found.ok() && found.error() == ESTALE) return found.error();
  const bool keep_size = (request.mode & FALLOC_FL_KEEP_SIZE) != 0;
  const uint32_t operation = request.mode & ~uint32_t{FALLOC_FL_KEEP_SIZE};
  if (operation != 0 && operation != FALLOC_FL_ZERO_RANGE &&
      !(operation == FALLOC_FL_PUNCH_HOLE && keep_size)) {
    return Errno(EOPNOTSUPP);
  }
  if (request.length == 0) return Errno(EINVAL);
  if (!found.ok()) return found.error() == EINVAL ? Errno(ENODEV) : found.error();
  MEMFUSE_RETURN_IF_ERROR(MayAllocate(**found, request.mode));
  FileData& data = *(*found)->data();
  const ScopedBlockingCall blocking(inodes.resources()->host.blocking_observer,
                                    request.length >= kLongWork);
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

// COPY_FILE_RANGE.
Result<uint64_t> CopyRange(const Inodes& inodes, const RequestContext& context,
                           const CopyFileRangeRequest& request) {
  MEMFUSE_RETURN_IF_ERROR(inodes.Find(request.ino_in));
  MEMFUSE_RETURN_IF_ERROR(inodes.Find(request.ino_out));
  if (request.flags != 0) return Errno(EINVAL);
  MEMFUSE_ASSIGN_OR_RETURN(const RegularFileRef in, inodes.FindRegular(request.ino_in));
  MEMFUSE_ASSIGN_OR_RETURN(const RegularFileRef out, inodes.FindRegular(request.ino_out));
  MEMFUSE_RETURN_IF_ERROR(MayCopyTo(*out));
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
  const ScopedBlockingCall blocking(inodes.resources()->host.blocking_observer,
                                    length >= kLongWork);
  MEMFUSE_ASSIGN_OR_RETURN(const uint64_t done, out->data()->CopyFrom(in->data(), request.offset_in,
                                                                      request.offset_out, length));
  if (done > 0) NoteDataChange(context, out.get(), /*kill_suidgid=*/false);
  return done;
}

}  // namespace

Result<OpenResult> MemFs::Open(const RequestContext& context, const OpenRequest& request) {
  if (completed_.Take(context)) return OpenAgain(request.ino, request.flags);
  MEMFUSE_ASSIGN_OR_RETURN(InodeRef inode, inodes_.Find(request.ino));
  if (inode->is_directory()) return Errno(EISDIR);
  if (inode->type == S_IFLNK) return Errno(EINVAL);
  if (!inode->is_regular()) return Errno(ENXIO);
  const auto file = RegularFileRef::Adopt(static_cast<RegularFile*>(inode.release()));
  const bool writes = (request.flags & O_ACCMODE) != O_RDONLY;
  const bool truncates = (request.flags & O_TRUNC) != 0;
  MEMFUSE_RETURN_IF_ERROR(MayOpen(*file, request.flags));
  if (truncates && !writes) {
    // The kernel checks whether a program is running only after it has sent the request with
    // O_TRUNC, unless the file is opened for writing too.
    MutexLock lock(&file->mu);
    if (file->meta().executions > 0) return Errno(ETXTBSY);
  }
  if (truncates) {
    const ScopedBlockingCall blocking(resources_.host.blocking_observer,
                                      file->DataBytes() >= kLongWork);
    MEMFUSE_RETURN_IF_ERROR(file->data()->Truncate(0));
    NoteDataChange(context, file.get(), request.kill_suidgid);
  }
  if (writes) space_.WaitBeforeWrites(file->owner().uid);
  FileOpen open;
  if (writes) {
    MutexLock lock(&file->mu);
    open.byte_limit = file->account()->has_byte_limit();
  }
  MEMFUSE_RETURN_IF_ERROR(file->data()->Open(request.flags, &open));
  bool opened = false;
  {
    MutexLock lock(&file->mu);
    if (!file->dead) {
      Transaction change(resources_.records.get());
      file->AddOpenLocked(&change, request.flags, request.executes);
      change.CommitRequest(ToInt(request.ino));
      file->EndRemovedLocked();
      // A program that has the file open for writing may be in write(2) for any length of time, for
      // example because it waits for a page of another file system. The kernel holds the lock of
      // the backing file during that time, and utimensat(2) here would wait for it. If there is no
      // such open, no such write(2) can begin before this lock is released, because the open(2)
      // that it needs takes the lock.
      if (file->meta().write_opens == 0)
        file->data()->SetBackingTimes(file->meta(), /*chosen=*/false);
      opened = true;
    }
  }
  if (!opened) {
    file->data()->Close(request.flags);
    return Errno(ESTALE);
  }
  if (open.attributes_stale) resources_.InvalidateAttributes(request.ino);
  return OpenResult(open);
}

Result<OpenResult> MemFs::OpenAgain(InodeNumber ino, uint32_t flags) {
  MEMFUSE_ASSIGN_OR_RETURN(const RegularFileRef file, inodes_.FindRegular(ino));
  FileOpen open;
  if ((flags & O_ACCMODE) != O_RDONLY) {
    MutexLock lock(&file->mu);
    open.byte_limit = file->account()->has_byte_limit();
  }
  MEMFUSE_RETURN_IF_ERROR(file->data()->Open(flags, &open));
  // The file counts the open already.
  file->data()->Close(flags);
  return OpenResult(open);
}

Result<void> MemFs::Release(const RequestContext& context, const ReleaseRequest& request) {
  if (completed_.Take(context)) return {};
  MEMFUSE_ASSIGN_OR_RETURN(const InodeRef inode, inodes_.Find(request.ino));
  bool dead;
  bool removed;
  {
    MutexLock lock(&inode->mu);
    Transaction change(resources_.records.get());
    inode->RemoveOpenLocked(&change, request.flags, request.executes);
    dead = inode->MarkDeadIfUnusedLocked();
    removed = inode->meta().nlink == 0;
    change.CommitRequest();
  }
  // A successor keeps the backing files that are open registered. Closing one earlier could let
  // another thread unregister it while the record still counts the open.
  if (inode->is_regular()) static_cast<RegularFile*>(inode.get())->data()->Close(request.flags);
  if (removed) {
    // After Close, because a program may map the file until then.
    MutexLock lock(&inode->mu);
    Transaction change(resources_.records.get());
    inode->NoteRemovedLocked(&change);
    change.Commit();
  }
  if (dead) inodes_.Evict(inode);
  return {};
}

Result<size_t> MemFs::Read(const RequestContext&, const ReadRequest& request, ReadSink* sink) {
  MEMFUSE_ASSIGN_OR_RETURN(const RegularFileRef file, inodes_.FindRegular(request.ino));
  // This comes first: after the data is sent, the program that reads may ask for the time.
  const bool counts = (request.flags & O_NOATIME) == 0 && (file->flags() & FS_NOATIME_FL) == 0;
  if (counts) access_times_.NoteAccess(file.get());
  return file->data()->ReadTo(request.offset, sink, request.to_page_cache,
                              [this, &request] { resources_.InvalidateAttributes(request.ino); });
}

Result<size_t> MemFs::Write(const RequestContext& context, const WriteRequest& request) {
  MEMFUSE_ASSIGN_OR_RETURN(const RegularFileRef file, inodes_.FindRegular(request.ino));
  const size_t size = request.data.size();
  size_t done = 0;
  bool waited = false;
  Errno error(ENOSPC);  // the reason of a write that was made in part
  std::optional<Timestamp> time;
  ForgetRefusedCharge();
  for (;;) {
    const uint64_t seen = space_.progress();
    const Result<size_t> count =
        file->data()->WriteAndStamp(request.offset + done, request.data.subspan(done), &time);
    if (count.ok()) {
      done += *count;
      if (done == size) break;
    } else if (!SpaceWaiter::IsLackOfSpace(count.error())) {
      if (done == 0) return count.error();
      break;
    } else {
      error = count.error();
    }
    // There is no space. The write is tried once more if removed files may release some.
    if (waited || !space_.Wait(context, request.ino, size - done, error, seen)) break;
    waited = true;
  }
  if (done == 0 && size > 0) {
    space_.NoteRefusal(context, size);
    return error;
  }
  NoteDataChange(context, file.get(), request.kill_suidgid, time);
  // When the kernel writes back its cache, it treats a short count as success.
  if (request.from_page_cache && done < size) {
    space_.NoteRefusal(context, size - done);
    return error;
  }
  return done;
}

Result<void> MemFs::Fallocate(const RequestContext& context, const FallocateRequest& request) {
  return space_.Retry(context, request.ino, request.length,
                      [&] { return AllocateRange(inodes_, context, request); });
}

Result<uint64_t> MemFs::Lseek(const RequestContext&, const LseekRequest& request) {
  Result<RegularFileRef> found = inodes_.FindRegular(request.ino);
  if (!found.ok() && found.error() == ESTALE) return found.error();
  if (request.whence != SEEK_DATA && request.whence != SEEK_HOLE) return Errno(EINVAL);
  if (!found.ok()) return found.error() == EISDIR ? Errno(EINVAL) : found.error();
  FileData& data = *(*found)->data();
  return request.whence == SEEK_DATA ? data.SeekData(request.offset)
                                     : data.SeekHole(request.offset);
}

Result<uint64_t> MemFs::CopyFileRange(const RequestContext& context,
                                      const CopyFileRangeRequest& request) {
  return space_.Retry(context, request.ino_out, std::min(request.length, kMaxCopy),
                      [&] { return CopyRange(inodes_, context, request); });
}

}  // namespace memfuse::memfs
