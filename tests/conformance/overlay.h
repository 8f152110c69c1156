// An overlay mount with its upper layer on the file system under test. For root.

#ifndef MEMFUSE_TESTS_CONFORMANCE_OVERLAY_H_
#define MEMFUSE_TESTS_CONFORMANCE_OVERLAY_H_

#include <sys/mount.h>

#include <fstream>
#include <string>

#include "tests/conformance/conformance.h"
#include "tests/conformance/mounts.h"

namespace memfuse::conformance {

// In the working directory: "lower" (a tmpfs), "upper" and "work" (plain directories), and
// "merged", on which Mount() mounts the overlay. The mounts are private and end with the object.
class Overlay {
 public:
  Overlay() {
    for (const char* name : {"lower", "upper", "work", "merged"}) {
      EXPECT_EQ(ErrnoOf(mkdir(name, 0755)), 0) << name;
    }
    EXPECT_EQ(ErrnoOf(mount("tmpfs", "lower", "tmpfs", 0, nullptr)), 0);
  }

  // 0 or an errno.
  int Mount(const std::string& options = "") {
    const std::string data = "lowerdir=lower,upperdir=upper,workdir=work" + options;
    return ErrnoOf(mount("overlay", "merged", "overlay", 0, data.c_str()));
  }
  int Unmount() { return ErrnoOf(umount("merged")); }

  // The options of the mounted overlay, as /proc shows them. An option that overlayfs turned off,
  // because the upper layer does not support it, is missing or "off" there.
  static std::string Options() {
    std::ifstream mounts("/proc/self/mounts");
    std::string line, found;
    while (std::getline(mounts, line)) {
      if (line.compare(0, 8, "overlay ") == 0) found = line;
    }
    return found;
  }

 private:
  PrivateMounts mounts_;
};

}  // namespace memfuse::conformance

#endif  // MEMFUSE_TESTS_CONFORMANCE_OVERLAY_H_
