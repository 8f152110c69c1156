#include "src/cli/remount.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "memfuse/ioctl.h"
#include "src/base/caller.h"
#include "src/base/error_text.h"
#include "src/base/unique_fd.h"
#include "src/cli/flags.h"
#include "src/cli/message.h"
#include "src/cli/mount_description.h"
#include "src/cli/options.h"
#include "src/cli/paths.h"

namespace memfuse::cli {
namespace {

// A mount before any change.
struct Mounted {
  std::string path;
  base::UniqueFd root;
  memfuse_limits limits = {};
  memfuse_mount_options options = {};
  unsigned long flags = 0;  // NOLINT: mount(2)'s type
};

absl::Status NotMemfuse(const std::string& path) {
  return absl::FailedPreconditionError(absl::StrCat("no memfuse is mounted on ", path));
}

// Since Linux 5.10. No header of Debian 12 has the first.
constexpr unsigned long kShownNosymfollow = 0x2000;  // NOLINT: the calls' type
constexpr unsigned long kNosymfollow = 256;          // NOLINT

// The flags of mount(2) for the flags of statvfs(3).
unsigned long MountFlagsOf(unsigned long shown) {  // NOLINT: the calls' type
  constexpr std::pair<unsigned long, unsigned long> kFlags[] = {
      {ST_RDONLY, MS_RDONLY},           {ST_NOSUID, MS_NOSUID},     {ST_NODEV, MS_NODEV},
      {ST_NOEXEC, MS_NOEXEC},           {ST_NOATIME, MS_NOATIME},   {ST_NODIRATIME, MS_NODIRATIME},
      {ST_SYNCHRONOUS, MS_SYNCHRONOUS}, {ST_RELATIME, MS_RELATIME}, {ST_MANDLOCK, MS_MANDLOCK},
      {kShownNosymfollow, kNosymfollow}};
  unsigned long flags = 0;
  for (const auto& [seen, flag] : kFlags) flags |= (shown & seen) != 0 ? flag : 0;
  return flags;
}

absl::StatusOr<Mounted> LookAt(const std::string& operand) {
  absl::StatusOr<std::string> path = ResolveMountPoint(operand);
  if (!path.ok()) return path.status();
  Mounted mounted;
  mounted.path = *std::move(path);
  mounted.root =
      base::UniqueFd(open(mounted.path.c_str(), O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC));
  if (!mounted.root.valid()) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot open ", mounted.path, ": ", base::ErrorText(errno)));
  }
  const int root = mounted.root.get();
  struct statfs type = {};
  struct statx place = {};
  struct statvfs state = {};
  if (fstatfs(root, &type) != 0 || statx(root, "", AT_EMPTY_PATH, STATX_TYPE, &place) != 0 ||
      fstatvfs(root, &state) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot look at ", mounted.path, ": ", base::ErrorText(errno)));
  }
  // A directory below the mount point is on the file system, but is not a mount point.
  const bool inside = (place.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0 &&
                      (place.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0;
  if (type.f_type != FUSE_SUPER_MAGIC || inside ||
      ioctl(root, MEMFUSE_IOC_GET_LIMITS, &mounted.limits) != 0 ||
      ioctl(root, MEMFUSE_IOC_GET_OPTIONS, &mounted.options) != 0) {
    return NotMemfuse(mounted.path);
  }
  mounted.options.text[sizeof(mounted.options.text) - 1] = '\0';
  mounted.flags = MountFlagsOf(state.f_flag);
  return mounted;
}

// Checks that a flag, if it was given, has the value that the mount has. `value`: that of the flag.
absl::Status CheckSame(const Mounted& mounted, const char* flag, absl::string_view value) {
  if (!IsFlagSet(flag)) return absl::OkStatus();
  const std::optional<std::string> has = ValueInDescription(mounted.options.text, flag);
  if (has == value) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": a remount cannot change it to '", value, "'; ", mounted.path,
                   has.has_value() ? absl::StrCat(" has '", *has, "'") : " has none"));
}

absl::Status CheckWhatStays(const Mounted& mounted, const Options& options) {
  if (options.fuse_fd >= 0) {
    return absl::InvalidArgumentError("--fuse_fd does not go with a remount");
  }
  std::string log_dir = options.log_dir;
  if (!log_dir.empty()) {
    absl::StatusOr<std::string> real = ResolveLogDirectory(log_dir, mounted.path);
    if (real.ok()) log_dir = *std::move(real);
  }
  const auto word = [](bool value) { return value ? "true" : "false"; };
  const std::pair<const char*, std::string> kSame[] = {
      {"threads", FLAGS_threads == 0 ? "auto" : absl::StrCat(FLAGS_threads)},
      {"data", FLAGS_data},
      {"huge", FLAGS_huge},
      {"transport", FLAGS_transport},
      {"noswap", word(FLAGS_noswap)},
      {"xattr", word(FLAGS_xattr)},
      {"writeback", word(FLAGS_writeback)},
      {"strictatime", word(FLAGS_strictatime)},
      {"diratime", word(FLAGS_diratime)},
      {"symfollow", word(FLAGS_symfollow)},
      {"allow_other", word(FLAGS_allow_other)},
      {"fsname", FLAGS_fsname},
      {"log_dir", log_dir},
      {"quota", FLAGS_quota},
      {"metrics_listen", FLAGS_metrics_listen},
      {"metrics_allow_remote", word(FLAGS_metrics_allow_remote)},
      {"metrics_show_directories", word(FLAGS_metrics_show_directories)}};
  for (const auto& [flag, value] : kSame) {
    // auto matches any value: the mount chose it.
    if (value == "auto" && absl::string_view(flag) != "fsname") continue;
    if (absl::Status status = CheckSame(mounted, flag, value); !status.ok()) return status;
  }
  const std::optional<std::string> socket = ValueInDescription(mounted.options.text, "control");
  if (IsFlagSet("control") && !FLAGS_control && !socket.value_or("").empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--nocontrol: a remount cannot remove the control socket of ", mounted.path));
  }
  return absl::OkStatus();
}

absl::Status NotPermitted(const Mounted& mounted) {
  return absl::PermissionDeniedError(absl::StrCat(
      "changing the limits of ", mounted.path, " takes CAP_SYS_ADMIN, or the user who mounted it"));
}

// If /proc does not tell, mount(2) checks it.
bool MaySetFlags() {
  const auto caller = base::Caller::Find(static_cast<uint32_t>(getpid()));
  return !caller.has_value() || caller->HasCapability(CAP_SYS_ADMIN);
}

absl::Status TooSmall(absl::string_view flag, const std::string& text, uint64_t used,
                      absl::string_view unit) {
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": '", text, "' is less than what is used, ", used, unit));
}

