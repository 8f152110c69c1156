// Which mount is ours, and that no other is taken away.

#include "src/transport/mount_point.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/transport/mount_fixture.h"

namespace memfuse::transport {
namespace {

using testing::HasSubstr;

class MountPointTest : public MountFixture {
 protected:
  // Something to be told from other mounts; MountPoint does not ask what it is.
  void MountSomething(const char* name) {
    ASSERT_EQ(mount(name, directory().c_str(), "tmpfs", 0, nullptr), 0);
  }
  static absl::Status Unmount(const MountPoint& mount_point) {
    return mount_point.Unmount(absl::InfinitePast(), /*connection_ended=*/false);
  }
};

TEST_F(MountPointTest, OursIsUnmountedAndWhatIsBelowStays) {
  MountSomething("below");
  const MountPoint::Identity below = MountPoint::Find(directory());
  MountSomething("ours");
  const MountPoint ours = MountPoint::Identify(directory(), /*by_helper=*/false, below);
  EXPECT_TRUE(ours.IsMounted(false));
  EXPECT_TRUE(Unmount(ours).ok());
  EXPECT_FALSE(ours.IsMounted(false));
  EXPECT_TRUE(Unmount(ours).ok());
  EXPECT_THAT(MountInfo(), HasSubstr(" below "));
}

TEST_F(MountPointTest, OursWasUnmountedBeforeItCouldBeIdentified) {
  for (const bool by_helper : {false, true}) {
    const MountPoint::Identity below = MountPoint::Find(directory());
    const MountPoint ours = MountPoint::Identify(directory(), by_helper, below);
    EXPECT_FALSE(ours.IsMounted(false));
    EXPECT_TRUE(Unmount(ours).ok());
  }
}

TEST_F(MountPointTest, WhatIsBelowIsNotTakenForOurs) {
  MountSomething("below");
  const MountPoint::Identity below = MountPoint::Find(directory());
  const MountPoint ours = MountPoint::Identify(directory(), /*by_helper=*/false, below);
  EXPECT_FALSE(ours.IsMounted(false));
  EXPECT_TRUE(Unmount(ours).ok());
  EXPECT_TRUE(IsMounted());
}

TEST_F(MountPointTest, AnotherOneInItsPlaceIsNotOurs) {
  const MountPoint::Identity below = MountPoint::Find(directory());
  MountSomething("ours");
  const MountPoint ours = MountPoint::Identify(directory(), /*by_helper=*/false, below);
  ASSERT_EQ(umount(directory().c_str()), 0);
  MountSomething("another");
  EXPECT_FALSE(ours.IsMounted(false));
  EXPECT_TRUE(Unmount(ours).ok());
  EXPECT_THAT(MountInfo(), HasSubstr(" another "));
}

}  // namespace
}  // namespace memfuse::transport
