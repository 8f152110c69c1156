#include "src/cli/control_text.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "src/cli/control_call.h"
#include "src/cli/message.h"
#include "src/cli/size.h"
#include "src/cli/terminal_text.h"

namespace memfuse::cli {
namespace {

using nlohmann::json;

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

// The directory of a refusal. Only administrators get its path.
std::string TreeText(const json& refusal) {
  const auto path = refusal.find("path");
  return path != refusal.end()
             ? absl::StrCat("directory ", PathText(*path))
             : absl::StrCat("directory with inode ", refusal.at("id").get<uint64_t>());
}

std::string RefusalText(const json& refusal) {
  const bool bytes = refusal.at("limit") == "bytes";
  const std::string of = refusal.at("of");
  const std::string whose = of == "uid"   ? absl::StrCat("user ", refusal.at("id").get<uint64_t>())
                            : of == "gid" ? absl::StrCat("group ", refusal.at("id").get<uint64_t>())
                            : of == "path"   ? TreeText(refusal)
                            : of == "memory" ? std::string("the control group")
                                             : std::string("the file system");
  const auto pid = refusal.at("pid").get<uint64_t>();
  const absl::Time time = absl::FromUnixSeconds(refusal.at("time").get<int64_t>());
  return absl::StrCat(absl::FormatTime("%Y-%m-%d %H:%M:%S", time, absl::LocalTimeZone()), "  ",
                      Amount(refusal.at("asked").get<uint64_t>(), bytes), " to ",
                      pid == 0 ? "an unknown process" : absl::StrCat("process ", pid), ": ", whose,
                      " had ", Amount(refusal.at("left").get<uint64_t>(), bytes), " left (",
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

}  // namespace

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
  if (const int64_t takeovers = status.value("takeovers", int64_t{0}); takeovers > 0) {
    absl::StrAppend(&text, "takeovers  ", takeovers, ", after the death of a server\n");
  }
  if (status.value("read_only", false)) {
    absl::StrAppend(&text, "read-only, because servers have crashed: copy the files out\n");
  }
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

}  // namespace memfuse::cli
