// The lines of memfusectl top.

#include "src/cli/top_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace memfuse::cli {
namespace {

using nlohmann::json;
using ::testing::AnyOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

json Operation(uint64_t requests, uint64_t errors, uint64_t bytes, uint64_t slow) {
  return {
      {"requests", requests},
      {"errors", errors},
      {"bytes", bytes},
      {"latency",
       {{"sum_seconds", 0.5},
        {"buckets", json::array({json::array({1.024e-6, requests - slow}),
                                 json::array({2.048e-6, 0}), json::array({4.096e-6, slow})})}}}};
}

TopReading Reading(double seconds, uint64_t lookups, uint64_t writes) {
  TopReading reading;
  reading.seconds = seconds;
  reading.status = {{"mount_point", "/mnt/\x1b[31mred"},
                    {"version", "0.1.0"},
                    {"transport", "/dev/fuse, 4 threads"},
                    {"store", "passthrough"},
                    {"size", {{"limit", 1 << 20}, {"used", 1 << 19}, {"data", 0}, {"metadata", 0}}},
                    {"inodes", {{"limit", 1000}, {"used", 10}}}};
  reading.statistics = {{"uptime_seconds", 100},
                        {"operations",
                         {{"LOOKUP", Operation(lookups, lookups / 2, 0, 0)},
                          {"WRITE", Operation(writes, 0, writes * 4096, writes)}}}};
  json processes = json::array();
  for (int i = 0; i < 30; ++i) {
    processes.push_back({{"pid", 100 + i},
                         {"name", "worker" + std::to_string(i)},
                         {"uid", 1000},
                         {"requests", 30 - i},
                         {"busy_seconds", 0.001 * i}});
  }
  processes.push_back({{"pid", nullptr},
                       {"name", nullptr},
                       {"uid", nullptr},
                       {"requests", 1},
                       {"busy_seconds", 0}});
  reading.top = {{"seconds", 2.0},
                 {"requests", 100},
                 {"processes", processes},
                 {"users", {{{"uid", 1000}, {"requests", 99}, {"busy_seconds", 0.1}}}},
                 {"directories", json::array()}};
  return reading;
}

class TopModelTest : public ::testing::Test {
 protected:
  TopModelTest() {
    model_.Update(Reading(10, 1000, 100));
    model_.Update(Reading(12, 5000, 140));
  }
  std::string Text(size_t width = 80, size_t height = 24) {
    std::string text;
    for (const TopLine& line : model_.Render(width, height)) text += line.text + "\n";
    return text;
  }
  // The rows of the table.
  std::vector<std::string> Rows(size_t width = 80) {
    std::vector<std::string> rows;
    bool in_table = false;
    for (const TopLine& line : model_.Render(width, 0)) {
      if (in_table) rows.push_back(line.text);
      in_table |= line.style == TopLine::Style::kHeader;
    }
    return rows;
  }

