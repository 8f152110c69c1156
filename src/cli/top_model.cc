#include "src/cli/top_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "memfuse/statistics.h"
#include "src/cli/size.h"
#include "src/cli/terminal_text.h"

namespace memfuse::cli {
namespace {

using nlohmann::json;

// The member at the end of the path; null if it is missing.
const json& At(const json& object, std::initializer_list<const char*> path) {
  static const json null;
  const json* at = &object;
  for (const char* name : path) {
    const auto found = at->find(name);
    if (found == at->end()) return null;
    at = &*found;
  }
  return *at;
}

double Number(const json& value) { return value.is_number() ? value.get<double>() : 0; }
double Number(const json& object, std::initializer_list<const char*> path) {
  return Number(At(object, path));
}

std::string Text(const json& value) {
  return value.is_string() ? QuoteName(value.get<std::string>()) : std::string();
}

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// Each character is taken as one column wide.
size_t Width(absl::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !IsContinuation(c); }));
}

// The first `width` columns.
std::string Cut(absl::string_view text, size_t width) {
  size_t columns = 0;
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if (!IsContinuation(text[at]) && columns++ == width) break;
  }
  return std::string(text.substr(0, at));
}

// Of a long name both ends are shown: "/a/very...ending".
std::string Shorten(const std::string& name, size_t width) {
  const size_t columns = Width(name);
  if (columns <= width || width < 8) return Cut(name, width);
  const size_t tail = (width - 3) / 2;
  absl::string_view end = name;
  for (size_t drop = columns - tail; drop > 0; --drop) {
    end.remove_prefix(1);
    while (!end.empty() && IsContinuation(end[0])) end.remove_prefix(1);
  }
  return absl::StrCat(Cut(name, width - 3 - tail), "...", end);
}

std::string PadRight(const std::string& text, size_t width) {
  const size_t columns = Width(text);
  return columns >= width ? text : absl::StrCat(text, std::string(width - columns, ' '));
}
std::string PadLeft(const std::string& text, size_t width) {
  const size_t columns = Width(text);
  return columns >= width ? text : absl::StrCat(std::string(width - columns, ' '), text);
}

std::string CountText(double count) {
  if (count < 0) count = 0;
  if (count < 9.95 && count != std::floor(count)) return absl::StrFormat("%.1f", count);
  if (count < 1e5) return absl::StrFormat("%.0f", count);
  if (count < 1e7) return absl::StrFormat("%.0fk", count / 1e3);
  return absl::StrFormat("%.0fM", count / 1e6);
}
std::string BytesText(double bytes) {
  return bytes < 0.5 ? std::string("0") : FormatSize(static_cast<uint64_t>(bytes));
}
std::string TimeText(double seconds) {
  if (seconds <= 0) return "-";
  if (seconds < 1e-3) return absl::StrFormat("%.0f us", seconds * 1e6);
  if (seconds < 1) return absl::StrFormat("%.1f ms", seconds * 1e3);
  return absl::StrFormat("%.1f s", seconds);
}

LatencyHistogram HistogramOf(const json& latency) {
  LatencyHistogram histogram;
  const json& buckets = At(latency, {"buckets"});
  for (size_t i = 0; i < std::min(buckets.size(), histogram.counts.size()); ++i) {
    if (buckets[i].is_array() && buckets[i].size() == 2) {
      histogram.counts[i] = static_cast<uint64_t>(Number(buckets[i][1]));
    }
  }
  histogram.sum_nanoseconds = static_cast<uint64_t>(1e9 * Number(latency, {"sum_seconds"}));
  return histogram;
}

// "[####......]"
std::string Bar(double share, size_t width) {
  const double bounded = std::clamp(share, 0.0, 1.0);
  const auto full = static_cast<size_t>(std::lround(bounded * static_cast<double>(width)));
  return absl::StrCat("[", std::string(full, '#'), std::string(width - full, '.'), "]");
}

double Share(double part, double whole) { return whole <= 0 ? 0 : part / whole; }

std::string UserText(const json& uid) {
  return uid.is_number() ? absl::StrCat(uid.get<uint64_t>()) : std::string("unknown");
}

