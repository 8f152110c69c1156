#include "memfuse/memory_filesystem.h"

#include <malloc.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "src/base/clock.h"
#include "src/base/error_text.h"
#include "src/memfs/data/arena.h"
#include "src/memfs/ops/memfs.h"
#include "src/memfs/ops/tree_usage.h"
#include "src/memfs/tree/attribute_changes.h"
#include "src/memfs/tree/changes.h"
#include "src/memfs/tree/make_inode.h"
#include "src/memfs/tree/rebuild.h"

namespace memfuse {

absl::StatusOr<std::unique_ptr<MemoryFileSystem>> MemoryFileSystem::Make(
    const MemoryFileSystemOptions& options) {
  absl::StatusOr<std::unique_ptr<memfs::MemFs>> fs = memfs::MemFs::Make(options);
  if (!fs.ok()) return fs.status();
  return std::unique_ptr<MemoryFileSystem>(*std::move(fs));
}

absl::StatusOr<std::unique_ptr<MemoryFileSystem>> MemoryFileSystem::Recover(
    const MemoryFileSystemOptions& options, const MemoryFileSystemFiles& files) {
  absl::StatusOr<std::unique_ptr<memfs::MemFs>> fs =
      memfs::MemFs::Recover(options, {base::UniqueFd(files.records), base::UniqueFd(files.data)});
  if (!fs.ok()) return fs.status();
  return std::unique_ptr<MemoryFileSystem>(*std::move(fs));
}

namespace memfs {
namespace {

// A thread looks for the result of a request that came again a few microseconds after it has read
// it. Other threads cannot see when it has done so, and after this time it has.
constexpr uint64_t kForgetRestAfter = 60'000'000'000;  // nanoseconds

}  // namespace

absl::StatusOr<std::unique_ptr<MemFs>> MemFs::Make(const MemoryFileSystemOptions& options) {
  absl::StatusOr<std::unique_ptr<RecordFile>> records = RecordFile::Make();
  if (!records.ok()) return records.status();
  std::unique_ptr<MemFs> fs(
      new MemFs(options, *std::move(records), options.size_limit, options.inode_limit));
  std::vector<QuotaRule> trees;
  for (const QuotaRule& rule : options.quotas) {
    if (rule.kind == QuotaKind::kTree) {
      trees.push_back(rule);
    } else {
      (void)fs->SetQuota(rule);  // cannot fail
    }
  }
  if (absl::Status made = fs->MakeRoot(); !made.ok()) return made;
  // A directory is made the root of a tree before there is anything in it.
  std::sort(trees.begin(), trees.end(),
            [](const QuotaRule& a, const QuotaRule& b) { return a.path < b.path; });
  for (const QuotaRule& rule : trees) {
    Result<void> set = fs->MakeDirectories(rule.path);
    if (set.ok()) set = fs->SetQuota(rule);
    if (!set.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the quota of '", rule.path, "' cannot be set: ", base::ErrorText(set.error().value())));
    }
  }
  return fs;
}

absl::Status MemFs::MakeRoot() {
  const Owner owner{options_.root_uid, options_.root_gid};
  const AccountRef account = resources_.accounts.Find(owner);
  Reservation charge;
  const Result<void> charged =
      charge.Reserve(account.get(), InodeCost(S_IFDIR, /*target_size=*/0, /*store=*/nullptr));
  if (options_.size_limit == 0 || (!charged.ok() && charged.error() == ENOSPC)) {
    return absl::InvalidArgumentError("the size is too small for even an empty file system");
  }
  if (!charged.ok()) {
    return absl::InvalidArgumentError("a quota is too small for the root directory");
  }
  if (absl::Status made = store_selection_.Make(); !made.ok()) return made;
  InodeReservation slot;
  if (!slot.Reserve(account.get()).ok()) {
    return absl::InvalidArgumentError("the number of inodes has to be at least 1, also in a quota");
  }
  const Timestamp now = base::Now();
  resources_.root()->generation = static_cast<uint64_t>(now.seconds) & 0xffffffff;
  resources_.RecordLimits();
  InodeRecordHolder record = NewInodeRecord(resources_.records.get(), kRootInode, S_IFDIR, now);
  record->parent = ToInt(kRootInode);
  const auto root =
      DirectoryRef::Adopt(new Directory(&resources_, std::move(record), std::move(charge)));
  NewAttributes attributes;
  attributes.permissions = options_.root_mode & 07777;
  attributes.owner = owner;
  (void)AttributeChanges::Init(root.get(), attributes, now);  // cannot fail without an ACL
  AddRoot(root.get(), now);
  inodes_.table()->Insert(InodeRef(root.get()));
  slot.Keep();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<MemFs>> MemFs::Recover(const MemoryFileSystemOptions& options,
                                                      FilesOfPredecessor files) {
  absl::StatusOr<std::unique_ptr<RecordFile>> opened = RecordFile::Open(std::move(files.records));
  if (!opened.ok()) return opened.status();
  const auto* const root = static_cast<const RootRecord*>((*opened)->root());
  const uint64_t size_limit = root->size_limit;
  const uint64_t inode_limit = root->inode_limit;
  // Nothing that exists may be refused, regardless of the limits.
  std::unique_ptr<MemFs> fs(new MemFs(options, *std::move(opened), kMaxSizeLimit, kMaxInodeLimit));
  // After a failure the file still has all records, for another attempt.
  absl::Cleanup abandon = [&fs] { fs->Abandon(); };
  if (absl::Status made = fs->store_selection_.Adopt(std::move(files.data), size_limit);
      !made.ok()) {
    return made;
  }
  const absl::StatusOr<RebuiltTree> rebuilt = RebuildTree(&fs->resources_, fs->inodes_.table());
  if (!rebuilt.ok()) return rebuilt.status();
  if (!fs->SetLimitsAbove(size_limit, inode_limit).ok()) {
    return absl::ResourceExhaustedError("the limits cannot be set");
  }
  fs->resources_.quota_records.ForEach(
      [&fs](const QuotaRule& rule) { fs->resources_.accounts.SetRule(rule); });
  std::move(abandon).Cancel();
  fs->awaits_new_request_.store(true);
  return fs;
}

Result<void> MemFs::SetLimitsAbove(uint64_t size_limit, uint64_t inode_limit) {
  // The kernel may write to files of the passthrough store after the usage was counted.
  constexpr int kTries = 3;
  Result<void> set;
  for (int i = 0; i < kTries; ++i) {
    const MemoryFileSystemUsage usage = Usage();
    // The passthrough store may need a page for data besides what is charged, in whole pages.
    const uint64_t least = i == 0 ? usage.bytes_used : usage.bytes_used + 2 * kPageSize;
    set = SetLimits(std::max(size_limit, least), std::max(inode_limit, usage.inodes_used));
    if (set.ok() || set.error() != EINVAL) break;
  }
  return set;
}

void MemFs::InRequest(const RequestContext& context, absl::FunctionRef<void()> serve) {
  if (!options_.recoverable) return serve();
  if (awaits_new_request_.load(std::memory_order_relaxed) && !context.resent &&
      context.expects_reply && awaits_new_request_.exchange(false)) {
    forget_rest_at_.store(base::MonotonicNanoseconds() + kForgetRestAfter);
  }
  const RequestScope scope(resources_.records.get(), ToInt(context.id));
  serve();
}

void MemFs::Abandon() {
  resources_.records->SetAbandoned(true);
  if (resources_.store != nullptr) resources_.store->Abandon();
}

MemFs::MemFs(const MemoryFileSystemOptions& options, std::unique_ptr<RecordFile> records,
             uint64_t size_limit, uint64_t inode_limit)
    : options_(options),
      resources_(size_limit, inode_limit, std::move(records)),
      inodes_(&resources_, &reclaim_),
      access_times_(options),
      limits_(&resources_, &reclaim_, &access_times_, options.administrator) {}

absl::Status MemFs::Connected(const Host& host) {
  resources_.host = host;
  reclaim_.Start();
  truncates_by_setattr_ = host.backing_files != nullptr;
  return store_selection_.Connected(host.backing_files);
}

void MemFs::Disconnected() {
  // The files that the reclaim thread frees may be registered as backing files.
  reclaim_.Stop();
  store_selection_.Disconnected();
  resources_.host = Host();
}

MemoryFileSystemUsage MemFs::Usage() const {
  const Budget& budget = resources_.budget;
  const DataStore& store = *resources_.store;
  const uint64_t data = store.data_bytes();
  const uint64_t used = budget.bytes_used() + (store.kernel_writes() ? data : 0);
  return {budget.total(),           used, budget.inode_limit(),
          budget.inodes_used(),     data, reclaim_.pending_bytes(),
          reclaim_.pending_inodes()};
}

Result<void> MemFs::MakeDirectories(const std::string& path) {
  MEMFUSE_ASSIGN_OR_RETURN(const std::vector<std::string_view> names, SplitPath(path));
  RequestContext context{};
  context.uid = options_.root_uid;
  context.gid = options_.root_gid;
  InodeNumber parent = kRootInode;
  std::vector<InodeNumber> looked_up;
  Result<void> result;
  for (const std::string_view& name : names) {
    Result<Entry> entry = Lookup(context, {parent, name});
    if (!entry.ok() && entry.error() == ENOENT) {
      MkdirRequest request{};
      request.parent = parent;
      request.name = name;
      request.mode = &name == &names.back() ? options_.root_mode & 07777 : 0755;
      entry = Mkdir(context, request);
    }
    if (!entry.ok()) {
      result = entry.error();
      break;
    }
    parent = entry->ino;
    looked_up.push_back(parent);
  }
  for (const InodeNumber ino : looked_up) Forget({ino, 1});
  return result;
}

Result<void> MemFs::SetQuota(const QuotaRule& rule) {
  if (rule.kind == QuotaKind::kTree) {
    MEMFUSE_ASSIGN_OR_RETURN(const DirectoryRef directory, tree_quotas_.Find(rule));
    MutexLock lock(&quotas_mu_);
    return TreeQuotas::Set(directory.get(), rule, &resources_.quota_records);
  }
  if (rule.id.has_value() && *rule.id > std::numeric_limits<uint32_t>::max()) return Errno(EINVAL);
  MutexLock lock(&quotas_mu_);
  QuotaRecords::Prepared record = resources_.quota_records.Prepare(rule);
  resources_.accounts.SetRule(rule);
  Transaction change(resources_.records.get());
  record.Store(&change, rule);
  change.Commit();
  return {};
}

Result<void> MemFs::CheckQuota(const QuotaRule& rule) {
  if (rule.kind == QuotaKind::kTree) return tree_quotas_.Check(rule);
  return {};
}

std::vector<Refusal> MemFs::Refusals() {
  std::vector<Refusal> refusals = resources_.refusals.List();
  for (Refusal& refusal : refusals) {
    if (refusal.owner == Refusal::Owner::kTree) {
      refusal.path = directory_paths_.PathOf(InodeNumber{refusal.id});
    }
  }
  return refusals;
}

std::vector<QuotaUsage> MemFs::UsageByOwner() {
  if (resources_.store->kernel_writes()) {
    // Looks at the files that the kernel may have written to since the last look.
    inodes_.table()->ForEach([](const InodeRef& inode) {
      if (inode->is_regular()) (void)static_cast<RegularFile*>(inode.get())->DataBytes();
      return true;
    });
  }
  return tree_quotas_.WithPaths(resources_.accounts.Usage());
}

Result<TreeUsage> MemFs::UsageOfTree(std::string_view path, UsageWalk* walk) const {
  return WalkTree(inodes_, path, walk);
}

NamelessUsage MemFs::UsageOfNameless(std::optional<uint32_t> uid, UsageWalk* walk) const {
  NamelessUsage usage = FindNameless(inodes_, uid, walk);
  // Whose data it is, is not known any more.
  if (!uid.has_value()) usage.being_freed = reclaim_.bytes_in_background();
  return usage;
}

void MemFs::ReleaseUnusedMemory() {
  if (const uint64_t time = forget_rest_at_.load();
      time != 0 && base::MonotonicNanoseconds() >= time) {
    completed_.ForgetRest();
    forget_rest_at_.store(0);
  }
  resources_.store->ReleaseUnused(/*all=*/false);
  // What is charged, except the pages of files, lies in the heap or in the record file, which gives
  // its memory back by itself. The high-water mark since the last malloc_trim(3) shows whether
  // enough was freed to justify the next one, which takes the locks of the heap.
  constexpr uint64_t kWorthwhile = 4 << 20;
  const MemoryFileSystemUsage usage = Usage();
  const uint64_t heap =
      usage.bytes_used > usage.data_bytes ? usage.bytes_used - usage.data_bytes : 0;
  const uint64_t mark = trimmed_at_.load(std::memory_order_relaxed);
  if (heap + kWorthwhile > mark) {
    trimmed_at_.store(std::max(heap, mark), std::memory_order_relaxed);
    return;
  }
  malloc_trim(0);
  trimmed_at_.store(heap, std::memory_order_relaxed);
}

Result<FileSystemStatistics> MemFs::Statfs(const RequestContext&, const StatfsRequest& request) {
  FileSystemStatistics statistics = limits_.Statistics();
  if (const InodeRef inode = inodes_.table()->Find(request.ino)) {
    ApplyTreeLimits(*inode, &statistics);
  }
  return statistics;
}

}  // namespace memfs
}  // namespace memfuse
