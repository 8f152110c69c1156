#include "src/mount/device_path.h"

#include <gtest/gtest.h>

namespace memfuse::mount {
namespace {

TEST(IsDevicePath, BelowDevAndSys) {
  for (const char* path :
       {"/dev/sda1", "/sys/devices/x", "/dev", "/sys/", "//dev//sda", "/./dev/x", "/dev/../tmp"}) {
    EXPECT_TRUE(IsDevicePath(path)) << path;
  }
}

TEST(IsDevicePath, NothingElse) {
  for (const char* path : {"", "/", "//", "/.", "dev/sda1", "/device", "/mnt/dev", "/tmp", "none",
                           "/..", "/systems/x"}) {
    EXPECT_FALSE(IsDevicePath(path)) << path;
  }
}

}  // namespace
}  // namespace memfuse::mount
