// Link counts of directories: two, plus one for each subdirectory, after every rename.

#include <linux/fs.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Nlink);

// Counts the directories in `path`; the link count must match.
void ExpectCounted(const std::string& path) {
  nlink_t expected = 2;
  for (const std::string& name : List(path)) {
    if (S_ISDIR(LStat(path + "/" + name).st_mode)) ++expected;
  }
  EXPECT_EQ(Stat(path).st_nlink, expected) << path;
}

TEST_P(Nlink, CountsDirectoriesOnly) {
  for (const Type type : TypesWithoutPrivilege()) {
    MakeObject(type, ToString(type));
    ExpectCounted(".");
  }
  EXPECT_EQ(Stat(".").st_nlink, 3u);
  for (const Type type : TypesWithoutPrivilege()) {
    if (unlink(ToString(type).c_str()) != 0) {
      ASSERT_EQ(rmdir(ToString(type).c_str()), 0);
    }
    ExpectCounted(".");
  }
  EXPECT_EQ(Stat(".").st_nlink, 2u);
}

TEST_P(Nlink, OfManyDirectories) {
  for (int i = 0; i < 1000; ++i) MakeDirectory(std::to_string(i));
  EXPECT_EQ(Stat(".").st_nlink, 1002u);
  for (int i = 0; i < 1000; i += 2) ASSERT_EQ(rmdir(std::to_string(i).c_str()), 0);
  EXPECT_EQ(Stat(".").st_nlink, 502u);
}

TEST_P(Nlink, NestedDirectoriesCountOnce) {
  MakeDirectory("a");
  MakeDirectory("a/b");
  MakeDirectory("a/b/c");
  EXPECT_EQ(Stat("a").st_nlink, 3u);
  EXPECT_EQ(Stat("a/b").st_nlink, 3u);
  EXPECT_EQ(Stat("a/b/c").st_nlink, 2u);
}

TEST_P(Nlink, EveryRenameOfAFullTree) {
  // Renames every valid pair, with and without exchange, and checks the counts after each.
  const std::vector<std::string> names = {"p/d", "p/f", "q/d", "q/f", "q/full", "p/new"};
  for (const unsigned flags : {0u, unsigned{RENAME_NOREPLACE}, unsigned{RENAME_EXCHANGE}}) {
    for (const std::string& from : names) {
      for (const std::string& to : names) {
        TRACE(from << " " << to << " " << flags);
        for (const char* dir : {"p", "q", "p/d", "q/d", "q/full", "q/full/e"}) MakeDirectory(dir);
        MakeFile("p/f");
        MakeFile("q/f");
        (void)renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags);
        ExpectCounted(".");
        ExpectCounted("p");
        ExpectCounted("q");
        for (const std::string& name : names) {
          if (unlink(name.c_str()) == 0) continue;
          rmdir((name + "/e").c_str());
          rmdir(name.c_str());
        }
        ASSERT_EQ(rmdir("p"), 0);
        ASSERT_EQ(rmdir("q"), 0);
      }
    }
  }
}

TEST_P(Nlink, FailuresChangeNoCount) {
  MakeDirectory("d");
  MakeDirectory("d/e");
  MakeFile("f");
  EXPECT_EQ(ErrnoOf(mkdir("d", 0755)), EEXIST);
  EXPECT_EQ(ErrnoOf(rmdir("d")), ENOTEMPTY);
  EXPECT_EQ(ErrnoOf(rename("d", "f")), ENOTDIR);
  EXPECT_EQ(ErrnoOf(rename("d", "d/e/x")), EINVAL);
  EXPECT_EQ(ErrnoOf(rename("d/e", "d")), ENOTEMPTY);
  ExpectCounted(".");
  ExpectCounted("d");
}

TEST_P(Nlink, IsZeroAfterRemoval) {
  MakeDirectory("a");
  MakeDirectory("b");
  const UniqueFd removed = Open("a", O_RDONLY), replaced = Open("b", O_RDONLY);
  MakeDirectory("c");
  ASSERT_EQ(rmdir("a"), 0);
  ASSERT_EQ(rename("c", "b"), 0);
  for (const UniqueFd* fd : {&removed, &replaced}) {
    struct stat s;
    ASSERT_EQ(fstat(fd->get(), &s), 0);
    EXPECT_EQ(s.st_nlink, 0u);
  }
  EXPECT_EQ(Stat("b").st_nlink, 2u);
}

}  // namespace
}  // namespace memfuse::conformance
