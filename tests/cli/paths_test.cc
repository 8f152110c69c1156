#include "src/cli/paths.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/cli/temporary_directory.h"

namespace memfuse::cli {
namespace {

using testing::HasSubstr;

std::string Message(const absl::StatusOr<std::string>& path) {
  EXPECT_FALSE(path.ok()) << *path;
  return std::string(path.status().message());
}

TEST(ResolveMountPoint, FollowsLinks) {
  TemporaryDirectory directory;
  const std::string real = directory.MakeDirectory("real");
  std::filesystem::create_directory_symlink(real, directory.path() + "/link");
  EXPECT_EQ(*ResolveMountPoint(directory.path() + "/link/../link/."), real);
}

TEST(ResolveMountPoint, ReportsErrors) {
  TemporaryDirectory directory;
  const std::string file = directory.WriteFile("file", "x");
  EXPECT_THAT(Message(ResolveMountPoint(directory.path() + "/none")), HasSubstr("does not exist"));
  EXPECT_THAT(Message(ResolveMountPoint(file + "/below")), HasSubstr("is not a directory"));
  std::filesystem::create_symlink("loop", directory.path() + "/loop");
  EXPECT_THAT(Message(ResolveMountPoint(directory.path() + "/loop")), HasSubstr("cannot be used"));
}

TEST(AbsolutePath, IsResolvedLexically) {
  EXPECT_EQ(AbsolutePath("/no/such/../place/"), "/no/place");
  EXPECT_EQ(AbsolutePath("/"), "/");
  EXPECT_EQ(AbsolutePath("x"), std::filesystem::current_path().string() + "/x");
}

TEST(ResolveLogDirectory, IsAnExistingDirectory) {
  TemporaryDirectory directory;
  const std::string mount_point = directory.MakeDirectory("mount");
  const std::string logs = directory.MakeDirectory("logs");
  EXPECT_EQ(*ResolveLogDirectory(logs, mount_point), logs);
  EXPECT_THAT(Message(ResolveLogDirectory(logs + "/none", mount_point)),
              HasSubstr("does not exist"));
  EXPECT_THAT(Message(ResolveLogDirectory(directory.WriteFile("file", ""), mount_point)),
              HasSubstr("is not a directory"));
}

TEST(ResolveLogDirectory, IsNotInsideTheMountPoint) {
  TemporaryDirectory directory;
  const std::string mount_point = directory.MakeDirectory("mount");
  const std::string inside = directory.MakeDirectory("mount/logs");
  const std::string beside = directory.MakeDirectory("mount.logs");
  std::filesystem::create_directory_symlink(inside, directory.path() + "/link");
  EXPECT_THAT(Message(ResolveLogDirectory(mount_point, mount_point)), HasSubstr("inside"));
  EXPECT_THAT(Message(ResolveLogDirectory(inside, mount_point)), HasSubstr("inside"));
  EXPECT_THAT(Message(ResolveLogDirectory(directory.path() + "/link", mount_point)),
              HasSubstr("inside"));
  EXPECT_TRUE(ResolveLogDirectory(beside, mount_point).ok()) << "only the name begins alike";
  EXPECT_TRUE(ResolveLogDirectory(directory.path(), mount_point).ok()) << "above is fine";
}

}  // namespace
}  // namespace memfuse::cli
