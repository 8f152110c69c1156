#include "src/cli/options.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "src/cli/flags.h"
#include "src/cli/owner.h"
#include "src/cli/quota_rules.h"
#include "src/cli/size.h"
#include "src/mount/device_path.h"

namespace memfuse::cli {
namespace {

constexpr int kMaxThreads = 512;

absl::Status Invalid(absl::string_view flag, absl::string_view value, absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": '", value, "' ", problem));
}

absl::StatusOr<uint32_t> ParseMode(const std::string& text) {
  uint32_t mode = 0;
  bool valid = !text.empty();
  for (const char c : text) {
    valid = valid && c >= '0' && c <= '7' && mode <= 07777;
    if (valid) mode = mode * 8 + static_cast<uint32_t>(c - '0');
  }
  if (!valid || mode > 07777) return Invalid("mode", text, "is no octal mode such as 1777");
  return mode;
}

absl::StatusOr<int> ResolveThreads(const Machine& machine) {
  if (FLAGS_threads == 0) return DefaultThreads(machine.cpus);
  if (FLAGS_threads < 0 || FLAGS_threads > kMaxThreads) {
    return Invalid("threads", absl::StrCat(FLAGS_threads), "is not between 1 and 512");
  }
  return FLAGS_threads;
}

absl::Status CheckFsname(const std::string& name) {
  for (const char c : name) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c)) || c == ',') {
      return Invalid("fsname", name, "has a comma or a control character in it");
    }
  }
  if (name.empty() || mount::IsDevicePath(name)) {
    return Invalid("fsname", name, "is empty or the path of a device");
  }
  return absl::OkStatus();
}

absl::StatusOr<DataKind> ResolveData() {
  // SetFlag accepts no other value.
  DataKind kind = DataKind::kAuto;
  if (FLAGS_data == "passthrough") kind = DataKind::kPassthrough;
  if (FLAGS_data == "daemon") kind = DataKind::kDaemon;
  if (FLAGS_data == "null") kind = DataKind::kNull;
  if (kind == DataKind::kNull && (FLAGS_noswap || FLAGS_huge != "auto")) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", FLAGS_noswap ? "noswap" : "huge", " does not go with --data=null"));
  }
  if (FLAGS_writeback) {
    // With passthrough the kernel writes the data itself, and there are no requests to collect.
    if (kind == DataKind::kPassthrough) {
      return absl::InvalidArgumentError("--writeback does not go with --data=passthrough");
    }
    if (kind == DataKind::kAuto) kind = DataKind::kDaemon;
  }
  return kind;
}

