// The command line of memfusectl, and its help.

#include "src/cli/control_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace memfuse::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string CallError(const std::vector<std::string>& words) {
  return std::string(ParseControlCall(words).status().message());
}

TEST(ControlCallTest, ReadsOperandsAndFlagsInAnyOrder) {
  const auto call =
      ParseControlCall({"--json", "limits", "/mnt", "--size=1g", "--quota=uid:1=2,gid:2=3"});
  ASSERT_TRUE(call.ok()) << call.status();
  EXPECT_EQ(call->command->name, "limits");
  EXPECT_THAT(call->operands, ElementsAre("/mnt"));
  EXPECT_TRUE(call->has("json"));
  EXPECT_EQ(call->value("size"), "1g");
  EXPECT_EQ(call->value("quota"), "uid:1=2,gid:2=3");
  EXPECT_EQ(call->value("nr_inodes"), std::nullopt);
}

TEST(ControlCallTest, TwoDashesEndTheFlags) {
  const auto call = ParseControlCall({"status", "--", "--json"});
  ASSERT_TRUE(call.ok()) << call.status();
  EXPECT_THAT(call->operands, ElementsAre("--json"));
}

// In the order in which they are checked: each call also has the next mistake.
TEST(ControlCallTest, ErrorsComeInTheirOrder) {
  EXPECT_THAT(CallError({"--sise", "frob", "a", "b"}), HasSubstr("unknown option '--sise'"));
  EXPECT_THAT(CallError({"-json", "status"}), HasSubstr("unknown option '-json'"));
  EXPECT_THAT(CallError({"--json=1"}), HasSubstr("--json takes no value"));
  EXPECT_THAT(CallError({"--size"}), HasSubstr("--size needs a value: --size=AMOUNT"));
  EXPECT_THAT(CallError({"--by=x"}),
              HasSubstr("--by: 'x' is none of uid, gid, path, dir and type"));
  EXPECT_THAT(CallError({"--by=uid"}), HasSubstr("no command is given"));
  EXPECT_THAT(CallError({"frob", "--by=uid"}), HasSubstr("there is no command 'frob'"));
  EXPECT_EQ(CallError({"unmount", "--by=uid"}), "'memfusectl unmount' has no option --by");
  EXPECT_EQ(CallError({"unmount"}), "'memfusectl unmount' needs a directory");
  EXPECT_EQ(CallError({"resize", "/mnt"}), "'memfusectl resize' needs a directory and a size");
  EXPECT_EQ(CallError({"status", "/a", "/b"}),
            "one directory is expected, but '/b' is given as well");
  EXPECT_EQ(CallError({"list", "/a"}), "'memfusectl list' has no operand, but '/a' is given");
}

TEST(ControlTableTest, EveryFlagOfACommandExists) {
  for (const ControlCommand& command : ControlCommands()) {
    size_t found = 0;
    for (const ControlFlag& flag : ControlFlags()) found += command.has_flag(flag.name) ? 1 : 0;
    const std::vector<std::string> names = absl::StrSplit(command.flags, ' ', absl::SkipEmpty());
    EXPECT_EQ(found, names.size()) << command.name;
  }
}

TEST(ControlHelpTest, HasEveryCommandAndFlagIn80Columns) {
  const std::string help = ControlHelpText();
  for (const ControlCommand& command : ControlCommands()) {
    EXPECT_THAT(help, HasSubstr(absl::StrCat("\n  ", command.name, " ")));
  }
  for (const ControlFlag& flag : ControlFlags()) {
    EXPECT_THAT(help, HasSubstr(absl::StrCat("\n  --", flag.name)));
  }
  for (const absl::string_view line : absl::StrSplit(help, '\n'))
    EXPECT_LE(line.size(), 80u) << line;
}

}  // namespace
}  // namespace memfuse::cli
