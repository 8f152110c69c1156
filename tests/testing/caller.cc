#include "tests/testing/caller.h"

#include <sys/stat.h>

#include <atomic>

#include "tests/testing/read_sinks.h"

namespace memfuse::test {
namespace {

CreateRequest MakeCreateRequest(InodeNumber parent, std::string_view name, uint32_t mode,
                                uint32_t umask, uint32_t flags) {
  CreateRequest request{};
  request.parent = parent;
  request.name = name;
  request.mode = mode;
  request.umask = umask;
  request.flags = flags;
  return request;
}

}  // namespace

Result<Entry> Caller::Mkdir(InodeNumber parent, std::string_view name, uint32_t mode,
                            uint32_t umask) const {
  return fs_->Mkdir(context_, {parent, name, mode, umask});
}

Result<Entry> Caller::Mknod(InodeNumber parent, std::string_view name, uint32_t mode,
                            uint32_t umask, uint32_t rdev) const {
  return fs_->Mknod(context_, {parent, name, mode, rdev, umask});
}

Result<CreateResult> Caller::Create(InodeNumber parent, std::string_view name, uint32_t mode,
                                    uint32_t umask, uint32_t flags) const {
  return fs_->Create(context_, MakeCreateRequest(parent, name, mode, umask, flags));
}

Result<CreateResult> Caller::Tmpfile(InodeNumber parent, uint32_t mode, uint32_t umask,
                                     uint32_t flags) const {
  return fs_->Tmpfile(context_, MakeCreateRequest(parent, {}, mode, umask, flags));
}

Result<size_t> Caller::Write(InodeNumber ino, uint64_t offset, std::string_view data,
                             bool kill_suidgid) const {
  WriteRequest request{};
  request.ino = ino;
  request.offset = offset;
  request.data = data;
  request.kill_suidgid = kill_suidgid;
  return fs_->Write(context_, request);
}

Result<std::string> Caller::Read(InodeNumber ino, uint64_t offset, size_t size,
                                 uint32_t flags) const {
  // Every other read is sent in pieces, if the file system supports that.
  static std::atomic<bool> gathers{false};
  StringSink sink(size, gathers.exchange(!gathers));
  ReadRequest request{};
  request.ino = ino;
  request.offset = offset;
  request.flags = flags;
  MEMFUSE_ASSIGN_OR_RETURN(const size_t count, fs_->Read(context_, request, &sink));
  return sink.Result(count);
}

Result<void> Caller::Fallocate(InodeNumber ino, uint32_t mode, uint64_t offset,
                               uint64_t length) const {
  return fs_->Fallocate(context_, {ino, FileHandle{}, offset, length, mode});
}

Result<uint64_t> Caller::Lseek(InodeNumber ino, uint64_t offset, uint32_t whence) const {
  return fs_->Lseek(context_, {ino, FileHandle{}, offset, whence});
}

Result<uint64_t> Caller::Copy(InodeNumber in, uint64_t offset_in, InodeNumber out,
                              uint64_t offset_out, uint64_t length, uint32_t flags) const {
  return fs_->CopyFileRange(
      context_, {in, FileHandle{}, offset_in, out, FileHandle{}, offset_out, length, flags});
}

Result<AttributesResult> Caller::Truncate(InodeNumber ino, uint64_t size) const {
  SetattrRequest request{};
  request.ino = ino;
  request.size = size;
  return fs_->Setattr(context_, request);
}

Result<AttributesResult> Caller::Chmod(InodeNumber ino, uint32_t mode) const {
  SetattrRequest request{};
  request.ino = ino;
  request.mode = mode;
  return fs_->Setattr(context_, request);
}

Result<AttributesResult> Caller::Chown(InodeNumber ino, uint32_t uid, uint32_t gid) const {
  SetattrRequest request{};
  request.ino = ino;
  request.uid = uid;
  request.gid = gid;
  return fs_->Setattr(context_, request);
}

Result<void> Caller::Setxattr(InodeNumber ino, std::string_view name, std::string_view value,
                              uint32_t flags) const {
  SetxattrRequest request{};
  request.ino = ino;
  request.name = name;
  request.value = value;
  request.flags = flags;
  return fs_->Setxattr(context_, request);
}

Result<void> Caller::Readdir(InodeNumber ino, uint64_t offset, bool plus,
                             DirectorySink* sink) const {
  return fs_->Readdir(context_, {ino, FileHandle{}, offset, plus}, sink);
}

}  // namespace memfuse::test
