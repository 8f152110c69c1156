// Errors that occur only during the mount. Each case changes the machine in its own mount
// namespace: no device, no helper, an unprivileged user.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/cli/mounted_program.h"

namespace memfuse::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

struct MountError {
  std::string name;
  // A script that runs first, as root; $D is a directory that all users may enter, $M the mount
  // point inside.
  std::string preparation;
  bool as_root;
  std::vector<std::string> flags;
  std::string message;
};

class MountErrorTest : public testing::TestWithParam<MountError> {};

TEST_P(MountErrorTest, OneLineAndStatusOneAndNothingMounted) {
  for (const bool foreground : {false, true}) {
    MountedProgram program;
    const std::string& directory = program.directory().path();
    PublicCopyOfProgram(program.directory());
    // setpriv is copied as well, because a case may hide /usr/bin.
    std::string script =
        absl::StrCat("set -e\nD=$1\nM=$2\nshift 2\ncp \"$(command -v setpriv)\" $D/setpriv\n",
                     "chown 65534:65534 $M\n", GetParam().preparation, "\n");
    const std::string become = "$D/setpriv --reuid=65534 --regid=65534 --clear-groups ";
    absl::StrAppend(&script, "exec ", GetParam().as_root ? "" : become, "$D/memfuse \"$@\" $M");
    std::vector<std::string> command = {"unshare", "--mount", "sh",      "-c",
                                        script,    "sh",      directory, program.mount_point()};
    command.insert(command.end(), GetParam().flags.begin(), GetParam().flags.end());
    if (foreground) command.push_back("--foreground");

    const ProgramResult result = RunProgram(command);
    EXPECT_EQ(result.exit_status, 1);
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, StartsWith("memfuse: "));
    EXPECT_THAT(result.err, HasSubstr(GetParam().message));
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << "not one line:\n" << result.err;
    EXPECT_FALSE(IsMounted(program.mount_point()));
    EXPECT_EQ(program.DaemonPid(), -1);
  }
}

constexpr char kHideDevice[] = "mount -t tmpfs tmpfs /dev\nmknod -m 666 /dev/null c 1 3";
constexpr char kPrivateDevice[] =
    "mount -t tmpfs -o mode=755 tmpfs /dev\nmknod -m 666 /dev/null c 1 3\n"
    "mknod -m 600 /dev/fuse c 10 229";
constexpr char kHideHelper[] =
    "mount -t tmpfs tmpfs /usr/local/bin || true\n"
    "mount -t tmpfs tmpfs /usr/bin\nexport PATH=/usr/bin:/bin";

INSTANTIATE_TEST_SUITE_P(
    All, MountErrorTest,
    testing::Values(MountError{"NoDevice", kHideDevice, true, {}, "/dev/fuse"},
                    MountError{"NoDeviceForAUser", kHideDevice, false, {}, "/dev/fuse"},
                    MountError{"DeviceForRootOnly", kPrivateDevice, false, {}, "/dev/fuse"},
                    MountError{"NoHelper", kHideHelper, false, {}, "is not installed"},
                    MountError{"ForeignMountPoint", "chown 0:0 $M", false, {}, ""},
                    MountError{"MountPointOutOfReach",
                               "chmod 700 $M; M=$M/below; mkdir $M; chown 0:0 $D/mount",
                               false,
                               {},
                               "permission denied"},
                    MountError{"AllowOtherForAUser",
                               ": > $D/fuse.conf; mount --bind $D/fuse.conf /etc/fuse.conf",
                               false,
                               {"--allow_other"},
                               "allow_other"}),
    [](const testing::TestParamInfo<MountError>& input) { return input.param.name; });

TEST(UserMountTest, AnOrdinaryUserMountsUsesAndUnmounts) {
  MountedProgram program;
  PublicCopyOfProgram(program.directory());
  const std::string user = "setpriv --reuid=65534 --regid=65534 --clear-groups ";
  const std::string memfuse = program.directory().path() + "/memfuse ";
  ASSERT_EQ(program.Shell("chown 65534:65534 $M").exit_status, 0);
  const ProgramResult mounted = program.Shell(user + memfuse + "$M");
  ASSERT_EQ(mounted.exit_status, 0) << mounted.err;
  EXPECT_THAT(mounted.err, IsEmpty());
  const pid_t daemon = program.DaemonPid();
  const ProgramResult used =
      program.Shell(user + "sh -c 'echo hello > \"$0/f\" && cat \"$0/f\"' $M");
  EXPECT_EQ(used.out, "hello\n") << used.err;
  EXPECT_EQ(program.Shell(user + "fusermount3 -u $M").exit_status, 0);
  EXPECT_EQ(MountedProgram::WaitForExit(daemon), 0);
  EXPECT_FALSE(IsMounted(program.mount_point()));
}

}  // namespace
}  // namespace memfuse::cli
