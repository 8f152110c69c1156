#include "src/cli/top.h"

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "src/base/clock.h"
#include "src/base/deadline.h"
#include "src/cli/top_model.h"

// Last: it defines macros with common names.
#define NCURSES_NOMACROS
#include <curses.h>

// NOLINTBEGIN(concurrency-mt-unsafe): the program has one thread.

namespace memfuse::cli {
namespace {

// The walk over all files takes time in the daemon, which the other questions do not.
constexpr absl::Duration kFilesInterval = absl::Seconds(10);
constexpr int kEscape = 27;

class Reader {
 public:
  explicit Reader(const TopQuestion& ask) : ask_(ask) {}

  TopReading Read(TopView view) {
    TopReading reading;
    reading.seconds = static_cast<double>(base::MonotonicNanoseconds()) / 1e9;
    reading.status = Ask("/v1/status", &reading.error);
    reading.statistics = Ask("/v1/statistics", &reading.error);
    reading.top = Ask("/v1/top", &reading.error);
    if (view == TopView::kFiles && next_files_.passed()) {
      std::string not_permitted;
      files_ = Ask("/v1/usage?largest=100", &not_permitted);
      next_files_ = base::Deadline::After(kFilesInterval);
    }
    reading.files = files_;
    return reading;
  }

 private:
  nlohmann::json Ask(const std::string& path, std::string* error) {
    absl::StatusOr<nlohmann::json> answer = ask_(path);
    if (answer.ok()) return *std::move(answer);
    *error = std::string(answer.status().message());
    return nullptr;
  }

  const TopQuestion& ask_;
  base::Deadline next_files_ = base::Deadline::After(absl::ZeroDuration());
  nlohmann::json files_;
};

// The summary and the table of each view.
absl::Status PrintOnce(Reader* reader, TopModel* model, absl::Duration interval) {
  absl::SleepFor(interval);
  model->Update(reader->Read(TopView::kFiles));
  const char* const columns = std::getenv("COLUMNS");
  const int width = columns == nullptr ? 0 : std::atoi(columns);
  bool first = true;
  for (const TopView view : {TopView::kOperations, TopView::kProcesses, TopView::kUsers,
                             TopView::kDirectories, TopView::kFiles}) {
    model->set_view(view);
    bool in_table = false;
    for (const TopLine& line : model->Render(width >= 80 ? static_cast<size_t>(width) : 100, 0)) {
      in_table |= line.style == TopLine::Style::kHeader;
      if (line.style == TopLine::Style::kTabs || (!first && !in_table)) continue;
      if (line.style == TopLine::Style::kHeader) std::fputc('\n', stdout);
      std::fprintf(stdout, "%s\n", line.text.c_str());
    }
    first = false;
  }
  if (std::fflush(stdout) != 0) return absl::UnknownError("cannot write to standard output");
  return absl::OkStatus();
}

class Screen {
 public:
  Screen(Reader* reader, TopModel* model, absl::Duration interval)
      : reader_(*reader), model_(*model), interval_(interval) {}

  absl::Status Run() {
    std::setlocale(LC_ALL, "");
    SCREEN* const screen = newterm(nullptr, stdout, stdin);
    if (screen == nullptr) {
      const char* const terminal = std::getenv("TERM");
      return absl::FailedPreconditionError(absl::StrCat("the terminal type '",
                                                        terminal == nullptr ? "" : terminal,
                                                        "' is unknown; set TERM, or use --once"));
    }
    const absl::Cleanup restore = [screen] {
      endwin();
      delscreen(screen);
    };
    cbreak();
    noecho();
    keypad(stdscr, true);
    curs_set(0);
    const char* const no_color = std::getenv("NO_COLOR");
    if ((no_color == nullptr || *no_color == '\0') && has_colors()) {
      start_color();
      use_default_colors();
      init_pair(1, COLOR_RED, -1);
      init_pair(2, COLOR_CYAN, -1);
    }
    base::Deadline next = base::Deadline::After(interval_);
    for (;;) {
      Draw();
      timeout(next.PollTimeout());
      const int key = getch();
      if (key != ERR && !Handle(key)) return absl::OkStatus();
      if (!next.passed() && !read_now_) continue;
      read_now_ = false;
      if (!model_.paused()) model_.Update(reader_.Read(model_.view()));
      next = base::Deadline::After(interval_);
    }
  }

