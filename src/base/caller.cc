#include "src/base/caller.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <cstdlib>
#include <new>
#include <string>
#include <string_view>

#include "src/base/unique_fd.h"

namespace memfuse::base {
namespace {

std::string ProcPath(std::string_view process, std::string_view file) {
  std::string path = "/proc/";
  path.append(process).append("/").append(file);
  return path;
}

// What /proc/PID/status says of `field` ("Groups:"), up to the end of the file; empty where it
// cannot be read.
std::string StatusField(uint32_t pid, std::string_view field) {
  if (pid == 0) return "";
  const UniqueFd fd(open(ProcPath(std::to_string(pid), "status").c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return "";
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(fd.get(), buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  const size_t line = text.find("\n" + std::string(field));
  return line == std::string::npos ? "" : text.substr(line + 1 + field.size());
}

// Identifies the user namespace of a process; empty where it cannot be found out.
std::string UserNamespace(std::string_view process) {
  char target[NAME_MAX];
  const ssize_t length = readlink(ProcPath(process, "ns/user").c_str(), target, sizeof(target));
  return length < 0 ? "" : std::string(target, static_cast<size_t>(length));
}

}  // namespace

bool ThreadHasGroup(uint32_t pid, uint32_t gid) noexcept try {
  const std::string groups = StatusField(pid, "Groups:");
  const char* at = groups.c_str();
  for (;;) {
    while (*at == ' ' || *at == '\t') ++at;
    if (*at < '0' || *at > '9') return false;
    char* end = nullptr;
    if (std::strtoul(at, &end, 10) == gid) return true;
    at = end;
  }
} catch (const std::bad_alloc&) {
  return false;
}

bool ThreadHasCapability(uint32_t pid, int capability) noexcept try {
  const std::string effective = StatusField(pid, "CapEff:");
  if (effective.empty() || (std::strtoull(effective.c_str(), nullptr, 16) >> capability & 1) == 0) {
    return false;
  }
  const std::string own = UserNamespace("self");
  return !own.empty() && UserNamespace(std::to_string(pid)) == own;
} catch (const std::bad_alloc&) {
  return false;
}

}  // namespace memfuse::base
