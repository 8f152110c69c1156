// The file system in RAM: MemoryFileSystem over the inode table.
//
// One file per family of operations: lookup.cc, create.cc, remove.cc, rename.cc, attributes.cc,
// io.cc, ioctl.cc, limits.cc, readdir.cc, xattr.cc. Contracts and errors are those of
// memfuse/filesystem.h.

#ifndef MEMFUSE_SRC_MEMFS_MEMFS_H_
#define MEMFUSE_SRC_MEMFS_MEMFS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "memfuse/memory_filesystem.h"
#include "src/memfs/directory.h"
#include "src/memfs/inode.h"
#include "src/memfs/inode_table.h"
#include "src/memfs/lock_order.h"
#include "src/memfs/passthrough_store.h"
#include "src/memfs/reclaim.h"

namespace memfuse::memfs {

using DirectoryRef = base::RefPtr<Directory>;
using RegularFileRef = base::RefPtr<RegularFile>;

// An operation that handles as many bytes takes a millisecond and more: it leaves its seat.
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
  // What a new inode is to be.
  struct NewNode {
    uint32_t mode = 0;  // with type; not yet masked
    uint32_t umask = 0;
    uint32_t rdev = 0;
    std::string_view target;  // symbolic links
    bool open = false;        // open it too, with these flags
    uint32_t open_flags = 0;
  };

  explicit MemFs(const MemoryFileSystemOptions& options);

  // The store that the options name. ResourceExhausted, and as PassthroughStore::Make.
  absl::Status MakeStore();
  // A tmpfs keeps file data from now on; while there are no files. As PassthroughStore::Make.
  absl::Status UseShmem();

  // What STATFS says: what is reserved and not used is free, and so is what removed inodes take.
  FileSystemStatistics Statistics();
  // As the public one, on somebody's behalf.
  Result<void> SetLimits(const RequestContext& context, uint64_t size_limit, uint64_t inode_limit);
  Result<void> TrySetLimits(uint64_t size_limit, uint64_t inode_limit);
  // Of memfuse/ioctl.h, by their command; and their answers, with the errors there.
  bool MayChange(const RequestContext& context) const;
  static bool IsLimitsIoctl(uint32_t command);
  Result<IoctlResult> LimitsIoctl(const RequestContext& context, const IoctlRequest& request);

  // ESTALE; then ENOTDIR, or for FindRegular EISDIR (a directory) and EINVAL.
  Result<InodeRef> FindInode(InodeNumber ino) const;
  Result<DirectoryRef> FindDirectory(InodeNumber ino) const;
  Result<RegularFileRef> FindRegular(InodeNumber ino) const;

  // ENAMETOOLONG, ENOENT (empty).
  static Result<void> CheckName(std::string_view name);

  // Owner, mode and ACLs of a new inode in `parent`; into `inode`, which nobody else sees yet.
  Result<void> InheritFrom(const Directory& parent, const RequestContext& context,
                           const NewNode& node, Timestamp now, Inode* inode)
      ABSL_LOCKS_EXCLUDED(parent.mu, inode->mu);
  // An inode without a name, not in the table yet. ENOSPC, ENOMEM.
  Result<InodeRef> NewInode(const RequestContext& context, const Directory& parent,
                            const NewNode& node, Timestamp now);
  // An inode, its name, one lookup; and, where it is to be opened, an open.
  Result<Entry> MakeNode(const RequestContext& context, InodeNumber parent, std::string_view name,
                         const NewNode& node, OpenResult* open = nullptr);
  // The same, with RetryAfterReclaim; and the other two makers of names that take space.
  Result<Entry> MakeNodeOrRetry(const RequestContext& context, InodeNumber parent,
                                std::string_view name, const NewNode& node,
                                OpenResult* open = nullptr);
  Result<CreateResult> MakeTmpfile(const RequestContext& context, const CreateRequest& request);
  Result<Entry> MakeLink(const LinkRequest& request);

  // Takes an inode that was marked dead out of the table. Without locks.
  void EvictInode(const InodeRef& inode);