// The reason of a refused change; OK if the daemon has another reason. Bytes are checked first, as
// on tmpfs.
absl::Status CheckUse(const memfuse_limits& now, const memfuse_limits& wanted) {
  if (wanted.bytes_limit != 0 && wanted.bytes_limit < now.bytes_used) {
    return TooSmall("size", FLAGS_size, now.bytes_used, " bytes");
  }
  if (wanted.inode_limit != 0 && wanted.inode_limit < now.inodes_used) {
    return TooSmall("nr_inodes", FLAGS_nr_inodes, now.inodes_used, " inodes");
  }
  return absl::OkStatus();
}

absl::Status SetLimits(const Mounted& mounted, const memfuse_limits& wanted) {
  if (ioctl(mounted.root.get(), MEMFUSE_IOC_SET_LIMITS, &wanted) == 0) return absl::OkStatus();
  const int error = errno;
  if (error == EPERM) return NotPermitted(mounted);
  memfuse_limits now = {};
  if (error == EINVAL && ioctl(mounted.root.get(), MEMFUSE_IOC_GET_LIMITS, &now) == 0) {
    if (absl::Status use = CheckUse(now, wanted); !use.ok()) return use;
    return absl::InvalidArgumentError(
        absl::StrCat("--size: ", mounted.path, " cannot be made as small as '", FLAGS_size, "'"));
  }
  return absl::InternalError(
      absl::StrCat("cannot change the limits of ", mounted.path, ": ", base::ErrorText(error)));
}