constexpr std::array<std::pair<TopView, const char*>, 5> kViews = {
    {{TopView::kOperations, "operations"},
     {TopView::kProcesses, "processes"},
     {TopView::kUsers, "users"},
     {TopView::kDirectories, "directories"},
     {TopView::kFiles, "files"}}};

// Widths of columns, with the space before them: "rate/s v", "1023.9 KiB", "4294967295".
constexpr size_t kRateWidth = 9;
constexpr size_t kBytesWidth = 11;
constexpr size_t kUserWidth = 11;

constexpr char kKeys[] = "q quit  o p u d f view  s sort  r reverse  / filter  space pause";

}  // namespace

void TopModel::Update(TopReading reading) {
  if (!reading.error.empty() && last_.has_value()) {
    last_->error = reading.error;
    return;
  }
  before_last_ = std::move(last_);
  last_ = std::move(reading);
}

void TopModel::set_view(TopView view) {
  view_ = view;
  sort_column_ = 1;
  reversed_ = false;
  first_row_ = 0;
}

void TopModel::NextSortColumn() {
  ++sort_column_;  // Render begins again after the last column
  reversed_ = false;
}

void TopModel::Scroll(int rows) {
  const auto change = static_cast<size_t>(std::abs(rows));
  first_row_ = rows < 0 ? first_row_ - std::min(first_row_, change) : first_row_ + change;
}

TopModel::Table TopModel::Operations() const {
  Table table;
  table.name = "operation";
  table.columns = {{"rate/s", kRateWidth},   {"errors/s", 11}, {"p50", 10}, {"p99", 10},
                   {"bytes/s", kBytesWidth}, {"total", 8}};
  const json& operations = At(last_->statistics, {"operations"});
  if (!operations.is_object()) return table;
  const bool has_earlier = before_last_.has_value();
  const double seconds = has_earlier ? last_->seconds - before_last_->seconds
                                     : Number(last_->statistics, {"uptime_seconds"});
  for (const auto& [name, operation] : operations.items()) {
    const json& earlier =
        has_earlier ? At(before_last_->statistics, {"operations", name.c_str()}) : json();
    const auto rate = [&, &now = operation](const char* member) {
      return Share(Number(now, {member}) - Number(earlier, {member}), seconds);
    };
    LatencyHistogram latency = HistogramOf(At(operation, {"latency"}));
    if (!earlier.is_null()) latency -= HistogramOf(At(earlier, {"latency"}));
    const double p50 = latency.Quantile(0.5) * 1e-9;
    const double p99 = latency.Quantile(0.99) * 1e-9;
    const double total = Number(operation, {"requests"});
    Row row;
    row.name = QuoteName(name);
    row.cells = {{rate("requests"), CountText(rate("requests"))},
                 {rate("errors"), CountText(rate("errors"))},
                 {p50, TimeText(p50)},
                 {p99, TimeText(p99)},
                 {rate("bytes"), BytesText(rate("bytes"))},
                 {total, CountText(total)}};
    table.rows.push_back(std::move(row));
  }
  table.note = "no request was served yet";
  return table;
}

TopModel::Table TopModel::Requesters(const char* list) const {
  Table table;
  const bool processes = view_ == TopView::kProcesses;
  const bool directories = view_ == TopView::kDirectories;
  table.name = directories ? "directory" : processes ? "process" : "user";
  table.columns = {{"rate/s", kRateWidth}, {"share", 8}, {"busy", 9}};
  if (processes) table.columns.insert(table.columns.end(), {{"pid", 9}, {"user", kUserWidth}});
  const double seconds = Number(last_->top, {"seconds"});
  const double all = Number(last_->top, {"requests"});
  const json& rows = At(last_->top, {list});
  for (const json& object : rows.is_array() ? rows : json::array()) {
    const double requests = Number(object, {"requests"});
    const double busy = Share(Number(object, {"busy_seconds"}), seconds);
    Row row;
    if (processes) {
      const json& name = At(object, {"name"});
      row.name = name.is_string()            ? Text(name)
                 : At(object, {"pid"}) == 0u ? "(kernel)"
                                             : "(ended processes)";
    } else {
      row.name = directories ? Text(At(object, {"path"})) : UserText(At(object, {"uid"}));
    }
    row.cells = {{Share(requests, seconds), CountText(Share(requests, seconds))},
                 {Share(requests, all), absl::StrFormat("%.0f%%", 100 * Share(requests, all))},
                 {busy, absl::StrFormat("%.1f%%", 100 * busy)}};
    if (processes) {
      const json& pid = At(object, {"pid"});
      row.cells.push_back(
          {Number(pid), pid.is_null() ? "-" : absl::StrFormat("%.0f", Number(pid))});
      row.cells.push_back({Number(object, {"uid"}), UserText(At(object, {"uid"}))});
    }
    table.rows.push_back(std::move(row));
  }
  table.note = directories ? "no requests for directories, or they are not yours to see"
                           : "no requests in the last seconds";
  return table;
}

