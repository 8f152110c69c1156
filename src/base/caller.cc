#include "src/base/caller.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "src/base/unique_fd.h"

namespace memfuse::base {
namespace {

constexpr std::string_view kSelf = "self";
// The kernel's inode number of the initial user namespace: PROC_USER_INIT_INO.
constexpr std::string_view kInitialUserNamespace = "user:[4026531837]";
// A status file has four users and four groups. The last one applies to file access.
constexpr size_t kFileSystemId = 3;

std::string ProcPath(std::string_view process, std::string_view file) {
  std::string path = "/proc/";
  path.append(process).append("/").append(file);
  return path;
}

// Returns an empty string if the file cannot be read.
std::string ReadProcFile(std::string_view process, std::string_view file) {
  const UniqueFd fd(open(ProcPath(process, file).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return "";
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(fd.get(), buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

// Returns the line of `status` behind `name` ("Groups:"), or an empty string if there is none.
std::string StatusField(const std::string& status, std::string_view name) {
  const size_t line = status.find("\n" + std::string(name));
  if (line == std::string::npos) return "";
  const size_t start = line + 1 + name.size();
  return status.substr(start, status.find('\n', start) - start);
}

std::vector<uint32_t> Numbers(const std::string& line) {
  std::vector<uint32_t> numbers;
  const char* at = line.c_str();
  for (;;) {
    char* end = nullptr;
    const unsigned long number = std::strtoul(at, &end, 10);
    if (end == at) return numbers;
    numbers.push_back(static_cast<uint32_t>(number));
    at = end;
  }
}

// Returns whether the numbers in /proc are those of this process's PID namespace. The line NSpid
// has the numbers of a process in the PID namespace of /proc and in each one below it, down to the
// process's own. A kernel without PID namespaces has no such line.
bool ProcIsOurs() {
  const std::string status = ReadProcFile(kSelf, "status");
  return !status.empty() && Numbers(StatusField(status, "NSpid:")).size() <= 1;
}

// Identifies the user namespace of a process. Returns an empty string if it cannot be determined:
// it is hidden if this process may not trace the other one.
std::string UserNamespace(std::string_view process) {
  char target[NAME_MAX];
  const ssize_t length = readlink(ProcPath(process, "ns/user").c_str(), target, sizeof(target));
  return length < 0 ? "" : std::string(target, static_cast<size_t>(length));
}

// Compares the identities of the user namespaces if the other one is visible, and the maps of users
// and groups if not. Only a process that is privileged in the parent namespace can make another
// namespace with the same maps.
bool InOurUserNamespace(std::string_view process) {
  const std::string theirs = UserNamespace(process);
  if (!theirs.empty()) return theirs == UserNamespace(kSelf);
  for (const std::string_view map : {"uid_map", "gid_map"}) {
    const std::string text = ReadProcFile(process, map);
    if (text.empty() || text != ReadProcFile(kSelf, map)) return false;
  }
  return true;
}

}  // namespace

std::optional<Caller> Caller::Find(uint32_t pid) noexcept try {
  if (pid == 0 || !ProcIsOurs()) return std::nullopt;
  const std::string process = std::to_string(pid);
  const std::string status = ReadProcFile(process, "status");
  const std::vector<uint32_t> users = Numbers(StatusField(status, "Uid:"));
  const std::vector<uint32_t> groups = Numbers(StatusField(status, "Gid:"));
  const std::string capabilities = StatusField(status, "CapEff:");
  if (users.size() <= kFileSystemId || groups.size() <= kFileSystemId || capabilities.empty()) {
    return std::nullopt;
  }
  Caller caller;
  caller.uid_ = users[kFileSystemId];
  caller.groups_ = Numbers(StatusField(status, "Groups:"));
  caller.groups_.insert(caller.groups_.begin(), groups[kFileSystemId]);
  caller.capabilities_ = std::strtoull(capabilities.c_str(), nullptr, 16);
  caller.same_user_namespace_ = InOurUserNamespace(process);
  return caller;
} catch (const std::bad_alloc&) {
  return std::nullopt;
}

bool Caller::InGroup(uint32_t gid) const {
  return std::find(groups_.begin(), groups_.end(), gid) != groups_.end();
}

bool Caller::HasCapability(int capability) const {
  return same_user_namespace_ && HasCapabilityAtHome(capability);
}

bool Caller::HasCapabilityAtHome(int capability) const {
  return (capabilities_ >> capability & 1) != 0;
}

std::optional<Process> FindProcess(uint32_t thread) noexcept try {
  if (thread == 0 || !ProcIsOurs()) return std::nullopt;
  // The name is on the first line, and StatusField searches the beginnings of lines.
  const std::string status = "\n" + ReadProcFile(std::to_string(thread), "status");
  const std::vector<uint32_t> process = Numbers(StatusField(status, "Tgid:"));
  const std::vector<uint32_t> users = Numbers(StatusField(status, "Uid:"));
  if (process.empty() || users.size() <= kFileSystemId) return std::nullopt;
  std::string name = StatusField(status, "Name:");
  name.erase(0, name.find_first_not_of('\t'));
  return Process{process[0], users[kFileSystemId], std::move(name)};
} catch (const std::bad_alloc&) {
  return std::nullopt;
}

bool InInitialUserNamespace() { return UserNamespace(kSelf) == kInitialUserNamespace; }

}  // namespace memfuse::base
