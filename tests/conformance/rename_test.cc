// rename(2), renameat2(2).

#include <linux/fs.h>
#include <sys/syscall.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Rename);
ROOT_CONFORMANCE_SUITE(RenameAsRoot);

TEST_P(Rename, OfTheSameInodeDoesNothing) {
  MakeFile("a", "content");
  ASSERT_EQ(link("a", "b"), 0);
  EXPECT_EQ(rename("a", "b"), 0);
  EXPECT_THAT(List("."), testing::ElementsAre("a", "b"));
  EXPECT_EQ(LStat("a").st_nlink, 2u);
}

TEST_P(Rename, IntoItsOwnChildIsInvalid) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  ASSERT_EQ(mkdir("d/e", 0755), 0);
  EXPECT_EQ(ErrnoOf(rename("d", "d/e/f")), EINVAL);
  EXPECT_EQ(ErrnoOf(rename("d", "d/e")), EINVAL);
  EXPECT_EQ(ErrnoOf(rename("d/e", "d")), ENOTEMPTY);
}

TEST_P(Rename, MovesTimesOfBothParentsAndOfTheObjectItself) {
  ASSERT_EQ(mkdir("p", 0755), 0);
  ASSERT_EQ(mkdir("q", 0755), 0);
  MakeFile("p/f");
  const TimeWatch from("p"), to("q"), file("p/f");
  ASSERT_EQ(rename("p/f", "q/f"), 0);
  EXPECT_EQ(from.Moved(), "mc");
  EXPECT_EQ(to.Moved(), "mc");
  ASSERT_EQ(rename("q/f", "p/f"), 0);
  EXPECT_EQ(file.Moved(), "c");
}

TEST_P(RenameAsRoot, InAStickyDirectoryIsForOwners) {
  ASSERT_EQ(mkdir("s", 01777), 0);
  ASSERT_EQ(As(kAlice, [] { return ErrnoOf(mknod("s/f", S_IFREG | 0666, 0)); }), 0);
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(rename("s/f", "s/g")); }), EPERM);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(rename("s/f", "s/g")); }), 0);
}

}  // namespace
}  // namespace memfuse::conformance
