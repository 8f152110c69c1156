// A FUSE connection and the threads that serve it.
//
// Session::Mount opens /dev/fuse and mounts it; Session::Adopt takes descriptors that somebody else
// mounted, initialised or cloned (a privileged helper, SCM_RIGHTS, --fuse_fd). Both return once the
// connection is initialised (the kernel's INIT was answered) and every worker is reading. Each of N
// workers owns one descriptor of the connection: a reply goes to the descriptor that read the
// request, and the kernel wakes one reader per request.
//
// The channel itself (buffers, read and write calls) stays private to the transport.
//
// Threads: all methods may be called from any thread but a worker's, that is, not from inside a
// FileSystem method.

#ifndef MEMFUSE_SESSION_H_
#define MEMFUSE_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "memfuse/filesystem.h"

namespace memfuse {

// What kernel and server agreed on in INIT. A server that adopts an initialised connection must be
// given the values of the one that initialised it: the kernel says them only once.
struct ConnectionParameters {
  uint32_t minor = 0;      // of protocol 7; the smaller of the two sides
  uint64_t flags = 0;      // FUSE_* INIT flags that are in force
  uint32_t max_write = 0;  // bytes of data in the largest WRITE
  uint32_t max_pages = 0;  // pages in the largest READ, of 4 KiB; no fewer than in a WRITE
};

struct SessionOptions {
  // Workers, each with a descriptor of its own. 1 to 512. Up to 8 more are started when any of them
  // leave their seats (memfuse/blocking_observer.h).
  int threads = 1;
  // Largest request in bytes: a power of two from 4 KiB to 1 MiB; the kernel's limit
  // (fs.fuse.max_pages_limit) may lower it. Of writes it may be a little less where their
  // data is to come through pipes (FileSystem::AcceptsSplice) and the user gets none above 1 MiB.
  uint32_t max_write = 1 << 20;
  // Let the kernel collect small writes (FUSE_WRITEBACK_CACHE).
  bool writeback_cache = false;
  // Let the file system answer opens with backing files, where the kernel can (FUSE_PASSTHROUGH).
  // Excludes writeback_cache.
  bool passthrough = false;
  // Take requests through io_uring, where the kernel offers it (module parameter enable_uring of
  // fuse, Linux 6.14): one worker per CPU, and one more on a descriptor for what does not go there;
  // `threads` does not count then, and nobody takes a seat of a queue's.
  bool io_uring = false;
  // The kernel checks permissions and ACLs (default_permissions). Without it nobody but the
  // mounting user may enter, nothing is checked but access(2) and the execution of files, and the
  // kernel asks for a directory's attributes once less whenever a name in it is made or removed;
  // and the mount cannot be idmapped, which it can with this, from Linux 6.12 on.
  // Right only for who may do everything: an error of Mount with another effective user than 0, or
  // with MountOptions::allow_other.
  bool kernel_permissions = true;
};

struct MountOptions {
  std::string mount_point;         // an existing directory
  std::string fsname = "memfuse";  // first field of /proc/mounts; not a path of a device
  bool allow_other = false;        // others than the mounting user may enter
  bool read_only = false;
  bool nosuid = false, nodev = false, noexec = false;
  // For /proc/mounts: it is the file system that keeps access times. fusermount3 knows no more than
  // noatime; what it is not told holds all the same.
  bool noatime = false, nodiratime = false, strictatime = false;
  bool nosymfollow = false;  // root only
  // Unwritten data of the mount that the kernel may keep; see Session::BoundDirtyBytes.
  uint64_t max_dirty_bytes = 0;
  // Through fusermount3 even where mount(2) is allowed. For tests.
  bool force_helper = false;
};

class Session {
 public:
  // Mounts `fs` and starts to serve it. `fs` must outlive the session.
  // Not-ok with one sentence for the user: InvalidArgument (options), NotFound (mount point),
  // FailedPrecondition (no directory; already served by a dead daemon; no /dev/fuse; fusermount3
  // missing), PermissionDenied, DeadlineExceeded (no INIT), Internal. Nothing stays mounted then.
  static absl::StatusOr<std::unique_ptr<Session>> Mount(const MountOptions& mount,
                                                        const SessionOptions& options,
                                                        FileSystem* fs);

