#include "src/cli/mount_source.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/cli/temporary_directory.h"

namespace memfuse::cli {
namespace {

class NameOfSourceTest : public testing::Test {
 protected:
  NameOfSourceTest() : before_(std::filesystem::current_path()) { GoTo("here"); }
  ~NameOfSourceTest() override { std::filesystem::current_path(before_); }

  void GoTo(const std::string& name) {
    std::filesystem::current_path(directory_.MakeDirectory(name));
  }
  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }
  // Parses with that fstab.
  std::string Name(const std::string& source, const std::string& lines = "") {
    return NameOfSource(source, Path("mount"), directory_.WriteFile("fstab", lines));
  }

  const TemporaryDirectory directory_;

 private:
  const std::filesystem::path before_;
};

TEST_F(NameOfSourceTest, NamesStay) {
  for (const char* name : {"none", "scratch", "a/b", "./scratch", "host:/x", ""}) {
    EXPECT_EQ(Name(name), name);
  }
}

TEST_F(NameOfSourceTest, InTheWorkingDirectory) {
  EXPECT_EQ(Name(Path("here/scratch")), "scratch");
  EXPECT_EQ(Name(Path("here/a b")), "a b");
  std::filesystem::current_path("/");
  EXPECT_EQ(Name("/tmp"), "tmp");
}

TEST_F(NameOfSourceTest, PathsToElsewhereStay) {
  for (const char* name :
       {"here", "here/below/scratch", "here/", "hereafter/scratch", "x/scratch"}) {
    EXPECT_EQ(Name(Path(name)), Path(name));
  }
  EXPECT_EQ(Name("/"), "/");
  std::filesystem::current_path("/");
  EXPECT_EQ(Name("/"), "/");
}

TEST_F(NameOfSourceTest, ARemovedWorkingDirectory) {
  GoTo("gone");
  std::filesystem::remove(Path("gone"));
  EXPECT_EQ(Name(Path("gone/scratch")), Path("gone/scratch"));
}

TEST_F(NameOfSourceTest, AsFstabHasIt) {
  const std::string to_mount = absl::StrCat(" ", Path("mount"), " memfuse defaults 0 0\n");
  directory_.WriteFile("here/scratch", "");
  // A source that was written as a path stays a path, in any working directory.
  EXPECT_EQ(Name(Path("here/scratch"), Path("here/scratch") + to_mount), Path("here/scratch"));
  // The last component of a symbolic link differs from that of its target.
  std::filesystem::create_symlink(Path("target"), Path("here/link"));
  directory_.WriteFile("target", "");
  EXPECT_EQ(Name(Path("target"), "none" + to_mount + "link" + to_mount), "link");
  EXPECT_EQ(Name(Path("target"), "none" + to_mount), Path("target"));
}

TEST_F(NameOfSourceTest, OnlyLinesOfMemfuseForTheMountPointCount) {
  directory_.WriteFile("here/scratch", "");
  const std::string path = Path("here/scratch");
  const std::string lines =
      absl::StrCat("# a comment\n\n", path, " ", Path("other"), " memfuse\n", path, " ",
                   Path("mount"), " ext4 defaults 0 0\nnonsense\n");
  EXPECT_EQ(Name(path, lines), "scratch");
  EXPECT_EQ(Name(path, absl::StrCat(lines, path, " ", Path("mount"), " fuse.memfuse noauto\n")),
            path);
  EXPECT_EQ(NameOfSource(path, Path("mount"), Path("no such file")), "scratch");
}

TEST_F(NameOfSourceTest, AMountPointMayBeWrittenWithLinks) {
  directory_.MakeDirectory("mount");
  std::filesystem::create_symlink(Path("mount"), Path("link"));
  const std::string path = Path("here/scratch");
  EXPECT_EQ(Name(path, absl::StrCat(path, " ", Path("link"), " memfuse defaults\n")), path);
}

TEST(IsMountedAs, TheUppermostMountCounts) {
  const TemporaryDirectory directory;
  const std::string mounts = directory.WriteFile("mounts",
                                                 "scratch /mnt/a fuse.memfuse rw 0 0\n"
                                                 "scratch /mnt/a\\040b fuse.memfuse rw 0 0\n"
                                                 "scratch /mnt/covered fuse.memfuse rw 0 0\n"
                                                 "scratch /mnt/covered tmpfs rw 0 0\n"
                                                 "scratch /mnt/top tmpfs rw 0 0\n"
                                                 "scratch /mnt/top fuse.memfuse rw 0 0\n");
  EXPECT_TRUE(IsMountedAs("scratch", "/mnt/a", mounts));
  EXPECT_TRUE(IsMountedAs("scratch", "/mnt/a b", mounts));
  EXPECT_TRUE(IsMountedAs("scratch", "/mnt/top", mounts));
  EXPECT_FALSE(IsMountedAs("scratch", "/mnt/covered", mounts));
  EXPECT_FALSE(IsMountedAs("other", "/mnt/a", mounts));
  EXPECT_FALSE(IsMountedAs("scratch", "/mnt", mounts));
  EXPECT_FALSE(IsMountedAs("scratch", "/mnt/a", directory.path() + "/none"));
}

}  // namespace
}  // namespace memfuse::cli
