#include "src/cli/server.h"

#include <fcntl.h>
#include <glog/logging.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "memfuse/memory_filesystem.h"
#include "memfuse/session.h"
#include "src/base/caller.h"
#include "src/base/memory_guard.h"
#include "src/base/mutex.h"
#include "src/base/unique_fd.h"
#include "src/cli/hang_watch.h"
#include "src/cli/help.h"
#include "src/cli/logging.h"
#include "src/cli/memory_cgroup.h"
#include "src/cli/message.h"
#include "src/cli/mount_description.h"
#include "src/cli/refusal_log.h"
#include "src/cli/service_manager.h"
#include "src/cli/size.h"
#include "src/control/api.h"
#include "src/control/listener.h"
#include "src/control/server.h"
#include "src/control/usage_history.h"
#include "src/control/web_port.h"
#include "src/keeper/keeper.h"
#include "src/protocol/negotiation.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMFUSE_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MEMFUSE_SANITIZER 1
#endif
#endif
#ifndef MEMFUSE_SANITIZER
#define MEMFUSE_SANITIZER 0
#endif

namespace memfuse::cli {
namespace {

// Processes that still have files open in a detached mount have this time to close them.
constexpr absl::Duration kUnmountTimeout = absl::Seconds(5);

// Blocks the signals that the daemon handles, in this thread and the threads that it will create,
// and returns a descriptor from which they are read. A second signal that ends the program stays
// pending and has no effect.
base::UniqueFd CatchSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return base::UniqueFd(signalfd(-1, &signals, SFD_CLOEXEC));
}

// What a server knows of the processes before it.
struct Process {
  const keeper::Start* start;  // null without a keeper
  absl::Time mounted;          // when the first server was started
};

// Whether the process takes over the file system of another one.
bool IsSuccessor(const keeper::Start* start) {
  return start != nullptr && start->predecessor != nullptr;
}

absl::StatusOr<std::unique_ptr<MemoryFileSystem>> MakeFileSystem(const Options& options,
                                                                 const keeper::Start* start) {
  if (!IsSuccessor(start)) return MemoryFileSystem::Make(options.filesystem);
  return MemoryFileSystem::Recover(options.filesystem, {start->predecessor->TakeRecords().release(),
                                                        start->predecessor->TakeData().release()});
}

absl::StatusOr<std::unique_ptr<Session>> TakeSessionOver(const SessionOptions& options,
                                                         const keeper::Start& start,
                                                         MemoryFileSystem* fs) {
  keeper::Descriptors* const predecessor = start.predecessor;
  Session::AdoptOptions adopt;
  for (size_t i = 0; i < predecessor->connections().size(); ++i) {
    adopt.descriptors.push_back(predecessor->TakeConnection(i).release());
  }
  for (size_t i = 0; i < predecessor->buffers().size(); ++i) {
    adopt.buffers.push_back(predecessor->TakeBuffer(i).release());
  }
  ConnectionState state;
  if (pread(predecessor->state(), &state, sizeof(state), 0) != sizeof(state)) {
    return absl::InternalError("the state of the connection cannot be read");
  }
  adopt.predecessor = state;
  adopt.crashed = start.after_crash;
  return Session::Adopt(adopt, options, fs);
}

absl::StatusOr<std::unique_ptr<Session>> StartSession(const Options& options,
                                                      uint64_t max_dirty_bytes,
                                                      const keeper::Start* start,
                                                      MemoryFileSystem* fs) {
  SessionOptions session = options.session;
  session.passthrough = fs->wants_backing_files();
  if (start != nullptr) {
    session.on_descriptor = [client = start->client](int descriptor) {
      client->Hold(keeper::Kind::kConnection, descriptor);
    };
    session.on_buffer = [client = start->client](int descriptor) {
      client->Hold(keeper::Kind::kBuffer, descriptor);
    };
    session.on_first_request = [client = start->client](bool served) {
      served ? client->ReportServed() : client->ReportReceived();
    };
  }
  if (IsSuccessor(start)) return TakeSessionOver(session, *start, fs);
  if (options.fuse_fd < 0) {
    MountOptions mount = options.mount;
    mount.max_dirty_bytes = max_dirty_bytes;
    return Session::Mount(mount, session, fs);
  }
  Session::AdoptOptions adopt;
  adopt.descriptors = {options.fuse_fd};
  adopt.mount_point = options.mount.mount_point;
  return Session::Adopt(adopt, session, fs);
}

// Gives the keeper what a successor needs in addition to the descriptors of the connection.
absl::Status GiveToKeeper(const keeper::Client& client, const MemoryFileSystem& fs,
                          const Session& session) {
  const base::UniqueFd state(memfd_create("memfuse-connection", MFD_CLOEXEC));
  const ConnectionState content = session.state();
  if (!state.valid() || pwrite(state.get(), &content, sizeof(content), 0) != sizeof(content)) {
    return absl::ResourceExhaustedError("the state of the connection cannot be kept");
  }
  client.Hold(keeper::Kind::kState, state.get());
  const MemoryFileSystemFiles files = fs.files();
  client.Hold(keeper::Kind::kRecords, files.records);
  if (files.data >= 0) client.Hold(keeper::Kind::kData, files.data);
  return absl::OkStatus();
}

// The requests so far, as 'total=3 LOOKUP=2 MKDIR=1': the opcodes that came, in numerical order.
std::string DescribeRequests(const Session& session) {
  // The sum of the shown numbers: other requests are served meanwhile.
  uint64_t total = 0;
  std::string by_opcode;
  for (const OperationStatistics& operation : session.Statistics()) {
    if (operation.requests == 0) continue;
    total += operation.requests;
    absl::StrAppend(&by_opcode, " ", std::string(operation.name), "=", operation.requests);
  }
  return absl::StrCat("total=", total, by_opcode);
}

void LogRequests(const Session& session) {
  base::WithMemory([&] {
    const std::string requests = DescribeRequests(session);
    LOG(INFO) << "requests: " << requests;
  });
}

// The text that 'systemctl status' shows.
std::string DescribeService(absl::string_view where, uint64_t size_limit, uint64_t inode_limit) {
  return absl::StrCat("Serving ", where, ": ", FormatSize(size_limit), ", ", inode_limit,
                      " inodes");
}

// Logs the limits if a remount changed them since `seen`. If there is no memory for that, the next
// call does. Returns whether it logged them.
bool SayNewLimits(absl::string_view where, const MemoryFileSystemUsage& now,
                  MemoryFileSystemUsage* seen) {
  if (now.size_limit == seen->size_limit && now.inode_limit == seen->inode_limit) return false;
  const bool said = base::WithMemory([&] {
    LOG(INFO) << "limits are now " << now.size_limit << " bytes, " << now.inode_limit << " inodes";
    NotifyStatus(DescribeService(where, now.size_limit, now.inode_limit));
  });
  if (said) *seen = now;
  return said;
}

uint64_t DirtyBytesFor(std::optional<uint64_t> cgroup_limit) {
  return cgroup_limit.has_value() ? RoomForDirtyPages(*cgroup_limit) : 0;
}

// Updates the settings that depend on the cgroup's limit, which was `seen` before, while the mount
// is served.
void FollowCgroup(const MemoryCgroup& cgroup, const MemoryFileSystemUsage& limits, bool new_limits,
                  Session& session, std::optional<uint64_t>* seen) {
  bool complete;
  const std::optional<uint64_t> limit = cgroup.ReadLimit(&complete);
  if (!complete) return;
  const bool changed = limit != *seen;
  *seen = limit;
  // The kernel stores the bound as a share of the memory that is free for the cache, which changes
  // constantly.
  if (changed || limit.has_value()) session.BoundDirtyBytes(DirtyBytesFor(limit));
  if (!changed && !new_limits) return;
  if (const auto warning = WarnOfSize(limits.size_limit, limit); warning.has_value()) {
    LOG(WARNING) << *warning;
  }
}

// Bounds what the file system stores by the memory that the control group leaves, so that it is
// full before the kernel kills a process of the group. Programs of the group take memory as well,
// and no event of the kernel tells that (v2), so the bound has to be set again and again.
struct MemoryBound {
  int next_milliseconds = 50;  // until it has to be set again
  bool tight = false;          // less than a quarter of the limit is left for files
};
MemoryBound BoundByMemory(const MemoryCgroup& cgroup, MemoryFileSystem& fs) {
  MemoryBound bound;
  // What is stored is read first: what is added meanwhile makes the bound smaller, not larger.
  const uint64_t stored = fs.Usage().bytes_used;
  bool complete = false;
  const std::optional<MemoryCgroup::Room> room = cgroup.ReadRoom(&complete);
  if (!complete) return bound;  // for lack of descriptors or memory; the last bound stays
  if (room.has_value()) {
    fs.SetCeiling(stored + room->for_files());
    bound.tight = room->for_files() < room->limit / 4;
  } else {
    fs.SetCeiling(std::numeric_limits<uint64_t>::max());
    bound.next_milliseconds = 1000;  // a limit may be set later
  }
  return bound;
}

// Returns when the mount is gone or will be unmounted: the signal that requests it, or 0 if another
// process ended the connection. Once a second it releases unused memory, checks the limits, logs
// what they refused, and offers a sample to the history unless that is null.
int ServeUntilEnd(int signals, absl::string_view where, const MemoryCgroup& cgroup,
                  std::optional<uint64_t> cgroup_limit, Session& session, MemoryFileSystem& fs,
                  control::UsageHistory* history) {
  MemoryFileSystemUsage limits = fs.Usage();
  RefusalLog refusals;
  constexpr absl::Duration kRound = absl::Seconds(1);
  absl::Time last_round = absl::InfinitePast();
  MemoryBound bound;
  bound.next_milliseconds = 0;
  base::PrepareThreadForLocks();
  for (;;) {
    pollfd events[] = {{signals, POLLIN, 0}, {session.end_descriptor(), POLLIN, 0}};
    const int ready = poll(events, std::size(events), bound.next_milliseconds);
    signalfd_siginfo signal;
    if (ready > 0 && events[0].revents != 0 &&
        read(signals, &signal, sizeof(signal)) == sizeof(signal)) {
      if (signal.ssi_signo != SIGUSR1) return static_cast<int>(signal.ssi_signo);
      LogRequests(session);
    }
    if (session.WaitFor(absl::ZeroDuration())) return 0;
    // Memory of removed files has to be free before the bound is set.
    if (bound.tight) fs.ReleaseUnusedMemory();
    // If there is no memory to read the files, the last bound stays.
    bound = MemoryBound();
    base::WithMemory([&] { bound = BoundByMemory(cgroup, fs); });
    // Time that does not jump when the clock is set.
    const absl::Time now =
        absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
    if (now - last_round < kRound) continue;
    last_round = now;
    if (!bound.tight) fs.ReleaseUnusedMemory();
    const MemoryFileSystemUsage usage = fs.Usage();
    if (history != nullptr) {
      history->Offer(now, {absl::ToUnixSeconds(absl::Now()), usage.bytes_used, usage.inodes_used});
    }
    const bool new_limits = SayNewLimits(where, usage, &limits);
    base::WithMemory([&] { FollowCgroup(cgroup, limits, new_limits, session, &cgroup_limit); });
    base::WithMemory([&] {
      for (const std::string& line : refusals.NewLines(fs.Refusals(), now)) {
        LOG(WARNING) << line;
      }
    });
  }
}

// ServeUntilEnd for a read-only server, which does nothing at intervals.
int WaitUntilEnd(int signals, Session& session) {
  for (;;) {
    pollfd events[] = {{signals, POLLIN, 0}, {session.end_descriptor(), POLLIN, 0}};
    poll(events, std::size(events), -1);
    signalfd_siginfo signal;
    if (events[0].revents != 0 && read(signals, &signal, sizeof(signal)) == sizeof(signal)) {
      if (signal.ssi_signo != SIGUSR1) return static_cast<int>(signal.ssi_signo);
      LogRequests(session);
    }
    if (session.WaitFor(absl::ZeroDuration())) return 0;
  }
}

// Unmounts; returns the exit status. Completes even if memory is short.
int End(int signal, absl::string_view where, Session* session) {
  constexpr absl::string_view kFailure = "requests cannot be read any more, unmounting ";
  const bool failed = session->failed();
  base::WithMemory([&] {
    const std::string end = failed        ? absl::StrCat(kFailure, where)
                            : signal == 0 ? absl::StrCat(where, " was unmounted")
                                          : absl::StrCat("signal ", signal, ", unmounting ", where);
    LOG_IF(INFO, !failed) << end;
    LOG_IF(ERROR, failed) << end;
    NotifyStopping(end);
  });
  const absl::Status status = session->Unmount(kUnmountTimeout);
  if (status.ok() && !failed) return 0;
  base::WithMemory([&] {
    if (!status.ok()) LOG(ERROR) << status.message();
    NotifyFailure(status.ok() ? absl::StrCat(kFailure, where) : std::string(status.message()),
                  /*error=*/0);
  });
  return 1;
}

// The control socket of this mount. Without one, the path is empty.
struct ControlSocket {
  std::string path;
  std::unique_ptr<control::Server> server;
};

// Returns where the control socket of the mount belongs: a directory of root, or of the user who
// runs the daemon. Empty: the user has no such directory.
std::string ControlSocketPath(const std::string& mount_point) {
  struct statx root = {};
  // No request is sent: only the device number is needed.
  if (statx(AT_FDCWD, mount_point.c_str(), AT_STATX_DONT_SYNC, 0, &root) != 0) return "";
  // No thread of this program changes the environment.
  const char* const of_user = std::getenv("XDG_RUNTIME_DIR");  // NOLINT(concurrency-mt-unsafe)
  if (geteuid() != 0 && of_user == nullptr) return "";
  return absl::StrCat(geteuid() == 0 ? "/run" : of_user, "/memfuse/", root.stx_dev_major, ":",
                      root.stx_dev_minor, ".sock");
}

// The value of --data that stands for `kind`.
const char* DataName(DataKind kind) {
  switch (kind) {
    case DataKind::kPassthrough:
      return "passthrough";
    case DataKind::kDaemon:
      return "daemon";
    case DataKind::kNull:
      return "null";
    case DataKind::kAuto:
      break;
  }
  return "auto";
}

control::ApiFacts FactsOf(const Options& options, const Process& process,
                          const MemoryFileSystem& fs, const Session& session) {
  control::ApiFacts facts;
  facts.mounted = process.mounted;
  if (process.start != nullptr) {
    facts.keeper_pid = keeper::Client::keeper_pid();
    facts.takeovers = process.start->takeovers;
  }
  facts.read_only = options.session.read_only;
  facts.version = std::string(VersionNumber());
  facts.mount_point = options.mount.mount_point;
  facts.store = fs.DescribeData();
  facts.transport = session.DescribeTransport();
  facts.asked_data = DataName(options.filesystem.data);
  facts.asked_transport = options.require_io_uring   ? "uring"
                          : options.session.io_uring ? "auto"
                                                     : "dev";
  facts.threads = options.session.threads;
  facts.is_administrator = [](const control::Peer& peer) {
    if (peer.uid != 0) return peer.uid == geteuid();
    // User 0 of a container may have no capability.
    const auto caller = base::Caller::Find(static_cast<uint32_t>(peer.pid));
    return caller.has_value() && caller->HasCapability(CAP_SYS_ADMIN);
  };
  facts.show_directories = options.metrics_show_directories;
  facts.start = absl::Now();
  return facts;
}

// Starts the control socket. A mount without one is usable, so a failure is only logged.
ControlSocket StartControl(const Options& options, const Process& process, MemoryFileSystem* fs,
                           Session* session) {
  ControlSocket control;
  if (!options.control || options.mount.mount_point.empty()) return control;
  const std::string path = ControlSocketPath(options.mount.mount_point);
  if (path.empty()) {
    LOG(INFO) << "no control socket: XDG_RUNTIME_DIR is not set";
    return control;
  }
  auto listener = control::Listener::OnPath(path);
  if (!listener.ok()) {
    LOG(WARNING) << listener.status().message();
    return control;
  }
  auto api = std::make_unique<control::Api>(
      FactsOf(options, process, *fs, *session), fs, [session] { return session->Statistics(); },
      [session] { return session->RecentRequests(); },
      [](uint32_t opcode) { return Session::OpcodeName(opcode); });
  auto server = control::Server::Start(
      *std::move(listener), "memfuse-ctl", geteuid(),
      [api = std::move(api)](const control::HttpRequest& request) { return api->Answer(request); });
  if (!server.ok()) {
    LOG(WARNING) << server.status().message();
    return control;
  }
  control.path = path;
  control.server = *std::move(server);
  return control;
}

// Listens on the metrics port before anything is mounted, since an administrator who asks for
// metrics must learn that there are none. null: none are wanted.
absl::StatusOr<std::unique_ptr<control::Listener>> ListenForMetrics(const Options& options) {
  if (!options.metrics.has_value()) return nullptr;
  auto listener = control::Listener::OnPort(options.metrics->address, options.metrics->port);
  if (listener.ok()) return listener;
  return absl::FailedPreconditionError(
      absl::StrCat("--metrics_listen: ", listener.status().message()));
}

// Returns null if there is no listener. The history must outlive the server.
absl::StatusOr<std::unique_ptr<control::Server>> StartMetrics(
    const Options& options, const Process& process, std::unique_ptr<control::Listener> listener,
    MemoryFileSystem* fs, Session* session, const control::UsageHistory* history) {
  if (listener == nullptr) return nullptr;
  auto port = std::make_unique<control::WebPort>(
      options.metrics->address, options.metrics_allow_remote,
      FactsOf(options, process, *fs, *session), fs, [session] { return session->Statistics(); },
      history);
  return control::Server::Start(std::move(listener), "memfuse-metrics", geteuid(),
                                [port = std::move(port)](const control::HttpRequest& request) {
                                  return port->Answer(request);
                                });
}

// Logs what the file system is and how it is served.
void LogStart(const Options& options, absl::string_view where, const MemoryFileSystem& fs,
              const Session& session) {
  const MemoryFileSystemUsage usage = fs.Usage();
  LOG(INFO) << "serving " << where << ": " << usage.size_limit << " bytes, " << usage.inode_limit
            << " inodes; requests: " << session.DescribeTransport()
            << "; file data: " << fs.DescribeData();
  if (options.session.kernel_permissions && !protocol::AllowsIdmappedMounts(session.parameters())) {
    LOG(INFO)
        << "no idmapped mounts of this file system: for FUSE the kernel makes them from Linux "
           "6.12 on";
  }
  for (const std::string& warning : options.warnings) LOG(WARNING) << warning;
  if (options.session.read_only) {
    LOG(ERROR) << where
               << " is read-only, because its servers have crashed: copy the files out, and "
               << "unmount it";
  }
}

// A mount that is being taken over goes on without metrics if they cannot be had any more.
absl::StatusOr<std::unique_ptr<control::Listener>> ListenForMetrics(const Options& options,
                                                                    const keeper::Start* start) {
  auto listener = ListenForMetrics(options);
  if (listener.ok() || !IsSuccessor(start)) return listener;
  LOG(WARNING) << listener.status().message();
  return nullptr;
}

// May throw std::bad_alloc before the report, but never after it.
int Run(const Options& options, const Process& process, StartupReport& report) {
  const keeper::Start* const start = process.start;
  const auto fail = [&](const absl::Status& status) {
    if (!IsSuccessor(start)) return report.Fail(status);
    LOG(ERROR) << "the file system cannot be taken over: " << status.message();
    return 1;
  };
  const base::UniqueFd signals = CatchSignals();
  if (!signals.valid()) return fail(absl::ResourceExhaustedError("too many open files"));
  // Until the file system can be used, the one line of the report is the only output.
  const int log_level =
      IsSuccessor(start) ? FLAGS_minloglevel : std::exchange(FLAGS_minloglevel, google::GLOG_FATAL);
  absl::StatusOr<std::unique_ptr<MemoryFileSystem>> fs = MakeFileSystem(options, start);
  if (!fs.ok()) return fail(fs.status());
  // If a successor fails, another one may succeed. It needs the mount and the files.
  absl::Cleanup leave_files = [&] {
    if (IsSuccessor(start)) (*fs)->Abandon();
  };
  auto metrics_listener = ListenForMetrics(options, start);
  if (!metrics_listener.ok()) return fail(metrics_listener.status());
  const MemoryCgroup cgroup("");
  const std::optional<uint64_t> cgroup_limit = cgroup.ReadLimit();
  absl::StatusOr<std::unique_ptr<Session>> session =
      StartSession(options, DirtyBytesFor(cgroup_limit), start, fs->get());
  if (!session.ok()) return fail(session.status());
  absl::Cleanup leave_mount = [&] {
    if (IsSuccessor(start)) (*session)->Stop();
  };
  // An error of the first server, which no program uses yet.
  const auto fail_to_start = [&](const absl::Status& status) {
    (void)(*session)->Unmount(absl::ZeroDuration());
    return fail(status);
  };
  if (options.require_io_uring && !(*session)->uses_io_uring()) {
    return fail_to_start(absl::InternalError(
        "--transport=uring: the kernel does not offer it; Linux 6.14 and newer do after 'echo Y > "
        "/sys/module/fuse/parameters/enable_uring'"));
  }
  if (start != nullptr && !IsSuccessor(start)) {
    const absl::Status given = GiveToKeeper(*start->client, **fs, **session);
    if (!given.ok()) return fail_to_start(given);
  }

  const auto history = options.metrics.has_value() ? std::make_unique<control::UsageHistory>()
                                                   : std::unique_ptr<control::UsageHistory>();
  const auto metrics = StartMetrics(options, process, *std::move(metrics_listener), fs->get(),
                                    session->get(), history.get());
  if (!metrics.ok() && !IsSuccessor(start)) return fail_to_start(metrics.status());
  FLAGS_minloglevel = log_level;
  const ControlSocket control = StartControl(options, process, fs->get(), session->get());
  (*fs)->SetMountOptions(
      DescribeMount(options, (*fs)->DataOptions(), (*session)->uses_io_uring(), control.path));
  const std::string where =
      options.mount.mount_point.empty() ? "descriptor" : options.mount.mount_point;
  LogStart(options, where, **fs, **session);
  if (metrics.ok() && *metrics != nullptr) {
    LOG(INFO) << "page: http://" << options.metrics_listen << "/, metrics: /metrics";
  }
  if (!options.foreground && !IsSuccessor(start)) {
    // The caller does not see the log of a daemon in the background.
    for (const std::string& warning : options.warnings) Warn(warning);
  }
  std::move(leave_mount).Cancel();
  std::move(leave_files).Cancel();
  std::optional<HangWatch> hang_watch;
  int signal = SIGTERM;  // assumed if the parent is gone and no process waits for the mount
  bool serve = true;
  if (start == nullptr) {
    serve = report.Succeed();
  } else {
    // The keeper reports.
    report.LeaveTerminal();
    start->client->ReportReady();
  }
  if (serve) {
    base::WithMemory([&] {
      NotifyReady(
          DescribeService(where, options.filesystem.size_limit, options.filesystem.inode_limit));
    });
    if (start != nullptr && options.hang_timeout > 0) {
      hang_watch.emplace(options.hang_timeout, session->get(), start->client);
    }
    signal = options.session.read_only ? WaitUntilEnd(signals.get(), **session)
                                       : ServeUntilEnd(signals.get(), where, cgroup, cgroup_limit,
                                                       **session, **fs, history.get());
  }
  // After a failure, requests are answered no more, and unmounting could wait for them as long as
  // the keeper holds the connection.
  if (start != nullptr && (*session)->failed()) start->client->ReportEnded();
  const int status = End(signal, where, session->get());
  if (start != nullptr) start->client->ReportEnded();
  return status;
}

// Lets glog write the stack of a thread that gets a fatal signal to that pipe. The sanitizers write
// reports of their own.
void ReportCrashesTo(int pipe) {
#if !MEMFUSE_SANITIZER
  static int report;
  report = pipe;
  google::InstallFailureSignalHandler();
  google::InstallFailureWriter([](const char* text, size_t size) {
    // What does not fit the pipe is lost.
    if (write(report, text, size) < 0) return;
  });
#else
  (void)pipe;
#endif
}

// The options of a server that takes over after others have crashed: as little as possible besides
// what reading needs.
Options ReadOnlyOptions(Options options) {
  options.session.read_only = true;
  options.session.threads = 1;
  options.session.spare_workers = false;
  options.metrics = std::nullopt;
  options.metrics_listen.clear();
  return options;
}

}  // namespace

