// What memfusectl top shows, as lines of text. It neither talks to the daemon nor to the terminal.

#ifndef MEMFUSE_SRC_CLI_TOP_MODEL_H_
#define MEMFUSE_SRC_CLI_TOP_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace memfuse::cli {

enum class TopView { kOperations, kProcesses, kUsers, kDirectories, kFiles };

// Answers of the daemon at one moment. The members are the bodies of /v1/status, /v1/statistics,
// /v1/top, and /v1/usage?largest=; null if there is no answer, and then `error` says why.
struct TopReading {
  double seconds = 0;  // of a monotonic clock
  nlohmann::json status;
  nlohmann::json statistics;
  nlohmann::json top;
  nlohmann::json files;
  std::string error;
};

struct TopLine {
  enum class Style { kNormal, kTitle, kTabs, kHeader, kError, kHelp };
  Style style = Style::kNormal;
  std::string text;  // UTF-8 without control characters, at most as wide as the screen
};

class TopModel {
 public:
  // Takes the next reading. Rates are those between the last two readings, or since the mount if
  // there is only one.
  void Update(TopReading reading);

  void set_view(TopView view);
  TopView view() const { return view_; }
  // Sorts by the next column. The first one sorts by name, upwards; the others downwards.
  void NextSortColumn();
  void ReverseSort() { reversed_ = !reversed_; }
  // Only rows whose name contains `filter` are shown.
  void set_filter(std::string filter) { filter_ = std::move(filter); }
  const std::string& filter() const { return filter_; }
  void Scroll(int rows);
  // The last line: the text of a prompt, or the keys if it is empty.
  void set_prompt(std::string prompt) { prompt_ = std::move(prompt); }
  void set_paused(bool paused) { paused_ = paused; }
  bool paused() const { return paused_; }

  // Returns exactly `height` lines, or all rows if `height` is 0.
  std::vector<TopLine> Render(size_t width, size_t height);

 private:
  // A row of the present view. Numbers are sorted by, and texts are shown.
  struct Cell {
    double number = 0;
    std::string text;
  };
  struct Row {
    std::string name;
    std::vector<Cell> cells;
  };
  // A column of numbers. It is wider than each of its texts, and than its name with the mark of the
  // column that the rows are sorted by.
  struct Column {
    const char* name;
    size_t width;
  };
  struct Table {
    const char* name;  // of the column of names
    std::vector<Column> columns;
    std::vector<Row> rows;
    std::string note;  // shown in place of rows if there are none
  };

  Table MakeTable() const;
  Table Operations() const;
  Table Requesters(const char* list) const;
  Table Files() const;
  std::vector<TopLine> Summary(size_t width) const;

  std::optional<TopReading> last_;
  std::optional<TopReading> before_last_;
  TopView view_ = TopView::kOperations;
  size_t sort_column_ = 1;
  bool reversed_ = false;
  bool paused_ = false;
  size_t first_row_ = 0;
  std::string filter_;
  std::string prompt_;
};

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_TOP_MODEL_H_
