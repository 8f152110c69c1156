#include "src/control/top_answer.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace memfuse::control {
namespace {

using nlohmann::json;

constexpr double kSecondsPerNanosecond = 1e-9;
// Bounds the files of /proc that are read, and the names that are searched. A process or directory
// beyond it has fewer requests than those before it.
constexpr size_t kMaxThreads = 256;

struct Load {
  uint64_t requests = 0;
  uint64_t nanoseconds = 0;
  void Add(const Load& other) {
    requests += other.requests;
    nanoseconds += other.nanoseconds;
  }
};

struct ProcessLoad : Load {
  std::optional<uint32_t> uid;
  std::optional<std::string> name;
};

template <typename Key, typename Value>
std::vector<std::pair<Key, Value>> MostFirst(const std::map<Key, Value>& loads) {
  std::vector<std::pair<Key, Value>> sorted(loads.begin(), loads.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.second.requests > b.second.requests;
  });
  return sorted;
}

json ToJson(const Load& load) {
  return {{"requests", load.requests},
          {"busy_seconds", static_cast<double>(load.nanoseconds) * kSecondsPerNanosecond}};
}

template <typename T>
json OrNull(const std::optional<T>& value) {
  return value.has_value() ? json(*value) : json(nullptr);
}

// The process, or nothing for processes that have ended; and the user. A process has one user.
using Requester = std::pair<std::optional<uint32_t>, std::optional<uint32_t>>;

// Adds up the threads of each process.
std::map<Requester, ProcessLoad> ByProcess(const std::map<uint32_t, ProcessLoad>& threads,
                                           const ProcessFinder& find_process) {
  std::map<Requester, ProcessLoad> processes;
  size_t count = 0;
  for (const auto& [thread, load] : MostFirst(threads)) {
    std::optional<base::Process> process;
    if (++count <= kMaxThreads && thread != 0) process = find_process(thread);
    Requester requester{std::nullopt, load.uid};
    if (process.has_value()) {
      requester = {process->pid, process->uid};
    } else if (thread == 0) {
      requester.first = 0;
    }
    ProcessLoad& sum = processes[requester];
    sum.Add(load);
    sum.uid = requester.second;
    if (process.has_value()) sum.name = process->name;
  }
  return processes;
}

}  // namespace

json TopToJson(const RecentRequestList& recent, uint64_t now, std::optional<uint32_t> only_uid,
               const ProcessFinder& find_process, const PathFinder& find_path) {
  constexpr auto kWindow = static_cast<uint64_t>(kTopSeconds / kSecondsPerNanosecond);
  const uint64_t since =
      std::min(now, std::max(recent.since_nanoseconds, now - std::min(now, kWindow)));
  Load all;
  std::map<uint32_t, ProcessLoad> threads;
  std::map<InodeNumber, Load> inodes;
  for (const RecentRequest& request : recent.requests) {
    if (request.end_nanoseconds() < since) continue;
    const Load load{1, request.latency_nanoseconds};
    all.Add(load);
    ProcessLoad& thread = threads[request.pid];
    thread.Add(load);
    if (request.uid.has_value()) thread.uid = request.uid;
    if (request.ino != kNoInode) inodes[request.ino].Add(load);
  }

  const std::map<Requester, ProcessLoad> processes = ByProcess(threads, find_process);
  std::map<std::optional<uint32_t>, Load> users;
  json process_rows = json::array();
  for (const auto& [requester, load] : MostFirst(processes)) {
    users[load.uid].Add(load);
    if (only_uid.has_value() && load.uid != only_uid) continue;
    if (process_rows.size() == kMaxTopRows) continue;
    json row = ToJson(load);
    row["pid"] = OrNull(requester.first);
    row["uid"] = OrNull(load.uid);
    row["name"] = OrNull(load.name);
    process_rows.push_back(std::move(row));
  }
  json user_rows = json::array();
  for (const auto& [uid, load] : MostFirst(users)) {
    if (only_uid.has_value() && uid != only_uid) continue;
    if (user_rows.size() == kMaxTopRows) break;
    json row = ToJson(load);
    row["uid"] = OrNull(uid);
    user_rows.push_back(std::move(row));
  }
  json directory_rows = json::array();
  if (!only_uid.has_value()) {
    size_t searched = 0;
    for (const auto& [ino, load] : MostFirst(inodes)) {
      if (directory_rows.size() == kMaxTopRows || ++searched > kMaxThreads) break;
      const std::string path = find_path(ino);
      if (path.empty()) continue;
      json row = ToJson(load);
      row["path"] = path;
      directory_rows.push_back(std::move(row));
    }
  }
  json answer = ToJson(all);
  answer["seconds"] = static_cast<double>(now - since) * kSecondsPerNanosecond;
  answer["processes"] = std::move(process_rows);
  answer["users"] = std::move(user_rows);
  answer["directories"] = std::move(directory_rows);
  return answer;
}

}  // namespace memfuse::control
