#include "src/cli/command_line.h"

#include <gflags/gflags.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include "src/cli/flags.h"

namespace memfuse::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class CommandLineTest : public testing::Test {
 protected:
  std::vector<std::string> Parse(const std::vector<std::string>& arguments) {
    auto operands = ParseCommandLine(arguments);
    EXPECT_TRUE(operands.ok()) << operands.status();
    return operands.ok() ? *operands : std::vector<std::string>{"<error>"};
  }
  std::string Error(const std::vector<std::string>& arguments) {
    auto operands = ParseCommandLine(arguments);
    EXPECT_FALSE(operands.ok()) << "accepted: " << testing::PrintToString(arguments);
    return std::string(operands.status().message());
  }

 private:
  gflags::FlagSaver saver_;
};

TEST_F(CommandLineTest, AnEmptyCommandLineHasNoFlags) { EXPECT_THAT(Parse({}), IsEmpty()); }

TEST_F(CommandLineTest, FlagsMayStandAnywhere) {
  EXPECT_THAT(Parse({"--threads=3", "/mnt", "--size", "4g"}), ElementsAre("/mnt"));
  EXPECT_EQ(FLAGS_threads, 3);
  EXPECT_EQ(FLAGS_size, "4g");
}

TEST_F(CommandLineTest, OneDashIsEnough) {
  EXPECT_THAT(Parse({"-threads=5", "-size", "1m", "-writeback", "x"}), ElementsAre("x"));
  EXPECT_EQ(FLAGS_threads, 5);
  EXPECT_EQ(FLAGS_size, "1m");
  EXPECT_TRUE(FLAGS_writeback);
}

TEST_F(CommandLineTest, SwitchesStandAloneOrWithAValueOrNegated) {
  Parse({"--writeback"});
  EXPECT_TRUE(FLAGS_writeback);
  Parse({"--nowriteback"});
  EXPECT_FALSE(FLAGS_writeback);
  Parse({"--writeback=true"});
  EXPECT_TRUE(FLAGS_writeback);
  Parse({"--writeback=0"});
  EXPECT_FALSE(FLAGS_writeback);
}

TEST_F(CommandLineTest, ASwitchDoesNotTakeTheNextArgument) {
  EXPECT_THAT(Parse({"--foreground", "/mnt"}), ElementsAre("/mnt"));
}

TEST_F(CommandLineTest, ShortForms) {
  Parse({"-f", "-h"});
  EXPECT_TRUE(FLAGS_foreground);
  EXPECT_TRUE(FLAGS_help);
}

TEST_F(CommandLineTest, DoubleDashEndsFlags) {
  EXPECT_THAT(Parse({"--", "--size=1", "-o"}), ElementsAre("--size=1", "-o"));
  EXPECT_EQ(FLAGS_size, "50%");
}

TEST_F(CommandLineTest, ASingleDashAndAnEmptyStringAreOperands) {
  EXPECT_THAT(Parse({"-", ""}), ElementsAre("-", ""));
}

TEST_F(CommandLineTest, MountOptionsAreFlagsByName) {
  EXPECT_THAT(
      Parse({"-o", "size=2g,threads=2,mode=0755,uid=5,gid=6,writeback,nr_inodes=7", "/mnt"}),
      ElementsAre("/mnt"));
  EXPECT_EQ(FLAGS_size, "2g");
  EXPECT_EQ(FLAGS_threads, 2);
  EXPECT_EQ(FLAGS_mode, "0755");
  EXPECT_EQ(FLAGS_uid, "5");
  EXPECT_EQ(FLAGS_gid, "6");
  EXPECT_TRUE(FLAGS_writeback);
  EXPECT_EQ(FLAGS_nr_inodes, "7");
}

TEST_F(CommandLineTest, MountFlagsOfTheKernel) {
  Parse({"-oro,nosuid,nodev,noexec,noatime"});
  EXPECT_TRUE(FLAGS_ro);
  EXPECT_FALSE(FLAGS_suid);
  EXPECT_FALSE(FLAGS_dev);
  EXPECT_FALSE(FLAGS_exec);
  EXPECT_FALSE(FLAGS_atime);
  Parse({"-orw,suid,dev,exec,atime"});
  EXPECT_FALSE(FLAGS_ro);
  EXPECT_TRUE(FLAGS_suid);
  EXPECT_TRUE(FLAGS_dev);
  EXPECT_TRUE(FLAGS_exec);
  EXPECT_TRUE(FLAGS_atime);
}

TEST_F(CommandLineTest, OptionsOfMountAndSystemdAreDropped) {
  Parse({"-o",
         "defaults,nofail,noauto,auto,user,user=joe,users,nouser,owner,group,_netdev,"
         "x-systemd.automount,x-systemd.idle-timeout=60,X-mount.mkdir=0755,comment=scratch,"
         "lazytime,sync,async,inode64,relatime,,"});
}

