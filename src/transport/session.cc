#include "memfuse/session.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "src/base/deadline.h"
#include "src/base/unique_fd.h"
#include "src/mount/mount.h"
#include "src/protocol/opcodes.h"
#include "src/transport/session_impl.h"

namespace memfuse {
namespace {

constexpr int kMaxThreads = 512;
constexpr uint32_t kMinMaxWrite = 4 << 10;
constexpr uint32_t kMaxMaxWrite = 1 << 20;
constexpr absl::Duration kInitTimeout = absl::Seconds(20);

absl::Status CheckOptions(const SessionOptions& options, const FileSystem* fs) {
  if (fs == nullptr) return absl::InvalidArgumentError("there is no file system to serve");
  if (options.threads < 1 || options.threads > kMaxThreads) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads must be 1 to ", kMaxThreads, ", not ", options.threads));
  }
  const uint32_t size = options.max_write;
  if (size < kMinMaxWrite || size > kMaxMaxWrite || (size & (size - 1)) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_write must be a power of two from 4 KiB to 1 MiB, not ", size));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Session>> Session::Mount(const MountOptions& mount,
                                                        const SessionOptions& options,
                                                        FileSystem* fs) {
  if (absl::Status checked = CheckOptions(options, fs); !checked.ok()) return checked;
  if (!options.kernel_permissions && (mount.allow_other || geteuid() != 0)) {
    return absl::InvalidArgumentError(
        "without the kernel's checks of permissions only root may mount, and for root alone");
  }
  absl::StatusOr<mount::Mounted> mounted = mount::MountDevice(mount, options.kernel_permissions);
  if (!mounted.ok()) return mounted.status();
  auto session = std::make_unique<transport::SessionImpl>(fs);
  if (options.on_descriptor) options.on_descriptor(mounted->descriptor.get());
  std::vector<base::UniqueFd> descriptors;
  descriptors.push_back(std::move(mounted->descriptor));
  const absl::Status started =
      session->Start(std::move(descriptors), options, {}, base::Deadline::After(kInitTimeout));
  if (!started.ok()) {
    session->Stop();
    (void)mounted->mount_point.Unmount(base::Deadline::After(absl::ZeroDuration()),
                                       /*connection_ended=*/false);
    return started;
  }
  mounted->mount_point.TuneCache();
  session->SetMountPoint(std::move(mounted->mount_point), /*own=*/true);
  session->BoundDirtyBytes(mount.max_dirty_bytes);
  return session;
}

absl::StatusOr<std::unique_ptr<Session>> Session::Adopt(const AdoptOptions& adopt,
                                                        const SessionOptions& options,
                                                        FileSystem* fs) {
  // Ownership is taken first, so that the descriptors are closed after each error that follows.
  std::vector<base::UniqueFd> descriptors;
  bool usable = !adopt.descriptors.empty();
  for (const int descriptor : adopt.descriptors) {
    descriptors.emplace_back(descriptor);
    if (fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0) usable = false;
  }
  std::vector<base::UniqueFd> buffers;
  for (const int buffer : adopt.buffers) buffers.emplace_back(buffer);
  if (absl::Status checked = CheckOptions(options, fs); !checked.ok()) return checked;
  if (!usable) {
    return absl::InvalidArgumentError("an open descriptor of a FUSE connection is needed");
  }
  const ConnectionParameters& initialized =
      adopt.predecessor.has_value() ? adopt.predecessor->parameters : adopt.initialized;
  if (initialized.minor > 0 && initialized.max_write == 0) {
    return absl::InvalidArgumentError("what was agreed on in INIT is incomplete: no max_write");
  }
  auto session = std::make_unique<transport::SessionImpl>(fs);
  if (adopt.predecessor.has_value()) {
    session->SetPredecessor(std::move(buffers), adopt.crashed);
  }
  const absl::Status started = session->Start(std::move(descriptors), options, initialized,
                                              base::Deadline::After(adopt.init_timeout));
  // Until here the session knows no mount point, so that the mount stays after an error.
  if (!started.ok()) return started;
  if (adopt.predecessor.has_value()) {
    const ConnectionState& state = *adopt.predecessor;
    session->SetMountPoint(mount::MountPoint(state.mount_point, state.by_helper, state.mount),
                           /*own=*/true);
  } else if (!adopt.mount_point.empty()) {
    session->SetMountPoint(
        mount::MountPoint::Identify(adopt.mount_point, /*by_helper=*/false, /*below=*/{}),
        /*own=*/false);
  }
  return session;
}

std::string_view Session::OpcodeName(size_t opcode) {
  const protocol::OpcodeInfo* info = protocol::FindOpcode(static_cast<uint32_t>(opcode));
  return info == nullptr ? "UNKNOWN" : info->name;
}

}  // namespace memfuse