TopModel::Table TopModel::Files() const {
  Table table;
  table.name = "file";
  table.columns = {{"bytes", kBytesWidth}, {"size", kBytesWidth}, {"user", kUserWidth}};
  const json& files = At(last_->files, {"largest"});
  for (const json& file : files.is_array() ? files : json::array()) {
    const double bytes = Number(file, {"bytes"});
    const double size = Number(file, {"size"});
    table.rows.push_back({Text(At(file, {"path"})),
                          {{bytes, BytesText(bytes)},
                           {size, BytesText(size)},
                           {Number(file, {"uid"}), UserText(At(file, {"uid"}))}}});
  }
  table.note = last_->files.is_null() ? "largest files: not yours to see, or not searched yet"
                                      : "there are no files";
  return table;
}

TopModel::Table TopModel::MakeTable() const {
  Table table;
  switch (view_) {
    case TopView::kOperations:
      table = Operations();
      break;
    case TopView::kProcesses:
      table = Requesters("processes");
      break;
    case TopView::kUsers:
      table = Requesters("users");
      break;
    case TopView::kDirectories:
      table = Requesters("directories");
      break;
    case TopView::kFiles:
      table = Files();
      break;
  }
  if (!filter_.empty()) {
    table.rows.erase(std::remove_if(table.rows.begin(), table.rows.end(),
                                    [this](const Row& row) {
                                      return row.name.find(filter_) == std::string::npos;
                                    }),
                     table.rows.end());
    table.note = absl::StrCat("nothing contains '", filter_, "'");
  }
  return table;
}

std::vector<TopLine> TopModel::Summary(size_t width) const {
  const json& status = last_->status;
  const double limit = Number(status, {"size", "limit"});
  const double used = Number(status, {"size", "used"});
  const double inode_limit = Number(status, {"inodes", "limit"});
  const double inodes = Number(status, {"inodes", "used"});
  const size_t bar = width >= 100 ? 30 : 8;
  std::vector<TopLine> lines;
  lines.push_back({TopLine::Style::kTitle,
                   absl::StrCat(Text(At(status, {"mount_point"})), "  memfuse ",
                                Text(At(status, {"version"})), paused_ ? "  (paused)" : "")});
  lines.push_back(
      {TopLine::Style::kNormal,
       absl::StrFormat("size     %s %3.0f%%  %s of %s: data %s, metadata %s",
                       Bar(Share(used, limit), bar), 100 * Share(used, limit), BytesText(used),
                       BytesText(limit), BytesText(Number(status, {"size", "data"})),
                       BytesText(Number(status, {"size", "metadata"})))});
  lines.push_back(
      {TopLine::Style::kNormal,
       absl::StrFormat("inodes   %s %3.0f%%  %s of %s", Bar(Share(inodes, inode_limit), bar),
                       100 * Share(inodes, inode_limit), CountText(inodes),
                       CountText(inode_limit))});

  const bool has_earlier = before_last_.has_value();
  const double seconds = has_earlier ? last_->seconds - before_last_->seconds
                                     : Number(last_->statistics, {"uptime_seconds"});
  double requests = 0;
  double errors = 0;
  const auto sum = [&](const json& statistics, double sign) {
    const json& operations = At(statistics, {"operations"});
    if (!operations.is_object()) return;
    for (const json& operation : operations) {
      requests += sign * Number(operation, {"requests"});
      errors += sign * Number(operation, {"errors"});
    }
  };
  sum(last_->statistics, 1);
  if (has_earlier) sum(before_last_->statistics, -1);
  const auto bytes = [&](const char* operation) {
    const auto total = [&](const TopReading& reading) {
      return Number(reading.statistics, {"operations", operation, "bytes"});
    };
    return Share(total(*last_) - (has_earlier ? total(*before_last_) : 0), seconds);
  };
  lines.push_back(
      {TopLine::Style::kNormal,
       absl::StrFormat("served   %s/s, errors %s/s, read %s/s, written %s/s",
                       CountText(Share(requests, seconds)), CountText(Share(errors, seconds)),
                       BytesText(bytes("READ")), BytesText(bytes("WRITE")))});
  if (!last_->error.empty()) {
    lines.push_back({TopLine::Style::kError, QuoteName(last_->error)});
  } else {
    lines.push_back(
        {TopLine::Style::kNormal, absl::StrCat("requests ", Text(At(status, {"transport"})),
                                               "; data: ", Text(At(status, {"store"})))});
  }
  return lines;
}