unsigned long WantedFlags(const Mounted& mounted) {  // NOLINT: mount(2)'s type
  unsigned long flags = mounted.flags;
  const auto apply = [&flags](const char* flag, bool set, unsigned long bit) {
    if (IsFlagSet(flag)) flags = set ? flags | bit : flags & ~bit;
  };
  apply("ro", FLAGS_ro, MS_RDONLY);
  apply("suid", !FLAGS_suid, MS_NOSUID);
  apply("dev", !FLAGS_dev, MS_NODEV);
  apply("exec", !FLAGS_exec, MS_NOEXEC);
  // Without an option on access times the kernel keeps the present setting.
  if (IsFlagSet("atime") && FLAGS_atime && (flags & MS_NOATIME) != 0) {
    flags = (flags & ~MS_NOATIME) | MS_RELATIME;
  } else if (IsFlagSet("atime") && !FLAGS_atime) {
    flags = (flags & ~MS_RELATIME) | MS_NOATIME;
  }
  return flags;
}

constexpr absl::string_view kMountFlagsOf = "ro, nosuid, nodev, noexec or noatime of ";

absl::Status SetMountFlags(const Mounted& mounted,
                           unsigned long flags) {  // NOLINT: mount(2)'s type
  if (::mount(nullptr, mounted.path.c_str(), nullptr, MS_REMOUNT | flags, nullptr) == 0) {
    return absl::OkStatus();
  }
  switch (const int error = errno; error) {
    case EBUSY:
      return absl::FailedPreconditionError(
          absl::StrCat(mounted.path, " is busy: files on it are open for writing"));
    case EPERM:
    case EACCES:
      return absl::PermissionDeniedError(
          absl::StrCat("not permitted to change ", kMountFlagsOf, mounted.path));
    default:
      return absl::InternalError(
          absl::StrCat("cannot remount ", mounted.path, ": ", base::ErrorText(error)));
  }
}

absl::Status SetAccessTimes(const Mounted& mounted, unsigned long flags) {  // NOLINT
  const __u32 keep = (flags & MS_NOATIME) == 0 ? 1 : 0;
  if (ioctl(mounted.root.get(), MEMFUSE_IOC_SET_ATIME, &keep) == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cannot change the access times of ", mounted.path, ": ",
                                          base::ErrorText(errno)));
}

}  // namespace

absl::Status Remount(const std::vector<std::string>& operands, const Machine& machine,
                     bool only_check) {
  absl::StatusOr<Options> options = ResolveOptions(operands, machine);
  if (!options.ok()) return options.status();
  if (operands.empty()) return absl::InvalidArgumentError("a remount needs a mount point");
  absl::StatusOr<Mounted> mounted = LookAt(operands[0]);
  if (!mounted.ok()) return mounted.status();
  if (absl::Status same = CheckWhatStays(*mounted, *options); !same.ok()) return same;

  memfuse_limits wanted = {};
  if (IsFlagSet("size")) wanted.bytes_limit = options->filesystem.size_limit;
  if (IsFlagSet("nr_inodes")) wanted.inode_limit = options->filesystem.inode_limit;
  const bool limits = wanted.bytes_limit != 0 || wanted.inode_limit != 0;
  const auto flags = WantedFlags(*mounted);
  if (limits) {
    // Changes nothing, but the daemon checks whether the caller may change the limits.
    if (absl::Status may = SetLimits(*mounted, {}); !may.ok()) return may;
    if (absl::Status use = CheckUse(mounted->limits, wanted); !use.ok()) return use;
  }
  const bool access_times = ((flags ^ mounted->flags) & MS_NOATIME) != 0;
  if (flags != mounted->flags && !MaySetFlags()) {
    return absl::PermissionDeniedError(
        absl::StrCat("only root may change ", kMountFlagsOf, mounted->path));
  }

  if (only_check) return absl::OkStatus();
  // Flags first, because they can always be reverted.
  absl::Status done;
  if (flags != mounted->flags) {
    if (done = SetMountFlags(*mounted, flags); !done.ok()) return done;
  }
  if (access_times) done = SetAccessTimes(*mounted, flags);
  if (done.ok() && limits) done = SetLimits(*mounted, wanted);
  if (!done.ok() && flags != mounted->flags) {
    (void)SetMountFlags(*mounted, mounted->flags);
    if (access_times) (void)SetAccessTimes(*mounted, mounted->flags);
  }
  if (done.ok()) {
    for (const std::string& warning : options->warnings) Warn(warning);
  }
  return done;
}

}  // namespace memfuse::cli
