// A file system in which every request succeeds. It counts the lookups and opens that it handed
// out.

#ifndef MEMFUSE_TESTS_TRANSPORT_FAKE_FILESYSTEM_H_
#define MEMFUSE_TESTS_TRANSPORT_FAKE_FILESYSTEM_H_

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "memfuse/filesystem.h"

namespace memfuse::transport {

// Fallocate is a long operation: it uses a ScopedBlockingCall.
//
// The members are set before the file system is served. The counts may be read at any time.
class FakeFileSystem : public FileSystem {
 public:
  // Called at the beginning of every method; may throw or block.
  std::function<void()> on_call = [] {};
  // Called by Fallocate inside its ScopedBlockingCall.
  std::function<void()> while_blocking = [] {};
  std::string xattr = "value";
  std::string xattr_list = std::string("user.a\0user.b\0", 14);
  std::string link_target = "target";
  std::string ioctl_output;
  uint64_t file_size = 0;
  // Replaces the default behaviour of Read and Write.
  std::function<Result<size_t>(const ReadRequest&, ReadSink*)> on_read;
  std::function<Result<size_t>(const WriteRequest&)> on_write;
  // The address of the memory that the last Read or Write received.
  std::atomic<uint64_t> last_offset_in_page{1};
  std::atomic<size_t> last_read_size{0};

  Host host;  // of the session, between Connected and Disconnected

  std::atomic<int64_t> lookups{0};  // handed out minus released
  std::atomic<int64_t> opens{0};    // the same
  std::atomic<int64_t> directory_opens{0};
  std::atomic<int64_t> given_back{0};
  std::atomic<int64_t> calls{0};

  absl::Status Connected(const Host& of_session) override {
    host = of_session;
    return absl::OkStatus();
  }
  void Disconnected() override { host = Host(); }

