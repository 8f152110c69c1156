// mkdir(2).

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Mkdir);
ROOT_CONFORMANCE_SUITE(MkdirAsRoot);

TEST_P(Mkdir, MakesAnEmptyDirectoryThatKnowsItsParent) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  EXPECT_THAT(List("d"), testing::IsEmpty());
  EXPECT_EQ(Stat("d/..").st_ino, Stat(".").st_ino);
  EXPECT_NE(Stat("d").st_ino, Stat(".").st_ino);
  EXPECT_EQ(Stat("d").st_dev, Stat(".").st_dev);
}

TEST_P(Mkdir, CountsInTheParentsLinks) {
  const nlink_t before = Stat(".").st_nlink;
  for (unsigned i = 1; i <= 10; ++i) {
    ASSERT_EQ(mkdir(std::to_string(i).c_str(), 0755), 0);
    EXPECT_EQ(Stat(".").st_nlink, before + i);
  }
}

TEST_P(Mkdir, NestsAsDeepAsAPathIsLong) {
  std::string path = "d";
  while (path.size() + 2 < 4000) {
    ASSERT_EQ(mkdir(path.c_str(), 0755), 0) << path.size();
    path += "/d";
  }
  EXPECT_EQ(mkdir(path.c_str(), 0755), 0);
  MakeFile(path + "/f", "deep");
  EXPECT_EQ(ReadFile(path + "/f"), "deep");
}

TEST_P(Mkdir, OfTheMountPointExists) {
  EXPECT_EQ(ErrnoOf(mkdir(mount_directory().c_str(), 0755)), EEXIST);
  EXPECT_EQ(ErrnoOf(mkdir("/", 0755)), EEXIST);
}

TEST_P(Mkdir, IgnoresTypeBitsOfTheMode) {
  ASSERT_EQ(mkdir("d", S_IFREG | 0700), 0);
  EXPECT_EQ(LStat("d").st_mode, S_IFDIR | mode_t{0700});
}

TEST_P(Mkdir, AModeWithoutBitsAffectsLaterCallsOnly) {
  ASSERT_EQ(mkdir("d", 0), 0);
  EXPECT_EQ(Permissions("d"), mode_t{0});
  ASSERT_EQ(chmod("d", 0755), 0);
}

TEST_P(MkdirAsRoot, InheritsSetgidAndTheGroup) {
  MakeDirectory("d");
  ASSERT_EQ(chown("d", kBob.uid, kShared), 0);
  ASSERT_EQ(chmod("d", 02777), 0);
  EXPECT_EQ(As(kStranger, [] { return ErrnoOf(mkdir("d/e", 0750)); }), 0);
  EXPECT_EQ(Permissions("d/e"), mode_t{02750});
  EXPECT_EQ(LStat("d/e").st_gid, kShared);
  EXPECT_EQ(LStat("d/e").st_uid, kStranger.uid);
  EXPECT_EQ(As(kStranger, [] { return ErrnoOf(mkdir("d/e/f", 0700)); }), 0);
  EXPECT_EQ(Permissions("d/e/f"), mode_t{02700});
  EXPECT_EQ(LStat("d/e/f").st_gid, kShared);
}

TEST_P(MkdirAsRoot, DoesNotInheritStickyOrSetuid) {
  MakeDirectory("d", 05777);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(mkdir("d/e", 0755)); }), 0);
  EXPECT_EQ(Permissions("d/e"), mode_t{0755});
  EXPECT_EQ(LStat("d/e").st_gid, kAlice.gid);
}

}  // namespace
}  // namespace memfuse::conformance
