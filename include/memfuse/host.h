// What the server of a file system (a Session) offers to it. A FileSystem receives a Host in
// Connected and may use it until Disconnected returns.
//
//   BackingFiles      files that the kernel reads and writes without the server (passthrough)
//   BlockingObserver  reports of threads that block or compute for a long time
//   Notifier          messages that make the kernel drop what it has cached
//
// Each part may be missing; its pointer in the Host is then null. All methods may be called from
// any thread.

#ifndef MEMFUSE_HOST_H_
#define MEMFUSE_HOST_H_

#include <cstdint>
#include <string_view>

#include "absl/types/span.h"
#include "memfuse/errno.h"
#include "memfuse/types.h"

namespace memfuse {

// Files of the server that the kernel reads and writes by itself, once an open was answered with
// their number (FUSE passthrough, Linux 6.9 and newer).
class BackingFiles {
 public:
  // Registers the file that is open as `descriptor` (O_PATH is sufficient). The caller may close
  // the descriptor afterwards. Returns: the number of the backing file, > 0. Errors: EPERM (no
  // CAP_SYS_ADMIN), ELOOP (the file is on a file system that is stacked on others), EINVAL (not a
  // regular file), ENOMEM.
  virtual Result<int32_t> Register(int descriptor) = 0;
  // Ends the registration. Files that were opened with the number stay open.
  virtual void Unregister(int32_t id) = 0;

 protected:
  ~BackingFiles() = default;
};

// A session serves requests with few threads. An operation that allocates, copies or frees
// gigabytes, or that waits for the effect of another request, keeps its thread from serving other
// requests. As many such operations as there are threads would stop the session. An operation
// therefore reports the time for which its thread is busy, and a spare worker serves requests
// during that time.
class BlockingObserver {
 public:
  // Returns whether another thread can serve requests while the calling thread blocks. False for a
  // thread that no other thread can replace: one that serves a queue of io_uring, or that does not
  // belong to the session. BeginBlocking and EndBlocking then have no effect.
  virtual bool CanReplaceCallingThread() const = 0;

  // Requires: the calling thread holds no lock, because BeginBlocking may start a thread. The same
  // thread calls EndBlocking. From BeginBlocking until EndBlocking a thread of the session serves
  // no other request. BeginBlocking costs about as much as waking a thread. Neither call fails: if
  // no other thread is available, the number of serving threads is lower until EndBlocking.
  virtual void BeginBlocking() = 0;
  virtual void EndBlocking() = 0;

 protected:
  ~BlockingObserver() = default;
};

// Calls BeginBlocking in the constructor and EndBlocking in the destructor. Does nothing if the
// observer is null or `worth` is false.
class ScopedBlockingCall {
 public:
  explicit ScopedBlockingCall(BlockingObserver* observer, bool worth = true)
      : observer_(worth ? observer : nullptr) {
    if (observer_ != nullptr) observer_->BeginBlocking();
  }
  ~ScopedBlockingCall() {
    if (observer_ != nullptr) observer_->EndBlocking();
  }
  ScopedBlockingCall(const ScopedBlockingCall&) = delete;
  ScopedBlockingCall& operator=(const ScopedBlockingCall&) = delete;

 private:
  BlockingObserver* const observer_;
};

// The kernel caches entries, attributes and data for as long as the file system permits. A change
// that the kernel did not request must be followed by a notification.
//
// Errors, for all methods: those of the method, then ENOENT (the kernel does not have the inode or
// the name in its cache, or the mount is gone: there is nothing to drop; Prune ignores such inodes)
// and ENOMEM.
//
// InvalidateAttributes takes no lock of the kernel that a request may hold. It may be called while
// a request is served and while locks of the file system are held. The other methods wait for locks
// that the kernel holds during a request on the same inode or directory, or for pages that are
// being written back by a request. They must be called without locks, and not while the calling
// thread serves a request. They must not be in progress when the session stops: the lock may belong
// to a request that no worker reads any more.
class Notifier {
 public:
  // The kernel drops the attributes of `ino`, and asks for them when it needs them.
  virtual Result<void> InvalidateAttributes(InodeNumber ino) = 0;
  // The kernel drops the attributes and `length` bytes of cached data from `offset` on; length 0:
  // all that follows `offset`. Dirty pages are written back first. Errors: EINVAL (the range ends
  // beyond the largest offset).
  virtual Result<void> InvalidateData(InodeNumber ino, uint64_t offset, uint64_t length) = 0;
  // The kernel drops what it knows of the name in the directory `parent`, including that it
  // does not exist, and looks the name up when it needs it. Errors: ENAMETOOLONG (more than 255
  // bytes), EINVAL (an empty name), ENOTDIR.
  virtual Result<void> InvalidateEntry(InodeNumber parent, std::string_view name) = 0;
  // The same after the name was removed from the file system. If it named `child`, the kernel also
  // sets the link count of the inode to 0, and refuses new names in a directory that is in
  // use. Programs that watch the directory are not informed. Errors: those of InvalidateEntry
  // (ENOENT also if the name has another inode), then EBUSY (a mount point), ENOTEMPTY (a directory
  // with cached entries).
  virtual Result<void> DeleteEntry(InodeNumber parent, InodeNumber child,
                                   std::string_view name) = 0;
  // The kernel drops names of the inodes that no program uses, and returns their lookups with
  // Forget soon after. Inodes that it does not have are ignored. At most kMaxPrune inodes. Errors:
  // EINVAL (more inodes, or the kernel is older than the message, which came with Linux 6.19).
  virtual Result<void> Prune(absl::Span<const InodeNumber> inodes) = 0;
  static constexpr size_t kMaxPrune = 512;

 protected:
  ~Notifier() = default;
};

struct Host {
  BackingFiles* backing_files = nullptr;  // null: passthrough was not agreed on
  BlockingObserver* blocking_observer = nullptr;
  Notifier* notifier = nullptr;
};

}  // namespace memfuse

#endif  // MEMFUSE_HOST_H_
