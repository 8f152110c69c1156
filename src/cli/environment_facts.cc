#include "src/cli/environment_facts.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "src/base/caller.h"
#include "src/base/unique_fd.h"
#include "src/cli/bounded_call.h"
#include "src/cli/paths.h"

namespace memfuse::cli {
namespace {

using nlohmann::json;

constexpr absl::Duration kLookTimeout = absl::Seconds(3);

bool HasLine(absl::string_view text, absl::string_view wanted) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StripAsciiWhitespace(line) == wanted) return true;
  }
  return false;
}

std::string ReadTrimmed(const std::string& path) {
  return std::string(absl::StripAsciiWhitespace(ReadWholeFile(path)));
}

DeviceFacts GatherDevice(const std::string& root) {
  constexpr char kDevice[] = "/dev/fuse";
  DeviceFacts device;
  const base::UniqueFd descriptor(open(kDevice, O_RDWR | O_CLOEXEC));
  if (!descriptor.valid()) device.open_error = errno;
  struct stat attributes = {};
  device.exists = stat(kDevice, &attributes) == 0;
  // From Documentation/admin-guide/devices.txt.
  device.is_fuse = S_ISCHR(attributes.st_mode) && major(attributes.st_rdev) == 10 &&
                   minor(attributes.st_rdev) == 229;
  device.mode = attributes.st_mode & 07777;
  device.in_kernel = HasLine(ReadWholeFile(root + "/proc/filesystems"), "nodev\tfuse");
  return device;
}

// As posix_spawnp(3) finds it, and then the path that memfuse tries without PATH.
FusermountFacts GatherFusermount() {
  FusermountFacts facts;
  // No thread of this program changes the environment.
  const char* const path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe)
  std::vector<std::string> directories = absl::StrSplit(path == nullptr ? "" : path, ':');
  directories.emplace_back("/usr/bin");
  for (const std::string& directory : directories) {
    const std::string program = absl::StrCat(directory, "/fusermount3");
    struct stat attributes = {};
    if (stat(program.c_str(), &attributes) != 0 || !S_ISREG(attributes.st_mode)) continue;
    const bool executable = access(program.c_str(), X_OK) == 0;
    if (!facts.path.empty() && !executable) continue;
    facts.path = program;
    facts.executable = executable;
    facts.privileged = ((attributes.st_mode & S_ISUID) != 0 && attributes.st_uid == 0) ||
                       getxattr(program.c_str(), "security.capability", nullptr, 0) > 0;
    struct statvfs mount = {};
    facts.nosuid = statvfs(program.c_str(), &mount) == 0 && (mount.f_flag & ST_NOSUID) != 0;
    if (executable) break;
  }
  return facts;
}

// The file of the distribution, or /proc/config.gz. Empty: neither can be read.
std::string ReadKernelConfig(const std::string& root, const std::string& release) {
  std::string text = ReadWholeFile(absl::StrCat(root, "/boot/config-", release));
  if (!text.empty() || !root.empty()) return text;
  const std::unique_ptr<FILE, int (*)(FILE*)> file(
      popen("exec gzip -dc /proc/config.gz 2>/dev/null", "re"), &pclose);
  if (file == nullptr) return "";
  char buffer[16384];
  size_t size;
  while ((size = std::fread(buffer, 1, sizeof(buffer), file.get())) > 0) text.append(buffer, size);
  return text;
}

std::optional<bool> HasFeature(absl::string_view config, absl::string_view option) {
  if (config.empty()) return std::nullopt;
  return HasLine(config, absl::StrCat(option, "=y"));
}

// kernel.io_uring_disabled: 1 is for processes without CAP_SYS_ADMIN outside a group, 2 for all.
bool IsUringForbidden(const std::string& root, bool may_mount) {
  int level = 0;
  if (!absl::SimpleAtoi(ReadTrimmed(root + "/proc/sys/kernel/io_uring_disabled"), &level)) {
    return false;
  }
  if (level != 1 || may_mount) return level >= 2;
  int64_t group = -1;
  if (!absl::SimpleAtoi(ReadTrimmed(root + "/proc/sys/kernel/io_uring_group"), &group) ||
      group < 0) {
    return true;
  }
  const auto caller = base::Caller::Find(static_cast<uint32_t>(getpid()));
  return !caller.has_value() || !caller->InGroup(static_cast<uint32_t>(group));
}

