#include "src/memfs/data/private_tmpfs.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "src/base/error_text.h"

namespace memfuse::memfs {
namespace {

// All values that are passed to the kernel, as text that is made before the child process: the
// child of a process that may have threads must not allocate memory.
struct Settings {
  explicit Settings(const PrivateTmpfsOptions& options)
      : size(absl::StrCat(options.size_limit)),
        huge(options.huge),
        noswap(options.noswap),
        mount_flags(options.noatime       ? MOUNT_ATTR_NOATIME
                    : options.strictatime ? MOUNT_ATTR_STRICTATIME
                                          : MOUNT_ATTR_RELATIME),
        uid_map(absl::StrCat(geteuid(), " ", geteuid(), " 1")),
        gid_map(absl::StrCat(getegid(), " ", getegid(), " 1")) {}

  const std::string size;
  const std::string huge;
  const bool noswap;
  const unsigned mount_flags;
  const std::string uid_map;
  const std::string gid_map;
};

enum class Step : int { kNamespace, kContext, kLimits, kHuge, kNoswap, kCreate, kMount, kFile };

struct Outcome {
  int descriptor = -1;  // or -1 and an error
  int error = 0;        // the errno with which `step` failed
  Step step = Step::kContext;
};

Outcome Failed(Step step) { return {-1, errno, step}; }

bool SetString(int context, const char* key, const std::string& value) {
  return fsconfig(context, FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0;
}

// Allocates nothing.
Outcome Mount(const Settings& settings) {
  const base::UniqueFd context(fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!context.valid()) return Failed(Step::kContext);
  if (!SetString(context.get(), "size", settings.size) ||
      !SetString(context.get(), "nr_inodes", "0") || !SetString(context.get(), "mode", "0700")) {
    return Failed(Step::kLimits);
  }
  if (!SetString(context.get(), "huge", settings.huge)) return Failed(Step::kHuge);
  if (settings.noswap && fsconfig(context.get(), FSCONFIG_SET_FLAG, "noswap", nullptr, 0) != 0) {
    return Failed(Step::kNoswap);
  }
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return Failed(Step::kCreate);
  }
  const int mount = fsmount(context.get(), FSMOUNT_CLOEXEC, settings.mount_flags);
  if (mount < 0) return Failed(Step::kMount);
  return {mount, 0, Step::kMount};
}

Outcome MakeFile(const Settings& settings) {
  const Outcome mounted = Mount(settings);
  if (mounted.error != 0) return mounted;
  const base::UniqueFd mount(mounted.descriptor);
  const int file = openat(mount.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file < 0) return Failed(Step::kFile);
  return {file, 0, Step::kFile};
}

bool WriteFile(const char* path, const std::string& text) {
  const base::UniqueFd file(open(path, O_WRONLY | O_CLOEXEC));
  return file.valid() &&
         write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Mounting requires CAP_SYS_ADMIN in the user namespace that owns the mount namespace of the
// process. A process without privileges can map groups only after it has disabled setgroups(2).
bool EnterNamespace(const Settings& settings) {
  return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
         WriteFile("/proc/self/uid_map", settings.uid_map) &&
         WriteFile("/proc/self/setgroups", "deny") &&
         WriteFile("/proc/self/gid_map", settings.gid_map);
}

// Makes the file in a child process that shares its descriptor table with this process, and nothing
// else.
Outcome MakeFileInNamespace(const Settings& settings) {
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return Failed(Step::kNamespace);
  const base::UniqueFd from_child(pipe_ends[0]);
  const base::UniqueFd to_parent(pipe_ends[1]);
  // Like fork(2), with CLONE_FILES.
  const auto child =
      static_cast<pid_t>(syscall(SYS_clone, CLONE_FILES | SIGCHLD, nullptr, nullptr, nullptr, 0));
  if (child < 0) return Failed(Step::kNamespace);
  if (child == 0) {
    const Outcome made = EnterNamespace(settings) ? MakeFile(settings) : Failed(Step::kNamespace);
    // No destructor may run in this copy of the process.
    _exit(write(to_parent.get(), &made, sizeof(made)) == sizeof(made) ? 0 : 1);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  Outcome made;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 ||
      read(from_child.get(), &made, sizeof(made)) != sizeof(made)) {
    errno = EIO;
    return Failed(Step::kNamespace);
  }
  return made;
}

absl::StatusOr<base::UniqueFd> ToStatus(const Outcome& outcome, const Settings& settings) {
  if (outcome.error == 0) return base::UniqueFd(outcome.descriptor);
  const std::string text = [&]() -> std::string {
    switch (outcome.step) {
      case Step::kNamespace:
        return "a private tmpfs takes CAP_SYS_ADMIN or a user namespace";
      case Step::kContext:
        if (outcome.error == EPERM) return "a private tmpfs takes CAP_SYS_ADMIN";
        break;
      case Step::kLimits:
        return "a private tmpfs does not take its limits";
      case Step::kHuge:
        return absl::StrCat("this kernel's tmpfs does not take huge=", settings.huge);
      case Step::kNoswap:
        return "this kernel's tmpfs does not take noswap";
      case Step::kFile:
        return "a private tmpfs takes no files";
      case Step::kCreate:
      case Step::kMount:
        break;
    }
    return "a private tmpfs cannot be made";
  }();
  const std::string why = absl::StrCat(text, ": ", base::ErrorText(outcome.error));
  switch (outcome.error) {
    case EPERM:
    case EACCES:
      return absl::PermissionDeniedError(why);
    case ENOSYS:
    case ENODEV:
      return absl::UnimplementedError(why);
    case EINVAL:
      return absl::InvalidArgumentError(why);
    default:
      return absl::ResourceExhaustedError(why);
  }
}

}  // namespace

absl::StatusOr<base::UniqueFd> MountPrivateTmpfs(const PrivateTmpfsOptions& options) {
  const Settings settings(options);
  return ToStatus(Mount(settings), settings);
}

absl::StatusOr<base::UniqueFd> MakePrivateFile(const PrivateTmpfsOptions& options) {
  const Settings settings(options);
  Outcome made = MakeFile(settings);
  if (made.error == EPERM && made.step == Step::kContext) {
    if (options.noswap) return absl::PermissionDeniedError("noswap takes CAP_SYS_ADMIN");
    made = MakeFileInNamespace(settings);
  }
  return ToStatus(made, settings);
}

}  // namespace memfuse::memfs
