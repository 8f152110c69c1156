#include "src/base/clock.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <ctime>

#include "src/base/thread_number.h"
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

// Memory files that the kernel stamps. Several, because stamping a file takes its lock; a thread
// keeps to one of them. Two threads that share one may read each other's stamp, which is a time
// within both calls.
class StampFiles {
 public:
  StampFiles() {
    for (UniqueFd& file : files_) file = UniqueFd(memfd_create("memfuse-clock", MFD_CLOEXEC));
  }

  // False: the kernel did not stamp it.
  bool Stamp(Timestamp* now) {
    const int file = files_[ThreadNumber() % files_.size()].get();
    const Timestamp before = Read(CLOCK_REALTIME);
    // The kernel may take the latest exact stamp, of another file, or a tick, where that is later
    // than this file's last stamp. Once the file has it, and was looked at, it gets an exact one. A
    // second tick in between is rare, and a third one is no multigrain kernel.
    constexpr int kMaxTouches = 4;
    for (int i = 0; i < kMaxTouches; ++i) {
      if (!Touch(file, now)) return false;
      if (before <= *now || !multigrain_.load(std::memory_order_relaxed)) return true;
    }
    multigrain_.store(false, std::memory_order_relaxed);
    return true;
  }

 private:
  static bool Touch(int file, Timestamp* now) {
    constexpr timespec kTouch[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
    struct stat status;
    if (file < 0 || futimens(file, kTouch) != 0 || fstat(file, &status) != 0) return false;
    *now = FromTimespec(status.st_mtim);
    return true;
  }

  std::array<UniqueFd, 8> files_;       // constant
  std::atomic<bool> multigrain_{true};  // until it is known better
};

}  // namespace

Timestamp Now() {
  // Never destroyed: threads may ask until the process ends.
  static StampFiles& files = *new StampFiles;
  Timestamp now;
  return files.Stamp(&now) ? now : Read(CLOCK_REALTIME);
}

Timestamp WallTime() { return Read(CLOCK_REALTIME_COARSE); }

}  // namespace memfuse::base
