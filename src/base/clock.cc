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

// A memory file that the kernel stamps. Two threads may read each other's stamp, which is a time
// within both calls. One file for all threads: stamping takes the file's lock for a moment, but the
// first stamp of a file after one of another file is mostly not exact, and costs a second touch.
class StampFile {
 public:
  StampFile() : file_(memfd_create("memfuse-clock", MFD_CLOEXEC)) {}

  // False: the kernel did not stamp it.
  bool Stamp(Timestamp* now) {
    const Timestamp before = Read(CLOCK_REALTIME);
    // The kernel may take the latest exact stamp, of another file, or a tick, where that is later
    // than this file's last stamp. Once the file has it, and was looked at, it gets an exact one. A
    // second tick in between is rare, and a third one is no multigrain kernel.
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
  std::atomic<bool> multigrain_{true};  // until it is known better
};

}  // namespace

Timestamp Now() {
  // Never destroyed: threads may ask until the process ends.
  static StampFile& file = *new StampFile;
  Timestamp now;
  return file.Stamp(&now) ? now : Read(CLOCK_REALTIME);
}

Timestamp WallTime() { return Read(CLOCK_REALTIME_COARSE); }

}  // namespace memfuse::base
