#include "src/mount/mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "src/base/error_text.h"
#include "src/mount/device.h"
#include "src/mount/device_path.h"
#include "src/mount/fusermount.h"
#include "src/mount/probe_mount.h"

namespace memfuse::mount {
namespace {

constexpr char kType[] = "fuse.memfuse";
constexpr char kSubtype[] = "memfuse";

absl::Status CheckFsname(const std::string& fsname) {
  if (fsname.empty()) return absl::InvalidArgumentError("fsname must not be empty");
  if (IsDevicePath(fsname)) {
    return absl::InvalidArgumentError(
        absl::StrCat("fsname must not be the path of a device: ", fsname));
  }
  return absl::OkStatus();
}

unsigned long MountFlags(const MountOptions& options) {  // NOLINT: mount(2)'s type
  return (options.read_only ? MS_RDONLY : 0) | (options.nosuid ? MS_NOSUID : 0) |
         (options.nodev ? MS_NODEV : 0) | (options.noexec ? MS_NOEXEC : 0) |
         (options.noatime ? MS_NOATIME : 0) | (options.nodiratime ? MS_NODIRATIME : 0) |
         (options.strictatime ? MS_STRICTATIME : 0) | (options.nosymfollow ? MS_NOSYMFOLLOW : 0);
}

// Returns the descriptor of the new mount, or nullopt if this process may not mount and fusermount3
// is needed.
absl::StatusOr<std::optional<base::UniqueFd>> MountDirectly(const MountOptions& options,
                                                            const std::string& path,
                                                            bool kernel_permissions) {
  absl::StatusOr<base::UniqueFd> device = OpenDevice();
  if (!device.ok()) {
    // fusermount3 opens the device as root.
    if (absl::IsPermissionDenied(device.status()) && geteuid() != 0) return std::nullopt;
    return device.status();
  }
  const std::string data = absl::StrCat(
      "fd=", device->get(), ",rootmode=40000,user_id=", geteuid(), ",group_id=", getegid(),
      kernel_permissions ? ",default_permissions,allow_other" : "");
  if (::mount(options.fsname.c_str(), path.c_str(), kType, MountFlags(options), data.c_str()) ==
      0) {
    return *std::move(device);
  }
  switch (const int error = errno; error) {
    case EPERM:
      return std::nullopt;
    case ENODEV:
      return absl::FailedPreconditionError(
          "the kernel has no FUSE: load the module with 'modprobe fuse'");
    case EACCES:
      return absl::PermissionDeniedError(
          absl::StrCat("not permitted to mount on ", path, ": ", base::ErrorText(error)));
    default:
      return absl::InternalError(
          absl::StrCat("cannot mount on ", path, ": ", base::ErrorText(error)));
  }
}

absl::Status HelperError(const std::string& path, const std::string& error_text) {
  const std::string sentence = error_text.empty()
                                   ? absl::StrCat("fusermount3 could not mount on ", path)
                                   : absl::StrCat("cannot mount on ", path, ": ", error_text);
  if (absl::StrContains(error_text, "user_allow_other")) {
    return absl::PermissionDeniedError(
        absl::StrCat("allow_other is for root only, unless /etc/fuse.conf has a line "
                     "'user_allow_other' (",
                     error_text, ")"));
  }
  for (const char* denied :
       {"not permitted", "ermission denied", "no write access", "not owned by user"}) {
    if (absl::StrContains(error_text, denied)) return absl::PermissionDeniedError(sentence);
  }
  if (absl::StrContains(error_text, "modprobe")) return absl::FailedPreconditionError(sentence);
  return absl::InternalError(sentence);
}

absl::StatusOr<base::UniqueFd> MountByHelper(const MountOptions& options, const std::string& path,
                                             bool kernel_permissions) {
  if (options.nosymfollow) {
    return absl::PermissionDeniedError(
        "nosymfollow is for root only: fusermount3, which mounts for others, does not know it");
  }
  absl::StatusOr<FusermountResult> helper =
      RunFusermount({"-o", HelperOptions(options, geteuid() == 0, kernel_permissions), "--", path});
  if (!helper.ok()) return helper.status();
  if (!helper->succeeded) return HelperError(path, helper->error_text);
  if (!helper->descriptor.valid()) {
    return absl::InternalError("fusermount3 mounted, but did not send a descriptor");
  }
  return std::move(helper->descriptor);
}

}  // namespace

absl::StatusOr<std::string> CheckMountPoint(const std::string& path) {
  if (path.empty()) return absl::InvalidArgumentError("the mount point must not be empty");
  struct statx status = {};
  if (const int error = ProbeMount(path, 0, &status); error != 0) {
    switch (error) {
      case ENOENT:
        return absl::NotFoundError(absl::StrCat("mount point ", path, " does not exist"));
      case ENOTDIR:
        return absl::FailedPreconditionError(
            absl::StrCat("mount point ", path, " is not in a directory"));
      case ENOTCONN:
        return absl::FailedPreconditionError(
            absl::StrCat("mount point ", path,
                         " belongs to a daemon that is dead: clear it with 'fusermount3 "
                         "-uz ",
                         path, "' or, as root, 'umount -l ", path, "'"));
      case EACCES:
        return absl::PermissionDeniedError(
            absl::StrCat("no permission to look at mount point ", path));
      default:
        return absl::InternalError(
            absl::StrCat("cannot look at mount point ", path, ": ", base::ErrorText(error)));
    }
  }
  if (!S_ISDIR(status.stx_mode)) {
    return absl::FailedPreconditionError(absl::StrCat("mount point ", path, " is not a directory"));
  }
  const std::unique_ptr<char, decltype(&free)> real(realpath(path.c_str(), nullptr), &free);
  if (real == nullptr) {
    return absl::InternalError(
        absl::StrCat("cannot resolve mount point ", path, ": ", base::ErrorText(errno)));
  }
  return std::string(real.get());
}

std::string HelperOptions(const MountOptions& options, bool root, bool kernel_permissions) {
  std::string text =
      absl::StrCat("fsname=", absl::StrReplaceAll(options.fsname, {{"\\", "\\\\"}, {",", "\\,"}}),
                   ",subtype=", kSubtype);
  if (kernel_permissions) absl::StrAppend(&text, ",default_permissions");
  if (options.allow_other || (root && kernel_permissions)) absl::StrAppend(&text, ",allow_other");
  if (options.read_only) absl::StrAppend(&text, ",ro");
  if (options.nosuid) absl::StrAppend(&text, ",nosuid");
  if (options.nodev) absl::StrAppend(&text, ",nodev");
  if (options.noexec) absl::StrAppend(&text, ",noexec");
  if (options.noatime) absl::StrAppend(&text, ",noatime");
  return text;
}

absl::StatusOr<Mounted> MountDevice(const MountOptions& options, bool kernel_permissions) {
  if (absl::Status fsname = CheckFsname(options.fsname); !fsname.ok()) return fsname;
  absl::StatusOr<std::string> path = CheckMountPoint(options.mount_point);
  if (!path.ok()) return path.status();
  const MountPoint::Identity below = MountPoint::Find(*path);
  if (!options.force_helper) {
    absl::StatusOr<std::optional<base::UniqueFd>> direct =
        MountDirectly(options, *path, kernel_permissions);
    if (!direct.ok()) return direct.status();
    if (direct->has_value()) {
      return Mounted{**std::move(direct), MountPoint::Identify(*std::move(path), false, below)};
    }
  }
  absl::StatusOr<base::UniqueFd> helped = MountByHelper(options, *path, kernel_permissions);
  if (!helped.ok()) return helped.status();
  return Mounted{*std::move(helped), MountPoint::Identify(*std::move(path), true, below)};
}

}  // namespace memfuse::mount