// mount(8) adds the options that /proc/mounts shows for a FUSE mount to a remount, at any position.
TEST_F(CommandLineTest, ARemountDropsTheKernelsOptions) {
  constexpr char kShown[] =
      "rw,relatime,user_id=0,group_id=0,default_permissions,allow_other,max_read=1048576,"
      "blksize=4096,fd=5,rootmode=40000,subtype=memfuse";
  for (const char* list : {"remount,%,size=5m", "%,size=5m,remount"}) {
    gflags::FlagSaver saver;
    const std::string options = absl::StrReplaceAll(list, {{"%", kShown}});
    EXPECT_THAT(Parse({"/mnt", "-o", options}), ElementsAre("/mnt")) << options;
    EXPECT_TRUE(FLAGS_remount);
    EXPECT_TRUE(FLAGS_allow_other);
    EXPECT_EQ(FLAGS_size, "5m");
  }
  EXPECT_THAT(Error({"/mnt", "-o", kShown}), HasSubstr("fd=5"));
  EXPECT_THAT(Error({"/mnt", "-o", "remount,user_ids=0"}), HasSubstr("user_ids=0"));
}

TEST_F(CommandLineTest, TheLaterOneWinsAtAnyPosition) {
  Parse({"--size=1g", "-o", "size=2g"});
  EXPECT_EQ(FLAGS_size, "2g");
  Parse({"-o", "size=2g", "--size=3g"});
  EXPECT_EQ(FLAGS_size, "3g");
  Parse({"-o", "ro", "-o", "rw"});
  EXPECT_FALSE(FLAGS_ro);
  Parse({"-o", "size=1g,size=4g"});
  EXPECT_EQ(FLAGS_size, "4g");
}

TEST_F(CommandLineTest, UnknownFlags) {
  EXPECT_THAT(Error({"--sizee=1g"}), HasSubstr("unknown flag --sizee"));
  EXPECT_THAT(Error({"-x"}), HasSubstr("unknown flag --x"));
  EXPECT_THAT(Error({"---size=1"}), HasSubstr("unknown flag ---size"));
  EXPECT_THAT(Error({"--=1"}), HasSubstr("unknown flag --"));
  EXPECT_THAT(Error({"--nosize"}), HasSubstr("unknown flag --nosize"));
}

TEST_F(CommandLineTest, FlagsThatComeWithTheLibrariesAreUnknown) {
  for (const char* flag : {"--helpxml", "--helpfull", "--flagfile=/etc/passwd", "--undefok=x",
                           "--fromenv=size", "--logtostderr", "--alsologtostderr",
                           "--tab_completion_word=x", "--stop_logging_if_full_disk"}) {
    EXPECT_THAT(Error({flag}), HasSubstr("unknown flag")) << flag;
  }
}

TEST_F(CommandLineTest, MissingAndWrongValues) {
  EXPECT_THAT(Error({"/mnt", "--size"}), HasSubstr("--size needs a value"));
  EXPECT_THAT(Error({"/mnt", "-o"}), HasSubstr("-o needs"));
  EXPECT_THAT(Error({"-o", "size"}), HasSubstr("--size needs a value"));
  EXPECT_THAT(Error({"--threads=many"}), AllOf(HasSubstr("--threads"), HasSubstr("many")));
  EXPECT_THAT(Error({"--threads=99999999999999"}), HasSubstr("--threads"));
  EXPECT_THAT(Error({"--threads="}), HasSubstr("--threads"));
  EXPECT_THAT(Error({"--writeback=maybe"}), HasSubstr("neither true nor false"));
  EXPECT_THAT(Error({"--nowriteback=1"}), HasSubstr("takes no value"));
}

TEST_F(CommandLineTest, UnknownMountOptions) {
  EXPECT_THAT(Error({"-o", "size=1g,sizes=3"}), HasSubstr("unknown mount option 'sizes=3'"));
  EXPECT_THAT(Error({"-o", "help"}), HasSubstr("unknown mount option 'help'"));
  EXPECT_THAT(Error({"-o", "nosize"}), HasSubstr("unknown mount option 'nosize'"));
  EXPECT_THAT(Error({"-o", "=3"}), HasSubstr("unknown mount option '=3'"));
}

TEST_F(CommandLineTest, ProcessFlagsAreNoMountOptions) {
  for (const char* option : {"foreground", "noforeground", "fuse_fd=5", "help", "version",
                             "disable_optimizations=spare_workers"}) {
    EXPECT_THAT(Error({"-o", option}), HasSubstr("unknown mount option")) << option;
  }
}

TEST_F(CommandLineTest, FlagsOfLaterVersionsHaveTheirOwnError) {
  for (const char* flag : {"--load=x", "--save_on_unmount=x"}) {
    EXPECT_THAT(Error({flag}),
                AllOf(HasSubstr("is not supported by this version"), Not(HasSubstr("unknown"))));
  }
  EXPECT_THAT(Error({"-o", "load=x"}), HasSubstr("not supported by this version"));
}

}  // namespace
}  // namespace memfuse::cli
