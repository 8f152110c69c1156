// A FUSE connection and the threads that serve it.
//
// Session::Mount opens /dev/fuse and mounts it. Session::Adopt takes descriptors that another
// process mounted, initialised or cloned (a privileged helper, SCM_RIGHTS, --fuse_fd). Both return
// once the connection is initialised (the kernel's INIT was answered) and every worker thread was
// started. Without io_uring each worker uses one descriptor of the connection: a reply goes to the
// descriptor from which the request was read, and the kernel wakes one reader per request.
//
// The channel itself (buffers, read and write calls) is private to the transport.
//
// Threads: all methods may be called from any thread except a worker, so they must not be called
// from inside a FileSystem method.

#ifndef MEMFUSE_SESSION_H_
#define MEMFUSE_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "memfuse/connection.h"
#include "memfuse/filesystem.h"
#include "memfuse/statistics.h"

namespace memfuse {

struct SessionOptions {
  // Number of workers, 1 to 512. Each has a descriptor of its own. Up to 8 spare workers are
  // started in addition while workers block (memfuse/host.h).
  int threads = 1;
  // Largest request in bytes: a power of two from 4 KiB to 1 MiB. The kernel's limit
  // (fs.fuse.max_pages_limit) may lower it.
  uint32_t max_write = 1 << 20;
  // Let the kernel collect small writes (FUSE_WRITEBACK_CACHE).
  bool writeback_cache = false;
  // Let the file system answer opens with backing files, if the kernel supports it
  // (FUSE_PASSTHROUGH). Excludes writeback_cache.
  bool passthrough = false;
  // Receive requests through io_uring, if the kernel offers it (module parameter enable_uring of
  // fuse, Linux 6.14). One worker then serves each possible CPU, and one more worker reads from a
  // descriptor the requests that the kernel does not send through io_uring. `threads` then has no
  // effect, and no spare worker replaces the worker of a queue.
  bool io_uring = false;
  // The kernel checks permissions and ACLs (default_permissions). Without this option only the
  // mounting user may access the mount, nothing is checked except access(2) and the execution of
  // files, and the kernel sends one fewer request for the attributes of a directory whenever a name
  // in it is made or removed. The mount also cannot be idmapped, which is possible with this option
  // from Linux 6.12 on. Setting it to false is correct only for a user without restrictions: Mount
  // fails if the effective user is not 0, or with MountOptions::allow_other.
  bool kernel_permissions = true;
  // Mechanisms that a benchmark can switch off to measure their effect. spare_workers: serve other
  // requests while workers block. idle_scheduling: the workers of io_uring use SCHED_IDLE while no
  // other thread wants their CPU. request_statistics: count and time requests; without it
  // Statistics and WorkerRequestCounts return zeros, and RecentRequests nothing.
  bool spare_workers = true;
  bool idle_scheduling = true;
  bool request_statistics = true;
  // Called with each descriptor of the connection before requests are read from it. Another process
  // that duplicates all of them can let a successor take the connection over (AdoptOptions). The
  // session owns the descriptor. May be called from any thread.
  std::function<void(int descriptor)> on_descriptor;
  // Called with each memory file into which requests are read, before one is. A successor that has
  // them carries out the requests that the kernel does not send again, because they expect no
  // reply. The session owns the descriptor. Called if on_descriptor is set; by any thread.
  std::function<void(int descriptor)> on_buffer;
  // Called twice, by workers: when the session has received its first request (false), and when it
  // has served one (true). It must not call the session.
  std::function<void(bool served)> on_first_request;
  // Answer requests that change the file system with EROFS, except WRITE of data that the kernel
  // had accepted before. For a server that takes over after several early crashes. The
  // mount stays writable for the kernel, and so do files that are passed through.
  bool read_only = false;
};

struct MountOptions {
  std::string mount_point;         // an existing directory
  std::string fsname = "memfuse";  // first field of /proc/mounts; not a path of a device
  bool allow_other = false;        // users other than the mounting user may access the mount
  bool read_only = false;
  bool nosuid = false, nodev = false, noexec = false;
  // Mount flags for /proc/mounts; the file system itself updates access times. fusermount3 supports
  // only noatime. The options that it does not support take effect nevertheless.
  bool noatime = false, nodiratime = false, strictatime = false;
  bool nosymfollow = false;  // root only
  // The amount of unwritten data of the mount that the kernel may keep; see
  // Session::BoundDirtyBytes.
  uint64_t max_dirty_bytes = 0;
  // Use fusermount3 even if mount(2) is permitted. For tests.
  bool force_helper = false;
};

class Session {
 public:
  // Mounts `fs` and starts to serve it. Requires: `fs` outlives the session. Returns: the session.
  // After an error nothing stays mounted. The error is one sentence for the user: InvalidArgument
  // (options), NotFound (mount point), FailedPrecondition (not a directory; served by a daemon that
  // has died; no /dev/fuse; fusermount3 missing), PermissionDenied, ResourceExhausted (descriptors,
  // memory or threads), DeadlineExceeded (no INIT), Internal, or the error of
  // FileSystem::Connected.
  static absl::StatusOr<std::unique_ptr<Session>> Mount(const MountOptions& mount,
                                                        const SessionOptions& options,
                                                        FileSystem* fs);