int RunServer(const Options& options, StartupReport report, absl::Time mounted,
              const keeper::Start* start) {
  const Process process = {start, mounted};
  try {
    if (start != nullptr && start->crash_report >= 0) ReportCrashesTo(start->crash_report);
    if (start != nullptr && start->read_only) return Run(ReadOnlyOptions(options), process, report);
    return Run(options, process, report);
  } catch (const std::bad_alloc&) {
    // The start failed: the serving code throws no exception.
    if (!IsSuccessor(start)) return report.Fail("out of memory");
    base::WithMemory([] { LOG(ERROR) << "the file system cannot be taken over: out of memory"; });
    return 1;
  }
}

int RunResilientServer(const Options& options, StartupReport report) {
  const absl::Time mounted = absl::Now();
  keeper::Callbacks callbacks;
  callbacks.serve = [&](const keeper::Start& start) {
    // It accepts messages of the main process only, which is the keeper.
    ForgetServiceManager();
    return RunServer(options, std::move(report), mounted, &start);
  };
  callbacks.on_ready = [&] {
    if (!report.Succeed()) return false;
    base::WithMemory([&] {
      NotifyReady(DescribeService(options.mount.mount_point, options.filesystem.size_limit,
                                  options.filesystem.inode_limit));
    });
    return true;
  };
  callbacks.log = [](const char* sentence) {
    base::WithMemory([sentence] { LOG(WARNING) << sentence; });
  };
  return keeper::RunKeeper(callbacks);
}

}  // namespace memfuse::cli
