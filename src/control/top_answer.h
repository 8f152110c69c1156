// The answer of GET /v1/top: which processes, users and directories cause the requests of the last
// seconds.

#ifndef MEMFUSE_SRC_CONTROL_TOP_ANSWER_H_
#define MEMFUSE_SRC_CONTROL_TOP_ANSWER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "memfuse/statistics.h"
#include "src/base/caller.h"
#include "src/base/clock.h"

namespace memfuse::control {

// Finds the process of a thread: base::FindProcess, except in tests.
using ProcessFinder = std::function<std::optional<base::Process>(uint32_t thread)>;
// Returns the path of a directory, or an empty string for any other inode:
// MemoryFileSystem::PathOfDirectory.
using PathFinder = std::function<std::string(InodeNumber)>;
// Session::OpcodeName and Session::RecentRequests. Called from any thread.
using OpcodeNamer = std::function<std::string_view(uint32_t opcode)>;
using RecentRequestsSource = std::function<RecentRequestList()>;

// The requests that count are at most this old.
inline constexpr double kTopSeconds = 10;
// No list of the answer is longer.
inline constexpr size_t kMaxTopRows = 50;

// Adds up the latest requests. Not synchronised. Its answer is
//
//   {"seconds": 2.5, "requests": 1200, "busy_seconds": 0.03,
//    "processes": [{"pid": 17, "name": "make", "uid": 1000, "requests": 900, "busy_seconds": 0.02},
//    ...],
//    "users": [{"uid": 1000, "requests": 900, "busy_seconds": 0.02}, ...],
//    "directories": [{"path": "/builds", "requests": 400, "busy_seconds": 0.01}, ...]}
//
// "seconds" is the time in which the requests ended, at most kTopSeconds. "busy_seconds" is the sum
// of their latencies. The lists have the most requests first. All processes that have ended, or
// that the daemon cannot see, are one element, whose pid and name are null, for each user; the user
// is null where the kernel did not tell it. Requests of the kernel itself have the pid 0 and the
// name null. A request counts for a directory if it looks up, makes, removes or lists names there,
// as LOOKUP, CREATE and READDIR do.
class TopAnswers {
 public:
  // The sums are used again for so long, for all clients. To compute them takes milliseconds.
  static constexpr uint64_t kMaxAgeNanoseconds = 500'000'000;

  struct Sources {
    RecentRequestsSource recent_requests;
    OpcodeNamer opcode_name;
    PathFinder find_path;
    ProcessFinder find_process = base::FindProcess;
    std::function<uint64_t()> now = base::MonotonicNanoseconds;  // CLOCK_MONOTONIC
  };

  explicit TopAnswers(Sources sources) : sources_(std::move(sources)) {}
  TopAnswers(const TopAnswers&) = delete;
  TopAnswers& operator=(const TopAnswers&) = delete;

  // If `only_uid` is set, the answer has the processes of this user, the row of this user, and no
  // directories; "seconds", "requests" and "busy_seconds" are those of all users. Throws
  // std::bad_alloc.
  nlohmann::json Get(std::optional<uint32_t> only_uid);

 private:
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
  // The process, or nothing for processes that have ended; and the user. A process has one user.
  using Requester = std::pair<std::optional<uint32_t>, std::optional<uint32_t>>;
  // All lists have the most requests first.
  struct Sums {
    uint64_t end = 0;  // when they were computed
    double seconds = 0;
    Load all;
    std::vector<std::pair<Requester, ProcessLoad>> processes;
    std::vector<std::pair<std::optional<uint32_t>, Load>> users;
    std::vector<std::pair<InodeNumber, Load>> inodes;  // that requests name as a directory
    // At most kMaxTopRows of `inodes`, with their paths; not set before they are asked for.
    std::optional<std::vector<std::pair<std::string, Load>>> directories;
  };

  template <typename Key, typename Value>
  static std::vector<std::pair<Key, Value>> MostFirst(const std::map<Key, Value>& loads);
  static nlohmann::json ToJson(const Load& load);

  Sums AddUp() const;
  // Adds up the threads of each process.
  std::map<Requester, ProcessLoad> ByProcess(const std::map<uint32_t, ProcessLoad>& threads) const;
  std::vector<std::pair<std::string, Load>> FindDirectories(
      const std::vector<std::pair<InodeNumber, Load>>& inodes) const;

  const Sources sources_;
  std::optional<Sums> sums_;
};

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_TOP_ANSWER_H_
