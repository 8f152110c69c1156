#include "src/cli/mount_list.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "src/cli/message.h"
#include "src/cli/size.h"
#include "src/cli/terminal_text.h"

namespace memfuse::cli {
namespace {

using nlohmann::json;
using Life = MountState::Life;

constexpr size_t kColumns = 8;
using Row = std::array<std::string, kColumns>;
// Numbers are aligned on the right.
constexpr std::array<bool, kColumns> kRight = {false, false, true, true, true, true, false, false};

std::optional<uint64_t> Available(const MountState& state) {
  if (!state.size_limit.has_value() || !state.size_used.has_value()) return std::nullopt;
  return *state.size_limit - std::min(*state.size_limit, *state.size_used);
}

std::string SizeOrDash(const std::optional<uint64_t>& bytes) {
  return bytes.has_value() ? FormatSize(*bytes) : "-";
}

const char* Remark(Life life) {
  switch (life) {
    case Life::kDied:
      return "(daemon has died)";
    case Life::kSilent:
      return "(no answer)";
    case Life::kNoAccess:
      return "(no access)";
    case Life::kCovered:
      return "(covered by another mount)";
    case Life::kServes:
      break;
  }
  return "";
}

const char* LifeName(Life life) {
  switch (life) {
    case Life::kDied:
      return "died";
    case Life::kSilent:
      return "silent";
    case Life::kNoAccess:
      return "no access";
    case Life::kCovered:
      return "covered";
    case Life::kServes:
      break;
  }
  return "serves";
}

Row RowOf(const ListedMount& listed) {
  const MountState& state = listed.state;
  return {OneLine(listed.mount.mount_point),
          OneLine(listed.mount.source),
          SizeOrDash(state.size_limit),
          SizeOrDash(state.size_used),
          SizeOrDash(Available(state)),
          state.inodes_used.has_value() ? FormatCount(*state.inodes_used) : "-",
          OneLine(state.short_store().value_or("-")),
          OneLine(state.short_transport().value_or("-"))};
}

template <typename T>
json OrNull(const std::optional<T>& value) {
  return value.has_value() ? json(*value) : json();
}

}  // namespace

std::vector<ListedMount> ListMounts() {
  std::vector<MountEntry> mounts;
  for (MountEntry& mount : ReadMountTable()) {
    if (mount.is_memfuse()) mounts.push_back(std::move(mount));
  }
  const std::vector<MountState> states = ReadMountStates(mounts);
  std::vector<ListedMount> listed;
  for (size_t i = 0; i < mounts.size(); ++i) listed.push_back({mounts[i], states[i]});
  return listed;
}

std::string MountListText(const std::vector<ListedMount>& mounts) {
  if (mounts.empty()) {
    return "No memfuse is mounted; 'memfuse DIRECTORY' mounts one, and 'memfuse --help' lists its "
           "flags.\n";
  }
  std::vector<Row> rows = {
      {"mount point", "source", "size", "used", "available", "inodes", "store", "transport"}};
  for (const ListedMount& listed : mounts) rows.push_back(RowOf(listed));
  std::array<size_t, kColumns> widths = {};
  for (const Row& row : rows) {
    for (size_t i = 0; i < kColumns; ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (size_t line = 0; line < rows.size(); ++line) {
    std::string out;
    for (size_t i = 0; i < kColumns; ++i) {
      const std::string padding(widths[i] - rows[line][i].size(), ' ');
      absl::StrAppend(&out, i == 0 ? "" : "  ", kRight[i] ? padding : "", rows[line][i],
                      kRight[i] ? "" : padding);
    }
    if (line > 0) absl::StrAppend(&out, "  ", Remark(mounts[line - 1].state.life));
    out.erase(out.find_last_not_of(' ') + 1);
    absl::StrAppend(&text, out, "\n");
  }
  return text;
}

std::string MountListJson(const std::vector<ListedMount>& mounts) {
  json list = json::array();
  for (const auto& [mount, state] : mounts) {
    list.push_back(
        {{"mount_point", mount.mount_point},
         {"source", mount.source},
         {"device", mount.device},
         {"uid", mount.user_id()},
         {"state", LifeName(state.life)},
         {"size",
          {{"limit", OrNull(state.size_limit)},
           {"used", OrNull(state.size_used)},
           {"available", OrNull(Available(state))}}},
         {"inodes", {{"limit", OrNull(state.inode_limit)}, {"used", OrNull(state.inodes_used)}}},
         {"store", OrNull(state.store)},
         {"transport", OrNull(state.transport)},
         {"server_pid", OrNull(state.daemon)}});
  }
  return json({{"mounts", list}}).dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace memfuse::cli