  Result<Entry> Lookup(const RequestContext&, const LookupRequest& request) override {
    Enter();
    if (request.name == "missing") return Errno(ENOENT);
    return NewEntry();
  }
  void Forget(const ForgetRequest& request) override {
    Enter();
    lookups -= static_cast<int64_t>(request.count);
    given_back += static_cast<int64_t>(request.count);
  }
  Result<AttributesResult> Getattr(const RequestContext&, const GetattrRequest& request) override {
    Enter();
    return AttributesResult{SomeAttributes(request.ino), kCacheForever};
  }
  Result<AttributesResult> Setattr(const RequestContext&, const SetattrRequest& request) override {
    Enter();
    return AttributesResult{SomeAttributes(request.ino), kCacheForever};
  }
  Result<StatxResult> Statx(const RequestContext&, const StatxRequest& request) override {
    Enter();
    StatxResult result;
    result.attributes = SomeAttributes(request.ino);
    return result;
  }
  Result<std::string> Readlink(const RequestContext&, const ReadlinkRequest&) override {
    Enter();
    return link_target;
  }
  Result<Entry> Mknod(const RequestContext&, const MknodRequest&) override {
    return EnterAndMake();
  }
  Result<Entry> Mkdir(const RequestContext&, const MkdirRequest&) override {
    return EnterAndMake();
  }
  Result<Entry> Symlink(const RequestContext&, const SymlinkRequest&) override {
    return EnterAndMake();
  }
  Result<Entry> Link(const RequestContext&, const LinkRequest&) override { return EnterAndMake(); }
  Result<CreateResult> Create(const RequestContext&, const CreateRequest&) override {
    return NewFile();
  }
  Result<CreateResult> Tmpfile(const RequestContext&, const CreateRequest&) override {
    return NewFile();
  }
  Result<void> Unlink(const RequestContext&, const UnlinkRequest&) override { return Yes(); }
  Result<void> Rmdir(const RequestContext&, const RmdirRequest&) override { return Yes(); }
  Result<void> Rename(const RequestContext&, const RenameRequest&) override { return Yes(); }
  Result<OpenResult> Open(const RequestContext&, const OpenRequest&) override {
    Enter();
    ++opens;
    return OpenResult{};
  }
  Result<size_t> Read(const RequestContext&, const ReadRequest& request, ReadSink* sink) override {
    Enter();
    if (on_read) return on_read(request, sink);
    const absl::Span<char> out = sink->buffer();
    last_read_size = out.size();
    last_offset_in_page = reinterpret_cast<uintptr_t>(out.data()) % 4096;
    for (char& byte : out) byte = 'r';
    return out.size();
  }
  Result<size_t> Write(const RequestContext&, const WriteRequest& request) override {
    Enter();
    if (on_write) return on_write(request);
    last_offset_in_page = reinterpret_cast<uintptr_t>(request.data.data()) % 4096;
    return request.data.size();
  }
  Result<void> Release(const RequestContext&, const ReleaseRequest&) override {
    --opens;
    return Yes();
  }
  Result<void> Flush(const RequestContext&, const FlushRequest&) override { return Yes(); }
  Result<void> Fsync(const RequestContext&, const FsyncRequest&) override { return Yes(); }
  Result<void> Fallocate(const RequestContext&, const FallocateRequest&) override {
    const ScopedBlockingCall blocking(host.blocking_observer);
    while_blocking();
    return Yes();
  }
  Result<uint64_t> Lseek(const RequestContext&, const LseekRequest&) override {
    Enter();
    return uint64_t{7};
  }
  Result<uint64_t> CopyFileRange(const RequestContext&,
                                 const CopyFileRangeRequest& request) override {
    Enter();
    return request.length;
  }
  Result<OpenResult> Opendir(const RequestContext&, const OpenRequest&) override {
    Enter();
    ++directory_opens;
    return OpenResult{};
  }
  Result<void> Readdir(const RequestContext&, const ReaddirRequest& request,
                       DirectorySink* sink) override {
    Enter();
    Entry entry;
    for (uint64_t i = request.offset; i < kEntries; ++i) {
      const std::string name = i == 0 ? "." : "file" + std::to_string(i);
      if (!sink->HasRoomFor(name)) break;
      entry.ino = i == 0 ? kNoInode : InodeNumber{i + 1};
      entry.attributes = SomeAttributes(entry.ino);
      if (request.plus && i > 0) ++lookups;
      sink->Add({name, InodeNumber{i + 1}, S_IFREG, i + 1, request.plus ? &entry : nullptr});
    }
    if (readdir_error != 0) return Errno(readdir_error);
    return {};
  }
  Result<void> Releasedir(const RequestContext&, const ReleaseRequest&) override {
    --directory_opens;
    return Yes();
  }
  Result<void> Fsyncdir(const RequestContext&, const FsyncRequest&) override { return Yes(); }
  Result<FileSystemStatistics> Statfs(const RequestContext&, const StatfsRequest&) override {
    Enter();
    return FileSystemStatistics{};
  }
  Result<void> Setxattr(const RequestContext&, const SetxattrRequest&) override { return Yes(); }
  Result<std::string> Getxattr(const RequestContext&, const GetxattrRequest&) override {
    Enter();
    return xattr;
  }
  Result<std::string> Listxattr(const RequestContext&, const ListxattrRequest&) override {
    Enter();
    return xattr_list;
  }
  Result<void> Removexattr(const RequestContext&, const RemovexattrRequest&) override {
    return Yes();
  }
  Result<void> Access(const RequestContext&, const AccessRequest&) override { return Yes(); }
  Result<IoctlResult> Ioctl(const RequestContext&, const IoctlRequest&) override {
    Enter();
    return IoctlResult{0, ioctl_output};
  }

  static constexpr uint64_t kEntries = 20;
  int readdir_error = 0;

 private:
  void Enter() {
    ++calls;
    on_call();
  }
  Result<void> Yes() {
    Enter();
    return {};
  }
  Result<Entry> NewEntry() {
    ++lookups;
    Entry entry;
    entry.ino = InodeNumber{2};
    entry.attributes = SomeAttributes(entry.ino);
    return entry;
  }
  Result<Entry> EnterAndMake() {
    Enter();
    return NewEntry();
  }
  Result<CreateResult> NewFile() {
    Enter();
    ++opens;
    return CreateResult{*NewEntry(), {}};
  }
  Attributes SomeAttributes(InodeNumber ino) const {
    Attributes attributes;
    attributes.ino = ino;
    attributes.mode = ino == kRootInode ? S_IFDIR | 0755 : S_IFREG | 0644;
    attributes.nlink = 1;
    attributes.size = file_size;
    return attributes;
  }
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_TESTS_TRANSPORT_FAKE_FILESYSTEM_H_