  Result<void> MoveName(const RequestContext& context, const RenameRequest& request);
  // `away` is the child of `from` on the way down to `to`, `back` the child of `to` on the way to
  // `from`. `dead` is what is to be evicted after the locks.
  Result<void> RenameLocked(const RequestContext& context, const RenameRequest& request,
                            Directory* from, Directory* to, InodeNumber away, InodeNumber back,
                            InodeRef* dead)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(from->names_mu, to->names_mu);
  // The child of `ancestor` on the way to `directory`, or kNoInode if that way does not exist.
  InodeNumber ChildTowards(const Directory& ancestor, const Directory& directory) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(rename_mu_);

  // Carries out `operation`, which changes nothing where it answers ENOSPC; and once more where
  // space of removed files may have come meanwhile. `ino` is the inode that takes the space, or
  // kNoInode for one that is made for the caller; `bytes` is how much it takes, beside a little.
  // Without locks.
  template <typename Operation>
  auto RetryAfterReclaim(const RequestContext& context, InodeNumber ino, uint64_t bytes,
                         Operation operation) -> decltype(operation()) {
    const uint64_t seen = reclaim_.progress();
    auto result = operation();
    if (result.ok() || result.error() != ENOSPC) return result;
    return WaitForReclaim(context, ino, bytes, seen) ? operation() : result;
  }
  // The wait of that; `seen` is what Reclaim::progress() was before the operation. False: nothing
  // was reclaimed since, and there is nothing to wait for.
  bool WaitForReclaim(const RequestContext& context, InodeNumber ino, uint64_t bytes,
                      uint64_t seen);
  // Before a file is opened for writing by a kernel that writes by itself: it would find no space
  // while removed files are still being freed. `owner`: who owns the file.
  void WaitForWritableSpace(const RequestContext& context, uint32_t owner);
  // What the data of a file takes, in bytes.
  static uint64_t DataBytes(RegularFile* file) ABSL_LOCKS_EXCLUDED(file->mu);
  Result<void> DoFallocate(const RequestContext& context, const FallocateRequest& request);
  Result<uint64_t> DoCopyFileRange(const RequestContext& context,
                                   const CopyFileRangeRequest& request);
  Result<void> DoSetxattr(const SetxattrRequest& request);
  Result<AttributesResult> DoSetattr(const RequestContext& context, const SetattrRequest& request);
  // The data of `file` changed, at `time` if it is known, and else just now.
  static void NoteDataChange(const RequestContext& context, RegularFile* file, bool kill_suidgid,
                             std::optional<Timestamp> time = std::nullopt);
  // `inode` was read: moves its atime as relatime or strictatime says, where it is kept.
  void NoteAccess(Inode* inode) const ABSL_LOCKS_EXCLUDED(inode->mu);
  // S_ISGID where the group may not execute goes too, unless the caller is in the file's group or
  // has CAP_FSETID (setattr_should_drop_sgid of the kernel). `unprivileged`: the kernel has found
  // the caller without CAP_FSETID. Without locks: it asks /proc about the caller.
  static void KillGroupBitOfStrangers(const RequestContext& context, bool unprivileged,
                                      Inode* inode) ABSL_LOCKS_EXCLUDED(inode->mu);
  // Whether the caller is to see the names of trusted.* attributes: CAP_SYS_ADMIN, as on tmpfs.
  static bool MaySeeTrusted(const RequestContext& context);

  // Last used by Entry::generation: tells this mount from an earlier one at the same place.
  const uint64_t generation_;
  std::atomic<bool> atime_;     // keep access times
  const bool directory_atime_;  // those of directories, too
  const bool strictatime_;      // not as with relatime: every read moves them
  const bool xattr_;            // keep extended attributes
  const MemoryFileSystemOptions options_;
  std::string data_description_;  // constant from the first request on
  std::string data_options_;      // constant from the first request on
  PassthroughStore* shmem_ =
      nullptr;  // the store, if it is one; constant from the first request on
  Resources resources_;
  InodeTable table_;
  Reclaim reclaim_{&resources_.removed};

  RenameMutex rename_mu_;  // guards where directories are: every change of a directory's parent

  LimitsMutex limits_mu_;  // held while limits are changed
  std::string mount_options_ ABSL_GUARDED_BY(limits_mu_);

  std::atomic<uint64_t> trimmed_at_{0};  // most bytes that were used since memory was given back
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_MEMFS_H_