  struct AdoptOptions {
    // Descriptors of one connection, at least one. Adopt takes ownership of them. If there are
    // fewer than options.threads, the others are cloned.
    std::vector<int> descriptors;
    // Set if another process answered INIT: the parameters of that connection (minor > 0).
    ConnectionParameters initialized;
    // The path of the mount, if this session is to unmount it; may be empty.
    std::string mount_point;
    // Set if a process that has died served the connection: its state(). `descriptors` are then
    // all descriptors that SessionOptions::on_descriptor got, the first one first, and
    // `initialized` and `mount_point` have no effect. The session unmounts the mount that the other
    // process made. The kernel sends the requests again that the process has read and not answered;
    // before Linux 6.9 it cannot, and these requests fail.
    std::optional<ConnectionState> predecessor;
    // The descriptors that its on_buffer got. Adopt takes ownership of them.
    std::vector<int> buffers;
    // The process has crashed and was not killed from outside. A request that two processes
    // were serving when they crashed is answered with EIO.
    bool crashed = false;
    // The time to wait for the kernel's INIT.
    absl::Duration init_timeout = absl::Seconds(20);
  };
  // Serves `fs` on a connection that another process mounted. Answers INIT unless
  // `adopt.initialized` is set. Requires: `fs` outlives the session. Returns: the session. After an
  // error the descriptors are closed. Errors: InvalidArgument (options; no usable descriptor;
  // `adopt.initialized` without max_write), ResourceExhausted (descriptors, memory or threads),
  // DeadlineExceeded (no INIT), FailedPrecondition (the kernel is too old, the connection ended, or
  // a descriptor could not be cloned), PermissionDenied, Internal, or the error of
  // FileSystem::Connected.
  static absl::StatusOr<std::unique_ptr<Session>> Adopt(const AdoptOptions& adopt,
                                                        const SessionOptions& options,
                                                        FileSystem* fs);

  // Unmounts, if the mount point is known, and stops, as Unmount() does.
  virtual ~Session() = default;

  // Returns: one more descriptor of this connection, for another process to read from; the caller
  // owns it. Errors: FailedPrecondition (the session has ended, or the kernel refused),
  // PermissionDenied, Internal.
  virtual absl::StatusOr<int> CloneDescriptor() = 0;

  // Starts one more worker of this session, on a descriptor that is cloned for it. Errors: those of
  // CloneDescriptor, ResourceExhausted.
  virtual absl::Status AddWorker() = 0;

  virtual ConnectionParameters parameters() const = 0;
  // Returns: the state for a successor.
  virtual ConnectionState state() const = 0;
  // Returns whether requests come through io_uring.
  virtual bool uses_io_uring() const = 0;
  // Returns: how requests are received, as a clause for the log, with the reason if io_uring was
  // requested and is not used.
  virtual std::string DescribeTransport() const = 0;

  // Returns: what all workers served since the start, indexed by opcode. INIT is not counted,
  // because it is answered before there are workers. Numbers that are not opcodes are counted at
  // index 0. Throws std::bad_alloc.
  virtual std::vector<OperationStatistics> Statistics() const = 0;
  // Returns: the requests that were served most recently. The worker that serves most determines
  // how far they reach back: at most 1,024 requests of each worker are remembered. The call copies
  // about 50 KiB for each worker, so it is for display, at most a few times a second. Throws
  // std::bad_alloc.
  virtual RecentRequestList RecentRequests() const = 0;
  // Returns: the protocol's name of an opcode, such as "LOOKUP" for 1; "UNKNOWN" for a number that
  // is not an opcode.
  static std::string_view OpcodeName(size_t opcode);
  // Returns: the number of requests that each worker received, indexed by worker.
  virtual std::vector<uint64_t> WorkerRequestCounts() const = 0;

  // Waits until the connection has ended (it was unmounted, or aborted by any process) or `timeout`
  // has passed. Returns whether the connection has ended.
  virtual bool WaitFor(absl::Duration timeout) = 0;
  // Returns whether an error on this side ended the connection: requests could not be read any
  // more. The session ends in that case. Callers receive ECONNABORTED once it is unmounted or
  // stopped.
  virtual bool failed() const = 0;

  // Called at regular intervals, by one thread: returns the worker that has been serving one
  // request for the longest time, if that is `intervals` intervals or more, or -1. An interval in
  // which a worker has reported a long operation (BlockingObserver) counts as a tenth, because
  // others may wait for it. Intervals and not time, so that a process that was stopped, or a
  // machine that was asleep, does not seem to hang.
  virtual int FindHangingWorker(int intervals) = 0;
  // Calls `before` and sends SIGABRT to that worker, so that a handler of the signal finds its
  // stack. Returns false, and does neither, if the worker is serving another request now, or is in
  // an uninterruptible sleep.
  virtual bool AbortWorker(int worker, const std::function<void()>& before) = 0;

  // Bounds the data that is stored in files of this mount and not yet written back to the server,
  // as far as this process may do so (root; Linux 6.2). 0: no bound except the system's. The bound
  // is for servers whose memory is limited together with the memory of their clients: unwritten
  // data counts against that limit, and the server needs memory to write it back. An adopted mount
  // is not changed.
  virtual void BoundDirtyBytes(uint64_t bytes) = 0;

  // Returns: a descriptor for poll(2) that becomes readable when the connection has ended, for a
  // thread that also waits for other events. The session owns it; the caller must neither read nor
  // close it.
  virtual int end_descriptor() const = 0;

  // Unmounts, waits until every request that was read is answered, joins all workers, and closes
  // all descriptors. A mount in use (EBUSY after a short wait) is detached lazily and the
  // connection is ended; programs that still have files open there receive ENOTCONN. Returns within
  // `timeout` plus a second, unless a worker is still inside a method of the file system; the call
  // waits for that worker. Idempotent: other calls wait for the first one and return OK. Errors:
  // PermissionDenied, ResourceExhausted, Internal.
  virtual absl::Status Unmount(absl::Duration timeout) = 0;

  // Stops serving without unmounting: joins all workers and closes the session's descriptors. The
  // connection continues if another process holds a descriptor of it.
  virtual void Stop() = 0;
};

}  // namespace memfuse

#endif  // MEMFUSE_SESSION_H_
