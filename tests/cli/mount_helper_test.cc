#include "src/cli/mount_helper.h"

#include <gflags/gflags.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "src/cli/flags.h"

namespace memfuse::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class MountHelperTest : public testing::Test {
 protected:
  MountHelperCall Parse(const std::vector<std::string>& arguments) {
    auto call = ParseMountHelperCall(arguments);
    EXPECT_TRUE(call.ok()) << call.status();
    return call.ok() ? *call : MountHelperCall();
  }
  std::string ParseError(const std::vector<std::string>& arguments) {
    auto call = ParseMountHelperCall(arguments);
    EXPECT_FALSE(call.ok()) << "accepted: " << testing::PrintToString(arguments);
    return std::string(call.status().message());
  }
  absl::Status Apply(const std::vector<std::string>& arguments) {
    return ApplyMountHelperCall(Parse(arguments));
  }

 private:
  gflags::FlagSaver saver_;
};

TEST(IsMountHelper, ByTheNameOfTheProgram) {
  EXPECT_TRUE(IsMountHelper("/sbin/mount.memfuse"));
  EXPECT_TRUE(IsMountHelper("mount.fuse.memfuse"));
  EXPECT_FALSE(IsMountHelper("/usr/bin/memfuse"));
  EXPECT_FALSE(IsMountHelper("/mount.d/memfuse"));
  EXPECT_FALSE(IsMountHelper(""));
}

TEST_F(MountHelperTest, ArgumentsOfMount) {
  const MountHelperCall call = Parse({"none", "/mnt", "-s", "-f", "-n", "-v", "-o", "rw,size=1g",
                                      "-t", "fuse.memfuse", "-N", "/proc/7/fd/4"});
  EXPECT_EQ(call.source, "none");
  EXPECT_EQ(call.mount_point, "/mnt");
  EXPECT_EQ(call.mount_namespace, "/proc/7/fd/4");
  EXPECT_THAT(call.options, ElementsAre("rw,size=1g"));
  EXPECT_TRUE(call.sloppy);
  EXPECT_TRUE(call.fake);
  EXPECT_TRUE(call.verbose);
}

TEST_F(MountHelperTest, OnlySourceAndDirectory) {
  const MountHelperCall call = Parse({"scratch", "/a b"});
  EXPECT_EQ(call.source, "scratch");
  EXPECT_EQ(call.mount_point, "/a b");
  EXPECT_THAT(call.options, IsEmpty());
  EXPECT_FALSE(call.sloppy || call.fake || call.verbose);
}

TEST_F(MountHelperTest, SwitchesTogetherAndValuesAttached) {
  const MountHelperCall call = Parse({"none", "/mnt", "-sfvosize=1g", "-onoexec"});
  EXPECT_TRUE(call.sloppy && call.fake && call.verbose);
  EXPECT_THAT(call.options, ElementsAre("size=1g", "noexec"));
}

TEST_F(MountHelperTest, ASourceMayLookLikeAnOption) {
  EXPECT_EQ(Parse({"-o", "/mnt"}).source, "-o");
}

TEST_F(MountHelperTest, WrongCalls) {
  EXPECT_THAT(ParseError({}), HasSubstr("SOURCE DIRECTORY"));
  EXPECT_THAT(ParseError({"none"}), HasSubstr("SOURCE DIRECTORY"));
  EXPECT_THAT(ParseError({"none", "/mnt", "/other"}), HasSubstr("SOURCE DIRECTORY"));
  EXPECT_THAT(ParseError({"none", ""}), HasSubstr("empty"));
  EXPECT_THAT(ParseError({"none", "/mnt", "-o"}), HasSubstr("-o needs a value"));
  EXPECT_THAT(ParseError({"none", "/mnt", "-x"}), HasSubstr("'-x'"));
  EXPECT_THAT(ParseError({"none", "/mnt", "--size=1g"}), HasSubstr("'--size=1g'"));
}

TEST_F(MountHelperTest, TheSourceIsTheNameInProcMounts) {
  EXPECT_TRUE(Apply({"scratch", "/mnt", "-o", "rw,size=3g,threads=2"}).ok());
  EXPECT_EQ(FLAGS_fsname, "scratch");
  EXPECT_EQ(FLAGS_size, "3g");
  EXPECT_EQ(FLAGS_threads, 2);
}

TEST_F(MountHelperTest, TwoNamesAreAnError) {
  EXPECT_TRUE(Apply({"scratch", "/mnt", "-o", "fsname=scratch"}).ok());
  EXPECT_THAT(std::string(Apply({"none", "/mnt", "-o", "fsname=scratch"}).message()),
              HasSubstr("two names"));
}

TEST_F(MountHelperTest, DevicesAreRefusedAsNames) {
  for (const char* source : {"/dev/sda1", "/sys/block"}) {
    EXPECT_THAT(std::string(Apply({source, "/mnt"}).message()),
                HasSubstr(absl::StrCat("'", source, "' is the path of a device")));
  }
  EXPECT_THAT(std::string(Apply({"", "/mnt"}).message()), HasSubstr("empty"));
}

TEST_F(MountHelperTest, OtherPathsAreNames) {
  EXPECT_TRUE(Apply({"/no such/path", "/mnt"}).ok());
  EXPECT_EQ(FLAGS_fsname, "/no such/path");
}

TEST_F(MountHelperTest, APathMadeByMountIsTheNameAgain) {
  const std::string here = std::filesystem::current_path().string();
  EXPECT_TRUE(Apply({here + "/scratch", "/mnt"}).ok());
  EXPECT_EQ(FLAGS_fsname, "scratch");
  EXPECT_TRUE(Apply({here + "/scratch", "/mnt", "-o", "fsname=scratch"}).ok());
}

TEST_F(MountHelperTest, ARemountIgnoresTheSource) {
  for (const char* source : {"/dev/sda1", "/mnt/scratch", "other", ""}) {
    EXPECT_TRUE(Apply({source, "/mnt", "-o", "remount,size=1g"}).ok()) << source;
    EXPECT_FALSE(IsFlagSet("fsname")) << source;
  }
}

TEST_F(MountHelperTest, SloppyDropsUnsupportedOptions) {
  const std::string list = "foo,bar=1,casefold,mpol=bind:0,2,size=5m";
  EXPECT_EQ(Apply({"none", "/mnt", "-o", list}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Apply({"none", "/mnt", "-s", "-o", list}).ok());
  EXPECT_EQ(FLAGS_size, "5m");
}

TEST_F(MountHelperTest, SloppyDropsNeitherWrongValuesNorARemount) {
  EXPECT_FALSE(Apply({"none", "/mnt", "-s", "-o", "threads=many"}).ok());
  // Without this check, a dropped "remount" would cause a second mount.
  EXPECT_TRUE(Apply({"none", "/mnt", "-s", "-o", "remount,size=1g"}).ok());
  EXPECT_TRUE(FLAGS_remount);
}

}  // namespace
}  // namespace memfuse::cli
