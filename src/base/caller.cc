#include "src/base/caller.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "src/base/unique_fd.h"

namespace memfuse::base {

bool ThreadHasGroup(uint32_t pid, uint32_t gid) {
  if (pid == 0) return false;
  char path[40];
  std::snprintf(path, sizeof(path), "/proc/%u/status", pid);
  const UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return false;
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(fd.get(), buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  const size_t line = text.find("\nGroups:");
  if (line == std::string::npos) return false;
  const char* at = text.c_str() + line + sizeof("\nGroups:") - 1;
  for (;;) {
    while (*at == ' ' || *at == '\t') ++at;
    if (*at < '0' || *at > '9') return false;
    char* end = nullptr;
    if (std::strtoul(at, &end, 10) == gid) return true;
    at = end;
  }
}

}  // namespace memfuse::base
