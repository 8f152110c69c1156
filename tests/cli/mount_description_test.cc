#include "src/cli/mount_description.h"

#include <gtest/gtest.h>

namespace memfuse::cli {
namespace {

TEST(MountDescriptionTest, ListsTheRemainingOptions) {
  Options options;
  options.session.threads = 3;
  options.mount.allow_other = true;
  options.filesystem.noswap = true;
  options.quota = "uid:1=2m,uid:2=3m";
  options.metrics_listen = "127.0.0.1:9410";
  EXPECT_EQ(DescribeMount(options, "data=daemon,huge=never", /*io_uring=*/false, "/run/x.sock"),
            "threads=3,data=daemon,huge=never,transport=dev,noswap=true,xattr=true,"
            "strictatime=false,diratime=true,symfollow=true,writeback=false,allow_other=true,"
            "fsname=memfuse,log_dir=,quota=uid:1=2m\\054uid:2=3m,metrics_listen=127.0.0.1:9410,"
            "metrics_allow_remote=false,metrics_show_directories=false,control=/run/x.sock");
  EXPECT_EQ(ValueInDescription(DescribeMount(options, "data=null", true, ""), "transport"),
            "uring");
}

TEST(MountDescriptionTest, AValueIsFoundByItsWholeName) {
  constexpr char kText[] = "threads=3,data=daemon,log_dir=";
  EXPECT_EQ(ValueInDescription(kText, "threads"), "3");
  EXPECT_EQ(ValueInDescription(kText, "data"), "daemon");
  EXPECT_EQ(ValueInDescription(kText, "log_dir"), "");
  EXPECT_EQ(ValueInDescription(kText, "thread"), std::nullopt);
  EXPECT_EQ(ValueInDescription(kText, "dir"), std::nullopt);
  EXPECT_EQ(ValueInDescription("", "data"), std::nullopt);
}

// No value is parsed as two options.
TEST(MountDescriptionTest, ValuesMayHoldAnything) {
  for (const std::string value : {"/a,threads=9", "a b\tc\n", "\\054", "\\", "\xff\x01"}) {
    Options options;
    options.session.threads = 1;
    options.log_dir = value;
    options.mount.fsname = value;
    const std::string text = DescribeMount(options, "data=daemon", false, value);
    EXPECT_EQ(text.find_first_of(" \t\n"), std::string::npos) << text;
    EXPECT_EQ(ValueInDescription(text, "log_dir"), value) << text;
    EXPECT_EQ(ValueInDescription(text, "fsname"), value) << text;
    EXPECT_EQ(ValueInDescription(text, "threads"), "1") << text;
    EXPECT_EQ(ValueInDescription(text, "control"), value) << text;
  }
}

}  // namespace
}  // namespace memfuse::cli
