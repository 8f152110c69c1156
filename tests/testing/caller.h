// A client that calls a FileSystem: short forms of the requests, on behalf of one user.

#ifndef MEMFUSE_TESTS_TESTING_CALLER_H_
#define MEMFUSE_TESTS_TESTING_CALLER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "memfuse/filesystem.h"

namespace memfuse::test {

class Caller {
 public:
  explicit Caller(FileSystem* fs, uint32_t uid = 0, uint32_t gid = 0) : fs_(fs) {
    context_.uid = uid;
    context_.gid = gid;
  }

  const RequestContext& context() const { return context_; }
  // As in Linux 6.12, for requests that make no inode: the PID of the calling thread, without ids.
  void set_thread(uint32_t pid) {
    context_.uid = context_.gid = std::nullopt;
    context_.pid = pid;
  }

  // The number of the request, and whether it was sent to another process before.
  void set_request(uint64_t id, bool resent) {
    context_.id = RequestId{id};
    context_.resent = resent;
  }

  Result<Entry> Lookup(InodeNumber parent, std::string_view name) const {
    return fs_->Lookup(context_, {parent, name});
  }
  void Forget(InodeNumber ino, uint64_t count = 1) const { fs_->Forget({ino, count}); }

  Result<Entry> Mkdir(InodeNumber parent, std::string_view name, uint32_t mode = 0755,
                      uint32_t umask = 0) const;
  // Makes a regular file, unless `mode` has another type.
  Result<Entry> Mknod(InodeNumber parent, std::string_view name, uint32_t mode = 0644,
                      uint32_t umask = 0, uint32_t rdev = 0) const;
  Result<Entry> Symlink(InodeNumber parent, std::string_view name, std::string_view target) const {
    return fs_->Symlink(context_, {parent, name, target});
  }
  Result<Entry> Link(InodeNumber ino, InodeNumber parent, std::string_view name) const {
    return fs_->Link(context_, {ino, parent, name});
  }
  Result<CreateResult> Create(InodeNumber parent, std::string_view name, uint32_t mode = 0644,
                              uint32_t umask = 0, uint32_t flags = 0) const;
  Result<CreateResult> Tmpfile(InodeNumber parent, uint32_t mode = 0600, uint32_t umask = 0,
                               uint32_t flags = 0) const;
  Result<std::string> Readlink(InodeNumber ino) const { return fs_->Readlink(context_, {ino}); }

  Result<void> Unlink(InodeNumber parent, std::string_view name) const {
    return fs_->Unlink(context_, {parent, name});
  }
  Result<void> Rmdir(InodeNumber parent, std::string_view name) const {
    return fs_->Rmdir(context_, {parent, name});
  }
  Result<void> Rename(InodeNumber parent, std::string_view name, InodeNumber new_parent,
                      std::string_view new_name, uint32_t flags = 0) const {
    return fs_->Rename(context_, {parent, name, new_parent, new_name, flags});
  }

  Result<OpenResult> Open(InodeNumber ino, uint32_t flags = 0, bool kill_suidgid = false) const {
    return fs_->Open(context_, {ino, flags, kill_suidgid});
  }
  Result<void> Release(InodeNumber ino, uint32_t flags = 0) const {
    return fs_->Release(context_, {ino, FileHandle{}, flags});
  }
  Result<size_t> Write(InodeNumber ino, uint64_t offset, std::string_view data,
                       bool kill_suidgid = false) const;
  // The data that was read, at most `size` bytes.
  Result<std::string> Read(InodeNumber ino, uint64_t offset, size_t size, uint32_t flags = 0) const;
  Result<void> Fallocate(InodeNumber ino, uint32_t mode, uint64_t offset, uint64_t length) const;
  Result<uint64_t> Lseek(InodeNumber ino, uint64_t offset, uint32_t whence) const;
  Result<uint64_t> Copy(InodeNumber in, uint64_t offset_in, InodeNumber out, uint64_t offset_out,
                        uint64_t length, uint32_t flags = 0) const;

  Result<AttributesResult> Getattr(InodeNumber ino) const {
    return fs_->Getattr(context_, {ino, {}});
  }
  Result<AttributesResult> Setattr(const SetattrRequest& request) const {
    return fs_->Setattr(context_, request);
  }
  Result<AttributesResult> Truncate(InodeNumber ino, uint64_t size) const;
  Result<AttributesResult> Chmod(InodeNumber ino, uint32_t mode) const;
  Result<AttributesResult> Chown(InodeNumber ino, uint32_t uid, uint32_t gid) const;

  Result<void> Setxattr(InodeNumber ino, std::string_view name, std::string_view value,
                        uint32_t flags = 0) const;
  Result<std::string> Getxattr(InodeNumber ino, std::string_view name) const {
    return fs_->Getxattr(context_, {ino, name, 0});
  }
  Result<std::string> Listxattr(InodeNumber ino) const { return fs_->Listxattr(context_, {ino}); }
  Result<void> Removexattr(InodeNumber ino, std::string_view name) const {
    return fs_->Removexattr(context_, {ino, name});
  }

  Result<void> Readdir(InodeNumber ino, uint64_t offset, bool plus, DirectorySink* sink) const;

 private:
  FileSystem* const fs_;
  RequestContext context_;
};

}  // namespace memfuse::test

#endif  // MEMFUSE_TESTS_TESTING_CALLER_H_