 private:
  void Draw() {
    erase();
    int row = 0;
    for (const TopLine& line :
         model_.Render(static_cast<size_t>(COLS), static_cast<size_t>(LINES))) {
      const attr_t attributes = AttributesOf(line.style);
      attron(attributes);
      mvaddstr(row, 0, line.text.c_str());
      if (line.style == TopLine::Style::kHeader) mvchgat(row, 0, -1, attributes, 0, nullptr);
      attroff(attributes);
      ++row;
    }
    refresh();
  }

  static attr_t AttributesOf(TopLine::Style style) {
    switch (style) {
      case TopLine::Style::kTitle:
        return A_BOLD;
      case TopLine::Style::kTabs:
        return A_BOLD | COLOR_PAIR(2);
      case TopLine::Style::kHeader:
        return A_REVERSE;
      case TopLine::Style::kError:
        return A_BOLD | COLOR_PAIR(1);
      case TopLine::Style::kHelp:
        return A_DIM;
      case TopLine::Style::kNormal:
        break;
    }
    return A_NORMAL;
  }

  void Show(TopView view) {
    model_.set_view(view);
    read_now_ = view == TopView::kFiles;
  }

  // Returns false if the user ends the program.
  bool Handle(int key) {
    if (typed_.has_value()) {
      Type(key);
      return true;
    }
    switch (key) {
      case 'q':
      case 'Q':
        return false;
      case 'o':
        Show(TopView::kOperations);
        break;
      case 'p':
        Show(TopView::kProcesses);
        break;
      case 'u':
        Show(TopView::kUsers);
        break;
      case 'd':
        Show(TopView::kDirectories);
        break;
      case 'f':
        Show(TopView::kFiles);
        break;
      case 's':
        model_.NextSortColumn();
        break;
      case 'r':
        model_.ReverseSort();
        break;
      case ' ':
        model_.set_paused(!model_.paused());
        break;
      case '/':
        typed_ = "";
        ShowTyped();
        break;
      case kEscape:
        model_.set_filter("");
        break;
      case KEY_DOWN:
      case 'j':
        model_.Scroll(1);
        break;
      case KEY_UP:
      case 'k':
        model_.Scroll(-1);
        break;
      case KEY_NPAGE:
        model_.Scroll(LINES / 2);
        break;
      case KEY_PPAGE:
        model_.Scroll(-LINES / 2);
        break;
      default:  // KEY_RESIZE, and keys without a meaning: the screen is drawn again
        break;
    }
    return true;
  }

  // A key while the filter is typed.
  void Type(int key) {
    constexpr size_t kMaxFilter = 200;
    if (key == '\n' || key == KEY_ENTER) {
      model_.set_filter(*typed_);
      typed_.reset();
    } else if (key == kEscape) {
      typed_.reset();
    } else if (key == KEY_BACKSPACE || key == 127 || key == '\b') {
      if (!typed_->empty()) typed_->pop_back();
    } else if (key >= ' ' && key < 256 && typed_->size() < kMaxFilter) {
      typed_->push_back(static_cast<char>(key));
    }
    ShowTyped();
  }
  void ShowTyped() {
    model_.set_prompt(typed_.has_value() ? absl::StrCat("filter: ", *typed_, "_") : "");
  }

  Reader& reader_;
  TopModel& model_;
  const absl::Duration interval_;
  bool read_now_ = false;
  std::optional<std::string> typed_;
};

}  // namespace

absl::Status RunTop(const TopQuestion& ask, const TopOptions& options) {
  Reader reader(ask);
  TopModel model;
  TopReading first = reader.Read(model.view());
  if (!first.error.empty()) return absl::FailedPreconditionError(first.error);
  model.Update(std::move(first));
  if (options.once) return PrintOnce(&reader, &model, options.interval);
  return Screen(&reader, &model, options.interval).Run();
}

}  // namespace memfuse::cli

// NOLINTEND(concurrency-mt-unsafe)