bool IsUsernsRestricted(const std::string& root) {
  const std::string sysctl = root + "/proc/sys/";
  return ReadTrimmed(sysctl + "kernel/apparmor_restrict_unprivileged_userns") == "1" ||
         ReadTrimmed(sysctl + "kernel/unprivileged_userns_clone") == "0" ||
         ReadTrimmed(sysctl + "user/max_user_namespaces") == "0";
}

// Only root can read which profiles are loaded. Others can see that one is installed.
bool HasFusermountProfile(const std::string& root) {
  int error = 0;
  const std::string profiles =
      ReadWholeFile(root + "/sys/kernel/security/apparmor/profiles", &error);
  if (error == 0) return EnforcesFusermount(profiles);
  const std::string directory = root + "/etc/apparmor.d/";
  return ReadTrimmed(root + "/sys/module/apparmor/parameters/enabled") == "Y" &&
         access((directory + "fusermount3").c_str(), F_OK) == 0 &&
         access((directory + "disable/fusermount3").c_str(), F_OK) != 0;
}

MemoryFacts GatherMemory(const std::string& root, const std::string& process) {
  const MemoryCgroup cgroup(root, process);
  return {cgroup.ReadLimit(), cgroup.ReadRoom()};
}

bool HasCapability(pid_t pid, int capability) {
  const auto caller = base::Caller::Find(static_cast<uint32_t>(pid));
  return caller.has_value() && caller->HasCapability(capability);
}

bool IsEmptyDirectory(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_empty(path, error) || error;
}

// Runs in a child process, because the path may lead through a mount that does not answer.
std::string LookAtMountPoint(const std::string& path) {
  struct stat attributes = {};
  if (stat(path.c_str(), &attributes) != 0) return json({{"error", errno}}).dump();
  const bool is_directory = S_ISDIR(attributes.st_mode);
  return json({{"error", 0},
               {"is_directory", is_directory},
               {"is_empty", !is_directory || IsEmptyDirectory(path)},
               {"writable", access(path.c_str(), W_OK) == 0},
               {"sticky", (attributes.st_mode & S_ISVTX) != 0},
               {"owner", attributes.st_uid}})
      .dump();
}

void TakeLook(const std::optional<std::string>& text, MountPointFacts* facts) {
  facts->silent = !text.has_value();
  const json look = json::parse(text.value_or(""), nullptr, /*allow_exceptions=*/false);
  if (!look.is_object()) return;
  facts->error = look.at("error").get<int>();
  if (facts->error != 0) return;
  facts->is_directory = look.at("is_directory").get<bool>();
  facts->is_empty = look.at("is_empty").get<bool>();
  facts->writable = look.at("writable").get<bool>();
  facts->owner = look.at("owner").get<uint32_t>();
  facts->foreign_sticky = look.at("sticky").get<bool>() && facts->owner != geteuid();
}

// The path without symbolic links, or the path itself if that cannot be told in time.
std::string Resolve(const std::string& path) {
  std::string absolute = AbsolutePath(path);
  if (MountAt(ReadMountTable(), absolute) != nullptr) return absolute;
  const auto resolved = CallInChildren({[&absolute] {
                                         const auto real = ResolveMountPoint(absolute);
                                         return real.ok() ? *real : std::string();
                                       }},
                                       kLookTimeout);
  return resolved[0].has_value() && !resolved[0]->empty() ? *resolved[0] : absolute;
}

// Whether the process is a memfuse that this process sees under the same number.
bool IsDaemon(pid_t pid) { return ReadTrimmed(absl::StrCat("/proc/", pid, "/comm")) == "memfuse"; }

}  // namespace

KernelVersion ParseKernelVersion(absl::string_view release) {
  KernelVersion version;
  const std::vector<absl::string_view> parts = absl::StrSplit(release, absl::ByAnyChar(".-+"));
  if (parts.size() >= 2 && absl::SimpleAtoi(parts[0], &version.major)) {
    (void)absl::SimpleAtoi(parts[1], &version.minor);
  }
  return version;
}