  struct AdoptOptions {
    // Descriptors of one connection; the session owns them from here on. At least one. Where there
    // are fewer than options.threads, the others are cloned.
    std::vector<int> descriptors;
    // Set if INIT was answered by somebody else: what they agreed on (minor > 0).
    ConnectionParameters initialized;
    // Where it is mounted, if this session is to unmount it; may be empty.
    std::string mount_point;
    // How long to wait for the kernel's INIT.
    absl::Duration init_timeout = absl::Seconds(20);
  };
  static absl::StatusOr<std::unique_ptr<Session>> Adopt(const AdoptOptions& adopt,
                                                        const SessionOptions& options,
                                                        FileSystem* fs);

  // Unmounts (if it knows where) and stops, as Unmount() does.
  virtual ~Session() = default;

  // One more descriptor of this connection, ready to be read by somebody else; the caller owns it.
  virtual absl::StatusOr<int> CloneDescriptor() = 0;

  // One more worker of this session, on a descriptor cloned for it.
  virtual absl::Status AddWorker() = 0;

  virtual ConnectionParameters parameters() const = 0;
  // Requests come through io_uring.
  virtual bool uses_io_uring() const = 0;
  // How requests come, in a clause for the log, and why not by io_uring where that was wanted.
  virtual std::string DescribeTransport() const = 0;

  // Requests of all workers since the start, by opcode (index); INIT, which a mount answers before
  // there are workers, is not among them. What is no opcode is counted at 0. Requests are served
  // meanwhile: each count is right at some moment of the call.
  virtual std::vector<uint64_t> RequestCounts() const = 0;
  // "LOOKUP" for 1, as the protocol spells it: of an index of RequestCounts(). "UNKNOWN" for what
  // is no opcode.
  static std::string_view OpcodeName(size_t opcode);
  // Requests that worker i answered.
  virtual std::vector<uint64_t> WorkerRequestCounts() const = 0;

  // Waits until the connection ended (unmounted or aborted by anybody) or `timeout` passed; true
  // when it ended.
  virtual bool WaitFor(absl::Duration timeout) = 0;
  // Whether the connection was lost by an error of this side: requests could not be read any more.
  // The session ends then; callers get ECONNABORTED once it is unmounted or stopped.
  virtual bool failed() const = 0;

  // Gives back what is kept for requests to come and was not used since the last call: pipes. To be
  // called once a second or so.
  virtual void ReleaseIdle() = 0;

  // Bounds the data that is stored in files of this mount and not yet written back to the server,
  // as far as this process may (root; Linux 6.2). 0: no bound but the system's. It is for servers
  // whose memory is limited together with that of their clients: unwritten data counts against the
  // limit, and to write it back the server needs memory. An adopted mount stays as it is.
  virtual void BoundDirtyBytes(uint64_t bytes) = 0;

  // A descriptor for poll(2) that becomes readable when the connection ended, for who waits for
  // other things too. The session's own; nobody else reads or closes it.
  virtual int end_descriptor() const = 0;

  // Unmounts, waits until what was read is answered, joins all workers, closes all descriptors. A
  // mount in use (EBUSY after a short wait) is detached lazily and the connection is ended: who
  // still holds files there gets ENOTCONN. Returns within `timeout` plus a second. Idempotent.
  virtual absl::Status Unmount(absl::Duration timeout) = 0;

  // Stops serving without unmounting: joins all workers and closes the session's descriptors. The
  // connection goes on if somebody else holds one.
  virtual void Stop() = 0;
};

}  // namespace memfuse

#endif  // MEMFUSE_SESSION_H_
