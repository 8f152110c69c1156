// The program with bad arguments: one line of output, status 1, no mount. Also the output of --help
// and --version.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "tests/cli/run_program.h"
#include "tests/cli/temporary_directory.h"

namespace memfuse::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

struct BadInput {
  std::string name;
  // "@" is replaced by an existing directory.
  std::vector<std::string> arguments;
  std::string message;  // part of the line
};

class BadInputTest : public testing::TestWithParam<BadInput> {};

TEST_P(BadInputTest, OneLineAndStatusOneAndNothingMounted) {
  TemporaryDirectory directory;
  const std::string mount_point = directory.MakeDirectory("mount");
  directory.MakeDirectory("mount/inside");
  directory.WriteFile("mount/file", "");
  std::vector<std::string> arguments = GetParam().arguments;
  for (std::string& argument : arguments) {
    if (const size_t at = argument.find('@'); at != std::string::npos) {
      argument.replace(at, 1, mount_point);
    }
  }
  const ProgramResult result = RunMemfuse(arguments);
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.out, IsEmpty());
  EXPECT_THAT(result.err, StartsWith("memfuse: "));
  EXPECT_THAT(result.err, HasSubstr(GetParam().message));
  EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << "not one line:\n" << result.err;
  EXPECT_FALSE(IsMounted(mount_point));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadInputTest,
    testing::Values(
        BadInput{"FlagsWithoutMountPoint", {"--size=1m"}, "no mount point is given"},
        BadInput{"EmptyMountPoint", {""}, "empty"},
        BadInput{"TwoMountPoints", {"@", "/elsewhere"}, "'/elsewhere'"},
        BadInput{"MountPointMissing", {"@/none"}, "does not exist"},
        BadInput{"MountPointIsAFile", {"@/file"}, "is not a directory"},
        BadInput{"MountPointBelowAFile", {"@/file/x"}, "is not a directory"},
        BadInput{"UnknownFlag", {"@", "--sise=1g"}, "unknown flag --sise"},
        BadInput{"UnknownShortFlag", {"@", "-z"}, "unknown flag --z"},
        BadInput{"UnknownMountOption", {"@", "-o", "sise=1g"}, "unknown mount option 'sise=1g'"},
        BadInput{"FlagOfALibrary", {"@", "--helpxml"}, "unknown flag --helpxml"},
        BadInput{"FlagWithANewline", {"@", "--a\nb"}, "unknown flag --a?b"},
        BadInput{"SizeWithoutValue", {"@", "--size"}, "--size needs a value"},
        BadInput{"SizeIsAWord", {"@", "--size=lots"}, "--size: 'lots'"},
        BadInput{"SizeIsNegative", {"@", "--size=-1"}, "--size: '-1'"},
        BadInput{"SizeOverflows", {"@", "--size=99999999999999999999"}, "--size"},
        BadInput{"SizeBeyondAddressSpace", {"@", "--size=200t"}, "can address"},
        BadInput{"SizeInMountOptions", {"@", "-o", "size=1q"}, "--size: '1q'"},
        BadInput{"InodesAreAWord", {"@", "--nr_inodes=many"}, "--nr_inodes: 'many'"},
        BadInput{"ThreadsAreAWord", {"@", "--threads=four"}, "--threads: 'four'"},
        BadInput{"TooManyThreads", {"@", "--threads=100000"}, "--threads: '100000'"},
        BadInput{"ModeIsNotOctal", {"@", "--mode=0999"}, "octal"},
        BadInput{"UnknownUser", {"@", "--uid=no-such-user"}, "--uid: 'no-such-user'"},
        BadInput{"UnknownGroup", {"@", "--gid=no-such-group"}, "--gid: 'no-such-group'"},
        BadInput{"FsnameIsADevice", {"@", "--fsname=/dev/sda1"}, "--fsname"},
        BadInput{"HugeOfNothing", {"@", "--huge=always", "--data=null"}, "does not go with"},
        BadInput{"PassthroughAndWriteback",
                 {"@", "--data=passthrough", "--writeback"},
                 "does not go with"},
        BadInput{"TransportUnknown", {"@", "--transport=tcp"}, "is none of auto, dev and uring"},
        BadInput{"LogDirectoryMissing", {"@", "--log_dir=@/none"}, "does not exist"},
        BadInput{"LogDirectoryIsAFile", {"@", "--log_dir=@/file"}, "is not a directory"},
        BadInput{"LogDirectoryIsTheMount", {"@", "--log_dir=@"}, "inside the mount point"},
        BadInput{"LogDirectoryInTheMount", {"@", "--log_dir=@/inside"}, "inside the mount point"},
        BadInput{"DescriptorNotOpen", {"--fuse_fd=77"}, "descriptor 77 is not open"},
        BadInput{"DescriptorOfAStream", {"--fuse_fd=0"}, "descriptor 0 is a standard stream"},
        BadInput{"NegativeDescriptor", {"--fuse_fd=-1", "@"}, "--fuse_fd"},
        BadInput{"InTheForegroundToo", {"-f", "@/none"}, "does not exist"}),
    [](const testing::TestParamInfo<BadInput>& input) { return input.param.name; });