// "Max cpu time              unlimited            1000                 seconds"
HardLimits ParseHardLimits(absl::string_view text) {
  HardLimits limits;
  const std::pair<absl::string_view, std::optional<uint64_t>*> rows[] = {
      {"Max cpu time", &limits.cpu_seconds},
      {"Max file size", &limits.file_bytes},
      {"Max address space", &limits.address_bytes},
      {"Max data size", &limits.data_bytes},
      {"Max open files", &limits.descriptors}};
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    for (const auto& [name, limit] : rows) {
      absl::string_view rest = line;
      if (!absl::ConsumePrefix(&rest, name)) continue;
      const std::vector<absl::string_view> words = absl::StrSplit(rest, ' ', absl::SkipEmpty());
      uint64_t hard = 0;
      if (words.size() >= 2 && absl::SimpleAtoi(words[1], &hard)) *limit = hard;
    }
  }
  return limits;
}

bool HasUserAllowOther(absl::string_view fuse_conf) {
  return HasLine(fuse_conf, "user_allow_other");
}

bool EnforcesFusermount(absl::string_view profiles) {
  for (const absl::string_view line : absl::StrSplit(profiles, '\n')) {
    if (absl::EndsWith(line, "(enforce)") && absl::StrContains(line, "fusermount3 ")) return true;
  }
  return false;
}

MachineFacts GatherMachineFacts(const std::string& root) {
  MachineFacts facts;
  facts.uid = geteuid();
  facts.may_mount = HasCapability(getpid(), CAP_SYS_ADMIN);
  facts.may_lift_limits = HasCapability(getpid(), CAP_SYS_RESOURCE);
  facts.initial_namespace = base::InInitialUserNamespace();
  facts.no_new_privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
  facts.device = GatherDevice(root);
  facts.fusermount = GatherFusermount();
  facts.fusermount.has_profile = HasFusermountProfile(root);
  facts.user_allow_other = HasUserAllowOther(ReadWholeFile(root + "/etc/fuse.conf"));
  utsname names = {};
  if (uname(&names) == 0) facts.kernel_release = names.release;
  facts.kernel = ParseKernelVersion(facts.kernel_release);
  const std::string config = ReadKernelConfig(root, facts.kernel_release);
  facts.has_passthrough = HasFeature(config, "CONFIG_FUSE_PASSTHROUGH");
  facts.has_uring = HasFeature(config, "CONFIG_FUSE_IO_URING");
  const std::string uring = ReadTrimmed(root + "/sys/module/fuse/parameters/enable_uring");
  if (!uring.empty()) facts.uring_switch = uring == "Y";
  facts.uring_forbidden = IsUringForbidden(root, facts.may_mount);
  facts.userns_restricted = IsUsernsRestricted(root);
  facts.machine = ThisMachine();
  facts.limits = ParseHardLimits(ReadWholeFile(root + "/proc/self/limits"));
  facts.memory = GatherMemory(root, "self");
  return facts;
}

MountPointFacts GatherMountPointFacts(const std::string& path) {
  MountPointFacts facts;
  facts.path = Resolve(path);
  std::vector<MountEntry> table = ReadMountTable();
  if (const MountEntry* const on_it = MountAt(table, facts.path); on_it != nullptr) {
    facts.on_it = *on_it;
    table.erase(table.begin() + (on_it - table.data()));
  }
  if (const MountEntry* const below = MountAbove(table, facts.path); below != nullptr) {
    facts.below = *below;
  }
  if (!facts.on_it.has_value() || !facts.on_it->is_memfuse()) {
    const std::string& resolved = facts.path;
    TakeLook(CallInChildren({[&resolved] { return LookAtMountPoint(resolved); }}, kLookTimeout)[0],
             &facts);
    return facts;
  }
  facts.state = ReadMountStates({*facts.on_it})[0];
  if (const std::optional<pid_t> daemon = facts.state->daemon;
      daemon.has_value() && *daemon > 0 && IsDaemon(*daemon)) {
    const std::string number = absl::StrCat(*daemon);
    facts.daemon_limits = ParseHardLimits(ReadWholeFile(absl::StrCat("/proc/", number, "/limits")));
    facts.daemon_memory = GatherMemory("", number);
    facts.daemon_may_lift_limits = HasCapability(*daemon, CAP_SYS_RESOURCE);
  }
  return facts;
}

}  // namespace memfuse::cli
