// The mount table, and the list of mounts as text and JSON.

#include "src/cli/mount_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"

namespace memfuse::cli {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::SizeIs;

constexpr char kTable[] =
    "24 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
    "40 24 0:52 / /mnt/a rw,nosuid shared:9 - fuse.memfuse memfuse rw,user_id=1000,group_id=1\n"
    "41 24 0:53 / /mnt/with\\040space rw - fuse.memfuse my\\134name rw,user_id=0,allow_other\n"
    "42 40 0:54 / /mnt/a/b rw - tmpfs tmpfs rw\n"
    "43 24 0:55 / /mnt/a rw - fuse.sshfs host: rw,user_id=5\n"
    "broken line\n"
    "44 24 0:56 / /mnt/short - tmpfs\n";

TEST(MountTableTest, ReadsAndDecodesLines) {
  const std::vector<MountEntry> table = ParseMountTable(kTable);
  ASSERT_THAT(table, SizeIs(5));
  EXPECT_EQ(table[1].device, "0:52");
  EXPECT_EQ(table[1].options, "rw,nosuid");
  EXPECT_TRUE(table[1].is_memfuse());
  EXPECT_EQ(table[1].user_id(), 1000u);
  EXPECT_FALSE(table[1].has_super_option("allow_other"));
  EXPECT_EQ(table[2].mount_point, "/mnt/with space");
  EXPECT_EQ(table[2].source, "my\\name");
  EXPECT_TRUE(table[2].has_super_option("allow_other"));
  EXPECT_FALSE(table[3].is_fuse());
  EXPECT_TRUE(table[4].is_fuse());
  EXPECT_FALSE(table[4].is_memfuse());
}

TEST(MountTableTest, FindsTheTopmostAndTheDeepestMount) {
  const std::vector<MountEntry> table = ParseMountTable(kTable);
  EXPECT_EQ(MountAt(table, "/mnt/a")->device, "0:55");
  EXPECT_EQ(MountAt(table, "/mnt"), nullptr);
  EXPECT_EQ(MountAbove(table, "/mnt/a/b/c")->device, "0:54");
  EXPECT_EQ(MountAbove(table, "/mnt/ab")->device, "8:1");
  EXPECT_EQ(MountAbove({}, "/mnt"), nullptr);
}

class MountListTest : public testing::Test {
 protected:
  MountListTest() {
    for (const MountEntry& mount : ParseMountTable(kTable)) {
      if (mount.is_memfuse()) mounts_.push_back({mount, {}});
    }
    MountState& state = mounts_[0].state;
    state.size_limit = 4 << 20;
    state.size_used = 1 << 20;
    state.inode_limit = 5000;
    state.inodes_used = 1234;
    state.store = "daemon, huge=never; no passthrough: it needs CAP_SYS_ADMIN";
    state.transport = "/dev/fuse, 2 threads";
    state.daemon = 77;
    mounts_[1].state.life = MountState::Life::kDied;
  }

  std::vector<ListedMount> mounts_;
};

TEST_F(MountListTest, HasOneRowForEachMount) {
  const std::string text = MountListText(mounts_);
  const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_THAT(lines[0], ContainsRegex("^mount point +source +size +used +available +inodes"));
  EXPECT_THAT(lines[1], ContainsRegex("^/mnt/a +memfuse +4.0 MiB +1.0 MiB +3.0 MiB +1,234  daemon "
                                      "+/dev/fuse$"));
  EXPECT_THAT(lines[2], ContainsRegex("^/mnt/with space +my.name +- +- +- +-  - +- +"
                                      ".daemon has died.$"));
}

TEST_F(MountListTest, ControlCharactersOfASourceDoNotReachTheTerminal) {
  mounts_[0].mount.source = "a\033[31m\n";
  EXPECT_THAT(MountListText(mounts_), HasSubstr("a?[31m?"));
}

TEST_F(MountListTest, JsonHasNullForWhatIsNotKnown) {
  const auto list = nlohmann::json::parse(MountListJson(mounts_)).at("mounts");
  ASSERT_THAT(list, SizeIs(2));
  EXPECT_EQ(list[0]["state"], "serves");
  EXPECT_EQ(list[0]["uid"], 1000);
  EXPECT_EQ(list[0]["size"]["available"], 3 << 20);
  EXPECT_EQ(list[0]["inodes"]["limit"], 5000);
  EXPECT_EQ(list[0]["server_pid"], 77);
  EXPECT_EQ(list[1]["state"], "died");
  EXPECT_TRUE(list[1]["size"]["limit"].is_null());
  EXPECT_TRUE(list[1]["store"].is_null());
}

TEST(EmptyMountListTest, SaysHowToMount) {
  EXPECT_THAT(MountListText({}),
              ContainsRegex("^No memfuse is mounted; 'memfuse DIRECTORY' .*\n$"));
  EXPECT_THAT(nlohmann::json::parse(MountListJson({})).at("mounts"), SizeIs(0));
}

}  // namespace
}  // namespace memfuse::cli