// Other tests may have mounts meanwhile.
TEST(ListTest, WithoutArgumentsItListsTheMounts) {
  const ProgramResult result = RunMemfuse({});
  EXPECT_EQ(result.exit_status, 0);
  EXPECT_THAT(result.out, AnyOf(StartsWith("No memfuse is mounted; 'memfuse DIRECTORY' mounts"),
                                StartsWith("mount point ")));
  EXPECT_THAT(result.err, IsEmpty());
}

// Called as mount(8) does.
TEST(MountHelperTest, ExitsAsMountDoes) {
  TemporaryDirectory directory;
  const std::string mount_point = directory.MakeDirectory("mount");
  const std::string helper = directory.path() + "/mount.memfuse";
  std::filesystem::create_symlink(MEMFUSE_PROGRAM, helper);
  const struct {
    std::vector<std::string> arguments;
    int exit_status;
    std::string message;
  } kCases[] = {
      {{}, 1, "mount(8) calls this as"},
      {{"--help"}, 1, "mount(8) calls this as"},
      {{"none", mount_point, "-z"}, 1, "unknown argument '-z'"},
      {{"none", mount_point, "-o", "sise=1"}, 1, "unknown mount option 'sise=1'"},
      {{"none", mount_point, "-o", "casefold"}, 1, "'casefold' is not supported"},
      {{"none", mount_point, "-s", "-o", "remount"}, 32, "no memfuse is mounted on"},
      {{"none", mount_point, "-o", "size=lots"}, 1, "'lots' is no size"},
      {{"/dev/null", mount_point}, 1, "'/dev/null' is the path of a device"},
      {{"none", mount_point + "/none"}, 32, "does not exist"},
      {{"none", "/proc/self/status", "-f"}, 32, "is not a directory"},
      {{"none", mount_point, "-N", "/proc/none"}, 32, "cannot enter the mount namespace"},
  };
  for (const auto& c : kCases) {
    std::vector<std::string> command = {helper};
    command.insert(command.end(), c.arguments.begin(), c.arguments.end());
    const ProgramResult result = RunProgram(command);
    EXPECT_EQ(result.exit_status, c.exit_status) << result.err;
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, StartsWith("mount.memfuse: "));
    EXPECT_THAT(result.err, HasSubstr(c.message));
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << "not one line:\n" << result.err;
  }
  EXPECT_FALSE(IsMounted(mount_point));
}

TEST(MountHelperTest, FakeMountsNothing) {
  TemporaryDirectory directory;
  const std::string helper = directory.path() + "/mount.fuse.memfuse";
  std::filesystem::create_symlink(MEMFUSE_PROGRAM, helper);
  const std::string mount_point = directory.MakeDirectory("mount");
  const ProgramResult result = RunProgram({helper, "none", mount_point, "-fv", "-o", "size=1g"});
  EXPECT_EQ(result.exit_status, 0) << result.err;
  EXPECT_EQ(result.out, "mount.memfuse: would mount none on " + mount_point + "\n");
  EXPECT_FALSE(IsMounted(mount_point));
}

TEST(HelpTest, IsNarrowAndSucceeds) {
  for (const char* flag : {"--help", "-h"}) {
    const ProgramResult result = RunMemfuse({flag});
    EXPECT_EQ(result.exit_status, 0);
    EXPECT_THAT(result.err, IsEmpty());
    EXPECT_THAT(result.out, StartsWith("Usage: memfuse MOUNTPOINT"));
    std::vector<std::string> lines = absl::StrSplit(result.out, '\n');
    EXPECT_EQ(lines.back(), "") << "the last line ends";
    lines.pop_back();
    EXPECT_LE(lines.size(), 50u);
    for (const std::string& line : lines) EXPECT_LE(line.size(), 80u) << line;
  }
}

TEST(HelpTest, HasPriorityOverMissingArguments) {
  EXPECT_EQ(RunMemfuse({"--help", "/no"}).exit_status, 0);
}

TEST(VersionTest, IsOneLine) {
  const ProgramResult result = RunMemfuse({"--version"});
  EXPECT_EQ(result.exit_status, 0);
  EXPECT_EQ(result.out, "memfuse 0.1.0\n");
  EXPECT_THAT(result.err, IsEmpty());
}

}  // namespace
}  // namespace memfuse::cli
