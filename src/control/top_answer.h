// The answer of GET /v1/top: which processes, users and directories cause the requests of the last
// seconds.

#ifndef MEMFUSE_SRC_CONTROL_TOP_ANSWER_H_
#define MEMFUSE_SRC_CONTROL_TOP_ANSWER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "memfuse/statistics.h"
#include "src/base/caller.h"

namespace memfuse::control {

// Finds the process of a thread: base::FindProcess, except in tests.
using ProcessFinder = std::function<std::optional<base::Process>(uint32_t thread)>;
// Returns the path of a directory, or an empty string for any other inode:
// MemoryFileSystem::PathOfDirectory.
using PathFinder = std::function<std::string(InodeNumber)>;

// The requests that count are at most this old.
inline constexpr double kTopSeconds = 10;
// No list of the answer is longer.
inline constexpr size_t kMaxTopRows = 50;

// Adds up requests that ended before `now` (CLOCK_MONOTONIC, nanoseconds):
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
// name null. A request counts for a directory if it names the directory, as LOOKUP, CREATE and
// READDIR do.
//
// If `only_uid` is set, processes and users with another ID and all directories are left out.
// Throws std::bad_alloc.
nlohmann::json TopToJson(const RecentRequestList& recent, uint64_t now,
                         std::optional<uint32_t> only_uid, const ProcessFinder& find_process,
                         const PathFinder& find_path);

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_TOP_ANSWER_H_
