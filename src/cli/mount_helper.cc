#include "src/cli/mount_helper.h"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/base/error_text.h"
#include "src/base/unique_fd.h"
#include "src/cli/flags.h"
#include "src/cli/mount_option_list.h"
#include "src/cli/mount_source.h"
#include "src/mount/device_path.h"

namespace memfuse::cli {
namespace {

// Options with a value. The value is the rest of the argument or the next argument.
constexpr absl::string_view kWithValue = "oNt";

class CallParser {
 public:
  explicit CallParser(absl::Span<const std::string> arguments) : rest_(arguments) {}

  absl::StatusOr<MountHelperCall> Parse() {
    std::vector<std::string> operands;
    while (!rest_.empty()) {
      const std::string& argument = Take();
      // A source may be any string; options come only after the source and the directory.
      if (operands.size() < 2 || argument.size() < 2 || argument.front() != '-') {
        operands.push_back(argument);
      } else if (absl::Status status = ParseOptions(argument); !status.ok()) {
        return status;
      }
    }
    if (operands.size() != 2) {
      return absl::InvalidArgumentError(
          "mount(8) calls this as 'mount.memfuse SOURCE DIRECTORY [-sfnv] [-N namespace] "
          "[-o options] [-t type]'; use 'mount -t memfuse' or memfuse");
    }
    call_.source = operands[0];
    call_.mount_point = operands[1];
    if (call_.mount_point.empty()) {
      return absl::InvalidArgumentError("the mount point is an empty string");
    }
    return call_;
  }

 private:
  const std::string& Take() {
    const std::string& argument = rest_.front();
    rest_.remove_prefix(1);
    return argument;
  }

  // One or several options, as in -sv.
  absl::Status ParseOptions(absl::string_view argument) {
    for (size_t i = 1; i < argument.size(); ++i) {
      const char option = argument[i];
      if (absl::StrContains(kWithValue, option)) {
        std::string value(argument.substr(i + 1));
        if (value.empty() && rest_.empty()) {
          return absl::InvalidArgumentError(
              absl::StrCat("-", absl::string_view(&option, 1), " needs a value"));
        }
        SetValue(option, value.empty() ? Take() : value);
        return absl::OkStatus();
      }
      if (!SetSwitch(option)) {
        return absl::InvalidArgumentError(absl::StrCat("unknown argument '", argument, "'"));
      }
    }
    return absl::OkStatus();
  }

  void SetValue(char option, const std::string& value) {
    if (option == 'o') call_.options.push_back(value);
    if (option == 'N') call_.mount_namespace = value;
    // -t: there is only one type.
  }

  bool SetSwitch(char option) {
    switch (option) {
      case 'f':
        call_.fake = true;
        return true;
      case 's':
        call_.sloppy = true;
        return true;
      case 'v':
        call_.verbose = true;
        return true;
      case 'n':  // /etc/mtab is no longer a regular file
        return true;
      default:
        return false;
    }
  }

  absl::Span<const std::string> rest_;
  MountHelperCall call_;
};

}  // namespace

bool IsMountHelper(absl::string_view program) {
  const size_t slash = program.rfind('/');
  if (slash != absl::string_view::npos) program.remove_prefix(slash + 1);
  return absl::StartsWith(program, "mount.");
}

absl::StatusOr<MountHelperCall> ParseMountHelperCall(absl::Span<const std::string> arguments) {
  return CallParser(arguments).Parse();
}

absl::Status ApplyMountHelperCall(const MountHelperCall& call) {
  const Strictness strictness = call.sloppy ? Strictness::kSloppy : Strictness::kStrict;
  for (const std::string& list : call.options) {
    if (absl::Status status = ApplyMountOptions(list, strictness); !status.ok()) return status;
  }
  if (FLAGS_remount) return absl::OkStatus();
  if (call.source.empty()) return absl::InvalidArgumentError("the source is an empty string");
  const std::string name = NameOfSource(call.source, call.mount_point);
  if (mount::IsDevicePath(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the source '", name, "' is the path of a device, and systemd would unmount ",
                     "this when it misses the device; give a name instead, such as 'none'"));
  }
  if (IsFlagSet("fsname") && FLAGS_fsname != name) {
    return absl::InvalidArgumentError(
        absl::StrCat("fsname=", FLAGS_fsname, " and the source '", name,
                     "' are two names for one thing; give it as the source"));
  }
  return SetFlag("fsname", name);
}

absl::Status EnterMountNamespace(const std::string& path) {
  const base::UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.valid() && setns(file.get(), CLONE_NEWNS) == 0) return absl::OkStatus();
  const int error = errno;
  const std::string sentence =
      absl::StrCat("cannot enter the mount namespace ", path, ": ", base::ErrorText(error));
  if (error == EPERM || error == EACCES) return absl::PermissionDeniedError(sentence);
  return absl::FailedPreconditionError(sentence);
}

}  // namespace memfuse::cli
