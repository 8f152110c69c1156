#include "src/control/top_answer.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "src/control/path_text.h"

namespace memfuse::control {
namespace {

using nlohmann::json;

constexpr double kSecondsPerNanosecond = 1e-9;
// Bounds the files of /proc that are read: a process beyond it has fewer requests than those before
// it, and is added to those that have ended.
constexpr size_t kMaxThreadsSearched = 256;
// Bounds the names that are searched: a directory beyond it has fewer requests than those before
// it, and is not shown.
constexpr size_t kMaxDirectoriesSearched = 256;

// Whether the inode that a request names is a directory, in which it looks up, makes, removes or
// lists names.
bool NamesDirectory(std::string_view opcode) {
  constexpr std::string_view kOpcodes[] = {
      "LOOKUP", "MKNOD",  "MKDIR",   "SYMLINK", "LINK",    "UNLINK",      "RMDIR",
      "RENAME", "CREATE", "TMPFILE", "RENAME2", "OPENDIR", "READDIRPLUS", "READDIR"};
  return std::find(std::begin(kOpcodes), std::end(kOpcodes), opcode) != std::end(kOpcodes);
}

template <typename T>
json OrNull(const std::optional<T>& value) {
  return value.has_value() ? json(*value) : json(nullptr);
}

}  // namespace

template <typename Key, typename Value>
std::vector<std::pair<Key, Value>> TopAnswers::MostFirst(const std::map<Key, Value>& loads) {
  std::vector<std::pair<Key, Value>> sorted(loads.begin(), loads.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.second.requests > b.second.requests;
  });
  return sorted;
}

json TopAnswers::ToJson(const Load& load) {
  return {{"requests", load.requests},
          {"busy_seconds", static_cast<double>(load.nanoseconds) * kSecondsPerNanosecond}};
}

std::map<TopAnswers::Requester, TopAnswers::ProcessLoad> TopAnswers::ByProcess(
    const std::map<uint32_t, ProcessLoad>& threads) const {
  std::map<Requester, ProcessLoad> processes;
  const std::optional<uint32_t> process_zero = 0;
  size_t searched = 0;
  for (const auto& [thread, load] : MostFirst(threads)) {
    std::optional<base::Process> process;
    if (thread != 0 && ++searched <= kMaxThreadsSearched) process = sources_.find_process(thread);
    const Requester requester =
        process.has_value() ? Requester(process->pid, process->uid)
                            : Requester(thread == 0 ? process_zero : std::nullopt, load.uid);
    ProcessLoad& sum = processes[requester];
    sum.Add(load);
    sum.uid = requester.second;
    if (process.has_value()) sum.name = process->name;
  }
  return processes;
}

std::vector<std::pair<std::string, TopAnswers::Load>> TopAnswers::FindDirectories(
    const std::vector<std::pair<InodeNumber, Load>>& inodes) const {
  std::vector<std::pair<std::string, Load>> directories;
  size_t searched = 0;
  for (const auto& [ino, load] : inodes) {
    if (directories.size() == kMaxTopRows || ++searched > kMaxDirectoriesSearched) break;
    std::string path = sources_.find_path(ino);
    if (!path.empty()) directories.emplace_back(std::move(path), load);
  }
  return directories;
}

TopAnswers::Sums TopAnswers::AddUp() const {
  const RecentRequestList recent = sources_.recent_requests();
  Sums sums;
  sums.end = sources_.now();
  constexpr auto kWindow = static_cast<uint64_t>(kTopSeconds / kSecondsPerNanosecond);
  const uint64_t since = std::min(
      sums.end, std::max(recent.since_nanoseconds, sums.end - std::min(sums.end, kWindow)));
  sums.seconds = static_cast<double>(sums.end - since) * kSecondsPerNanosecond;
  std::map<uint32_t, ProcessLoad> threads;
  std::map<InodeNumber, Load> inodes;
  for (const RecentRequest& request : recent.requests) {
    if (request.end_nanoseconds() < since) continue;
    const Load load{1, request.latency_nanoseconds};
    sums.all.Add(load);
    ProcessLoad& thread = threads[request.pid];
    thread.Add(load);
    if (request.uid.has_value()) thread.uid = request.uid;
    if (request.ino != kNoInode && NamesDirectory(sources_.opcode_name(request.opcode))) {
      inodes[request.ino].Add(load);
    }
  }
  const std::map<Requester, ProcessLoad> processes = ByProcess(threads);
  std::map<std::optional<uint32_t>, Load> users;
  for (const auto& [requester, load] : processes) users[load.uid].Add(load);
  sums.processes = MostFirst(processes);
  sums.users = MostFirst(users);
  sums.inodes = MostFirst(inodes);
  return sums;
}

json TopAnswers::Get(std::optional<uint32_t> only_uid) {
  if (!sums_.has_value() || sources_.now() - sums_->end >= kMaxAgeNanoseconds) sums_ = AddUp();
  json process_rows = json::array();
  for (const auto& [requester, load] : sums_->processes) {
    if (only_uid.has_value() && load.uid != only_uid) continue;
    if (process_rows.size() == kMaxTopRows) break;
    json row = ToJson(load);
    row["pid"] = OrNull(requester.first);
    row["uid"] = OrNull(load.uid);
    row["name"] = OrNull(load.name);
    process_rows.push_back(std::move(row));
  }
  json user_rows = json::array();
  for (const auto& [uid, load] : sums_->users) {
    if (only_uid.has_value() && uid != only_uid) continue;
    if (user_rows.size() == kMaxTopRows) break;
    json row = ToJson(load);
    row["uid"] = OrNull(uid);
    user_rows.push_back(std::move(row));
  }
  json directory_rows = json::array();
  if (!only_uid.has_value()) {
    if (!sums_->directories.has_value()) sums_->directories = FindDirectories(sums_->inodes);
    for (const auto& [path, load] : *sums_->directories) {
      json row = ToJson(load);
      AddName("path", path, &row);
      directory_rows.push_back(std::move(row));
    }
  }
  json answer = ToJson(sums_->all);
  answer["seconds"] = sums_->seconds;
  answer["processes"] = std::move(process_rows);
  answer["users"] = std::move(user_rows);
  answer["directories"] = std::move(directory_rows);
  return answer;
}

}  // namespace memfuse::control