  TopModel model_;
};

TEST_F(TopModelTest, RatesAreThoseBetweenTheLastTwoReadings) {
  const std::vector<std::string> rows = Rows();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_THAT(rows[0], StartsWith("LOOKUP"));
  EXPECT_THAT(rows[0], HasSubstr(" 2000 "));  // (5000 - 1000) / 2 s
  EXPECT_THAT(rows[0], HasSubstr(" 1000 "));  // errors
  EXPECT_THAT(rows[0], HasSubstr(" 1 us "));
  EXPECT_THAT(rows[1], StartsWith("WRITE"));
  EXPECT_THAT(rows[1], HasSubstr(" 20 "));
  EXPECT_THAT(rows[1], HasSubstr(" 3 us "));  // the middle of 2.048 to 4.096 us
  EXPECT_THAT(rows[1], HasSubstr(" 80.0 KiB "));
  EXPECT_THAT(Text(), HasSubstr("served   2020/s, errors 1000/s, read 0/s, written 80.0 KiB/s"));
  EXPECT_THAT(Text(), HasSubstr("size     [####....]  50%"));
}

TEST_F(TopModelTest, TheFirstReadingShowsAveragesSinceTheMount) {
  TopModel model;
  EXPECT_TRUE(model.Render(80, 24).empty());
  model.Update(Reading(10, 1000, 100));
  std::string text;
  for (const TopLine& line : model.Render(80, 24)) text += line.text + "\n";
  EXPECT_THAT(text, HasSubstr("served   11/s"));  // 1,100 in 100 s
}

TEST_F(TopModelTest, FillsTheScreenAndNoMore) {
  for (const TopView view : {TopView::kOperations, TopView::kProcesses, TopView::kUsers,
                             TopView::kDirectories, TopView::kFiles}) {
    model_.set_view(view);
    for (const size_t width : {20, 80, 200}) {
      for (const size_t height : {1, 5, 24, 60}) {
        const std::vector<TopLine> lines = model_.Render(width, height);
        EXPECT_EQ(lines.size(), height);
        for (const TopLine& line : lines) {
          EXPECT_LE(line.text.size(), width);
          EXPECT_EQ(line.text.find('\x1b'), std::string::npos);
        }
      }
    }
  }
  EXPECT_THAT(model_.Render(80, 24).back().text, StartsWith("q quit"));
}

// The mark of the column that the rows are sorted by touches neither its name nor another column.
TEST_F(TopModelTest, ASpaceSeparatesColumns) {
  TopReading reading = Reading(1000000, 900'000'000, 5'000'000'000);
  for (json& operation : reading.statistics["operations"]) {
    operation["bytes"] = uint64_t{1023} << 50;
    operation["errors"] = operation["requests"];
  }
  for (json& process : reading.top["processes"]) {
    process["pid"] = 4194304;
    process["uid"] = 4294967295;
    process["busy_seconds"] = 2000;
  }
  reading.top["directories"] = {{{"path", "/d"}, {"requests", 5}, {"busy_seconds", 1e9}}};
  reading.files = {{"largest",
                    {{{"path", "/f"}, {"bytes", 1048471}, {"size", 1048471}, {"uid", 4294967295}},
                     {{"path", "/g"}, {"bytes", 1}, {"size", 1}, {"uid", nullptr}}}}};
  model_.Update(reading);
  for (const TopView view : {TopView::kOperations, TopView::kProcesses, TopView::kUsers,
                             TopView::kDirectories, TopView::kFiles}) {
    model_.set_view(view);
    const auto header = [&] {
      const std::vector<TopLine> lines = model_.Render(80, 24);
      const auto found = std::find_if(lines.begin(), lines.end(), [](const TopLine& line) {
        return line.style == TopLine::Style::kHeader;
      });
      return found == lines.end() ? std::string() : found->text;
    };
    const auto words = [](const std::string& line) {
      const std::vector<std::string> parts = absl::StrSplit(line, ' ', absl::SkipEmpty());
      return parts.size();
    };
    const size_t columns = words(header()) - 1;  // without the mark
    for (size_t sorted = 0; sorted < columns; ++sorted) {
      EXPECT_EQ(words(header()), columns + 1) << header();
      EXPECT_THAT(header(), AnyOf(HasSubstr(" v "), EndsWith(" v")));
      model_.ReverseSort();
      EXPECT_THAT(header(), AnyOf(HasSubstr(" ^ "), EndsWith(" ^")));
      model_.NextSortColumn();
    }
    for (const std::string& row : Rows()) {
      const std::string one_word_each = absl::StrReplaceAll(row, {{" us", "us"},
                                                                  {" ms", "ms"},
                                                                  {" s", "s"},
                                                                  {" KiB", "KiB"},
                                                                  {" MiB", "MiB"},
                                                                  {" GiB", "GiB"},
                                                                  {" TiB", "TiB"},
                                                                  {" B", "B"},
                                                                  {"ended processes", "ended"}});
      EXPECT_EQ(words(one_word_each), columns) << row;
    }
  }
}

TEST_F(TopModelTest, SortsByAnyColumn) {
  model_.set_view(TopView::kProcesses);
  EXPECT_THAT(Rows()[0], StartsWith("worker0 "));
  model_.ReverseSort();
  EXPECT_THAT(Rows()[0], StartsWith("worker29 "));
  model_.NextSortColumn();  // share
  EXPECT_THAT(Rows()[0], StartsWith("worker0 "));
  model_.NextSortColumn();  // busy
  EXPECT_THAT(Rows()[0], StartsWith("worker29 "));
  model_.NextSortColumn();  // pid
  EXPECT_THAT(Rows()[0], StartsWith("worker29 "));
  model_.NextSortColumn();  // user
  model_.NextSortColumn();  // name
  EXPECT_THAT(Rows()[0], StartsWith("(ended processes)"));
  EXPECT_THAT(Rows()[1], StartsWith("worker0 "));
}

TEST_F(TopModelTest, FiltersAndScrolls) {
  model_.set_view(TopView::kProcesses);
  model_.Scroll(5);
  EXPECT_THAT(Text(), Not(HasSubstr("worker4 ")));
  EXPECT_THAT(Text(), HasSubstr("worker5 "));
  model_.Scroll(1000);
  EXPECT_THAT(Text(), HasSubstr("(ended processes)"));
  model_.Scroll(-1000);
  EXPECT_THAT(Text(), HasSubstr("worker0 "));
  model_.set_filter("worker2");
  EXPECT_EQ(Rows().size(), 11u);  // 2, 20 to 29
  model_.set_filter("nothing like it");
  EXPECT_THAT(Text(), HasSubstr("nothing contains 'nothing like it'"));
}

TEST_F(TopModelTest, LongNamesAreShortenedInTheMiddle) {
  TopReading reading = Reading(14, 1, 1);
  const std::string path = "/begin" + std::string(300, 'x') + "\xc3\xa4" + "/end";
  reading.files = {{"largest", {{{"path", path}, {"bytes", 4096}, {"size", 5}, {"uid", 7}}}}};
  model_.Update(reading);
  model_.set_view(TopView::kFiles);
  const std::string row = Rows()[0];
  EXPECT_THAT(row, StartsWith("/begin"));
  EXPECT_THAT(row, HasSubstr("...xx"));
  EXPECT_THAT(row, HasSubstr("\xc3\xa4/end "));
  EXPECT_THAT(row, HasSubstr("4.0 KiB"));
}

TEST_F(TopModelTest, ADaemonThatIsGoneIsShownWithTheLastNumbers) {
  TopReading gone;
  gone.error = "no daemon answers";
  model_.Update(gone);
  EXPECT_THAT(Text(), HasSubstr("no daemon answers"));
  EXPECT_THAT(Text(), HasSubstr("served   2020/s"));
}

TEST_F(TopModelTest, MissingMembersAreZero) {
  TopReading empty;
  empty.status = json::object();
  empty.statistics = {{"operations", {{"READ", json::object()}, {"WRITE", 5}}}};
  empty.top = {{"processes", {json::object(), 7}}};
  TopModel model;
  model.Update(empty);
  model.Update(empty);
  for (const TopView view : {TopView::kOperations, TopView::kProcesses, TopView::kUsers,
                             TopView::kDirectories, TopView::kFiles}) {
    model.set_view(view);
    EXPECT_EQ(model.Render(80, 24).size(), 24u);
  }
}

}  // namespace
}  // namespace memfuse::cli
