#include "src/mount/mount_point.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "src/base/deadline.h"
#include "src/base/error_text.h"
#include "src/base/unique_fd.h"
#include "src/mount/fusermount.h"
#include "src/mount/probe_mount.h"

namespace memfuse::mount {
namespace {

constexpr unsigned kStatxMountId = 0x1000;        // STATX_MNT_ID, Linux 5.8
constexpr unsigned kStatxUniqueMountId = 0x4000;  // STATX_MNT_ID_UNIQUE, Linux 6.8
constexpr absl::Duration kBusyInterval = absl::Milliseconds(20);

bool IsSame(const MountPoint::Identity& a, const MountPoint::Identity& b) {
  return a.known && b.known && a.unique == b.unique && a.mount_id == b.mount_id &&
         a.device_major == b.device_major && a.device_minor == b.device_minor;
}

}  // namespace

MountPoint MountPoint::Identify(std::string path, bool by_helper, const Identity& below) {
  MountPoint mount_point(std::move(path), by_helper);
  mount_point.identity_ = Find(mount_point.path_);
  mount_point.gone_ = below.known && IsSame(mount_point.identity_, below);
  return mount_point;
}

MountPoint::Identity MountPoint::Find(const std::string& path) {
  // With AT_STATX_DONT_SYNC, and without any field that a file system would have to supply, the
  // kernel answers by itself, even for a connection that has ended or is not yet initialised.
  Identity identity;
  struct statx status = {};
  if (statx(AT_FDCWD, path.c_str(), AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
            kStatxMountId | kStatxUniqueMountId, &status) != 0) {
    return identity;
  }
  identity.known = true;
  identity.unique = (status.stx_mask & kStatxUniqueMountId) != 0;
  if ((status.stx_mask & (kStatxMountId | kStatxUniqueMountId)) != 0) {
    identity.mount_id = status.stx_mnt_id;
  }
  identity.device_major = status.stx_dev_major;
  identity.device_minor = status.stx_dev_minor;
  return identity;
}

int MountPoint::SetCache(const char* name, uint64_t value) const {
  if (!identity_.known || gone_) return ENOENT;
  const std::string path = absl::StrCat("/sys/class/bdi/", identity_.device_major, ":",
                                        identity_.device_minor, "/", name);
  const base::UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  const std::string text = absl::StrCat(value);
  if (!file.valid() || write(file.get(), text.data(), text.size()) < 0) return errno;
  return 0;
}

void MountPoint::TuneCache() const { SetCache("read_ahead_kb", 1024); }

void MountPoint::BoundDirtyBytes(uint64_t bytes) const {
  if (bytes == 0) {
    SetCache("max_ratio", 100);
  } else if (const int error = SetCache("max_bytes", bytes); error != 0) {
    // EINVAL: the system's limit is lower than `bytes`.
    SetCache("max_ratio", error == EINVAL ? 100 : 1);
  }
}

bool MountPoint::IsMounted(bool connection_ended) const {
  if (gone_ || !IsSame(Find(path_), identity_)) return false;
  if (identity_.unique || !connection_ended) {
    // A live connection keeps its device number from being reused.
    return true;
  }
  // Without unique mount ids and after the end of the connection, the numbers may have been reused.
  // The mount at the path is ours only if no daemon answers for it.
  struct statx status = {};
  return ProbeMount(path_, AT_NO_AUTOMOUNT, &status) == ENOTCONN;
}

int MountPoint::TryUnmount(bool lazy, std::string* sentence) const {
  if (!by_helper_) {
    if (umount2(path_.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) return 0;
    const int error = errno;
    *sentence = absl::StrCat("cannot unmount ", path_, ": ", base::ErrorText(error));
    if (error != EPERM) return error;
  }
  const absl::StatusOr<FusermountResult> helper = RunFusermount({lazy ? "-uz" : "-u", "--", path_});
  if (!helper.ok()) {
    *sentence = std::string(helper.status().message());
    return EPERM;
  }
  if (helper->succeeded) return 0;
  *sentence = helper->error_text;
  return absl::StrContains(helper->error_text, base::ErrorText(EBUSY)) ? EBUSY : EPERM;
}

absl::Status MountPoint::Unmount(base::Deadline busy_until, bool connection_ended) const {
  if (!identity_.known) {
    return absl::InternalError(
        absl::StrCat("cannot tell whether the mount at ", path_, " is the one to unmount"));
  }
  for (;;) {
    if (!IsMounted(connection_ended)) return absl::OkStatus();
    const bool lazy = busy_until.passed();
    std::string sentence;
    const int error = TryUnmount(lazy, &sentence);
    if (error == 0) return absl::OkStatus();
    if (error != EBUSY || lazy) {
      // Another process may have unmounted it meanwhile.
      if (!IsMounted(connection_ended)) return absl::OkStatus();
      return error == EPERM || error == EACCES ? absl::PermissionDeniedError(sentence)
                                               : absl::InternalError(sentence);
    }
    absl::SleepFor(std::min(kBusyInterval, busy_until.Left()));
  }
}

}  // namespace memfuse::mount
