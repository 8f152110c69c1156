// What the control socket answers. memfusectl(1) describes the paths.
//
//    GET /v1/status           size, inodes, store, transport, requests, refusals
//    GET /v1/statistics       requests, errors, latency and bytes of each operation
//    GET /v1/top              processes, users and directories with the most requests
//                             (top_answer.h)
//    GET /v1/usage            what users, groups, directories, types of files, large files and
//                             deleted files store (usage_answers.h)
//    GET /v1/usage/progress   of the walk for such an answer
//    GET /v1/limits           size, number of inodes, quotas
//    PUT /v1/limits           changes any of them
//
// ApiFacts::is_administrator decides who sees everything and may change limits. Others see totals;
// of usage and quotas the defaults and what concerns their own user and primary group; the last
// refusal of their own quotas, without the process and the user if it is another user; and the last
// refusal of any other limit but the quota of another user, if the kernel told that they
// caused it. They see neither paths, nor names of files, nor deleted files of others.

#ifndef MEMFUSE_SRC_CONTROL_API_H_
#define MEMFUSE_SRC_CONTROL_API_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "memfuse/memory_filesystem.h"
#include "memfuse/statistics.h"
#include "src/control/http.h"
#include "src/control/top_answer.h"
#include "src/control/usage_answers.h"
#include "src/control/usage_cache.h"

namespace memfuse::control {

// What does not change while the file system is served.
struct ApiFacts {
  std::string version;
  std::string mount_point;
  std::string store;      // MemoryFileSystem::DescribeData
  std::string transport;  // Session::DescribeTransport
  // The values of --data and --transport: what the mount should use.
  std::string asked_data;
  std::string asked_transport;
  int threads = 0;
  pid_t keeper_pid = 0;    // the process that starts a successor if this one dies; 0: none
  bool read_only = false;  // servers have crashed, and this one only lets programs read
  std::function<bool(const Peer& peer)> is_administrator;
  bool show_directories = false;  // whether the metrics port shows names of directories
  absl::Time start;               // of this process, and of its counters
  absl::Time mounted;             // the start of the first server, if this one is a successor
  uint64_t takeovers = 0;         // successors so far
};

// Session::Statistics. Called from any thread.
using StatisticsSource = std::function<std::vector<OperationStatistics>()>;

// Not synchronised: the server calls it from one thread. Long answers may be computed on one other
// thread of each kind; they must be destroyed before the object. The file system must outlive the
// object.
class Api {
 public:
  Api(ApiFacts facts, MemoryFileSystem* fs, StatisticsSource statistics,
      RecentRequestsSource recent_requests, OpcodeNamer opcode_name)
      : facts_(std::move(facts)),
        fs_(*fs),
        statistics_(std::move(statistics)),
        top_({std::move(recent_requests), std::move(opcode_name),
              [fs](InodeNumber ino) { return fs->PathOfDirectory(ino); }}),
        usage_(fs),
        usage_answers_(fs) {}

  // Answers a request. Status 200, or 400 (the body or the query), 403 (not an administrator), 404
  // (no such path), 405 (the method), 409 (more is in use than the new limits allow, or a directory
  // cannot have a quota), 500, 503 (usage_answers.h). The body of an error is {"error": "one
  // sentence"}. A peer without identity is answered with 403. Throws std::bad_alloc.
  control::Answer Answer(const HttpRequest& request);

 private:
  bool IsAdministrator(const Peer& peer) const { return facts_.is_administrator(peer); }

  int64_t UptimeSeconds() const;
  HttpResponse Status(const Peer& peer) const;
  HttpResponse Statistics() const;
  HttpResponse Top(const Peer& peer);
  control::Answer Usage(const HttpRequest& request);
  control::Answer Owners(const Peer& peer, std::optional<QuotaKind> only);
  HttpResponse Limits(const Peer& peer) const;
  HttpResponse SetLimits(const HttpRequest& request);

  const ApiFacts facts_;
  MemoryFileSystem& fs_;
  const StatisticsSource statistics_;
  TopAnswers top_;
  UsageCache usage_;  // any user may ask for it
  UsageAnswers usage_answers_;
};

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_API_H_
