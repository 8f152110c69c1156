// memfusectl: shows and changes a running memfuse through its control socket.

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "memfuse/quota.h"
#include "src/base/error_text.h"
#include "src/base/unique_fd.h"
#include "src/cli/control_call.h"
#include "src/cli/help.h"
#include "src/cli/machine.h"
#include "src/cli/message.h"
#include "src/cli/quota_rules.h"
#include "src/cli/size.h"
#include "src/cli/terminal_text.h"
#include "src/cli/usage_command.h"

namespace memfuse::cli {
namespace {

using nlohmann::json;

constexpr char kUsage[] =
    "memfusectl status [DIRECTORY] [--json]   what a mounted memfuse holds and serves\n"
    "memfusectl usage  [DIRECTORY] [--by=uid|gid|path] [--json]   what users and groups store\n"
    "memfusectl usage  [DIRECTORY [PATH]] --by=dir|type [--limit=ROWS] [--json]\n"
    "                                         what the directory's tree stores\n"
    "memfusectl usage  [DIRECTORY [PATH]] --largest [--limit=ROWS] [--json]   the largest files\n"
    "memfusectl usage  [DIRECTORY] --deleted [--limit=ROWS] [--json]\n"
    "                                         files that were deleted and are still in use\n"
    "memfusectl limits [DIRECTORY] [--json]   size, number of inodes and quotas\n"
    "memfusectl limits DIRECTORY [--size=AMOUNT] [--nr_inodes=COUNT] [--quota=RULE,RULE]\n"
    "                                         changes them while the mount is in use\n"
    "memfusectl resize DIRECTORY AMOUNT       the same as limits --size\n"
    "memfusectl unmount DIRECTORY\n"
    "\n"
    "DIRECTORY is the mount point or below it; without one it is the current directory.\n"
    "PATH is a directory from the root of the file system; without one it is DIRECTORY.\n"
    "See memfusectl(1).\n";

// The words of the command line.
struct Arguments {
  std::string command;
  std::vector<std::string> operands;
  bool json_output = false;
  bool deleted = false;
  bool largest = false;
  std::optional<std::string> by, limit, size, nr_inodes, quota;
};

// The text of an option --NAME=VALUE; false: `word` is another option.
bool Take(absl::string_view word, absl::string_view name, std::optional<std::string>* value) {
  if (!absl::ConsumePrefix(&word, name) || !absl::ConsumePrefix(&word, "=")) return false;
  *value = std::string(word);
  return true;
}

absl::StatusOr<Arguments> ParseArguments(const std::vector<std::string>& words) {
  Arguments arguments;
  bool only_operands = false;
  for (const std::string& word : words) {
    if (only_operands || word.empty() || word[0] != '-' || word == "-") {
      if (arguments.command.empty()) {
        arguments.command = word;
      } else {
        arguments.operands.push_back(word);
      }
    } else if (word == "--") {
      only_operands = true;
    } else if (word == "--json") {
      arguments.json_output = true;
    } else if (word == "--deleted") {
      arguments.deleted = true;
    } else if (word == "--largest") {
      arguments.largest = true;
    } else if (!Take(word, "--by", &arguments.by) && !Take(word, "--limit", &arguments.limit) &&
               !Take(word, "--size", &arguments.size) &&
               !Take(word, "--nr_inodes", &arguments.nr_inodes) &&
               !Take(word, "--quota", &arguments.quota)) {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown option '", word, "'; 'memfusectl --help' lists them"));
    }
  }
  return arguments;
}

uint64_t Percent(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0
                    : static_cast<uint64_t>(100.0 * static_cast<double>(part) /
                                            static_cast<double>(whole));
}

std::string Duration(int64_t seconds) {
  const int64_t minutes = seconds / 60;
  const int64_t hours = minutes / 60;
  if (hours >= 48) return absl::StrCat(hours / 24, " days");
  if (hours > 0) return absl::StrCat(hours, " h ", minutes % 60, " min");
  if (minutes > 0) return absl::StrCat(minutes, " min ", seconds % 60, " s");
  return absl::StrCat(seconds, " s");
}

// "1.0 GiB", or a count of inodes.
std::string Amount(uint64_t amount, bool bytes) {
  return bytes ? FormatSize(amount)
               : absl::StrCat(FormatCount(amount), amount == 1 ? " inode" : " inodes");
}

std::string LimitOf(const json& limit, bool bytes) {
  return limit.is_null() ? "none" : Amount(limit.get<uint64_t>(), bytes);
}

std::string RefusalText(const json& refusal) {
  const bool bytes = refusal.at("limit") == "bytes";
  const std::string of = refusal.at("of");
  const std::string whose = of == "uid"   ? absl::StrCat("user ", refusal.at("id").get<uint64_t>())
                            : of == "gid" ? absl::StrCat("group ", refusal.at("id").get<uint64_t>())
                            : of == "path"
                                ? absl::StrCat("directory ", PathText(refusal.at("path")))
                            : of == "memory" ? std::string("the control group")
                                             : std::string("the file system");
  const absl::Time time = absl::FromUnixSeconds(refusal.at("time").get<int64_t>());
  return absl::StrCat(absl::FormatTime("%Y-%m-%d %H:%M:%S", time, absl::LocalTimeZone()), "  ",
                      Amount(refusal.at("asked").get<uint64_t>(), bytes), " to process ",
                      refusal.at("pid").get<uint64_t>(), ": ", whose, " had ",
                      Amount(refusal.at("left").get<uint64_t>(), bytes), " left (",
                      FormatCount(refusal.at("count").get<uint64_t>()), "x)");
}

// The largest counts first.
std::string RequestsText(const json& by_operation) {
  constexpr size_t kShown = 5;
  std::vector<std::pair<uint64_t, std::string>> counts;
  for (const auto& [name, count] : by_operation.items()) {
    counts.emplace_back(count.get<uint64_t>(), name);
  }
  std::sort(counts.rbegin(), counts.rend());
  std::vector<std::string> parts;
  for (size_t i = 0; i < std::min(kShown, counts.size()); ++i) {
    parts.push_back(absl::StrCat(counts[i].second, " ", FormatCount(counts[i].first)));
  }
  if (counts.size() > kShown) parts.push_back("...");
  return absl::StrJoin(parts, ", ");
}

std::string StatusText(const json& status) {
  const json& size = status.at("size");
  const json& inodes = status.at("inodes");
  const auto number = [](const json& object, const char* name) {
    return object.at(name).get<uint64_t>();
  };
  std::string text = absl::StrFormat(
      "%s: memfuse %s, process %d, up %s\n", OneLine(status.at("mount_point").get<std::string>()),
      status.at("version").get<std::string>(), status.at("server_pid").get<int64_t>(),
      Duration(status.at("uptime_seconds").get<int64_t>()));
  absl::StrAppend(&text, "size       ", FormatSize(number(size, "used")), " of ",
                  FormatSize(number(size, "limit")), " (",
                  Percent(number(size, "used"), number(size, "limit")), "%): data ",
                  FormatSize(number(size, "data")), ", metadata ",
                  FormatSize(number(size, "metadata")), "\n");
  absl::StrAppend(&text, "inodes     ", FormatCount(number(inodes, "used")), " of ",
                  FormatCount(number(inodes, "limit")), " (",
                  Percent(number(inodes, "used"), number(inodes, "limit")), "%)\n");
  absl::StrAppend(&text, "file data  ", status.at("store").get<std::string>(), "\n");
  absl::StrAppend(&text, "requests   ", status.at("transport").get<std::string>(), "\n");
  const json& requests = status.at("requests");
  absl::StrAppend(&text, "           ", FormatCount(number(requests, "total")), ": ",
                  RequestsText(requests.at("by_operation")), "\n");
  const json& refusals = status.at("refusals");
  absl::StrAppend(&text, "refused    ",
                  refusals.empty() ? "nothing" : "the latest of each limit:", "\n");
  for (const json& refusal : refusals) absl::StrAppend(&text, "  ", RefusalText(refusal), "\n");
  return text;
}

std::string LimitsText(const json& limits) {
  std::string text =
      absl::StrCat("size       ", FormatSize(limits.at("size").get<uint64_t>()), "\nnr_inodes  ",
                   FormatCount(limits.at("nr_inodes").get<uint64_t>()), "\n");
  for (const json& quota : limits.at("quotas")) {
    absl::StrAppend(
        &text, "quota      ", SubjectText(quota), "  bytes ", LimitOf(quota.at("bytes"), true),
        "  inodes ",
        quota.at("inodes").is_null() ? "none" : FormatCount(quota.at("inodes").get<uint64_t>()),
        "\n");
  }
  return text;
}

// The body of PUT /v1/limits. A percentage of --quota is one of the size that the mount has, or
// gets.
absl::StatusOr<json> ChangeOf(const Arguments& arguments, const std::string& directory) {
  json change = json::object();
  if (arguments.size.has_value()) {
    const absl::StatusOr<uint64_t> size = ParseSize(*arguments.size, ThisMachine().memory);
    if (!size.ok()) return size.status();
    change["size"] = *size;
  }
  if (arguments.nr_inodes.has_value()) {
    const absl::StatusOr<uint64_t> inodes = ParseInodeCount(*arguments.nr_inodes);
    if (!inodes.ok()) return inodes.status();
    change["nr_inodes"] = *inodes;
  }
  if (arguments.quota.has_value()) {
    uint64_t size = change.value("size", uint64_t{0});
    if (size == 0) {
      const absl::StatusOr<json> limits = Ask(directory, "GET", "/v1/limits");
      if (!limits.ok()) return limits.status();
      size = limits->at("size").get<uint64_t>();
    }
    const auto changes = ParseQuotaChanges(*arguments.quota, size);
    if (!changes.ok()) return changes.status();
    const auto limit = [](uint64_t value) { return value == kNoQuota ? json() : json(value); };
    json quotas = json::array();
    for (const QuotaChange& one : *changes) {
      json quota;
      if (one.rule.kind == QuotaKind::kTree) {
        quota = {{"kind", "path"}, {"path", one.rule.path}};
      } else {
        quota = {{"kind", one.rule.kind == QuotaKind::kUser ? "uid" : "gid"},
                 {"id", one.rule.id.has_value() ? json(*one.rule.id) : json("*")}};
      }
      if (one.has_bytes) quota["bytes"] = limit(one.rule.bytes);
      if (one.has_inodes) quota["inodes"] = limit(one.rule.inodes);
      quotas.push_back(quota);
    }
    change["quotas"] = quotas;
  }
  return change;
}

int ShowOrSetLimits(const Arguments& arguments, const std::string& directory) {
  if (!arguments.size.has_value() && !arguments.nr_inodes.has_value() &&
      !arguments.quota.has_value()) {
    return Show(Ask(directory, "GET", "/v1/limits"), arguments.json_output, LimitsText);
  }
  const absl::StatusOr<json> change = ChangeOf(arguments, directory);
  if (!change.ok()) return Fail(change.status());
  return Show(Ask(directory, "PUT", "/v1/limits", change->dump()), arguments.json_output,
              LimitsText);
}

int Unmount(const std::string& directory) {
  {
    // Closed before umount(8) runs.
    const absl::StatusOr<base::UniqueFd> opened = OpenPath(directory);
    if (!opened.ok()) return Fail(opened.status());
    const absl::StatusOr<std::string> socket = FindSocket(opened->get(), directory);
    if (!socket.ok() && absl::IsNotFound(socket.status())) return Fail(socket.status());
  }
  const bool root = geteuid() == 0;
  if (root) {
    execlp("umount", "umount", "--", directory.c_str(), nullptr);
  } else {
    execlp("fusermount3", "fusermount3", "-u", "--", directory.c_str(), nullptr);
  }
  return Fail(
      absl::StrCat("cannot run ", root ? "umount" : "fusermount3", ": ", base::ErrorText(errno)));
}

int Main(const std::vector<std::string>& words) {
  absl::StatusOr<Arguments> arguments = ParseArguments(words);
  for (const std::string& word : words) {
    if (word == "--help" || word == "-h" || word == "help") return Print(kUsage);
    if (word == "--version") return Print(absl::StrCat("memfusectl ", VersionNumber(), "\n"));
  }
  if (!arguments.ok()) return Fail(arguments.status());
  const std::string& command = arguments->command;
  if (command.empty()) return Fail("no command is given; 'memfusectl --help' lists them");
  if (command == "resize" && arguments->operands.size() == 2) {
    arguments->size = arguments->operands.back();
    arguments->operands.pop_back();
    return ShowOrSetLimits(*arguments, arguments->operands[0]);
  }
  if (command == "resize") return Fail("'memfusectl resize' needs a directory and a size");
  if (arguments->operands.size() > (command == "usage" ? 2 : 1)) {
    return Fail(absl::StrCat("one directory is expected, but '", arguments->operands.back(),
                             "' is given as well"));
  }
  if (arguments->operands.empty() && command == "unmount") {
    return Fail("'memfusectl unmount' needs a directory");
  }
  const std::string directory = arguments->operands.empty() ? "." : arguments->operands[0];
  if (command == "status") {
    return Show(Ask(directory, "GET", "/v1/status"), arguments->json_output, StatusText);
  }
  if (command == "usage") {
    UsageArguments usage;
    usage.directory = directory;
    if (arguments->operands.size() > 1) usage.path = arguments->operands[1];
    usage.by = arguments->by;
    usage.deleted = arguments->deleted;
    usage.largest = arguments->largest;
    usage.limit = arguments->limit;
    usage.json_output = arguments->json_output;
    return ShowUsage(usage);
  }
  if (command == "limits") return ShowOrSetLimits(*arguments, directory);
  if (command == "unmount") return Unmount(directory);
  return Fail(absl::StrCat("there is no command '", command, "'; 'memfusectl --help' lists them"));
}

}  // namespace
}  // namespace memfuse::cli

int main(int argc, char** argv) {
  memfuse::cli::SetProgramName(memfuse::cli::ProgramKind::kControl);
  try {
    return memfuse::cli::Main(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    return memfuse::cli::Fail(error.what());
  }
}