std::vector<TopLine> TopModel::Render(size_t width, size_t height) {
  std::vector<TopLine> lines;
  if (!last_.has_value()) return lines;
  lines = Summary(width);
  std::string tabs;
  for (const auto& [view, name] : kViews) {
    absl::StrAppend(&tabs, view == view_ ? "[" : " ", name, view == view_ ? "] " : "  ");
  }
  lines.push_back({TopLine::Style::kTabs, tabs});

  Table table = MakeTable();
  sort_column_ %= table.columns.size() + 1;
  const bool by_name = sort_column_ == 0;
  std::stable_sort(table.rows.begin(), table.rows.end(), [&](const Row& a, const Row& b) {
    if (by_name) return reversed_ ? b.name < a.name : a.name < b.name;
    const double x = a.cells[sort_column_ - 1].number;
    const double y = b.cells[sort_column_ - 1].number;
    return reversed_ ? x < y : x > y;
  });

  // The names get what the numbers leave.
  size_t numbers = 0;
  for (const Column& column : table.columns) numbers += column.width;
  const size_t name_width = width > numbers + 12 ? width - numbers : 12;
  const auto title = [this](const char* name, size_t column) {
    const char* const mark = column != sort_column_ ? "" : reversed_ ? " ^" : " v";
    return absl::StrCat(name, mark);
  };
  std::string header = PadRight(title(table.name, 0), name_width);
  for (size_t i = 0; i < table.columns.size(); ++i) {
    header += ' ' + PadLeft(title(table.columns[i].name, i + 1), table.columns[i].width - 1);
  }
  lines.push_back({TopLine::Style::kHeader, header});

  const size_t room = height == 0 ? table.rows.size() : height - std::min(height, lines.size() + 1);
  first_row_ = std::min(first_row_, table.rows.size() - std::min(table.rows.size(), room));
  if (table.rows.empty()) lines.push_back({TopLine::Style::kHelp, table.note});
  for (size_t i = first_row_; i < std::min(table.rows.size(), first_row_ + room); ++i) {
    const Row& row = table.rows[i];
    std::string text = PadRight(Shorten(row.name, name_width - 1), name_width);
    for (size_t column = 0; column < row.cells.size(); ++column) {
      text += ' ' + PadLeft(row.cells[column].text, table.columns[column].width - 1);
    }
    lines.push_back({TopLine::Style::kNormal, text});
  }
  if (height != 0) {
    lines.resize(height - std::min<size_t>(height, 1));
    lines.push_back({TopLine::Style::kHelp,
                     !prompt_.empty()
                         ? prompt_
                         : absl::StrCat(kKeys, filter_.empty() ? "" : "  filter: ", filter_)});
    lines.resize(height);
  }
  for (TopLine& line : lines) line.text = Cut(line.text, width);
  return lines;
}

}  // namespace memfuse::cli
