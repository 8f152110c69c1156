// The file system in RAM: an implementation of MemoryFileSystem that uses the inode table.
//
// There is one source file per family of operations: lookup.cc, create.cc, remove.cc, rename.cc,
// attributes.cc, io.cc, ioctl.cc, readdir.cc, xattr.cc; memory_filesystem.cc has the methods
// that are no operations, and Statfs. The contracts and errors are those of memfuse/filesystem.h.
// What several families share has a header of its own:
//
//    inodes.h              finding and evicting inodes
//    new_inode.h           making inodes
//    data_change.h         times and privileges after a change of data
//    access_times.h        times after a read
//    limits.h              limits and their ioctl(2) commands
//    store_selection.h     the data store
//    tree_usage.h          what directories, types and single files store
//    completed_requests.h  requests that the predecessor has carried out
//    space_waiter.h        (reclaim) trying again after ENOSPC

#ifndef MEMFUSE_SRC_MEMFS_OPS_MEMFS_H_
#define MEMFUSE_SRC_MEMFS_OPS_MEMFS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "memfuse/memory_filesystem.h"
#include "src/memfs/ops/access_times.h"
#include "src/memfs/ops/completed_requests.h"
#include "src/memfs/ops/directory_paths.h"
#include "src/memfs/ops/inodes.h"
#include "src/memfs/ops/limits.h"
#include "src/memfs/ops/store_selection.h"
#include "src/memfs/ops/tree_quotas.h"
#include "src/memfs/reclaim/reclaim.h"
#include "src/memfs/reclaim/space_waiter.h"

namespace memfuse::memfs {

class MemFs final : public MemoryFileSystem {
 public:
  static absl::StatusOr<std::unique_ptr<MemFs>> Make(const MemoryFileSystemOptions& options);
  // What a process that has died, or that gives its file system away, leaves to its successor: two
  // memory files, or a memory file and the mount of a private tmpfs.
  struct FilesOfPredecessor {
    base::UniqueFd records;  // record_descriptor()
    base::UniqueFd data;     // data_descriptor(); not valid if that is -1
  };
  // Makes the file system again from these files: names, attributes, extended attributes, file
  // data, limits, rules of quotas, and the lookups and opens of the kernel. The limits and rules
  // are those that were set last, and huge= is that of the predecessor; the other options have to
  // be equal to the predecessor's. A limit that is below the present usage becomes the usage.
  // Returns the errors of RecordFile::Open, RebuildTree and StoreSelection::Adopt. Throws
  // std::bad_alloc. Closes `files` if it fails, and leaves the memory files as they were: a caller
  // that has kept duplicates of the descriptors can call it again. Requires: the predecessor does
  // not run any more, or was abandoned.
  static absl::StatusOr<std::unique_ptr<MemFs>> Recover(const MemoryFileSystemOptions& options,
                                                        FilesOfPredecessor files);
  RecordFile* records() const { return resources_.records.get(); }
  // The files for a successor, or -1. The object owns them.
  int record_descriptor() const { return resources_.records->descriptor(); }
  int data_descriptor() const { return resources_.store->descriptor(); }
  void Abandon() override;

  MemoryFileSystemFiles files() const override { return {record_descriptor(), data_descriptor()}; }
  MemoryFileSystemUsage Usage() const override;
  Result<void> SetQuota(const QuotaRule& rule) override;
  Result<void> CheckQuota(const QuotaRule& rule) override;
  std::vector<QuotaRule> Quotas() override {
    return tree_quotas_.WithPaths(resources_.accounts.Rules());
  }
  std::vector<Refusal> Refusals() override;
  std::vector<QuotaUsage> UsageByOwner() override;
  std::string PathOfDirectory(InodeNumber ino) override {
    constexpr uint64_t kMaxEntries = 10'000;
    return directory_paths_.PathOf(ino, kMaxEntries);
  }
  Result<TreeUsage> UsageOfTree(std::string_view path, UsageWalk* walk) const override;
  NamelessUsage UsageOfNameless(std::optional<uint32_t> uid, UsageWalk* walk) const override;
  Result<void> SetLimits(uint64_t size_limit, uint64_t inode_limit) override {
    // The calling thread need not belong to a session.
    return limits_.Set(/*observer=*/nullptr, size_limit, inode_limit);
  }
  void SetCeiling(uint64_t bytes) override { limits_.SetCeiling(bytes); }
  void SetMountOptions(std::string text) override { limits_.SetMountOptions(std::move(text)); }
  void ReleaseUnusedMemory() override;
  bool wants_backing_files() const override { return store_selection_.wants_backing_files(); }
  std::string DescribeData() const override { return store_selection_.description(); }
  std::string DataOptions() const override { return store_selection_.options(); }

