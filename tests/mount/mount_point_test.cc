// MountPoint recognises its own mount, and unmounts no other one.

#include "src/mount/mount_point.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "src/base/deadline.h"
#include "tests/transport/mount_fixture.h"

namespace memfuse::mount {
namespace {

using testing::HasSubstr;

class MountPointTest : public transport::MountFixture {
 protected:
  // A mount that can be distinguished from others. MountPoint does not check its type.
  void MountSomething(const char* name) {
    ASSERT_EQ(::mount(name, directory().c_str(), "tmpfs", 0, nullptr), 0);
  }
  static absl::Status Unmount(const MountPoint& mount_point) {
    return mount_point.Unmount(base::Deadline::After(absl::ZeroDuration()),
                               /*connection_ended=*/false);
  }
};

TEST_F(MountPointTest, OurMountIsUnmountedAndTheOneBelowStays) {
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

TEST_F(MountPointTest, OurMountWasUnmountedBeforeItsIdentification) {
  for (const bool by_helper : {false, true}) {
    const MountPoint::Identity below = MountPoint::Find(directory());
    const MountPoint ours = MountPoint::Identify(directory(), by_helper, below);
    EXPECT_FALSE(ours.IsMounted(false));
    EXPECT_TRUE(Unmount(ours).ok());
  }
}

TEST_F(MountPointTest, TheMountBelowIsNotTakenForOurs) {
  MountSomething("below");
  const MountPoint::Identity below = MountPoint::Find(directory());
  const MountPoint ours = MountPoint::Identify(directory(), /*by_helper=*/false, below);
  EXPECT_FALSE(ours.IsMounted(false));
  EXPECT_TRUE(Unmount(ours).ok());
  EXPECT_TRUE(IsMounted());
}

TEST_F(MountPointTest, AnotherMountInItsPlaceIsNotOurs) {
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
}  // namespace memfuse::mount
