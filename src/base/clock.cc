#include "src/base/clock.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <atomic>
#include <ctime>

#include "src/base/unique_fd.h"

namespace memfuse::base {
namespace {

Timestamp FromTimespec(const timespec& time) {
  return {time.tv_sec, static_cast<uint32_t>(time.tv_nsec)};
}

Timestamp Read(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return FromTimespec(now);
}

// A memory file that the kernel stamps. Two threads may read each other's timestamp, which is a
// time within both calls. All threads share one file. Stamping takes the lock of the file for a
// short time. With several files, the first timestamp of a file after one of another file would
// mostly not be exact, and would need a second touch.
class StampFile {
 public:
  StampFile() : file_(memfd_create("memfuse-clock", MFD_CLOEXEC)) {}

  // Returns false if the kernel did not stamp the file.
  bool Stamp(Timestamp* now) {
    const Timestamp before = Read(CLOCK_REALTIME);
    // The kernel may use the latest exact timestamp of another file, or the last tick, if that is
    // later than this file's last timestamp. Once the file has that timestamp and it was read, the
    // next one is exact. A second tick in between is rare. A third one means that the kernel has no
    // multigrain timestamps.
    constexpr int kMaxTouches = 4;
    for (int i = 0; i < kMaxTouches; ++i) {
      if (!Touch(now)) return false;
      if (before <= *now || !multigrain_.load(std::memory_order_relaxed)) return true;
    }
    multigrain_.store(false, std::memory_order_relaxed);
    return true;
  }

 private:
  bool Touch(Timestamp* now) {
    constexpr timespec kTouch[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
    struct stat status;
    if (!file_.valid() || futimens(file_.get(), kTouch) != 0) return false;
    if (fstat(file_.get(), &status) != 0) return false;
    *now = FromTimespec(status.st_mtim);
    return true;
  }

  const UniqueFd file_;
  std::atomic<bool> multigrain_{true};  // assumed until Stamp finds otherwise
};

}  // namespace

Timestamp Now() {
  // Never destroyed, because threads may call Now until the process ends.
  static StampFile& file = *new StampFile;
  Timestamp now;
  return file.Stamp(&now) ? now : Read(CLOCK_REALTIME);
}

Timestamp WallTime() { return Read(CLOCK_REALTIME_COARSE); }

}  // namespace memfuse::base
