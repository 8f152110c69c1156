// The file system in RAM: an implementation of MemoryFileSystem that uses the inode table.
//
// There is one source file per family of operations: lookup.cc, create.cc, remove.cc, rename.cc,
// attributes.cc, io.cc, ioctl.cc, limits.cc, readdir.cc, xattr.cc. The contracts and errors are
// those of memfuse/filesystem.h.

#ifndef MEMFUSE_SRC_MEMFS_OPS_MEMFS_H_
#define MEMFUSE_SRC_MEMFS_OPS_MEMFS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "memfuse/memory_filesystem.h"
#include "src/memfs/data/passthrough_store.h"
#include "src/memfs/reclaim/reclaim.h"
#include "src/memfs/space/lock_order.h"
#include "src/memfs/tree/directory.h"
#include "src/memfs/tree/inode.h"
#include "src/memfs/tree/inode_table.h"

namespace memfuse::memfs {

using DirectoryRef = base::RefPtr<Directory>;
using RegularFileRef = base::RefPtr<RegularFile>;

// An operation on at least this many bytes takes a millisecond or more. The transport is told that
// the thread blocks.
inline constexpr uint64_t kLongWork = 4 << 20;

class MemFs final : public MemoryFileSystem {
 public:
  static absl::StatusOr<std::unique_ptr<MemFs>> Make(const MemoryFileSystemOptions& options);
  ~MemFs() override;

  MemoryFileSystemUsage Usage() const override;
  Result<void> SetLimits(uint64_t size_limit, uint64_t inode_limit) override {
    return SetLimits(RequestContext(), size_limit, inode_limit);
  }
  void SetMountOptions(std::string text) override;
  void ReleaseUnusedMemory() override;
  bool wants_backing_files() const override;
  std::string DescribeData() const override { return data_description_; }
  std::string DataOptions() const override { return data_options_; }

  absl::Status Connected(BackingFiles* backing) override;
  void Disconnected() override;

  Result<Entry> Lookup(const RequestContext& context, const LookupRequest& request) override;
  void Forget(const ForgetRequest& request) override;

  Result<AttributesResult> Getattr(const RequestContext& context,
                                   const GetattrRequest& request) override;
  Result<AttributesResult> Setattr(const RequestContext& context,
                                   const SetattrRequest& request) override;
  Result<StatxResult> Statx(const RequestContext& context, const StatxRequest& request) override;
  Result<void> Access(const RequestContext& context, const AccessRequest& request) override;

  Result<std::string> Readlink(const RequestContext& context,
                               const ReadlinkRequest& request) override;
  Result<Entry> Symlink(const RequestContext& context, const SymlinkRequest& request) override;
  Result<Entry> Mknod(const RequestContext& context, const MknodRequest& request) override;
  Result<Entry> Mkdir(const RequestContext& context, const MkdirRequest& request) override;
  Result<Entry> Link(const RequestContext& context, const LinkRequest& request) override;
  Result<CreateResult> Create(const RequestContext& context, const CreateRequest& request) override;
  Result<CreateResult> Tmpfile(const RequestContext& context,
                               const CreateRequest& request) override;

  Result<void> Unlink(const RequestContext& context, const UnlinkRequest& request) override;
  Result<void> Rmdir(const RequestContext& context, const RmdirRequest& request) override;
  Result<void> Rename(const RequestContext& context, const RenameRequest& request) override;

  Result<OpenResult> Open(const RequestContext& context, const OpenRequest& request) override;
  Result<void> Release(const RequestContext& context, const ReleaseRequest& request) override;
  Result<size_t> Read(const RequestContext& context, const ReadRequest& request,
                      ReadSink* sink) override;
  bool AcceptsSplice() const override { return resources_.store->accepts_splice(); }
  Result<size_t> Write(const RequestContext& context, const WriteRequest& request) override;
  Result<void> Fallocate(const RequestContext& context, const FallocateRequest& request) override;
  Result<uint64_t> Lseek(const RequestContext& context, const LseekRequest& request) override;
  Result<uint64_t> CopyFileRange(const RequestContext& context,
                                 const CopyFileRangeRequest& request) override;

  Result<void> Readdir(const RequestContext& context, const ReaddirRequest& request,
                       DirectorySink* sink) override;

