#include "src/cli/machine.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace memfuse::cli {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// A hierarchy of cgroups that can limit memory, as it is mounted here.
struct Hierarchy {
  std::string mount_point;
  std::string mounted_root;  // which of its cgroups the mount point shows
  bool v2 = false;
};

bool Contains(absl::string_view comma_list, absl::string_view word) {
  for (absl::string_view item : absl::StrSplit(comma_list, ',')) {
    if (item == word) return true;
  }
  return false;
}

// Lines of mountinfo: ID PARENT DEV ROOT MOUNT-POINT OPTIONS [TAGS...] - TYPE SOURCE SUPER-OPTIONS.
std::vector<Hierarchy> FindHierarchies(const std::string& root) {
  const std::string mountinfo = ReadFile(absl::StrCat(root, "/proc/self/mountinfo"));
  std::vector<Hierarchy> found;
  for (absl::string_view line : absl::StrSplit(mountinfo, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> halves =
        absl::StrSplit(line, absl::MaxSplits(absl::string_view(" - "), 1));
    if (halves.size() != 2) continue;
    const std::vector<absl::string_view> mount = absl::StrSplit(halves[0], ' ');
    const std::vector<absl::string_view> type = absl::StrSplit(halves[1], ' ');
    if (mount.size() < 5 || type.size() < 3) continue;
    const bool v2 = type[0] == "cgroup2";
    if (!v2 && (type[0] != "cgroup" || !Contains(type[2], "memory"))) continue;
    found.push_back({std::string(mount[4]), std::string(mount[3]), v2});
  }
  return found;
}

// Lines of /proc/self/cgroup: ID:CONTROLLERS:PATH; in v2 the id is 0 and no controller is named.
std::optional<std::string> OwnCgroup(const std::string& root, bool v2) {
  const std::string text = ReadFile(absl::StrCat(root, "/proc/self/cgroup"));
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    const bool match = v2 ? fields[0] == "0" && fields[1].empty() : Contains(fields[1], "memory");
    if (match) return std::string(fields[2]);
  }
  return std::nullopt;
}

// The own cgroup's path below the mount point. A container often sees its own cgroup mounted as
// the root of the hierarchy while /proc/self/cgroup gives the path on the host, or the other way
// round; then the mount point itself is the nearest thing that can be read.
std::string PathBelowMount(absl::string_view cgroup, absl::string_view mounted_root) {
  if (mounted_root != "/") {
    if (!absl::ConsumePrefix(&cgroup, mounted_root)) return "";
    if (!cgroup.empty() && cgroup.front() != '/') return "";
  }
  if (absl::StrContains(cgroup, "/..")) return "";
  return std::string(absl::StripSuffix(cgroup, "/"));
}

// "max" (v2) is no number and so no limit; v1 says LONG_MAX rounded down to a page.
std::optional<uint64_t> ReadLimit(const std::string& file) {
  constexpr uint64_t kNoLimit = uint64_t{1} << 62;
  uint64_t limit;
  if (!absl::SimpleAtoi(ReadFile(file), &limit) || limit >= kNoLimit) return std::nullopt;
  return limit;
}

}  // namespace

uint64_t ReadRam(const std::string& root) {
  const std::string text = ReadFile(absl::StrCat(root, "/proc/meminfo"));
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, "MemTotal:")) continue;
    uint64_t kib;
    line = absl::StripAsciiWhitespace(absl::StripSuffix(line, "kB"));
    return absl::SimpleAtoi(line, &kib) ? kib * 1024 : 0;
  }
  return 0;
}

std::optional<uint64_t> ReadCgroupMemoryLimit(const std::string& root) {
  std::optional<uint64_t> smallest;
  for (const Hierarchy& hierarchy : FindHierarchies(root)) {
    const std::optional<std::string> cgroup = OwnCgroup(root, hierarchy.v2);
    if (!cgroup.has_value()) continue;
    const char* const file = hierarchy.v2 ? "memory.max" : "memory.limit_in_bytes";
    std::string below = PathBelowMount(*cgroup, hierarchy.mounted_root);
    for (;;) {
      const std::optional<uint64_t> limit =
          ReadLimit(absl::StrCat(root, hierarchy.mount_point, below, "/", file));
      if (limit.has_value()) smallest = std::min(*limit, smallest.value_or(*limit));
      if (below.empty()) break;
      below.resize(below.rfind('/'));
    }
  }
  return smallest;
}

Machine ThisMachine() {
  Machine machine;
  machine.ram = ReadRam("");
  if (machine.ram == 0) {  // no /proc
    machine.ram = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                  static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  }
  machine.memory = std::min(machine.ram, ReadCgroupMemoryLimit("").value_or(machine.ram));
  machine.cpus = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  machine.uid = geteuid();
  machine.gid = getegid();
  return machine;
}

}  // namespace memfuse::cli
