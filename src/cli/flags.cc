#include "src/cli/flags.h"

#include <gflags/gflags.h>

#include <algorithm>
#include <array>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

DEFINE_int32(threads, 0, "Threads that serve requests; 0: one per CPU, at most 8");
DEFINE_string(size, "50%", "Limit on memory: bytes, k/m/g/t, or % of memory; 0: all of it");
DEFINE_string(nr_inodes, "", "Limit on inodes: count, k/m/g; 0: none; default: RAM / 8 KiB");
DEFINE_string(mode, "1777", "Permissions of the root directory, octal");
DEFINE_string(uid, "", "Owner of the root directory; default: the caller");
DEFINE_string(gid, "", "Group of the root directory; default: the caller's");
DEFINE_bool(allow_other, false, "Let other users in; root always does");
DEFINE_bool(writeback, false, "Let the kernel collect small writes");
DEFINE_string(fsname, "memfuse", "First field of /proc/mounts");
DEFINE_bool(remount, false, "Change the mount that is there");
DEFINE_bool(ro, false, "Mount read-only");
DEFINE_bool(suid, true, "Obey set-user-id bits");
DEFINE_bool(dev, true, "Obey device nodes");
DEFINE_bool(exec, true, "Allow programs to be run");
DEFINE_bool(atime, true, "Keep access times");
DEFINE_bool(xattr, true, "Keep extended attributes and ACLs");
DEFINE_bool(foreground, false, "Stay in the foreground and log to stderr");
DEFINE_string(data, "auto", "Where file data lies: auto, passthrough, daemon or null");
DEFINE_string(huge, "auto", "Huge pages for file data: auto, never, within_size, advise or always");
DEFINE_bool(noswap, false, "Never swap file data out");
DEFINE_string(transport, "auto", "How requests come: auto, dev or uring");
DEFINE_int32(fuse_fd, -1, "Serve this open /dev/fuse descriptor instead of mounting");

namespace memfuse::cli {
namespace {

constexpr std::array<absl::string_view, 3> kUnsupportedFlags = {"load", "metrics_listen",
                                                                "save_on_unmount"};

// Of the flags that gflags and glog bring along, those that mean something here. The others would
// print things of their own (--helpxml), read files (--flagfile) or send the log elsewhere.
constexpr std::array<absl::string_view, 5> kBorrowedFlags = {"help", "version", "log_dir",
                                                             "minloglevel", "v"};

template <typename Array>
bool Contains(const Array& names, absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

FlagKind KindOfFlag(const std::string& name) {
  if (Contains(kUnsupportedFlags, name)) return FlagKind::kUnsupported;
  gflags::CommandLineFlagInfo info;
  if (!gflags::GetCommandLineFlagInfo(name.c_str(), &info)) return FlagKind::kUnknown;
  const bool own = absl::EndsWith(info.filename, "src/cli/flags.cc");
  if (!own && !Contains(kBorrowedFlags, name)) return FlagKind::kUnknown;
  return info.type == "bool" ? FlagKind::kSwitch : FlagKind::kValue;
}

bool IsNegatedSwitch(absl::string_view name) {
  return absl::StartsWith(name, "no") &&
         KindOfFlag(std::string(name.substr(2))) == FlagKind::kSwitch;
}

absl::Status SetFlag(absl::string_view name_view, std::optional<absl::string_view> value) {
  const std::string name(name_view);
  const FlagKind kind = KindOfFlag(name);
  if (kind == FlagKind::kUnsupported) {
    return absl::UnimplementedError(absl::StrCat("--", name, " is not supported by this version"));
  }
  if (kind == FlagKind::kUnknown && IsNegatedSwitch(name)) {
    if (value.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat("--", name, " takes no value"));
    }
    return SetFlag(name_view.substr(2), "false");
  }
  if (kind == FlagKind::kUnknown) {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown flag --", name, "; 'memfuse --help' lists them"));
  }
  if (kind == FlagKind::kValue && !value.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("--", name, " needs a value"));
  }
  const std::string text(value.value_or("true"));
  // gflags answers with an empty string, and silently, when the text is not of the flag's type.
  if (gflags::SetCommandLineOption(name.c_str(), text.c_str()).empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", name, ": '", text, "' is ",
                     kind == FlagKind::kSwitch ? "neither true nor false" : "not a number"));
  }
  return absl::OkStatus();
}

bool IsFlagSet(const char* name) { return !gflags::GetCommandLineFlagInfoOrDie(name).is_default; }

}  // namespace memfuse::cli