  Result<FileSystemStatistics> Statfs(const RequestContext& context,
                                      const StatfsRequest& request) override;

  Result<void> Setxattr(const RequestContext& context, const SetxattrRequest& request) override;
  Result<std::string> Getxattr(const RequestContext& context,
                               const GetxattrRequest& request) override;
  Result<std::string> Listxattr(const RequestContext& context,
                                const ListxattrRequest& request) override;
  Result<void> Removexattr(const RequestContext& context,
                           const RemovexattrRequest& request) override;

  Result<IoctlResult> Ioctl(const RequestContext& context, const IoctlRequest& request) override;

 private:
  // The properties of a new inode.
  struct NewNode {
    uint32_t mode = 0;  // with file type; the umask is not yet applied
    uint32_t umask = 0;
    uint32_t rdev = 0;
    std::string_view target;  // symbolic links
    bool open = false;        // open it too, with open_flags
    uint32_t open_flags = 0;
  };

  explicit MemFs(const MemoryFileSystemOptions& options);

  // Makes the store that the options select. Returns ResourceExhausted and the errors of
  // DaemonStore::Make and PassthroughStore::Make.
  absl::Status MakeStore();
  // Switches to the passthrough store: a private tmpfs holds file data from then on. It is called
  // while there are no files. Returns the errors of PassthroughStore::Make.
  absl::Status UsePassthroughStore();

  // Returns the values for STATFS. Space that is reserved and not used counts as free, and so does
  // the space of removed inodes that are not freed yet.
  FileSystemStatistics Statistics();
  // As the public function, for a request: `context` supplies the BlockingObserver.
  Result<void> SetLimits(const RequestContext& context, uint64_t size_limit, uint64_t inode_limit);
  Result<void> TrySetLimits(uint64_t size_limit, uint64_t inode_limit);
  // The ioctl(2) commands of memfuse/ioctl.h. Their errors are documented there.
  bool MayAdminister(const RequestContext& context) const;
  static bool IsLimitsIoctl(uint32_t command);
  Result<IoctlResult> LimitsIoctl(const RequestContext& context, const IoctlRequest& request);

  // Return ESTALE if there is no such inode. FindDirectory returns ENOTDIR if it is not a
  // directory. FindRegular returns EISDIR for a directory and EINVAL for any other type.
  Result<InodeRef> FindInode(InodeNumber ino) const;
  Result<DirectoryRef> FindDirectory(InodeNumber ino) const;
  Result<RegularFileRef> FindRegular(InodeNumber ino) const;

  // Returns ENAMETOOLONG, or ENOENT if the name is empty.
  static Result<void> CheckName(std::string_view name);

  // Makes an inode that has no name and is not in the table yet. Returns ENOSPC, ENOMEM or
  // EOVERFLOW.
  Result<InodeRef> NewInode(const RequestContext& context, const Directory& parent,
                            const NewNode& node, Timestamp now);
  // Makes an inode, its name and one lookup; and an open, if `node` requests it.
  Result<Entry> MakeNode(const RequestContext& context, InodeNumber parent, std::string_view name,
                         const NewNode& node, OpenResult* open = nullptr);
  // The same, with RetryAfterReclaim. MakeTmpfile and MakeLink are the other functions that make
  // names or inodes and need space.
  Result<Entry> MakeNodeOrRetry(const RequestContext& context, InodeNumber parent,
                                std::string_view name, const NewNode& node,
                                OpenResult* open = nullptr);
  Result<CreateResult> MakeTmpfile(const RequestContext& context, const CreateRequest& request);
  Result<Entry> MakeLink(const LinkRequest& request);

  // Removes an inode that was marked dead from the table. It is called without locks.
  void EvictInode(const InodeRef& inode);

  Result<void> MoveName(const RequestContext& context, const RenameRequest& request);
  // `away` is the child of `from` on the path down to `to`; `back` is the child of `to` on the path
  // down to `from`. The caller evicts `dead` after it has released the locks.
  Result<void> RenameLocked(const RequestContext& context, const RenameRequest& request,
                            Directory* from, Directory* to, InodeNumber away, InodeNumber back,
                            InodeRef* dead)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(from->names_mu, to->names_mu);
  // Returns the child of `ancestor` on the path to `directory`, or kNoInode if there is no such
  // path.
  InodeNumber ChildTowards(const Directory& ancestor, const Directory& directory) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(rename_mu_);

