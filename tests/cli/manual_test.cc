// The manual pages name every flag and option of the program, and no other.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "src/cli/control_table.h"
#include "src/cli/flag_table.h"
#include "src/cli/help.h"
#include "src/cli/unsupported_options.h"

namespace memfuse::cli {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

std::string ReadPage(const std::string& name) {
  std::ifstream file(absl::StrCat(MEMFUSE_MANUAL, "/", name));
  EXPECT_TRUE(file.good()) << name;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The names that an ".It Fl" or ".It Cm" line defines: the names after the macro and after commas,
// but not the values, which follow "Ns".
std::vector<std::string> NamesOf(absl::string_view line, absl::string_view macro) {
  std::vector<std::string> names;
  std::string last;
  bool named = false;
  for (const absl::string_view word : absl::StrSplit(line, ' ')) {
    if (word == macro) {
      named = last != "Ns";
    } else if (word == "Ta") {
      break;  // the next cell of a table
    } else if (word != ",") {
      if (named && (last == macro || last == ",")) names.emplace_back(word);
      if (word == "Ns") named = false;
    } else {
      named = last != "Op";
    }
    last = std::string(word);
  }
  return names;
}

// Maps each name to the text of its item. The item ends at the next item of the same macro.
std::map<std::string, std::string> Items(const std::string& page, const std::string& macro) {
  std::map<std::string, std::string> items;
  std::vector<std::string> current;
  for (const absl::string_view line : absl::StrSplit(page, '\n')) {
    if (absl::StartsWith(line, absl::StrCat(".It ", macro, " "))) {
      current = NamesOf(line, macro);
    } else if (absl::StartsWith(line, ".S")) {
      current.clear();
    }
    for (const std::string& name : current) absl::StrAppend(&items[name], line, "\n");
  }
  return items;
}

void ExpectDefault(const Flag& flag, const std::string& text) {
  if (flag.is_switch) {
    EXPECT_THAT(text, AnyOf(HasSubstr("default"), HasSubstr("Print"))) << flag.name;
  } else if (!flag.default_value.empty() && !flag.default_in_words) {
    EXPECT_THAT(text, HasSubstr(std::string(flag.default_value))) << flag.name;
  }
}

TEST(ManualTest, MemfuseHasEveryFlagAndNoOther) {
  const std::string page = ReadPage("memfuse.1");
  std::map<std::string, std::string> items = Items(page, "Fl");
  const std::map<std::string, std::string> options = Items(page, "Cm");
  std::set<std::string> expected = {"o"};
  for (const Flag& flag : FlagTable()) {
    if (flag.place == FlagPlace::kHidden) {
      EXPECT_THAT(page, Not(HasSubstr(std::string(flag.name))));
    } else if (flag.place == FlagPlace::kReserved) {
      EXPECT_THAT(page, HasSubstr(std::string(flag.name)));
    } else if (flag.place == FlagPlace::kMountOption) {
      EXPECT_EQ(items.count(absl::StrCat("-", flag.name)), 0u) << flag.name;
    } else if (flag.place == FlagPlace::kMountFlag) {
      EXPECT_EQ(options.count(flag.shown_name()), 1u) << flag.name;
    } else {
      const std::string name = absl::StrCat("-", flag.shown_name());
      expected.insert(name);
      ExpectDefault(flag, items[name]);
      for (const absl::string_view choice : flag.choices()) {
        EXPECT_THAT(items[name], HasSubstr(std::string(choice))) << flag.name;
      }
    }
  }
  items.erase("f");  // the short forms
  items.erase("h");
  for (const auto& [name, text] : items)
    EXPECT_EQ(expected.count(name), 1u) << "not a flag: " << name;
  for (const std::string& name : expected)
    EXPECT_NE(items[name], "") << "not in the page: " << name;
}

// SYNOPSIS, which may show a command several times, and the list of commands.
TEST(ManualTest, MemfusectlHasEveryCommandAndFlagAndNoOther) {
  const std::string page = ReadPage("memfusectl.1");
  const size_t begin = page.find(".Sh SYNOPSIS");
  const std::string synopsis = page.substr(begin, page.find(".Sh DESCRIPTION") - begin);
  const std::map<std::string, std::string> items = Items(page, "Cm");
  std::map<std::string, std::string> shown;  // the lines of a command
  std::string command;
  for (const absl::string_view line : absl::StrSplit(synopsis, '\n')) {
    if (line == ".Nm") command.clear();
    if (command.empty() && absl::StartsWith(line, ".Cm ")) command = std::string(line.substr(4));
    if (!command.empty()) absl::StrAppend(&shown[command], line, " \n");
  }
  EXPECT_EQ(shown.size(), ControlCommands().size());
  for (const ControlCommand& one : ControlCommands()) {
    const std::string name(one.name);
    ASSERT_EQ(shown.count(name), 1u) << "not in SYNOPSIS: " << name;
    EXPECT_EQ(items.count(name), 1u) << "not described: " << name;
    for (const ControlFlag& flag : ControlFlags()) {
      const bool has = absl::StrContains(shown[name], absl::StrCat("Fl -", flag.name, " "));
      EXPECT_EQ(has, one.has_flag(flag.name)) << name << " " << flag.name;
      for (const absl::string_view choice : flag.choices()) {
        EXPECT_TRUE(!has || absl::StrContains(shown[name], absl::StrCat(" ", choice, " ")))
            << name << " " << flag.name << " " << choice;
      }
    }
  }
}

TEST(ManualTest, MountHelperHasEveryOptionAndNoOther) {
  const std::string page = ReadPage("mount.memfuse.8");
  std::map<std::string, std::string> items = Items(page, "Cm");
  std::set<std::string> expected;
  for (const Flag& flag : FlagTable()) {
    if (!flag.is_mount_option()) continue;
    expected.insert(flag.shown_name());
    ExpectDefault(flag, items[flag.shown_name()]);
  }
  for (const UnsupportedOption& option : UnsupportedOptions()) {
    const std::string name(option.name);
    if (option.refusal.empty()) {
      EXPECT_THAT(page, ContainsRegex(absl::StrCat("[ \n]", name, "[ \n]"))) << "not in the page";
    } else {
      EXPECT_THAT(items[name], HasSubstr(" Ta refused ")) << name;
      expected.insert(name);
    }
  }
  // in the table of tmpfs's options, as dropped ones
  expected.insert({"inode64", "usrquota", "grpquota"});
  for (const auto& [name, text] : items) {
    EXPECT_EQ(expected.count(name), 1u) << "not an option: " << name;
  }
  for (const std::string& name : expected)
    EXPECT_NE(items[name], "") << "not in the page: " << name;
}

// tmpfs(5) and the kernel's tmpfs.rst, Linux 6.18.
TEST(ManualTest, EveryOptionOfTmpfsHasARow) {
  const std::string page = ReadPage("mount.memfuse.8");
  for (const std::string option : {"size",
                                   "nr_blocks",
                                   "nr_inodes",
                                   "mode",
                                   "uid",
                                   "gid",
                                   "huge",
                                   "noswap",
                                   "mpol",
                                   "inode32",
                                   "inode64",
                                   "quota",
                                   "usrquota",
                                   "grpquota",
                                   "usrquota_block_hardlimit",
                                   "usrquota_inode_hardlimit",
                                   "grpquota_block_hardlimit",
                                   "grpquota_inode_hardlimit",
                                   "casefold",
                                   "strict_encoding"}) {
    const Flag* const flag = FindFlag(option);
    const UnsupportedOption* const foreign = FindUnsupportedOption(option);
    ASSERT_TRUE((flag == nullptr) != (foreign == nullptr)) << option;
    const std::string fate = flag != nullptr            ? "honoured"
                             : foreign->refusal.empty() ? "dropped"
                                                        : "refused";
    EXPECT_THAT(page, HasSubstr(absl::StrCat(".It Cm ", option, " Ta ", fate, " Ta")));
  }
}

TEST(HelpTextTest, HasEveryFlagThatIsShown) {
  for (const Flag& flag : FlagTable()) {
    if (flag.place == FlagPlace::kHidden) {
      EXPECT_THAT(HelpText(), Not(HasSubstr(std::string(flag.name))));
    }
    if (!flag.is_shown()) continue;
    EXPECT_THAT(HelpText(), HasSubstr(flag.shown_name()));
    EXPECT_LE(flag.help.size(), 70u) << "one line: " << flag.name;
  }
}

}  // namespace
}  // namespace memfuse::cli