// The switches of --disable_optimizations.
absl::Status DisableOptimizations(Options* options) {
  const std::pair<absl::string_view, bool*> kSwitches[] = {
      {"spare_workers", &options->session.spare_workers},
      {"idle_scheduling", &options->session.idle_scheduling},
      {"request_statistics", &options->session.request_statistics}};
  for (const absl::string_view name :
       absl::StrSplit(FLAGS_disable_optimizations, ',', absl::SkipEmpty())) {
    const auto* const found = std::find_if(std::begin(kSwitches), std::end(kSwitches),
                                           [&](const auto& entry) { return entry.first == name; });
    if (found == std::end(kSwitches)) {
      return Invalid("disable_optimizations", name, "is no optimisation that has a switch");
    }
    *found->second = false;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<ListenAddress>> ResolveMetrics() {
  if (FLAGS_metrics_listen.empty()) return std::nullopt;
  absl::StatusOr<ListenAddress> listen = ParseListenAddress(FLAGS_metrics_listen);
  if (!listen.ok()) return listen.status();
  if (!listen->loopback && !FLAGS_metrics_allow_remote) {
    return Invalid("metrics_listen", FLAGS_metrics_listen,
                   "can be reached from other machines, which only --metrics_allow_remote permits");
  }
  return *std::move(listen);
}

absl::Status CheckOperands(const std::vector<std::string>& operands) {
  if (operands.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("one mount point is expected, but '", operands[1], "' is given as well"));
  }
  if (operands.empty() && FLAGS_fuse_fd < 0) {
    return absl::InvalidArgumentError("no mount point is given; 'memfuse --help' shows how");
  }
  if (!operands.empty() && operands[0].empty()) {
    return absl::InvalidArgumentError("the mount point is an empty string");
  }
  return absl::OkStatus();
}

absl::StatusOr<MemoryFileSystemOptions> ResolveFileSystem(const Machine& machine) {
  MemoryFileSystemOptions options;
  auto size = ParseSize(FLAGS_size, machine.memory);
  if (!size.ok()) return size.status();
  options.size_limit = *size;

  auto data = ResolveData();
  if (!data.ok()) return data.status();
  options.data = *data;
  options.writeback_cache = FLAGS_writeback;
  options.huge = FLAGS_huge;
  options.noswap = FLAGS_noswap;
  options.xattr = FLAGS_xattr;

  options.inode_limit = std::max<uint64_t>(machine.ram / kPageSize / 2, 1);
  if (IsFlagSet("nr_inodes")) {
    auto inodes = ParseInodeCount(FLAGS_nr_inodes);
    if (!inodes.ok()) return inodes.status();
    options.inode_limit = *inodes;
  }

  absl::StatusOr<std::vector<QuotaRule>> quotas = ParseQuotaRules(FLAGS_quota, options.size_limit);
  if (!quotas.ok()) return quotas.status();
  options.quotas = *std::move(quotas);

  auto mode = ParseMode(FLAGS_mode);
  if (!mode.ok()) return mode.status();
  options.root_mode = *mode;

  auto uid = IsFlagSet("uid") ? ParseUser(FLAGS_uid) : machine.uid;
  if (!uid.ok()) return uid.status();
  options.root_uid = *uid;
  auto gid = IsFlagSet("gid") ? ParseGroup(FLAGS_gid) : machine.gid;
  if (!gid.ok()) return gid.status();
  options.root_gid = *gid;
  options.administrator = machine.uid;
  return options;
}

// --resilient, after --transport and --fuse_fd.
absl::Status ResolveResilience(Options* options) {
  options->resilient = FLAGS_resilient;
  options->filesystem.recoverable = FLAGS_resilient;
  constexpr int kMaxHangTimeout = 86400;
  if (FLAGS_hang_timeout < 0 || FLAGS_hang_timeout > kMaxHangTimeout) {
    return Invalid("hang_timeout", absl::StrCat(FLAGS_hang_timeout), "is not between 0 and 86400");
  }
  options->hang_timeout = FLAGS_hang_timeout;
  if (!FLAGS_resilient) return absl::OkStatus();
  if (options->require_io_uring) {
    return absl::InvalidArgumentError(
        "--resilient: a successor cannot take over io_uring; use --transport=dev");
  }
  if (options->fuse_fd >= 0) {
    return absl::InvalidArgumentError(
        "--resilient: with --fuse_fd another process has the connection");
  }
  options->session.io_uring = false;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Options> ResolveOptions(const std::vector<std::string>& operands,
                                       const Machine& machine) {
  Options options;
  if (absl::Status status = CheckFsname(FLAGS_fsname); !status.ok()) return status;

  auto filesystem = ResolveFileSystem(machine);
  if (!filesystem.ok()) return filesystem.status();
  options.filesystem = *filesystem;
  options.quota = FLAGS_quota;
  options.control = FLAGS_control;
  auto metrics = ResolveMetrics();
  if (!metrics.ok()) return metrics.status();
  options.metrics = *std::move(metrics);
  options.metrics_listen = FLAGS_metrics_listen;
  options.metrics_allow_remote = FLAGS_metrics_allow_remote;
  options.metrics_show_directories = FLAGS_metrics_show_directories;
  if (IsFlagSet("size")) {
    std::optional<std::string> warning =
        WarnOfSize(options.filesystem.size_limit, machine.cgroup_limit);
    if (warning.has_value()) options.warnings.push_back(absl::StrCat("--size: ", *warning));
  }

  auto threads = ResolveThreads(machine);
  if (!threads.ok()) return threads.status();
  options.session.threads = *threads;
  options.session.writeback_cache = FLAGS_writeback;
  if (absl::Status status = DisableOptimizations(&options); !status.ok()) return status;

  if (FLAGS_fuse_fd < 0 && IsFlagSet("fuse_fd")) {
    return Invalid("fuse_fd", absl::StrCat(FLAGS_fuse_fd), "is no file descriptor");
  }
  options.fuse_fd = FLAGS_fuse_fd;
  options.session.io_uring = FLAGS_transport != "dev";
  options.require_io_uring = FLAGS_transport == "uring";
  if (absl::Status status = ResolveResilience(&options); !status.ok()) return status;
  if (absl::Status status = CheckOperands(operands); !status.ok()) return status;
  if (!operands.empty()) options.mount.mount_point = operands[0];

  options.mount.fsname = FLAGS_fsname;
  // On tmpfs every user has access as far as the mode permits. Only root may set allow_other by
  // default.
  const bool root = machine.uid == 0;
  options.mount.allow_other = FLAGS_allow_other || (root && !IsFlagSet("allow_other"));
  // If only root has access, permissions have no effect. Another user can deny access to the user's
  // own files by their mode. Another process chose the mount options of a descriptor that was
  // passed.
  options.session.kernel_permissions = !root || options.mount.allow_other || options.fuse_fd >= 0;
  options.mount.read_only = FLAGS_ro;
  options.mount.nosuid = !FLAGS_suid;
  options.mount.nodev = !FLAGS_dev;
  options.mount.noexec = !FLAGS_exec;
  options.mount.nosymfollow = !FLAGS_symfollow;
  // If several are given, strictatime takes precedence, as in the kernel.
  options.mount.strictatime = FLAGS_strictatime;
  options.mount.noatime = !FLAGS_atime && !FLAGS_strictatime;
  options.mount.nodiratime = !FLAGS_diratime;
  options.filesystem.noatime = options.mount.noatime;
  options.filesystem.nodiratime = options.mount.nodiratime;
  options.filesystem.strictatime = options.mount.strictatime;
  options.foreground = FLAGS_foreground;
  options.log_dir = FLAGS_log_dir;
  return options;
}

}  // namespace memfuse::cli