  // Calls `operation`, which must not change anything if it returns ENOSPC. If it returns ENOSPC
  // and removed files may have released space in the meantime, calls it a second time. `ino` is the
  // inode that takes the space, or kNoInode for an inode that is made for the caller. `bytes` is
  // how much it takes, apart from a small amount. It is called without locks.
  template <typename Operation>
  auto RetryAfterReclaim(const RequestContext& context, InodeNumber ino, uint64_t bytes,
                         Operation operation) -> decltype(operation()) {
    const uint64_t seen = reclaim_.progress();
    auto result = operation();
    if (result.ok() || result.error() != ENOSPC) return result;
    return WaitForReclaim(context, ino, bytes, seen) ? operation() : result;
  }
  // The wait of RetryAfterReclaim. `seen` is the value of Reclaim::progress() before the operation.
  // Returns false if nothing was reclaimed since and there is nothing to wait for.
  bool WaitForReclaim(const RequestContext& context, InodeNumber ino, uint64_t bytes,
                      uint64_t seen);
  // Called before a file is opened for writing, if the kernel writes to files itself: the kernel
  // would find no space while removed files are still being freed. `owner` is the owner of the file
  // (uid).
  void WaitForWritableSpace(const RequestContext& context, uint32_t owner);
  // Returns how many bytes the data of a file takes.
  static uint64_t DataBytes(RegularFile* file) ABSL_LOCKS_EXCLUDED(file->mu);
  Result<void> DoFallocate(const RequestContext& context, const FallocateRequest& request);
  Result<uint64_t> DoCopyFileRange(const RequestContext& context,
                                   const CopyFileRangeRequest& request);
  Result<void> DoSetxattr(const SetxattrRequest& request);
  Result<AttributesResult> DoSetattr(const RequestContext& context, const SetattrRequest& request);
  // Records that the data of `file` changed, at `time` if it is set, and otherwise now.
  static void NoteDataChange(const RequestContext& context, RegularFile* file, bool kill_suidgid,
                             std::optional<Timestamp> time = std::nullopt);
  // Records that `inode` was read: moves its atime according to relatime or strictatime, unless
  // access times are disabled.
  void NoteAccess(Inode* inode) const ABSL_LOCKS_EXCLUDED(inode->mu);
  // Removes S_ISGID where the group may not execute the file, unless the caller is in the group of
  // the file or has CAP_FSETID (setattr_should_drop_sgid in the kernel). `unprivileged` means that
  // the kernel has found that the caller has no CAP_FSETID. It is called without locks, because it
  // reads /proc to get information on the caller.
  static void KillGroupBitOfStrangers(const RequestContext& context, bool unprivileged,
                                      Inode* inode) ABSL_LOCKS_EXCLUDED(inode->mu);
  // Whether the caller may see the names of trusted.* attributes. This requires CAP_SYS_ADMIN, as
  // on tmpfs.
  static bool MaySeeTrusted(const RequestContext& context);

  // The value of Entry::generation. It distinguishes this mount from an earlier one at the same
  // place.
  const uint64_t generation_;
  std::atomic<bool> atime_;     // keep access times
  const bool directory_atime_;  // keep access times of directories too
  const bool strictatime_;      // every read moves access times, instead of relatime
  const bool xattr_;            // keep extended attributes
  const MemoryFileSystemOptions options_;
  std::string data_description_;  // constant from the first request on
  std::string data_options_;      // constant from the first request on
  PassthroughStore* passthrough_store_ =
      nullptr;  // the store, if it is a PassthroughStore; constant from the first request on
  bool truncates_by_setattr_ = false;  // constant from the first request on: see Connected
  Resources resources_;
  InodeTable table_;
  Reclaim reclaim_{&resources_.removed};

  RenameMutex rename_mu_;  // guards every change of a directory's parent

  LimitsMutex limits_mu_;  // held while limits or options are changed
  std::string mount_options_ ABSL_GUARDED_BY(limits_mu_);

  // maximum of heap bytes in use since the last malloc_trim(3)
  std::atomic<uint64_t> trimmed_at_{0};
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_OPS_MEMFS_H_
