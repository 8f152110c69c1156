#include "tests/fuzz/server.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <limits>
#include <string>
#include <thread>

#include "memfuse/ioctl.h"
#include "tests/fuzz/fail.h"
#include "tests/fuzz/request.h"
#include "tests/testing/caller.h"
#include "tests/testing/listing.h"

namespace memfuse::fuzz {
namespace {

// A file of more than 4 MiB is freed by the reclaim thread; two such files do not fit.
constexpr uint64_t kBytesLimit = 6 << 20;
constexpr uint64_t kInodesLimit = 40;
static_assert(kBytesLimit <= kMaxBytesLimit && kInodesLimit <= kMaxInodesLimit);
constexpr uint32_t kRootMode = 01777;
// How long the reclaim thread may take.
constexpr std::chrono::seconds kReclaimTimeout{10};

std::unique_ptr<MemoryFileSystem> MakeFileSystem(bool writeback, bool huge_pages) {
  MemoryFileSystemOptions options;
  options.size_limit = kBytesLimit;
  options.inode_limit = kInodesLimit;
  options.root_mode = kRootMode;
  // Without root, too, requests of this process may change the limits.
  options.administrator = geteuid();
  if (writeback) {
    options.writeback_cache = true;
    options.strictatime = true;
    options.nodiratime = true;
  }
  if (huge_pages) options.huge = "within_size";
  auto made = MemoryFileSystem::Make(options);
  if (huge_pages && !made.ok()) return MakeFileSystem(writeback, /*huge_pages=*/false);
  if (!made.ok()) Fail("no file system: %s", std::string(made.status().message()).c_str());
  (*made)->SetMountOptions("option=value");
  if (!(*made)->Connected({}).ok()) Fail("the file system does not start");
  return *std::move(made);
}

template <typename T>
absl::Span<const char> BytesOf(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

}  // namespace

Server::Server(bool writeback, bool huge_pages)
    : fs_(MakeFileSystem(writeback, huge_pages)),
      empty_usage_(fs_->Usage()),
      empty_statistics_(*fs_->Statfs({}, {kRootInode})) {}

Server::~Server() { fs_->Disconnected(); }

void Server::Empty(absl::Span<const Held* const> workers, bool exact) {
  ClearFlags(kRootInode);
  RemoveNames(kRootInode);
  for (const Held* held : workers) {
    for (const Held::Open& open : held->opens) {
      const Result<void> released = fs_->Release({}, {InodeNumber{open.ino}, {}, open.flags});
      if (exact && !released.ok()) Fail("an open file cannot be released");
    }
  }
  for (const Held* held : workers) {
    for (const auto& [ino, count] : held->lookups) {
      fs_->Forget({InodeNumber{ino}, exact ? count : std::numeric_limits<uint64_t>::max()});
    }
  }
  ResetRoot();
  ExpectEmpty();
}

void Server::KeepAccessTimes() {
  RequestContext context;
  context.pid = static_cast<uint32_t>(getpid());
  const uint32_t keep = 1;
  IoctlRequest request{};
  request.ino = kRootInode;
  request.command = MEMFUSE_IOC_SET_ATIME;
  request.input = BytesOf(keep);
  if (!fs_->Ioctl(context, request).ok()) Fail("MEMFUSE_IOC_SET_ATIME");
}

void Server::RemoveNames(InodeNumber directory) {
  const test::Caller caller(fs_.get());
  test::Listing listing;
  if (!caller.Readdir(directory, /*offset=*/0, /*plus=*/false, &listing).ok()) Fail("READDIR");
  for (const test::Listing::Item& item : listing.items) {
    if (item.name == "." || item.name == "..") continue;
    const Result<Entry> entry = caller.Lookup(directory, item.name);
    if (!entry.ok()) Fail("a listed name is missing: errno %d", entry.error().value());
    ClearFlags(entry->ino);
    Result<void> removed;
    if (S_ISDIR(entry->attributes.mode)) {
      RemoveNames(entry->ino);
      removed = caller.Rmdir(directory, item.name);
    } else {
      removed = caller.Unlink(directory, item.name);
    }
    if (!removed.ok()) Fail("a name cannot be removed: errno %d", removed.error().value());
    caller.Forget(entry->ino);
  }
}

void Server::ClearFlags(InodeNumber ino) {
  const uint32_t flags = 0;
  IoctlRequest request{};
  request.ino = ino;
  request.command = FS_IOC_SETFLAGS;
  request.input = BytesOf(flags);
  if (!fs_->Ioctl({}, request).ok()) Fail("FS_IOC_SETFLAGS");
}

void Server::ResetRoot() {
  const test::Caller caller(fs_.get());
  const Result<std::string> names = caller.Listxattr(kRootInode);
  if (!names.ok()) Fail("LISTXATTR");
  for (size_t at = 0; at < names->size();) {
    const std::string name(names->c_str() + at);
    if (!caller.Removexattr(kRootInode, name).ok()) Fail("REMOVEXATTR");
    at += name.size() + 1;
  }
  if (!caller.Chmod(kRootInode, kRootMode).ok()) Fail("the mode of the root");
  if (!caller.Chown(kRootInode, 0, 0).ok()) Fail("the owner of the root");
}

void Server::ExpectEmpty() {
  const auto is_empty = [this](const MemoryFileSystemUsage& usage) {
    return usage.inodes_used == 1 && usage.bytes_used == empty_usage_.bytes_used &&
           usage.data_bytes == 0;
  };
  // The reclaim thread may still free a large file.
  const auto deadline = std::chrono::steady_clock::now() + kReclaimTimeout;
  MemoryFileSystemUsage usage = fs_->Usage();
  while (!is_empty(usage) && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    usage = fs_->Usage();
  }
  if (!is_empty(usage)) {
    Fail("left behind: %llu inodes, %lld bytes, of these %llu bytes of data",
         static_cast<unsigned long long>(usage.inodes_used - 1),
         static_cast<long long>(usage.bytes_used - empty_usage_.bytes_used),
         static_cast<unsigned long long>(usage.data_bytes));
  }
  if (!fs_->SetLimits(kBytesLimit, kInodesLimit).ok()) Fail("the limits cannot be set");
  // The statistics contain, in addition, what is removed and not freed yet. The reclaim thread
  // lowers that number after it has freed a piece.
  FileSystemStatistics statistics = *fs_->Statfs({}, {kRootInode});
  const auto differ = [&] {
    return statistics.blocks_free != empty_statistics_.blocks_free ||
           statistics.inodes_free != empty_statistics_.inodes_free;
  };
  while (differ() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    statistics = *fs_->Statfs({}, {kRootInode});
  }
  if (differ()) {
    Fail("statistics: %llu free blocks instead of %llu, %llu free inodes instead of %llu",
         static_cast<unsigned long long>(statistics.blocks_free),
         static_cast<unsigned long long>(empty_statistics_.blocks_free),
         static_cast<unsigned long long>(statistics.inodes_free),
         static_cast<unsigned long long>(empty_statistics_.inodes_free));
  }
}

}  // namespace memfuse::fuzz