  absl::Status Connected(const Host& host) override;
  void Disconnected() override;
  void InRequest(const RequestContext& context, absl::FunctionRef<void()> serve) override;

  Result<Entry> Lookup(const RequestContext& context, const LookupRequest& request) override;
  void Forget(const ForgetRequest& request) override;
  uint32_t ForgetsDone(const RequestContext& context) override {
    return static_cast<uint32_t>(completed_.Take(context).value_or(0));
  }
  uint32_t LookupsGiven(const RequestContext& context) override {
    return static_cast<uint32_t>(completed_.Take(context).value_or(0));
  }

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
  MemFs(const MemoryFileSystemOptions& options, std::unique_ptr<RecordFile> records,
        uint64_t size_limit, uint64_t inode_limit);

  // Makes the root directory and the store. Returns InvalidArgument (a limit is too small) or the
  // errors of StoreSelection::Make.
  absl::Status MakeRoot();
  // Sets the limits, or where they are below the present usage, this as the limit. Returns as
  // SetLimits does.
  Result<void> SetLimitsAbove(uint64_t size_limit, uint64_t inode_limit);

  // Counts a lookup of the inode, and returns the entry for the kernel. `result` is that of the
  // request so far (RequestScope).
  Entry CountLookup(Inode* inode, uint64_t result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(inode->mu);
  // The replies to requests that another process has completed: an entry whose lookup was counted,
  // and an open that was counted. Return ESTALE if there is no such inode; OpenAgain also the
  // errors of FileData::Open.
  Result<Entry> EntryAgain(InodeNumber ino);
  Result<OpenResult> OpenAgain(InodeNumber ino, uint32_t flags);
  Result<CreateResult> CreateAgain(InodeNumber ino, uint32_t flags);
  // The attributes for the kernel.
  AttributesResult ReadAttributes(Inode* inode) ABSL_LOCKS_EXCLUDED(inode->mu);
  // Makes the directories of the path that do not exist.
  Result<void> MakeDirectories(const std::string& path);

  const MemoryFileSystemOptions options_;
  Resources resources_;
  CompletedRequests completed_{resources_.records.get()};
  StoreSelection store_selection_{&options_, &resources_};
  Reclaim reclaim_{&resources_.removed};
  Inodes inodes_;  // destroyed before what its inodes use
  SpaceWaiter space_{&resources_, inodes_.table(), &reclaim_};
  AccessTimes access_times_;
  Limits limits_;
  DirectoryPaths directory_paths_{&inodes_};
  TreeQuotas tree_quotas_{&inodes_, &directory_paths_};
  LimitsMutex quotas_mu_;              // held while a rule is set; guards resources_.quota_records
  bool truncates_by_setattr_ = false;  // constant from the first request on: see Connected

  // For a file system that was recovered, until ForgetRest was called. The kernel sends requests
  // again before it sends new ones that expect a reply.
  std::atomic<bool> awaits_new_request_{false};
  // base::MonotonicNanoseconds when ForgetRest may be called; 0: not yet, or it was called
  std::atomic<uint64_t> forget_rest_at_{0};
  // maximum of heap bytes in use since the last malloc_trim(3)
  std::atomic<uint64_t> trimmed_at_{0};
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_OPS_MEMFS_H_
