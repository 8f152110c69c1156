#include "src/cli/unsupported_options.h"

#include "absl/strings/match.h"

namespace memfuse::cli {
namespace {

constexpr absl::string_view kNoCasefold = "names are bytes, and differ by case";

constexpr UnsupportedOption kOptions[] = {
    // For mount(8) and systemd.
    {"_netdev", ""},
    {"auto", ""},
    {"comment", ""},
    {"defaults", ""},
    {"group", ""},
    {"loud", ""},
    {"noauto", ""},
    {"nofail", ""},
    {"nogroup", ""},
    {"noowner", ""},
    {"nouser", ""},
    {"nousers", ""},
    {"owner", ""},
    {"silent", ""},
    {"user", ""},
    {"users", ""},
    // Already in effect: the usage of users and groups is always counted.
    {"usrquota", ""},
    {"grpquota", ""},
    // Already in effect. The last five are in /proc/mounts; a remount passes them on from there.
    {"inode64", ""},
    {"norelatime", ""},
    {"relatime", ""},
    {"blksize", ""},
    {"default_permissions", ""},
    {"group_id", ""},
    {"max_read", ""},
    {"user_id", ""},
    // These control when data is written to disk, and no data is on a disk.
    {"async", ""},
    {"dirsync", ""},
    {"iversion", ""},
    {"lazytime", ""},
    {"mand", ""},  // no kernel since Linux 5.15 has mandatory locks
    {"noiversion", ""},
    {"nolazytime", ""},
    {"nomand", ""},
    {"sync", ""},
    // Options that tmpfs supports, or refuses as well.
    {"casefold", kNoCasefold},
    {"strict_encoding", kNoCasefold},
    {"inode32", "inode numbers have 64 bits"},
    {"mpol", "memory comes from where the system places it for the daemon; see numactl(8)"},
};

constexpr UnsupportedOption kForTools = {"x-*", ""};

}  // namespace

absl::Span<const UnsupportedOption> UnsupportedOptions() { return kOptions; }

const UnsupportedOption* FindUnsupportedOption(absl::string_view name) {
  if (absl::StartsWithIgnoreCase(name, "x-")) return &kForTools;
  for (const UnsupportedOption& option : kOptions) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

}  // namespace memfuse::cli
