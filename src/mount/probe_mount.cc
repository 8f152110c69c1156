#include "src/mount/probe_mount.h"

#include <cerrno>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "src/base/deadline.h"

namespace memfuse::mount {

int ProbeMount(const std::string& path, int flags, struct statx* attributes) {
  const base::Deadline deadline = base::Deadline::After(absl::Seconds(2));
  for (;;) {
    if (statx(AT_FDCWD, path.c_str(), flags | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, attributes) ==
        0) {
      return 0;
    }
    const int error = errno;
    if ((error != ECONNABORTED && error != ECANCELED) || deadline.passed()) return error;
    absl::SleepFor(absl::Milliseconds(1));
  }
}

}  // namespace memfuse::mount
