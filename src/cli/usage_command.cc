#include "src/cli/usage_command.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <future>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "src/cli/control_call.h"
#include "src/cli/file_holders.h"
#include "src/cli/message.h"
#include "src/cli/path_in_mount.h"
#include "src/cli/size.h"
#include "src/cli/terminal_text.h"
#include "src/control/query.h"

namespace memfuse::cli {
namespace {

using nlohmann::json;

uint64_t NumberOf(const json& object, const char* name) { return object.at(name).get<uint64_t>(); }

std::string BytesOf(const json& object) { return FormatSize(NumberOf(object, "bytes")); }
std::string InodesOf(const json& object) { return FormatCount(NumberOf(object, "inodes")); }

std::string LimitOf(const json& limit, bool bytes) {
  if (limit.is_null()) return "none";
  return bytes ? FormatSize(limit.get<uint64_t>()) : FormatCount(limit.get<uint64_t>());
}

std::string OwnersText(const json& usage) {
  std::vector<json> owners = usage.at("owners");
  std::stable_sort(owners.begin(), owners.end(), [](const json& a, const json& b) {
    if (a.at("kind") != b.at("kind")) return a.at("kind") > b.at("kind");
    return NumberOf(a, "bytes") > NumberOf(b, "bytes");
  });
  int width = 14;
  for (const json& owner : owners) {
    width = std::max(width, static_cast<int>(SubjectText(owner).size()));
  }
  std::string text = absl::StrFormat("%-*s %12s %12s %14s %14s\n", width, "owner", "bytes", "limit",
                                     "inodes", "limit");
  for (const json& owner : owners) {
    absl::StrAppendFormat(&text, "%-*s %12s %12s %14s %14s\n", width, SubjectText(owner),
                          BytesOf(owner), LimitOf(owner.at("byte_limit"), true), InodesOf(owner),
                          LimitOf(owner.at("inode_limit"), false));
  }
  return text;
}

// "12.0 MiB in 1,234 inodes", with what has to be known about the walk.
std::string TotalText(const json& usage) {
  const json& total = usage.at("total");
  std::string text = absl::StrCat(BytesOf(total), " in ", InodesOf(total),
                                  NumberOf(total, "inodes") == 1 ? " inode" : " inodes");
  const auto age = static_cast<int64_t>(usage.at("age_seconds").get<double>());
  if (age > 0) absl::StrAppend(&text, ", as of ", age, " s ago");
  if (!usage.at("complete").get<bool>()) {
    absl::StrAppendFormat(&text, "; NOT COMPLETE: the walk ended after %.0f s",
                          usage.at("walk_seconds").get<double>());
  }
  return text + "\n";
}

std::string TitleText(const json& usage) {
  return absl::StrCat(QuoteName(usage.at("path").get<std::string>()), ": ", TotalText(usage));
}

std::string DirectoriesText(const json& usage) {
  std::string text = TitleText(usage);
  const auto add = [&](absl::string_view bytes, absl::string_view inodes, absl::string_view name) {
    absl::StrAppendFormat(&text, "%12s %14s  %s\n", bytes, inodes, name);
  };
  add("bytes", "inodes", "directory");
  for (const json& row : usage.at("directories")) {
    add(BytesOf(row), InodesOf(row), QuoteName(row.at("name").get<std::string>()) + "/");
  }
  const json& other = usage.at("other");
  if (const uint64_t count = NumberOf(other, "count"); count != 0) {
    add(BytesOf(other), InodesOf(other),
        absl::StrCat("(", FormatCount(count), " other director", count == 1 ? "y)" : "ies)"));
  }
  const json& files = usage.at("files");
  add(BytesOf(files), InodesOf(files), "(the directory itself and its files)");
  return text;
}

std::string TypesText(const json& usage) {
  std::string text = TitleText(usage);
  absl::StrAppendFormat(&text, "%12s %14s  %s\n", "bytes", "inodes", "type");
  for (const json& row : usage.at("types")) {
    absl::StrAppendFormat(&text, "%12s %14s  %s\n", BytesOf(row), InodesOf(row),
                          row.at("type").get<std::string>());
  }
  return text;
}

std::string LargestText(const json& usage) {
  std::string text = TitleText(usage);
  absl::StrAppendFormat(&text, "%12s %12s %10s  %s\n", "bytes", "size", "uid", "file");
  for (const json& row : usage.at("largest")) {
    absl::StrAppendFormat(&text, "%12s %12s %10d  %s\n", BytesOf(row),
                          FormatSize(NumberOf(row, "size")), NumberOf(row, "uid"),
                          QuoteName(row.at("path").get<std::string>()));
  }
  return text;
}

std::string ProcessesText(const json& row, bool complete) {
  constexpr size_t kShown = 5;
  std::vector<std::string> parts;
  for (const json& process : row.at("processes")) {
    if (parts.size() == kShown) {
      parts.emplace_back("...");
      break;
    }
    parts.push_back(absl::StrCat(NumberOf(process, "pid"), " (",
                                 QuoteName(process.at("name").get<std::string>()), ")"));
  }
  if (!parts.empty()) return absl::StrJoin(parts, ", ");
  return complete ? "none" : "unknown";
}

std::string DeletedText(const json& usage) {
  std::string text = absl::StrCat("deleted, and still there: ", TotalText(usage));
  if (const uint64_t freed = usage.value("being_freed", uint64_t{0}); freed != 0) {
    absl::StrAppend(&text, "being freed now: ", FormatSize(freed), "\n");
  }
  const bool complete = usage.at("processes_complete").get<bool>();
  absl::StrAppendFormat(&text, "%12s %12s %-10s %10s %6s %8s  %s\n", "bytes", "inode", "type",
                        "uid", "opens", "lookups", "processes");
  for (const json& row : usage.at("inodes")) {
    absl::StrAppendFormat(&text, "%12s %12d %-10s %10d %6d %8d  %s\n", BytesOf(row),
                          NumberOf(row, "ino"), row.at("type").get<std::string>(),
                          NumberOf(row, "uid"), NumberOf(row, "opens"), NumberOf(row, "lookups"),
                          ProcessesText(row, complete));
  }
  return text;
}

// Adds the processes that hold the inodes: the daemon does not know them.
void AddHolders(dev_t device, json* usage) {
  const FileHolders holders = FindHoldersOfDeleted(device);
  for (json& row : usage->at("inodes")) {
    json processes = json::array();
    if (const auto found = holders.by_inode.find(NumberOf(row, "ino"));
        found != holders.by_inode.end()) {
      for (const FileHolder& holder : found->second) {
        processes.push_back({{"pid", holder.pid}, {"name", holder.name}});
      }
    }
    row["processes"] = std::move(processes);
  }
  (*usage)["processes_complete"] = holders.complete;
}

// "visited 120,000 inodes of 400,000, 3 s left"
std::string ProgressText(const json& progress) {
  const uint64_t visited = NumberOf(progress, "visited");
  std::string text = absl::StrCat("visited ", FormatCount(visited), " inodes");
  const json& all = progress.at("inodes");
  const double seconds = progress.at("seconds").get<double>();
  if (seconds <= 0 || visited == 0) return text;
  const double rate = static_cast<double>(visited) / seconds;
  if (all.is_number_unsigned() && all.get<uint64_t>() >= visited) {
    const double left = static_cast<double>(all.get<uint64_t>() - visited) / rate;
    absl::StrAppendFormat(&text, " of %s, %.0f s left", FormatCount(all.get<uint64_t>()), left);
  } else {
    absl::StrAppend(&text, ", ", FormatCount(static_cast<uint64_t>(rate)), " each second");
  }
  return text;
}

// Asks, and says how far the daemon is.
absl::StatusOr<json> AskWithProgress(const std::string& socket, const std::string& query) {
  const control::HttpRequest request{"GET", "/v1/usage", "", {}, query};
  if (isatty(STDERR_FILENO) == 0) return AskSocket(socket, request);
  auto answer = std::async(std::launch::async, [&] { return AskSocket(socket, request); });
  bool said = false;
  for (std::chrono::milliseconds wait{1000}; answer.wait_for(wait) != std::future_status::ready;
       wait = std::chrono::milliseconds(250)) {
    const auto progress = AskSocket(socket, {"GET", "/v1/usage/progress", "", {}});
    if (!progress.ok()) continue;
    const std::string line =
        progress->at("walking").get<bool>() ? ProgressText(*progress) : "waiting for another walk";
    absl::FPrintF(stderr, "\r%s\033[K", line);
    said = true;
  }
  if (said) absl::FPrintF(stderr, "\r\033[K");
  return answer.get();
}

absl::Status Check(const UsageArguments& arguments) {
  const std::string by = arguments.by.value_or("");
  if (arguments.by.has_value() && by != "uid" && by != "gid" && by != "path" && by != "dir" &&
      by != "type") {
    return absl::InvalidArgumentError(
        absl::StrCat("--by: '", by, "' is none of uid, gid, path, dir and type"));
  }
  if ((arguments.by.has_value() ? 1 : 0) + (arguments.deleted ? 1 : 0) +
          (arguments.largest ? 1 : 0) >
      1) {
    return absl::InvalidArgumentError("only one of --by, --largest and --deleted can be given");
  }
  const bool of_tree = by == "dir" || by == "type" || arguments.largest;
  if (arguments.path.has_value() && !of_tree) {
    return absl::InvalidArgumentError(
        "a path in the file system goes with --by=dir, --by=type and --largest only");
  }
  if (arguments.limit.has_value() && by != "dir" && !arguments.largest && !arguments.deleted) {
    return absl::InvalidArgumentError("--limit goes with --by=dir, --largest and --deleted only");
  }
  return absl::OkStatus();
}

// The query; `descriptor` is that of the directory.
absl::StatusOr<std::string> QueryOf(const UsageArguments& arguments, int descriptor) {
  const std::string limit = control::EncodeQueryValue(arguments.limit.value_or("20"));
  if (arguments.deleted) return absl::StrCat("deleted=1&limit=", limit);
  const std::string by = arguments.by.value_or("");
  std::string query = arguments.largest ? absl::StrCat("largest=", limit)
                      : by.empty()      ? ""
                                        : absl::StrCat("by=", by);
  if (by == "dir") absl::StrAppend(&query, "&limit=", limit);
  if (by != "dir" && by != "type" && !arguments.largest) return query;
  std::string path;
  if (arguments.path.has_value()) {
    path = absl::StartsWith(*arguments.path, "/") ? *arguments.path : "/" + *arguments.path;
  } else {
    absl::StatusOr<std::string> found = PathInFileSystem(descriptor);
    if (!found.ok()) {
      return absl::FailedPreconditionError(
          absl::StrCat(arguments.directory, ": ", found.status().message()));
    }
    path = *std::move(found);
  }
  return absl::StrCat(query, "&path=", control::EncodeQueryValue(path));
}

}  // namespace

int ShowUsage(const UsageArguments& arguments) {
  if (const absl::Status status = Check(arguments); !status.ok()) return Fail(status);
  const absl::StatusOr<base::UniqueFd> opened = OpenPath(arguments.directory);
  if (!opened.ok()) return Fail(opened.status());
  const absl::StatusOr<std::string> socket = FindSocket(opened->get(), arguments.directory);
  if (!socket.ok()) return Fail(socket.status());
  const absl::StatusOr<std::string> query = QueryOf(arguments, opened->get());
  if (!query.ok()) return Fail(query.status());
  absl::StatusOr<json> usage = AskWithProgress(*socket, *query);
  if (usage.ok() && arguments.deleted) {
    struct stat mount = {};
    if (fstat(opened->get(), &mount) != 0) return Fail("cannot find the number of the device");
    AddHolders(mount.st_dev, &*usage);
  }
  return Show(usage, arguments.json_output, [&](const json& answer) {
    if (arguments.deleted) return DeletedText(answer);
    if (arguments.largest) return LargestText(answer);
    if (arguments.by == "dir") return DirectoriesText(answer);
    if (arguments.by == "type") return TypesText(answer);
    return OwnersText(answer);
  });
}

}  // namespace memfuse::cli
