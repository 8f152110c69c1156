#include "src/mount/device_path.h"

namespace memfuse::mount {

bool IsDevicePath(std::string_view path) {
  if (path.empty() || path.front() != '/') return false;
  std::string_view first;
  // The comparison of systemd: "//" and "/./" are equivalent to "/".
  while (!path.empty() && (first.empty() || first == ".")) {
    path.remove_prefix(1);
    first = path.substr(0, path.find('/'));
    path.remove_prefix(first.size());
  }
  return first == "dev" || first == "sys";
}

}  // namespace memfuse::mount
