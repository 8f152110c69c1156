#include "src/cli/machine.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "src/cli/memory_cgroup.h"

namespace memfuse::cli {

uint64_t ReadRam(const std::string& root) {
  const std::string text = ReadWholeFile(absl::StrCat(root, "/proc/meminfo"));
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, "MemTotal:")) continue;
    uint64_t kib;
    line = absl::StripAsciiWhitespace(absl::StripSuffix(line, "kB"));
    return absl::SimpleAtoi(line, &kib) ? kib * 1024 : 0;
  }
  return 0;
}

Machine ThisMachine() {
  Machine machine;
  machine.ram = ReadRam("");
  if (machine.ram == 0) {  // no /proc
    machine.ram = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                  static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  }
  machine.cgroup_limit = MemoryCgroup("").ReadLimit();
  machine.memory = machine.ram;
  if (machine.cgroup_limit.has_value()) {
    machine.memory = std::min(machine.ram, RoomForFiles(*machine.cgroup_limit));
  }
  machine.cpus = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  machine.uid = geteuid();
  machine.gid = getegid();
  return machine;
}

}  // namespace memfuse::cli
